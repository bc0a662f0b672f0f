"""Servers that one runs oneself, where they differ from OpenAI's own API in its dialect."""

from __future__ import annotations

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
    STOP_COUNTED,
    THOUGHT,
    TIME,
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

BARE = [call("weather", CITY, index=None, id=None), call("time", HOUR, index=None, id=None)]
COUNTING = {**COUNTED, "completion_tokens": 1, "total_tokens": 6}

SERVERS = [
    streamed(
        "ollama", "every call at index 0, the role again",
        said("", reasoning="Hm.", **A), calls(call("weather", CITY), content="", **A), calls(call("time", HOUR), content="", **A),
        said("", "tool_calls", **A), USAGE, heard=Heard("", [WEATHER, TIME], "tool_calls", "Hm."),
    ),
    streamed("ollama", "calls without index and id that just stop", calls(*BARE, content="", **A), STOP_AGAIN, USAGE, heard=CALLED_BOTH),
    whole("ollama", "calls without id in a body that just stops", {"content": "", "tool_calls": BARE}, CALLED_BOTH),
    streamed("vllm", "usage with every frame", ROLE, frame({"delta": {"content": "Hello"}}, usage=COUNTING), STOP_COUNTED, USAGE),
    streamed(
        "vllm", "an error that is flat",
        ROLE, HEL, event({"object": "error", "message": "It broke.", "type": "BadRequestError", "code": 400}), heard=BROKE,
    ),
    streamed("llama-cpp", "timings", ROLE, HEL, LO, frame({"delta": {}, "finish_reason": "stop"}, timings={"prompt_n": 5}), USAGE),
    streamed("llama-cpp", "an error as a field", ROLE, HEL, b'error: {"code": 500, "message": "It broke."}\n\n', heard=BROKE, end=b""),
    streamed("lm-studio", "the role again", HEL_AGAIN, LO_AGAIN, STOP, USAGE),
    streamed("lm-studio", "a call without a role", calls(call("weather", "")), calls(more(CITY)), STOP_CALLS, USAGE, heard=CALLED),
    streamed("gpustack", "no role, no end", said(reasoning_content="Hm."), HEL, LO, STOP_COUNTED, heard=THOUGHT, end=b""),
    streamed("local", "progress", frame({"delta": {}}, prompt_progress={"total": 5, "processed": 3}), ROLE, HEL, LO, STOP, USAGE),
]  # fmt: skip
