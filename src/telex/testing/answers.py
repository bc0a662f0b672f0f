"""What a provider says: answers in the words of the core, rendered in the dialect and the delivery that each request asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from telex.core import json
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Fields, Finish, Reason, Reply, Usage
from telex.dialects import DIALECTS
from telex.dialects.paths import find_dialect
from telex.testing.call import Call
from telex.testing.script import Head, Play, Pour, Script, Send, Step, Wait

ID = "scripted-1"
CREATED = 1_700_000_000
"""Seconds since 1970: the same in every answer, so that answers can be compared."""

PROMPT = 7
"""Tokens that every prompt has, unless a test says otherwise."""

SSE = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
JSON = (("content-type", "application/json"),)


class Rendering(Struct, frozen=True):
    """One answer both ways: the frames that each event became, and the whole reply as a body."""

    stream: bool
    events: list[Event]
    frames: list[list[bytes]]
    body: bytes

    @property
    def flat(self) -> list[bytes]:
        return [frame for frames in self.frames for frame in frames]


def render(events: Iterable[Event], call: Call, dialect: str = "") -> Rendering:
    """`events` as the call's dialect (or the one named) writes them; with usage, where that must be asked for, if it was."""
    codec, events = DIALECTS[dialect] if dialect else call.dialect, list(events)
    options = call.field("stream_options")
    asked = codec.NAME != "openai-chat" or (isinstance(options, dict) and options.get("include_usage") is True)
    encoder = codec.Encoder(include_usage=asked)
    return Rendering(call.wants_stream, events, [encoder.feed(event) for event in events], codec.encode_reply(fold(events)))


def words(call: Call, *texts: str, usage: Usage | None = None, reason: Reason = "stop") -> list[Event]:
    """A model's saying `texts`, one delta each; tokens are counted as one a delta unless `usage` says otherwise."""
    return [
        Start(ID, call.model, CREATED),
        PartStart(0, 0, "text"),
        *(PartDelta(0, 0, text) for text in texts),
        PartEnd(0, 0),
        Finish(0, reason),
        usage or Usage(input=PROMPT, output=len(texts)),
        Done(),
    ]


def say(
    *texts: str, first: float = 0, gap: float = 0, head: float = 0, usage: Usage | None = None, reason: Reason = "stop", dialect: str = ""
) -> Play:
    """Answer with `texts`, a frame each. Pacing as in `perform`."""
    return perform(lambda call: words(call, *texts, usage=usage, reason=reason), first=first, gap=gap, head=head, dialect=dialect)


def reply(whole: Reply, *, first: float = 0, gap: float = 0, head: float = 0, dialect: str = "") -> Play:
    """Answer with a reply; as a stream it is the shortest that folds to it."""
    return perform(lambda call: unfold(whole), first=first, gap=gap, head=head, dialect=dialect)


def perform(
    events: Iterable[Event] | Callable[[Call], Iterable[Event]],
    *,
    first: float = 0,
    gap: float = 0,
    head: float = 0,
    dialect: str = "",
) -> Play:
    """Answer with any events of the core, or with a function from the call to them.

    Seconds: `head` before the status line, `first` more before the first frame, `gap` between frames. A whole reply takes as long
    as its stream would, all before the status line.
    """
    if not callable(events):
        events = list(events)

    def play(call: Call) -> Script:
        rendering = render(events(call) if callable(events) else events, call, dialect)
        if rendering.stream:
            return (*pause(head), *stream(paced(rendering.flat, first, gap)))
        return (*pause(head + first + gap * max(0, len(rendering.flat) - 1)), *whole(rendering.body))

    return play


def pour(size: int, piece: int = 4096, dialect: str = "") -> Play:
    """A stream of about `size` bytes as fast as the client takes it, in deltas of `piece` characters; or a whole body."""

    def play(call: Call) -> Script:
        rendering = render(words(call, "x" * piece), call, dialect)
        if not rendering.stream:
            return whole(render(words(call, "x" * size), call, dialect).body)
        steps: list[Step] = []
        for event, frames in zip(rendering.events, rendering.frames, strict=True):
            poured = isinstance(event, PartDelta)
            steps += [Pour(frame, max(1, size // len(frame))) if poured else Send(frame) for frame in frames]
        return stream(steps)

    return play


def status(code: int, body: Any = None, headers: Iterable[tuple[str, str]] = ()) -> Play:
    """Answer with a status. `body`: bytes as they are, text as plain text, the rest as JSON; by default an error that fits the code and
    the call's dialect."""
    if body is None:
        return lambda call: status(code, error(call, code, f"Scripted {code}."), headers)
    kind = () if isinstance(body, bytes) else (("content-type", "text/plain"),) if isinstance(body, str) else JSON
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.encode(body)
    pairs = tuple(headers)
    if any(name.lower() == "content-type" for name, _ in pairs):
        kind = ()
    return Head(code, (*kind, *pairs), "length"), Send(data)


def error(call: Call, code: int, message: str, name: str | None = None) -> Fields:
    """The body of an error as the call's dialect writes it. `name`: its code, where the dialect has codes."""
    match call.dialect.NAME:
        case "anthropic":
            return {"type": "error", "error": {"type": ANTHROPIC_TYPES.get(code, "api_error"), "message": message}, "request_id": "req_1"}
        case "gemini":
            return {"error": {"code": code, "message": message, "status": GOOGLE_STATUSES.get(code, "INTERNAL")}}
    type = OPENAI_TYPES.get(code, "invalid_request_error" if code < 500 else "server_error")
    return {"error": {"message": message, "type": type, "param": None, "code": name}}


OPENAI_TYPES = {429: "rate_limit_error", 503: "service_unavailable_error", 529: "overloaded_error"}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}


def model_list(*names: str) -> Play:
    """The answer to `GET /models`, in the dialect of whoever asks."""

    def play(call: Call) -> Script:
        path, _, query = call.path.partition("?")
        dialect = find_dialect(path, query, call.headers)
        return Head(200, JSON, "length"), Send(dialect.encode_models([(name, "scripted") for name in names], CREATED))

    return play


def tokens(number: int) -> Play:
    """The answer to the question how many tokens a prompt has, in the dialect of whoever asks."""
    return lambda call: whole(call.dialect.COUNT.encode(number))


def stream(steps: Iterable[Step]) -> Script:
    """An SSE answer, chunked, of these steps."""
    return Head(200, SSE), *steps


def whole(body: bytes) -> Script:
    return Head(200, JSON, "length"), Send(body)


def paced(frames: Iterable[bytes], first: float = 0, gap: float = 0) -> Script:
    """Frames with `first` seconds before the first and `gap` seconds between."""
    steps: list[Step] = []
    for number, frame in enumerate(frames):
        steps += [*pause(gap if number else first), Send(frame)]
    return tuple(steps)


def pause(seconds: float) -> Script:
    return (Wait(seconds),) if seconds > 0 else ()
