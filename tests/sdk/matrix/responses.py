"""OpenAI's SDK as a client of Responses."""

from __future__ import annotations

import base64
from typing import Any

import openai

from .speakers import PNG, QUESTION, SCHEMA, SYSTEM, TOOLS, Ask, Failed, Heard, arguments_of

THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
INCOMPLETE = "response.incomplete"
"""A last event of which this helper makes no final response."""


class Responses:
    errors: tuple[type[Exception], ...] = (openai.APIError,)

    def __init__(self, url: str) -> None:
        self._sync = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self._async = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    async def close(self) -> None:
        self._sync.close()
        await self._async.close()

    def arguments(self, model: str, ask: Ask) -> dict[str, Any]:
        url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        picture = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": url, "detail": "auto"}]
        items: list[Any] = [{"role": "user", "content": picture if ask.image else QUESTION}]
        if ask.turn is not None:
            results = zip(ask.ids, ask.results, strict=True)
            items += [*ask.turn, *({"type": "function_call_output", "call_id": id, "output": result} for id, result in results)]
        fields: dict[str, Any] = {"model": model, "input": items, "instructions": SYSTEM, "max_output_tokens": 1000}
        if ask.tools:
            fields["tools"] = [{"type": "function", "name": name, "description": "d", "parameters": SCHEMA} for name in TOOLS]
        if ask.schema:
            fields["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}
        return fields

    async def whole(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(await self._async.responses.create(**arguments))

    def whole_sync(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(self._sync.responses.create(**arguments))

    async def stream(self, arguments: dict[str, Any]) -> Heard:
        async with await self._async.responses.create(stream=True, **arguments) as stream:
            return self._heard_events([event async for event in stream])

    def stream_sync(self, arguments: dict[str, Any]) -> Heard:
        with self._sync.responses.create(stream=True, **arguments) as stream:
            return self._heard_events(list(stream))

    async def helper(self, arguments: dict[str, Any]) -> Heard:
        async with self._async.responses.stream(**arguments) as stream:
            events: list[Any] = [event async for event in stream]
            return self._heard(events[-1].response if events[-1].type == INCOMPLETE else await stream.get_final_response())

    def helper_sync(self, arguments: dict[str, Any]) -> Heard:
        with self._sync.responses.stream(**arguments) as stream:
            events: list[Any] = list(stream)
            return self._heard(events[-1].response if events[-1].type == INCOMPLETE else stream.get_final_response())

    @staticmethod
    def _heard(response: Any) -> Heard:
        contents = [content for item in response.output if item.type == "message" for content in item.content]
        refusal = "".join(content.refusal for content in contents if content.type == "refusal")
        calls = [item for item in response.output if item.type == "function_call"]
        thoughts = [text for item in response.output if item.type == "reasoning" for text in (*item.summary, *(item.content or ()))]
        reason = response.incomplete_details.reason if response.incomplete_details else response.status
        usage = response.usage
        return Heard(
            response.output_text or refusal,
            "".join(thought.text for thought in thoughts),
            tuple((call.name, arguments_of(call.arguments)) for call in calls),
            bool(refusal) or reason == "content_filter",
            reason,
            (
                usage.input_tokens,
                usage.output_tokens,
                usage.input_tokens_details.cached_tokens,
                usage.output_tokens_details.reasoning_tokens,
            )
            if usage
            else (0, 0, 0, 0),
            [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output],
        )

    @classmethod
    def _heard_events(cls, events: list[Any]) -> Heard:
        """A loop as people write it: words as they come, the rest from the last event."""
        last = events[-1].response
        heard = cls._heard(last)
        text = "".join(event.delta for event in events if event.type in ("response.output_text.delta", "response.refusal.delta"))
        thoughts = "".join(event.delta for event in events if event.type in THOUGHTS)
        said: dict[int, str] = {}
        for event in events:
            if event.type == "response.function_call_arguments.delta":
                said[event.output_index] = said.get(event.output_index, "") + event.delta
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert (text, thoughts) == (heard.text, heard.reasoning)
        assert [arguments_of(arguments) for _, arguments in sorted(said.items())] == [arguments for _, arguments in heard.calls]
        return heard

    def failed(self, error: Exception) -> Failed:
        assert isinstance(error, openai.APIError)
        return Failed(getattr(error, "status_code", 0), str(error.message), str(error.type))
