"""The words that plays are made of: frames of Chat Completions, written by hand, so that they can be as wrong as a provider's."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

DONE = b"data: [DONE]\n\n"
OPENED: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m"}
COUNTED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
CITY, HOUR = '{"city":"Oslo"}', '{"zone":"CET"}'
WEATHER, TIME = ("weather", {"city": "Oslo"}), ("time", {"zone": "CET"})


class Heard(Struct, frozen=True):
    """What a reader got: `calls` as names and arguments, `usage` as tokens in and out. Where `failure` was raised, nothing else counts."""

    text: str = "Hello"
    calls: list[tuple[str, Any]] = []
    finish: str = "stop"
    reasoning: str = ""
    usage: tuple[int, int] = (5, 2)
    role: str | None = "assistant"
    failure: str = ""


THOUGHT = Heard(reasoning="Hm.")
CALLED = Heard("", [WEATHER], "tool_calls")
CALLED_BOTH = Heard("", [WEATHER, TIME], "tool_calls")
BROKE = Heard(failure="It broke.")


class Play(Struct, frozen=True):
    """`data`: a stream as it comes over the wire, or a `whole` body."""

    provider: str
    deviation: str
    data: bytes
    heard: Heard
    whole: bool = False


def streamed(provider: str, deviation: str, *frames: bytes, heard: Heard = Heard(), end: bytes = DONE) -> Play:  # noqa: B008
    return Play(provider, deviation, b"".join([*frames, end]), heard)


def whole(provider: str, deviation: str, message: dict[str, Any], heard: Heard = Heard(), before: bytes = b"", **fields: Any) -> Play:  # noqa: B008
    """A body; `fields` stand beside its choices, `before` before it."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    body = {**OPENED, "object": "chat.completion", "choices": [choice], "usage": COUNTED, **fields}
    return Play(provider, deviation, before + json.dumps(body).encode(), heard, whole=True)


def event(value: Any, name: str = "", end: str = "\n") -> bytes:
    named = f"event: {name}{end}" if name else ""
    return f"{named}data: {json.dumps(value)}{end}{end}".encode()


def frame(*choices: dict[str, Any], **fields: Any) -> bytes:
    """A frame with these choices; `fields` stand beside them."""
    return event({**OPENED, "choices": [{"index": 0, **choice} for choice in choices], **fields})


def said(content: str | None = None, finish: str | None = None, /, **delta: Any) -> bytes:
    """A frame whose delta has this content, if any, and these fields."""
    more = {} if content is None else {"content": content}
    return frame({"delta": {**delta, **more}, "finish_reason": finish})


def call(name: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    """A call whole in one piece, with other `fields`; those that are None are left out."""
    wire = {"index": 0, "id": f"id-{name}", "type": "function", "function": {"name": name, "arguments": arguments}, **fields}
    return {name: value for name, value in wire.items() if value is not None}


def more(arguments: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    """A later piece of a call."""
    return {"index": index, "function": {"arguments": arguments}, **fields}


def calls(*wires: dict[str, Any], **delta: Any) -> bytes:
    return said(None, None, tool_calls=list(wires), **delta)


A: dict[str, Any] = {"role": "assistant"}
ROLE, HEL, LO, STOP, STOP_CALLS = said("", **A), said("Hel"), said("lo"), said(None, "stop"), said(None, "tool_calls")
HEL_AGAIN, LO_AGAIN, STOP_AGAIN = said("Hel", **A), said("lo", **A), said("", "stop", **A)
"""With the role once more."""
STOP_COUNTED, STOP_CALLS_COUNTED = (frame({"delta": {}, "finish_reason": why}, usage=COUNTED) for why in ("stop", "tool_calls"))
USAGE = frame(usage=COUNTED)
