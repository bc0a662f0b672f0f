"""The official SDKs as clients of one gateway: each says the same things in its own way, and tells what it heard in the same words."""

from __future__ import annotations

import base64
import json
from typing import Any, Protocol

import anthropic
import openai
from google import genai
from google.genai import errors as google_errors
from google.genai import types
from msgspec import Struct

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"zebra": {"type": "string"}, "apple": {"type": "integer"}},
    "required": ["zebra", "apple"],
    "additionalProperties": False,
}
"""Its keys stand in no alphabetical order, so that a change of their order is seen."""

SYSTEM, QUESTION, TOOLS = "Be brief.", "What is the weather?", ("weather", "time")


def arguments_of(text: str) -> Any:
    """Arguments that were streamed; those that are no JSON as Anthropic documents to wrap them."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {"INVALID_JSON": text}


class Heard(Struct, frozen=True):
    """What a client understood, of the first choice; `choices`: the texts of all. `turn`: what it would send back as the model's turn."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    refused: bool = False
    finish: str = ""
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)
    turn: Any = None
    choices: tuple[str, ...] = ()


class Failed(Struct, frozen=True):
    """What it raised: its HTTP status (0 if there was none), the message, and what had been heard."""

    status: int
    message: str
    kind: str


class Ask(Struct, frozen=True):
    """A request in nobody's words. `turn` and `results`: the model's turn so far, and what its tools found."""

    tools: bool = False
    image: bool = False
    schema: bool = False
    turn: Any = None
    results: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    choices: int = 1


class Speaker(Protocol):
    """`say` returns what was heard, by one of the ways in which this SDK reads; `errors` are what it raises."""

    errors: tuple[type[Exception], ...]

    def arguments(self, model: str, ask: Ask) -> dict[str, Any]: ...
    async def whole(self, arguments: dict[str, Any]) -> Heard: ...
    async def stream(self, arguments: dict[str, Any]) -> Heard: ...
    async def helper(self, arguments: dict[str, Any]) -> Heard: ...
    def whole_sync(self, arguments: dict[str, Any]) -> Heard: ...
    def stream_sync(self, arguments: dict[str, Any]) -> Heard: ...
    def helper_sync(self, arguments: dict[str, Any]) -> Heard: ...
    def failed(self, error: Exception) -> Failed: ...
    async def close(self) -> None: ...


def reasoning_of(message: Any) -> str:
    """By either of the names that providers have made usual."""
    return getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or ""


def tokens_of(usage: Any) -> tuple[int, int, int, int]:
    """Tokens of the prompt and of the answer, cached and reasoning ones among them, as Chat Completions counts them."""
    if usage is None:
        return (0, 0, 0, 0)
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    cached, reasoning = prompt.cached_tokens if prompt else 0, completion.reasoning_tokens if completion else 0
    return usage.prompt_tokens, usage.completion_tokens, cached, reasoning


class OpenAI:
    errors: tuple[type[Exception], ...] = (openai.APIError,)

    def __init__(self, url: str) -> None:
        self._sync = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self._async = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    async def close(self) -> None:
        self._sync.close()
        await self._async.close()

    def arguments(self, model: str, ask: Ask) -> dict[str, Any]:
        url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        picture = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
        messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": picture if ask.image else QUESTION}]
        if ask.turn is not None:
            messages.append(ask.turn)
            messages += [{"role": "tool", "tool_call_id": id, "content": r} for id, r in zip(ask.ids, ask.results, strict=True)]
        fields: dict[str, Any] = {"model": model, "messages": messages, "max_completion_tokens": 1000}
        if ask.tools:
            functions = [{"name": name, "description": "d", "parameters": SCHEMA} for name in TOOLS]
            fields["tools"] = [{"type": "function", "function": function} for function in functions]
        if ask.schema:
            fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
        if ask.choices > 1:
            fields["n"] = ask.choices
        return fields

    @staticmethod
    def _streaming(arguments: dict[str, Any]) -> dict[str, Any]:
        return {**arguments, "stream_options": {"include_usage": True}}

    async def whole(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(await self._async.chat.completions.create(**arguments))

    def whole_sync(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(self._sync.chat.completions.create(**arguments))

    async def stream(self, arguments: dict[str, Any]) -> Heard:
        async with await self._async.chat.completions.create(stream=True, **self._streaming(arguments)) as stream:
            return self._heard_chunks([chunk async for chunk in stream])

    def stream_sync(self, arguments: dict[str, Any]) -> Heard:
        with self._sync.chat.completions.create(stream=True, **self._streaming(arguments)) as stream:
            return self._heard_chunks(list(stream))

    async def helper(self, arguments: dict[str, Any]) -> Heard:
        text = ""
        async with self._async.chat.completions.stream(**self._streaming(arguments)) as stream:
            try:
                async for event in stream:
                    text += event.delta if event.type == "content.delta" else ""
                return self._heard(await stream.get_final_completion())
            except openai.ContentFilterFinishReasonError:  # so this helper says that it was filtered
                return Heard(text, refused=True)

    def helper_sync(self, arguments: dict[str, Any]) -> Heard:
        text = ""
        with self._sync.chat.completions.stream(**self._streaming(arguments)) as stream:
            try:
                for event in stream:
                    text += event.delta if event.type == "content.delta" else ""
                return self._heard(stream.get_final_completion())
            except openai.ContentFilterFinishReasonError:
                return Heard(text, refused=True)

    @staticmethod
    def _heard(completion: Any) -> Heard:
        [choice, *_] = completion.choices
        message, usage = choice.message, completion.usage
        calls = tuple((call.function.name, arguments_of(call.function.arguments)) for call in message.tool_calls or ())
        refused = bool(message.refusal) or choice.finish_reason == "content_filter"
        turn = message.model_dump(exclude_none=True, exclude={"parsed"})
        for call in turn.get("tool_calls", ()):
            call["function"].pop("parsed_arguments", None)
        return Heard(
            message.content or message.refusal or "",
            reasoning_of(message),
            calls,
            refused,
            choice.finish_reason,
            tokens_of(usage),
            turn,
            tuple(choice.message.content or "" for choice in completion.choices),
        )

    @staticmethod
    def _heard_chunks(chunks: list[Any]) -> Heard:
        """A loop as people write it."""
        text, reasoning, finish, refused = "", "", "", False
        calls: dict[int, list[str]] = {}
        choices: dict[int, str] = {}
        usage = (0, 0, 0, 0)
        for chunk in chunks:
            usage = tokens_of(chunk.usage) if chunk.usage else usage
            for choice in chunk.choices:
                choices[choice.index] = choices.get(choice.index, "") + (choice.delta.content or "")
                if choice.index:
                    continue
                text += choice.delta.content or choice.delta.refusal or ""
                refused = refused or bool(choice.delta.refusal)
                reasoning += reasoning_of(choice.delta)
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or ():
                    entry = calls.setdefault(call.index, ["", ""])
                    entry[0] += (call.function.name or "") if call.function else ""
                    entry[1] += (call.function.arguments or "") if call.function else ""
        told = tuple((name, arguments_of(arguments)) for name, arguments in calls.values())
        refused = refused or finish == "content_filter"
        return Heard(text, reasoning, told, refused, finish, usage, choices=tuple(choices.values()))

    def failed(self, error: Exception) -> Failed:
        assert isinstance(error, openai.APIError)
        return Failed(getattr(error, "status_code", 0), str(error.message), str(error.type))


class Anthropic:
    errors: tuple[type[Exception], ...] = (anthropic.APIError,)

    def __init__(self, url: str) -> None:
        self._sync = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
        self._async = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)

    async def close(self) -> None:
        self._sync.close()
        await self._async.close()

    def arguments(self, model: str, ask: Ask) -> dict[str, Any]:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
        picture = [{"type": "text", "text": QUESTION}, {"type": "image", "source": source}]
        messages: list[Any] = [{"role": "user", "content": picture if ask.image else QUESTION}]
        if ask.turn is not None:
            results = zip(ask.ids, ask.results, strict=True)
            messages.append({"role": "assistant", "content": ask.turn})
            blocks = [{"type": "tool_result", "tool_use_id": id, "content": result} for id, result in results]
            messages.append({"role": "user", "content": blocks})
        fields: dict[str, Any] = {"model": model, "messages": messages, "system": SYSTEM, "max_tokens": 1000}
        if ask.tools:
            fields["tools"] = [{"name": name, "description": "d", "input_schema": SCHEMA} for name in TOOLS]
        if ask.schema:
            fields["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return fields

    async def whole(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(await self._async.messages.create(**arguments))

    def whole_sync(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(self._sync.messages.create(**arguments))

    async def stream(self, arguments: dict[str, Any]) -> Heard:
        async with await self._async.messages.create(stream=True, **arguments) as stream:
            return self._heard_events([event async for event in stream])

    def stream_sync(self, arguments: dict[str, Any]) -> Heard:
        with self._sync.messages.create(stream=True, **arguments) as stream:
            return self._heard_events(list(stream))

    async def helper(self, arguments: dict[str, Any]) -> Heard:
        async with self._async.messages.stream(**arguments) as stream:
            return self._heard(await stream.get_final_message())

    def helper_sync(self, arguments: dict[str, Any]) -> Heard:
        with self._sync.messages.stream(**arguments) as stream:
            return self._heard(stream.get_final_message())

    @staticmethod
    def _heard(message: Any) -> Heard:
        blocks, usage = message.content, message.usage
        cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        details = usage.output_tokens_details
        return Heard(
            "".join(block.text for block in blocks if block.type == "text"),
            "".join(block.thinking for block in blocks if block.type == "thinking"),
            tuple((block.name, block.input) for block in blocks if block.type == "tool_use"),
            message.stop_reason == "refusal",
            message.stop_reason,
            (usage.input_tokens + cached + written, usage.output_tokens, cached, details.thinking_tokens if details else 0),
            [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in blocks],
        )

    @staticmethod
    def _heard_events(events: list[Any]) -> Heard:
        """A loop as people write it."""
        text, reasoning, finish = "", "", ""
        calls: dict[int, list[str]] = {}
        usage = (0, 0, 0, 0)
        for event in events:
            if event.type == "content_block_start" and event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.name, ""]
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
            elif event.type == "content_block_delta" and event.delta.type == "thinking_delta":
                reasoning += event.delta.thinking
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta" and event.index in calls:
                calls[event.index][1] += event.delta.partial_json
            elif event.type == "message_delta":
                finish, u = event.delta.stop_reason, event.usage
                cached, details = u.cache_read_input_tokens or 0, u.output_tokens_details
                total = (u.input_tokens or 0) + cached + (u.cache_creation_input_tokens or 0)
                usage = (total, u.output_tokens, cached, details.thinking_tokens if details else 0)
        assert events[-1].type == "message_stop"
        told = tuple((name, arguments_of(arguments)) for name, arguments in calls.values())
        return Heard(text, reasoning, told, finish == "refusal", finish, usage)

    def failed(self, error: Exception) -> Failed:
        assert isinstance(error, anthropic.APIStatusError), error
        return Failed(error.status_code, error.message, str(error.type))


class Google:
    errors: tuple[type[Exception], ...] = (google_errors.APIError,)

    def __init__(self, url: str) -> None:
        self._client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))

    async def close(self) -> None:
        await self._client.aio.aclose()
        self._client.close()

    def arguments(self, model: str, ask: Ask) -> dict[str, Any]:
        parts = [types.Part.from_text(text=QUESTION), *([types.Part.from_bytes(data=PNG, mime_type="image/png")] if ask.image else [])]
        contents: list[Any] = [types.Content(role="user", parts=parts)]
        if ask.turn is not None:
            contents.append(ask.turn)
            found = [
                types.Part(function_response=types.FunctionResponse(id=id, name=name, response=json.loads(result)))
                for id, name, result in zip(ask.ids, TOOLS, ask.results, strict=True)
            ]
            contents.append(types.Content(role="user", parts=found))
        config: dict[str, Any] = {"system_instruction": SYSTEM, "max_output_tokens": 1000}
        if ask.tools:
            declarations = [types.FunctionDeclaration(name=name, description="d", parameters_json_schema=SCHEMA) for name in TOOLS]
            config["tools"] = [types.Tool(function_declarations=declarations)]
        if ask.schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
        if ask.choices > 1:
            config["candidate_count"] = ask.choices
        return {"model": model, "contents": contents, "config": types.GenerateContentConfig(**config)}

    async def whole(self, arguments: dict[str, Any]) -> Heard:
        return self._heard([await self._client.aio.models.generate_content(**arguments)])

    def whole_sync(self, arguments: dict[str, Any]) -> Heard:
        return self._heard([self._client.models.generate_content(**arguments)])

    async def stream(self, arguments: dict[str, Any]) -> Heard:
        return self._heard([chunk async for chunk in await self._client.aio.models.generate_content_stream(**arguments)])

    def stream_sync(self, arguments: dict[str, Any]) -> Heard:
        return self._heard(list(self._client.models.generate_content_stream(**arguments)))

    async def helper(self, arguments: dict[str, Any]) -> Heard:
        """A chat, which keeps the turns itself."""
        *history, last = arguments["contents"]
        chat = self._client.aio.chats.create(model=arguments["model"], config=arguments["config"], history=history)
        return self._heard([chunk async for chunk in await chat.send_message_stream(last.parts)])

    def helper_sync(self, arguments: dict[str, Any]) -> Heard:
        *history, last = arguments["contents"]
        chat = self._client.chats.create(model=arguments["model"], config=arguments["config"], history=history)
        return self._heard(list(chat.send_message_stream(last.parts)))

    @staticmethod
    def _heard(chunks: list[Any]) -> Heard:
        first = [next((c for c in chunk.candidates or () if not c.index), None) for chunk in chunks]
        candidates = [candidate for candidate in first if candidate is not None]
        parts = [part for candidate in candidates for part in (candidate.content.parts if candidate.content else None) or ()]
        every: dict[int, list[str]] = {}
        for candidate in (c for chunk in chunks for c in chunk.candidates or ()):
            every.setdefault(candidate.index or 0, []).extend(part.text or "" for part in candidate.content.parts or ())
        finish = next((str(c.finish_reason.value) for c in reversed(candidates) if c.finish_reason), "")
        usage = next((chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata), None)
        usage = usage or types.GenerateContentResponseUsageMetadata()
        thoughts, cached = usage.thoughts_token_count or 0, usage.cached_content_token_count or 0
        prompt = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
        return Heard(
            "".join(part.text or "" for part in parts if not part.thought),
            "".join(part.text or "" for part in parts if part.thought),
            tuple((part.function_call.name, dict(part.function_call.args or {})) for part in parts if part.function_call),
            finish == "SAFETY" or any((part.part_metadata or {}).get("refusal") for part in parts),
            finish,
            (prompt, (usage.candidates_token_count or 0) + thoughts, cached, thoughts),
            types.Content(role="model", parts=parts),
            tuple("".join(texts) for texts in every.values()),
        )

    def failed(self, error: Exception) -> Failed:
        assert isinstance(error, google_errors.APIError)
        return Failed(error.code, str(error.message), str(error.status))
