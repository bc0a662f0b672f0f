"""Events to Chat Completions: frames of a stream, or one whole reply.

Shapes that the official SDK's accumulator needs: the role once for each choice and choice 0 first, a running index of tool
calls, their ids and names said once, `choices` a list and `delta` an object in every chunk, no `id:` lines.
"""

from __future__ import annotations

from typing import Any

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, PartStart, Start
from telex.core.fold import merge
from telex.core.messages import Choice, Fields, Finish, Part, Reply, Usage
from telex.dialects.openai_chat.errors import encode_error, error_object

FINISH_WORDS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})
"""All that `finish_reason` may say; SDKs know no others."""

REASONING = "reasoning_content"
"""The field for reasoning that came without a name of its own: the one that most of this dialect's providers use."""


class Encoder:
    """Events to frames, each as bytes. `id` and `created` stand in where the upstream gave none."""

    def __init__(self, include_usage: bool = True, id: str = "", created: int = 0) -> None:
        self._include_usage = include_usage
        self._head: Fields = {"id": id, "object": "chat.completion.chunk", "created": created, "model": ""}
        self._open: set[int] = set()
        self._parts: dict[tuple[int, int], PartStart] = {}
        self._calls: dict[tuple[int, int], int] = {}
        self._usage: Usage | None = None
        self._unsent = False  # fields of the reply that no frame has carried yet

    def feed(self, event: Event) -> list[bytes]:
        match event:
            case PartDelta():
                return self._delta(event)
            case PartStart():
                return self._part(event)
            case Finish():
                return [*self._role(event.choice), self._chunk(event.choice, {}, finish_fields(event))]
            case Extra():
                return self._extra(event)
            case Usage():
                self._usage = event
            case Start():
                self._head.update(id=event.id or self._head["id"], created=event.created or self._head["created"], model=event.model)
                return self._role(0)
            case Done():
                return [*self._last_frame(), b"data: [DONE]\n\n"]
            case Failure():
                return [sse.encode(encode_error(event))]
        return []

    def _chunk(self, choice: int, delta: Fields, more: Fields | None = None) -> bytes:
        body: Fields = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": None, **(more or {})}
        return self._frame({**self._head, "choices": [body]})

    def _frame(self, chunk: Fields) -> bytes:
        self._unsent = False
        if self._include_usage:
            chunk.setdefault("usage", None)
        return sse.encode(json.encode(chunk))

    def _role(self, choice: int) -> list[bytes]:
        if choice in self._open:
            return []
        self._open.add(choice)
        first = self._role(0) if choice else []
        return [*first, self._chunk(choice, {"role": "assistant", "content": ""})]

    def _part(self, part: PartStart) -> list[bytes]:
        key = part.choice, part.index
        self._parts[key] = part
        if part.kind == "audio" and part.id:
            return [*self._role(part.choice), self._chunk(part.choice, {"audio": {"id": part.id}})]
        if part.kind != "tool_call":
            return self._role(part.choice)
        if part.tool == "legacy":
            return [*self._role(part.choice), self._chunk(part.choice, {"function_call": {"name": part.name, "arguments": ""}})]
        index = self._calls[key] = sum(choice == part.choice for choice, _ in self._calls)
        opening = {"index": index, **call(part.tool, part.id, part.name, "")}
        return [*self._role(part.choice), self._chunk(part.choice, {"tool_calls": [opening]})]

    def _delta(self, event: PartDelta) -> list[bytes]:
        key = event.choice, event.index
        part = self._parts[key]
        delta: Fields
        match part.kind, part.tool:
            case "text", _:
                delta = {"content": event.text}
            case "reasoning", _:
                delta = reasoning(part.name, event.text)
            case "refusal", _:
                delta = {"refusal": event.text}
            case "audio", _:
                delta = {"audio": {k: v for k, v in (("transcript", event.text), ("data", event.data)) if v}}
            case "tool_call", "legacy":
                delta = {"function_call": {"arguments": event.text}}
            case "tool_call", "custom":
                delta = {"tool_calls": [{"index": self._calls[key], "custom": {"input": event.text}}]}
            case "tool_call", _:
                delta = {"tool_calls": [{"index": self._calls[key], "function": {"arguments": event.text}}]}
            case _:
                return []
        return [self._chunk(event.choice, delta)]

    def _extra(self, event: Extra) -> list[bytes]:
        if event.choice < 0:
            self._head |= event.fields
            self._unsent = True
            return []
        fields = dict(event.fields)
        delta = fields.pop("message", {})
        return [*self._role(event.choice), self._chunk(event.choice, delta, fields)]

    def _last_frame(self) -> list[bytes]:
        usage = {"usage": usage_object(self._usage)} if self._include_usage and self._usage else {}
        return [self._frame({**self._head, "choices": [], **usage})] if usage or self._unsent else []


def encode_reply(reply: Reply) -> bytes:
    """The body of a whole reply; of one that failed, the error."""
    if reply.failure is not None:
        return json.encode(error_object(reply.failure))
    body: Fields = {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [choice_object(choice) for choice in reply.choices],
        **reply.extra,
    }
    if reply.usage is not None:
        body["usage"] = usage_object(reply.usage)
    return json.encode(body)


def choice_object(choice: Choice) -> Fields:
    extra = dict(choice.extra)
    message = message_object(choice.parts)
    merge(message, extra.pop("message", {}))
    finish = finish_fields(choice.finish) if choice.finish else {"finish_reason": None}
    return {"index": choice.index, "message": message, "logprobs": None, **finish, **extra}


def message_object(parts: tuple[Part, ...]) -> Fields:
    """An assistant's message: text of one kind is one string, whatever other parts it was written between."""
    message: Fields = {"role": "assistant", "content": None, "refusal": None}
    calls: list[Fields] = []
    for part in parts:
        match part.kind, part.tool:
            case "text", _:
                message["content"] = (message["content"] or "") + part.text
            case "refusal", _:
                message["refusal"] = (message["refusal"] or "") + part.text
            case "reasoning", _:
                for name, text in reasoning(part.name, part.text).items():
                    message[name] = message[name] + text if name in message else text
            case "audio", _:
                message["audio"] = {"id": part.id, "transcript": part.text, "data": part.data}
            case "tool_call", "legacy":
                message["function_call"] = {"name": part.name, "arguments": part.text}
            case "tool_call", _:
                calls.append(call(part.tool, part.id, part.name, part.text))
    if calls:
        message["tool_calls"] = calls
    return message


def reasoning(name: str, text: str) -> Fields:
    return {name or REASONING: text}


def finish_fields(finish: Finish) -> Fields:
    """The reason in this dialect's words; a provider's own word that is none of them stands beside it."""
    if finish.raw in FINISH_WORDS:
        return {"finish_reason": finish.raw}
    return {"finish_reason": finish.reason, **({"native_finish_reason": finish.raw} if finish.raw else {})}


def call(tool: str, id: str, name: str, text: str) -> Fields:
    if tool == "custom":
        return {"id": id, "type": "custom", "custom": {"name": name, "input": text}}
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text}}


def usage_object(usage: Usage) -> Fields:
    body: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    if usage.cache_write:
        body["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write
    merge(body, usage.extra)
    return body
