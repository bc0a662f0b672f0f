"""The faults that an upstream can cause, as plays, and the table of them.

Rows are numbered as in Telex's fault matrix; a row with several forms has several entries. Each play fits the delivery that the
request asks for: what breaks a stream in its middle breaks a whole reply in the middle of its body. Durations are in seconds.

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_says_what_went_wrong(fault: Fault) -> None:
        with ScriptedUpstream(fault()) as upstream:
            ...
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart
from telex.testing.answers import JSON, Rendering, error, perform, render, say, status, stream, whole, words
from telex.testing.call import Call
from telex.testing.script import Beat, Close, Hang, Head, Play, Refuse, Reset, Script, Send, Stall

TEXT = ("One", " two", " three", " four", " five")
SAID = 2
"""Pieces of text behind which an answer breaks, where nothing else is asked for."""
FAILURE = Failure("upstream_error", "The scripted upstream broke.", type="server_error")


class Fault(Struct, frozen=True):
    """One form of one row. Calling it gives its play; what it takes (`after`, `seconds`, `size`, …) is in `build`."""

    row: int
    name: str
    build: Callable[..., Play]

    @property
    def id(self) -> str:
        return f"row{self.row:02}-{self.name}"

    def __call__(self, **options: object) -> Play:
        return self.build(**options)


def broken(
    in_stream: Callable[[list[bytes], int], Script],
    in_whole: Callable[[bytes], Script],
    *texts: str,
    after: int | None = None,
) -> Play:
    """An answer spoilt: its frames by one function, its body by the other. Each is given what a good answer would be, and the frames'
    place to break."""

    def play(call: Call) -> Script:
        good = render(words(call, *(texts or TEXT)), call)
        return stream(in_stream(good.flat, place(good, after))) if good.stream else in_whole(good.body)

    return play


def sent(frames: list[bytes]) -> Script:
    return tuple(Send(frame) for frame in frames if frame)


def place(good: Rendering, after: int | None) -> int:
    """After how many frames it breaks: `after`, or as many as the dialect needs for the first pieces of text."""
    if after is not None:
        return after
    spoken = [number for number, event in enumerate(good.events) if isinstance(event, PartDelta)]
    return sum(map(len, good.frames[: spoken[SAID - 1] + 1]))


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# ---- before the body


def refuses() -> Script:
    return (Refuse(),)


def connect_hangs() -> Script:
    return (Hang(),)


def headers_never_come() -> Script:
    return (Stall(),)


def rate_limited(retry_after: float | None = 1) -> Play:
    """429; without `retry_after` there is no word about when to come back."""
    return status(429, headers=() if retry_after is None else (("retry-after", f"{retry_after:g}"),))


TOO_LONG = {
    "anthropic": "prompt is too long: 9001 tokens > 8192 maximum",
    "gemini": "The input token count (9001) exceeds the maximum number of tokens allowed (8192).",
}


def context_too_long() -> Play:
    usual = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
    return lambda call: status(400, error(call, 400, TOO_LONG.get(call.dialect.NAME, usual), "context_length_exceeded"))


def html() -> Play:
    """A page where JSON or a stream was due, with status 200."""
    return status(200, b"<!doctype html><title>Welcome to nginx!</title>", (("content-type", "text/html"),))


def redirect(location: str = "http://192.0.2.1/v1/chat/completions", code: int = 307) -> Play:
    return status(code, b"", (("location", location),))


# ---- errors inside an answer


def error_first() -> Play:
    """200, and then nothing but an error."""
    return perform([FAILURE])


def error_mid_stream(after: int | None = None, ended: bool = False, failure: Failure = FAILURE) -> Play:
    """An error after `after` frames; `ended`: with the terminator behind it, as some servers do."""

    def play(call: Call) -> Script:
        good, broke = render(words(call, *TEXT), call), render([failure], call)
        ending = render([Done()], call).flat if ended else []
        return stream(sent(good.flat[: place(good, after)] + broke.flat + ending)) if good.stream else whole(broke.body)

    return play


def malformed_event(after: int | None = None) -> Play:
    """One event's JSON is cut short; the stream goes on and ends as if nothing had been."""
    return broken(
        lambda frames, at: sent([*frames[:at], frames[at].rstrip()[:-2] + b"\n\n", *frames[at + 1 :]]),
        lambda body: whole(body[:-2]),
        after=after,
    )


def invalid_utf8() -> Play:
    """A byte that is no UTF-8 inside a string."""
    return broken(
        lambda frames, at: sent([frame.replace(b" three", b" thr\xffe") for frame in frames]),
        lambda body: whole(body.replace(b" three", b" thr\xffe")),
    )


def split_code_point() -> Play:
    """Nothing is wrong, but every byte comes in a write and a chunk of its own, code points of four bytes too."""
    return broken(
        lambda frames, at: sent(bytewise(b"".join(frames))),
        lambda body: (Head(200, JSON), *sent(bytewise(body))),
        "Grüße",
        " \N{GRINNING FACE}",
    )


INDEXES = {
    "openai-chat": (b'"tool_calls":[{', b'"index":0,'),
    "openai-responses": (b"", b'"output_index":1,'),
    "anthropic": (b"", b'"index":1,'),
}
"""What stands before the index of the block in a frame of the call's arguments, and that index. Gemini's parts have none."""


def wrong_index(index: bytes = b"") -> Play:
    """The last piece of a call's arguments is for a block that is not there (`index`), or for none. Where nothing has an index, as in a
    whole reply, it is good."""

    def play(call: Call) -> Script:
        good = render(calling(call), call)
        if not good.stream:
            return whole(good.body)
        last = max(number for number, event in enumerate(good.events) if isinstance(event, PartDelta))
        spoilt = [spoil(frame, call.dialect.NAME, index) for frame in good.frames[last]]
        return stream(sent([frame for frames in (*good.frames[:last], spoilt, *good.frames[last + 1 :]) for frame in frames]))

    return play


def spoil(frame: bytes, dialect: str, index: bytes) -> bytes:
    before, right = INDEXES.get(dialect, (b"", b""))
    wrong = right.partition(b":")[0] + b":" + index + b"," if index else b""
    return frame.replace(before + right, before + wrong) if right else frame


def calling(call: Call) -> list[Event]:
    """A text and a call behind it, whose arguments come in two pieces."""
    start, *said, finish, usage, done = words(call, *TEXT[:SAID], reason="tool_calls")
    function = PartStart(0, 1, "tool_call", "call_1", "weather", "function")
    return [start, *said, function, PartDelta(0, 1, '{"city":'), PartDelta(0, 1, '"Oslo"}'), PartEnd(0, 1), finish, usage, done]


def duplicated_event(after: int | None = None) -> Play:
    """A frame comes twice (a whole reply has none: it is good)."""
    return broken(lambda frames, at: sent([*frames[: at + 1], *frames[at:]]), whole, after=after)


def empty_answer() -> Play:
    """No content and no finish reason, but a proper end (in Responses that is a reason: it says that it completed)."""

    def play(call: Call) -> Script:
        start, *_, done = words(call)
        rendering = render([start, done], call)
        return stream(sent(rendering.flat)) if rendering.stream else whole(rendering.body)

    return play


def giant_event(size: int = 17 << 20) -> Play:
    """One event (or body) of a little more than `size` bytes."""
    return perform(lambda call: words(call, "x" * size))


def gzip_bomb(size: int = 16 << 20) -> Play:
    """A compressed body although nobody asked: `size` spaces and then an answer, in a thousandth of the bytes."""

    def play(call: Call) -> Script:
        good = render(words(call, *TEXT), call)
        kind = ("content-type", "text/event-stream") if good.stream else JSON[0]
        body = b":" + b" " * size + b"\n\n" + b"".join(good.flat) if good.stream else b" " * size + good.body
        return Head(200, (kind, ("content-encoding", "gzip")), "length"), Send(gzip.compress(body))

    return play


# ---- endings


def ends_early(after: int | None = None, inside: bool = False, then: Script = ()) -> Play:
    """Only `after` frames, with `inside` half of the next, and then `then`: nothing (HTTP ends as it should), a FIN, an RST or a stall.

    A whole reply breaks in the middle of its body.
    """

    def in_stream(frames: list[bytes], at: int) -> Script:
        fragment = frames[at][: len(frames[at]) // 2] if inside else b""
        return (*sent([*frames[:at], fragment]), *then)

    def in_whole(body: bytes) -> Script:
        length = len(body) if then else None
        return Head(200, JSON, "length", length), Send(body[: len(body) // 2]), *then

    return broken(in_stream, in_whole, after=after)


def stays_open() -> Play:
    """Everything is said, but neither the body nor the connection ends."""
    return broken(lambda frames, at: (*sent(frames), Stall()), lambda body: (*whole(body), Stall()))


def data_after_terminator() -> Play:
    """More frames behind the terminator; behind a whole reply, more bytes than were announced."""
    return broken(
        lambda frames, at: sent([*frames, frames[1]]), lambda body: (Head(200, JSON, "length", len(body)), Send(body), Send(b"{}"), Close())
    )


# ---- time


def only_keep_alives(gap: float = 0.05) -> Play:
    """A keep-alive (before a whole reply, an empty line) every `gap` seconds, and never anything else."""

    def play(call: Call) -> Script:
        if call.wants_stream:
            return stream([Beat(call.dialect.KEEP_ALIVE, gap)])
        return Head(200, JSON), Beat(b"\n", gap)

    return play


def slow_first_token(seconds: float = 0.2, head: float = 0) -> Play:
    """A good answer, `seconds` late; `head`: how long even the status line takes."""
    return say(*TEXT, first=seconds, head=head)


TABLE: tuple[Fault, ...] = (
    Fault(1, "refuses", refuses),
    Fault(3, "connect-hangs", connect_hangs),
    Fault(5, "headers-never-come", headers_never_come),
    Fault(6, "429-with-retry-after", rate_limited),
    Fault(7, "429-without-retry-after", partial(rate_limited, None)),
    *(Fault(8, f"{code}-before-body", partial(status, code)) for code in (500, 502, 503)),
    Fault(9, "529-overloaded", partial(status, 529)),
    *(Fault(10, str(code), partial(status, code)) for code in (400, 401, 403, 404, 422)),
    Fault(11, "context-too-long", context_too_long),
    Fault(12, "error-first", error_first),
    Fault(13, "error-mid-stream", error_mid_stream),
    Fault(13, "error-mid-stream-then-terminator", partial(error_mid_stream, ended=True)),
    Fault(14, "eof-without-terminator", ends_early),
    Fault(14, "fin-without-terminator", partial(ends_early, then=(Close(),))),
    Fault(15, "reset-mid-stream", partial(ends_early, then=(Reset(),))),
    Fault(16, "eof-inside-event", partial(ends_early, inside=True)),
    Fault(16, "fin-inside-event", partial(ends_early, inside=True, then=(Close(),))),
    Fault(17, "terminator-but-open", stays_open),
    Fault(18, "data-after-terminator", data_after_terminator),
    Fault(19, "malformed-event", malformed_event),
    Fault(20, "invalid-utf8", invalid_utf8),
    Fault(20, "split-code-point", split_code_point),
    Fault(21, "block-index-out-of-order", partial(wrong_index, index=b"7")),
    Fault(21, "block-index-missing", wrong_index),
    Fault(22, "duplicated-event", duplicated_event),
    Fault(23, "html-200", html),
    Fault(24, "empty-answer", empty_answer),
    Fault(25, "stall-mid-stream", partial(ends_early, then=(Stall(),))),
    Fault(26, "only-keep-alives", only_keep_alives),
    Fault(27, "slow-first-token", slow_first_token),
    Fault(28, "giant-event", giant_event),
    Fault(29, "gzip-unasked", gzip_bomb),
    Fault(30, "redirect", redirect),
)

FAULTS: dict[str, Fault] = {fault.id: fault for fault in TABLE}
"""All of them by id, as `row14-eof-without-terminator`."""
