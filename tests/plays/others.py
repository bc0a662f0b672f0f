"""Providers of other dialects: that their rows lead to the right one, and what relays and platforms make of it."""

from __future__ import annotations

from typing import Any

from .words import BROKE, CITY, DONE, WEATHER, Heard, event, streamed

CALLED = Heard("Hello", [WEATHER], "tool_calls", "Hm.")
MESSAGE: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
STARTED = {"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 5, "output_tokens": 1}}}


def block(index: int, kind: str, delta: str, text: str, /, **fields: Any) -> list[dict[str, Any]]:
    """A block of content as its three events."""
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}},
        {"type": "content_block_delta", "index": index, "delta": {"type": delta, delta.removesuffix("_delta"): text}},
        {"type": "content_block_stop", "index": index},
    ]


TEXT = block(0, "text", "text_delta", "Hello", text="")
TOOL = [
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": CITY}},
    {"type": "content_block_stop", "index": 2},
]
THINKING = block(0, "thinking", "thinking_delta", "Hm.", thinking="", signature="")
STOPPED = {"type": "message_stop"}
BARE = b'{\r\n  "error": {\r\n    "code": 499,\r\n    "message": "It broke.",\r\n    "status": "CANCELLED"\r\n  }\r\n}\r\n'


def ended(reason: str) -> dict[str, Any]:
    usage = {"input_tokens": 5, "output_tokens": 2}
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def named(*events: dict[str, Any]) -> list[bytes]:
    return [event(value, value["type"]) for value in events]


def google(*parts: dict[str, Any], finish: str = "", thoughts: int = 0) -> bytes:
    """A frame as Google sends it: CRLF, usage with each."""
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2 - thoughts, "thoughtsTokenCount": thoughts, "totalTokenCount": 7}
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **({"finishReason": finish} if finish else {})}
    return event({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}, end="\r\n")


OTHERS = [
    streamed(
        "anthropic", "thinking, text and a tool",
        *named(STARTED, {"type": "ping"}, *THINKING, *block(1, "text", "text_delta", "Hello", text=""), *TOOL, ended("tool_use"), STOPPED),
        heard=CALLED, end=b"",
    ),
    streamed("anthropic", "a relay that starts twice", *named(STARTED, STARTED, *TEXT, ended("end_turn"), STOPPED), end=DONE),
    streamed("anthropic", "a relay without names", *map(event, (STARTED, *TEXT, ended("end_turn"), STOPPED)), end=DONE),
    streamed(
        "anthropic", "an error on the way",
        *named(STARTED, *TEXT, {"type": "error", "error": {"type": "api_error", "message": "It broke."}}), heard=BROKE, end=b"",
    ),
    streamed(
        "gemini", "thoughts, text and a call without an id",
        google({"text": "Hm.", "thought": True}, thoughts=1), google({"text": "Hello"}, thoughts=1),
        google({"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}, finish="STOP", thoughts=1), heard=CALLED, end=b"",
    ),
    streamed("gemini", "an empty last part", google({"text": "Hel"}), google({"text": "lo"}), google({"text": ""}, finish="STOP"), end=b""),
    streamed(
        "vertex", "the finish with every frame", google({"text": "Hel"}, finish="STOP"), google({"text": "lo"}, finish="STOP"), end=b"",
    ),
    streamed("vertex", "an error as bare JSON", google({"text": "Hel"}), BARE, heard=BROKE, end=b""),
]  # fmt: skip
