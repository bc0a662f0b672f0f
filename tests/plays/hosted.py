"""Providers that one pays, where they differ from OpenAI's own API in its dialect."""

from __future__ import annotations

from typing import Any

from .words import (
    BROKE,
    CALLED,
    CALLED_BOTH,
    CITY,
    COUNTED,
    HEL,
    HEL_AGAIN,
    HOUR,
    LO,
    LO_AGAIN,
    ROLE,
    STOP,
    STOP_AGAIN,
    STOP_CALLS,
    STOP_CALLS_COUNTED,
    STOP_COUNTED,
    THOUGHT,
    USAGE,
    WEATHER,
    A,
    Heard,
    call,
    calls,
    event,
    frame,
    more,
    said,
    streamed,
    whole,
)

THOUGHT_AND_CALLED = Heard("", [WEATHER], "tool_calls", "Hm.")
SAFE = {"hate": {"filtered": False, "severity": "safe"}}
CHECKED = {"content_filter_results": SAFE, "content_filter_offsets": {"check_offset": 5, "start_offset": 0, "end_offset": 5}}
BLANK: dict[str, Any] = {"id": "", "object": "", "created": 0, "model": ""}
SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
PIECES = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hel"}]
DETAILS = [{"type": "reasoning.text", "text": "Hm.", "format": "unknown", "index": 0}]
PROCESSING = b": OPENROUTER PROCESSING\n\n"
SOURCES = {"citations": ["https://a.test"]}
APART = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 3}}


def cumulative(text: str, so_far: str, tokens: int, finish: str | None = None, **fields: Any) -> bytes:
    """A frame that says everything again: usage, sources and the message so far."""
    choice = {"delta": {**A, "content": text}, "message": {**A, "content": so_far}, "finish_reason": finish}
    return frame(choice, usage={**COUNTED, "completion_tokens": tokens, "total_tokens": 5 + tokens}, **SOURCES, **fields).replace(
        b"\n", b"\r\n"
    )


HOSTED = [
    streamed(
        "openai", "calls in turn",
        ROLE, calls(call("weather", "")), calls(more(CITY)), calls(call("time", "", index=1)), calls(more(HOUR, 1)), STOP_CALLS, USAGE,
        heard=CALLED_BOTH,
    ),
    streamed("openai", "padding", ROLE, frame({"delta": {"content": "Hello"}}, obfuscation="xY"), STOP, USAGE),
    streamed("azure", "filter results first", event({**BLANK, "choices": [], "prompt_filter_results": [SAFE]}), ROLE, HEL, LO, STOP, USAGE),
    streamed("azure", "filter results beside content", ROLE, HEL, frame({"delta": {"content": "lo"}, **CHECKED}), STOP, USAGE),
    streamed("azure", "filter results without a delta", ROLE, HEL, LO, event({**BLANK, "choices": [{"index": 0, **CHECKED}]}), STOP, USAGE),
    streamed("azure", "no finish reason until the end", ROLE, frame({"delta": {"content": "Hello"}}), STOP, USAGE),
    streamed(
        "gemini-openai", "every call at index 0",
        calls(call("weather", CITY, **SIGNED), **A), calls(call("time", HOUR)), STOP, USAGE, heard=CALLED_BOTH,
    ),
    streamed(
        "gemini-openai", "calls without an index in one delta",
        calls(call("weather", CITY, index=None), call("time", HOUR, index=None), **A), STOP_CALLS, USAGE, heard=CALLED_BOTH,
    ),
    streamed("openrouter", "comments and the role again", PROCESSING, HEL_AGAIN, PROCESSING, LO_AGAIN, STOP_AGAIN, USAGE),
    streamed("openrouter", "the finish twice", ROLE, HEL, LO, STOP, STOP, USAGE),
    streamed("openrouter", "usage beside a choice", ROLE, HEL, LO, STOP, frame({"delta": {**A, "content": ""}}, usage=COUNTED)),
    streamed(
        "openrouter", "id and name with every delta",
        calls(call("weather", None), **A), calls(call("weather", CITY), **A), STOP_CALLS, USAGE, heard=CALLED,
    ),
    streamed("openrouter", "no finish reason", calls(call("weather", CITY), **A), said(None, "", **A), USAGE, heard=CALLED),
    streamed(
        "openrouter", "reasoning twice over",
        said(reasoning="Hm.", reasoning_details=DETAILS, **A), HEL_AGAIN, LO_AGAIN, STOP, USAGE, heard=THOUGHT,
    ),
    streamed(
        "openrouter", "an error beside choices",
        HEL_AGAIN, frame({"delta": {}, "finish_reason": "error"}, error={"code": 502, "message": "It broke."}), USAGE, heard=BROKE,
    ),
    streamed(
        "groq", "other ids, no role, usage of its own",
        frame({"delta": {"content": "Hel"}}, id="c1"), frame({"delta": {"content": "lo"}}, id="c2"),
        frame({"delta": {}, "finish_reason": "stop"}, id="stub", x_groq={"id": "r", "usage": COUNTED}),
    ),
    streamed(
        "groq", "an error by name",
        ROLE, HEL, event({"error": {"message": "It broke.", "failed_generation": "{", "status_code": 400}}, "error"), heard=BROKE, end=b"",
    ),
    streamed("mistral", "content as pieces", frame({"delta": {**A, "content": PIECES}}, p="abc"), LO, STOP_COUNTED, heard=THOUGHT),
    whole("mistral", "pieces in a body", {"content": [*PIECES, {"type": "text", "text": "lo"}]}, THOUGHT),
    streamed(
        "mistral", "calls without an index",
        calls(call("weather", CITY, index=None), call("time", HOUR, index=None), **A), STOP_CALLS_COUNTED, heard=CALLED_BOTH,
    ),
    streamed("mistral", "arguments as an object", calls(call("weather", {"city": "Oslo"}), **A), STOP_CALLS_COUNTED, heard=CALLED),
    streamed("deepseek", "comments", b": keep-alive\n\n" * 3, said(reasoning_content="Hm.", **A), HEL, LO, STOP, USAGE, heard=THOUGHT),
    whole("deepseek", "blank lines before a body", {"content": "Hello"}, before=b"\n\n\n"),
    streamed(
        "xai", "a call in one delta", said(reasoning_content="Hm.", **A), calls(call("weather", CITY)), STOP_CALLS, USAGE,
        heard=THOUGHT_AND_CALLED,
    ),
    streamed(
        "xai", "usage with every frame",
        frame({"delta": {**A, "content": "Hel"}}, usage={**COUNTED, "completion_tokens": 1}),
        frame({"delta": {"content": "lo"}}, usage=COUNTED), STOP_COUNTED, frame(usage=COUNTED, **SOURCES),
    ),
    whole("xai", "reasoning counted apart", {"content": "Hello"}, usage=APART),
    streamed("together", "the role again, with numbers", said("Hel", token_id=1, tool_calls=None, **A), LO_AGAIN, STOP_AGAIN, USAGE),
    streamed("fireworks", "usage beside the finish", said(**A), HEL, LO, STOP_COUNTED),
    streamed(
        "cerebras", "reasoning and a call in one delta",
        said(**A), said(reasoning="Hm."), calls(call("weather", CITY)), STOP_CALLS_COUNTED, heard=THOUGHT_AND_CALLED,
    ),
    streamed(
        "perplexity", "everything with every frame",
        cumulative("Hel", "Hel", 1), cumulative("lo", "Hello", 2),
        cumulative("", "Hello", 2, "stop", object="chat.completion.done"), end=b"",
    ),
    streamed(
        "alibaba", "an empty id",
        calls(call("weather", ""), content=None, **A), calls(more(CITY, id="")), STOP_CALLS, USAGE, heard=CALLED,
    ),
    streamed("zai", "the role again", said(reasoning_content="Hm.", **A), HEL_AGAIN, LO_AGAIN, STOP_AGAIN, USAGE, heard=THOUGHT),
    streamed("zai", "no finish reason until the end", frame({"delta": {**A, "content": "Hello"}}), STOP_COUNTED),
    streamed(
        "moonshot", "usage inside a choice",
        ROLE, HEL, LO, frame({"delta": {}, "finish_reason": "stop", "usage": COUNTED}), frame(usage={**COUNTED, "cached_tokens": 1}),
    ),
]  # fmt: skip
