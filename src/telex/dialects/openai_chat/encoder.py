"""Events to Chat Completions: the frames of a stream.

Shapes that the official SDK's accumulator needs: the role once for each choice and none before those of lower numbers, a running index
of tool calls, their ids and names said once, its function in every piece of a call, `choices` a list and `delta` an object in every
chunk, no `id:` lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import OpenPart, merge
from telex.core.messages import Fields, Finish, Usage
from telex.dialects.openai_chat.errors import encode_error
from telex.dialects.openai_chat.reply import (
    REASONING,
    annotation,
    call,
    extra_fields,
    finish_fields,
    image_entry,
    is_foreign,
    logprobs_object,
    part_entry,
    usage_object,
)
from telex.dialects.openai_chat.signatures import reasoning_detail, signed
from telex.dialects.refrain import Echo

T = TypeVar("T")
KEPT = frozenset({"reasoning", "opaque", "image"})
"""Parts of which something can be said only when they are whole."""


MOST_CHOICES = 128
"""That anybody can ask for."""


class Encoder:
    """Events to frames, each as bytes. `id` and `created` stand in where the upstream gave none."""

    def __init__(self, include_usage: bool = True, id: str = "", created: int = 0) -> None:
        self._include_usage = include_usage
        self._head: Fields = {"id": id, "object": "chat.completion.chunk", "created": created, "model": ""}
        self._dialect = ""
        self._echo = Echo()
        self._open: set[int] = set()
        self._parts: dict[tuple[int, int], PartStart] = {}
        self._kept: dict[tuple[int, int], OpenPart] = {}
        self._calls: dict[tuple[int, int], int] = {}
        self._entries: dict[tuple[int, str], int] = {}  # how many a list of a choice has
        self._usage: Usage | None = None
        self._extra: Fields = {}
        self._unsent = False  # fields of the reply that no frame has carried yet

    def resume(self, start: Start, last: bytes) -> None:
        """What says that a stream broke is the same wherever it breaks."""

    def feed(self, event: Event) -> list[bytes]:
        if (frame := self._echo.say(event)) is not None:
            return [frame]
        frames = self._say(event)
        if type(event) is PartDelta and self._parts[event.choice, event.index].kind == "text":
            self._echo.learn(event, frames)
        else:
            self._echo.learn(event, [])
        return frames

    def _say(self, event: Event) -> list[bytes]:
        match event:
            case PartDelta():
                return self._delta(event)
            case PartStart():
                return self._part(event)
            case PartEnd():
                return self._end(event)
            case Cite():
                return self._entry(event.choice, "annotations", annotation, event.citation)
            case Logprobs():
                body = {"logprobs": logprobs_object(event.text, event.refusal)}
                return [*self._role(event.choice), self._chunk(event.choice, {}, body)]
            case Finish():
                return [*self._role(event.choice), self._chunk(event.choice, {}, finish_fields(event))]
            case Extra():
                return self._fields(event)
            case Usage():
                self._usage = event
            case Start():
                self._dialect = event.dialect
                self._head.update(id=event.id or self._head["id"], created=event.created or self._head["created"], model=event.model)
                return self._role(0)
            case Done():
                return [*self._last_frame(), b"data: [DONE]\n\n"]
            case Failure():
                return [sse.encode(encode_error(event))]
        return []

    @property
    def _foreign(self) -> bool:
        return is_foreign(self._dialect)

    def _chunk(self, choice: int, delta: Fields, more: Fields | None = None) -> bytes:
        body: Fields = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": None, **(more or {})}
        own = {} if self._foreign else self._extra
        return self._frame({**self._head, **own, "choices": [body]})

    def _frame(self, chunk: Fields) -> bytes:
        self._unsent = self._unsent and self._foreign
        if self._include_usage:
            chunk.setdefault("usage", None)
        return sse.encode(json.encode(chunk))

    def _role(self, choice: int) -> list[bytes]:
        if choice in self._open:
            return []
        self._open.add(choice)
        first = [frame for lower in range(min(choice, MOST_CHOICES)) for frame in self._role(lower)]
        return [*first, self._chunk(choice, {"role": "assistant", "content": ""})]

    def _part(self, part: PartStart) -> list[bytes]:
        key = part.choice, part.index
        self._parts[key] = part
        if part.kind in KEPT:
            self._kept[key] = OpenPart(part)
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
        if part.kind in KEPT:
            self._kept[key].feed(event)
        delta: Fields = {}
        match part.kind, part.tool:
            case "text", _:
                delta = ({"content": event.text} if event.text else {}) | signed(event.signature, event.dialect or part.dialect)
            case "reasoning", _:
                delta = {part.name or REASONING: event.text} if event.text else {}
            case "refusal", _:
                delta = {"refusal": event.text}
            case "audio", _:
                delta = {"audio": {k: v for k, v in (("transcript", event.text), ("data", event.data)) if v}}
            case "tool_call", "legacy":
                delta = {"function_call": {"arguments": event.text}}
            case "tool_call", tool:
                kind, field = ("custom", "input") if tool == "custom" else ("function", "arguments")
                signature = signed(event.signature, event.dialect or part.dialect)
                delta = {"tool_calls": [{"index": self._calls[key], kind: {field: event.text}, **signature}]}
        return [self._chunk(event.choice, delta)] if delta else []

    def _end(self, event: PartEnd) -> list[bytes]:
        """A part is whole: what could not be said of it before is said now."""
        if (kept := self._kept.pop((event.choice, event.index), None)) is None:
            return []
        part = kept.part()
        if part.kind == "opaque":
            return self._entry(event.choice, "provider_parts", part_entry, part)
        if part.kind == "image":
            return self._entry(event.choice, "images", image_entry, part)
        return self._entry(event.choice, "reasoning_details", reasoning_detail, part) if part.signature or part.data else []

    def _entry(self, choice: int, name: str, build: Callable[[int, T], Fields], of: T) -> list[bytes]:
        """One more entry of a list in the message."""
        index = self._entries.get((choice, name), 0)
        self._entries[choice, name] = index + 1
        return [*self._role(choice), self._chunk(choice, {name: [build(index, of)]})]

    def _fields(self, event: Extra) -> list[bytes]:
        if event.choice < 0:
            merge(self._extra, event.fields) if self._foreign else self._extra.update(event.fields)
            self._unsent = True
            return []
        fields = dict(extra_fields(event.fields, self._foreign))
        delta = fields.pop("message", {})
        return [*self._role(event.choice), self._chunk(event.choice, delta, fields)]

    def _last_frame(self) -> list[bytes]:
        usage = {"usage": usage_object(self._usage, self._foreign)} if self._include_usage and self._usage else {}
        extra = extra_fields(self._extra, self._foreign)
        return [self._frame({**self._head, **extra, "choices": [], **usage})] if usage or self._unsent else []
