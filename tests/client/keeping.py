"""A gateway that keeps one job, as a scripted upstream plays it: what it is asked is seen, and its connections break where a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from telex.core import json
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Usage
from telex.dialects import openai_chat
from telex.testing import Call, Head, Play, Script, Send
from telex.testing.answers import JSON, SSE, whole

ID = "gen_000000000000000000000001"
TEXTS = ("Once", " upon", " a", " time", " there", " was.")

Disturb = Callable[[Script, int], Script]
"""What becomes of a stream on its connection number N, from 0."""


class Keeping:
    """Plays the paths of a gateway for one job that has said all that it will. `fields`: of its record."""

    def __init__(self, *texts: str, disturb: Disturb = lambda script, number: script, **fields: Any) -> None:
        self.texts = texts or TEXTS
        self.fields = fields
        self.frames = frames_of(self.texts)
        self.afters: list[int] = []  # the cursors from which the stream was asked for
        self._disturb = disturb

    def __call__(self, call: Call) -> Play:
        path, query = urlsplit(call.path)[2:4]
        match call.method, path.removeprefix("/v1/"):
            case "POST", "chat/completions":
                return Head(202, (*JSON, ("location", f"/v1/generations/{ID}")), "length"), Send(json.encode(self.record))
            case "GET", "generations":
                return whole(json.encode({"object": "list", "data": [self.record], "has_more": False}))
            case "GET", path if path == f"generations/{ID}":
                return whole(json.encode(self.record))
            case "GET", path if path == f"generations/{ID}/stream":
                after = int(parse_qs(query)["after"][0])
                self.afters.append(after)
                return self._disturb((Head(200, SSE), *map(Send, self.frames[after:])), len(self.afters) - 1)
            case "POST", path if path == f"generations/{ID}/cancel":
                return whole(json.encode(self.record))
        return problem(404, "There is no such generation here.")

    @property
    def record(self) -> dict[str, Any]:
        usage = {"input": 7, "output": len(self.texts), "cached": 5, "cache_write": 0, "reasoning": 0}
        timing = {"queue": 0.1, "ttft": 0.25, "itl_p50": 0.01, "itl_p95": 0.02, "e2e": 1.5, "connect": 0.001}
        return {
            "id": ID, "owner": None, "status": "complete", "model": "m", "dialect": "openai-chat", "delivery": "background",
            "on_disconnect": "finish", "created": 1_700_000_000, "timing": timing, "usage": usage, "certainty": "final",
            "attempts": [{"target": "up/m", "failure": "", "seconds": 0.25, "why": ""}], "failure": None, "dropped": [],
        } | self.fields  # fmt: skip


def problem(code: int, detail: str) -> Script:
    kind = (("content-type", "application/problem+json"),)
    return Head(code, kind, "length"), Send(json.encode({"type": "about:blank", "title": "Problem", "status": code, "detail": detail}))


def frames_of(texts: tuple[str, ...]) -> list[bytes]:
    encoder = openai_chat.Encoder(include_usage=True)
    said: list[Event] = [PartDelta(0, 0, text) for text in texts]
    events = [Start("r", "m", 1), PartStart(0, 0, "text"), *said, PartEnd(0, 0), Finish(0, "stop"), Usage(7, len(texts)), Done()]
    return [frame for event in events for frame in encoder.feed(event)]
