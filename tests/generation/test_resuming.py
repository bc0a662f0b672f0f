"""What stands between an attempt and its connections, told by a test what these say: without a clock and without sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.config import Provider, Timeouts
from telex.core import sse
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.generation import resuming as core
from telex.generation.asking import Asking
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.log import HIGH_WATER, Log
from telex.generation.output import Naming, Output, StreamOutput, WholeOutput
from telex.generation.resuming import AWAY, FIRST_TRIES, SILENCE, TRIES, Resuming
from telex.metering.meter import Meter
from telex.tokens.windows import Windows
from telex.upstream.address import Origin
from telex.upstream.timers import Timers

from .wires import Wire

CHAT = DIALECTS["openai-chat"]
STREAM = {"content-type": "text/event-stream", "telex-generation": "gen_1"}
WHOLE = {"content-type": "application/json", "telex-generation": "gen_1"}
CALL = b"POST /v1/chat/completions HTTP/1.1\r\n\r\n{}"
REFUSED = Failure("unreachable", "It can't be reached.")
CUT = Failure("truncated", "The connection broke.")
LIMITS = Timeouts(first_content=3600.0, content_idle=3600.0, total=3600.0)
"""As those of a client are around a gateway's."""

BODY = json.dumps({"id": "x", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()


class Clock(Timers):
    """A thread's timers, whose time a test sets."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def go(self, to: float) -> None:
        """What is due until then is called in its time."""
        while (left := self.left()) is not None and self.now + left <= to:
            self.now += left
            self.run()
        self.now = to


class Scene:
    """An attempt at a gateway, and what it and its connections come to. `random`: what the draws give. `id`: of what is there already."""

    def __init__(self, stream: bool = True, random: float = 1.0, timeouts: Timeouts = LIMITS, id: str = "") -> None:
        self.clock = Clock()
        self.log = Log()
        self.reader = self.log.reader()
        self.wires: list[Wire] = []
        self.asked: list[bytes] = []
        self.text = b""
        naming = Naming("gen_1", 1)
        output: Output = StreamOutput(CHAT, True, False, naming) if stream else WholeOutput(CHAT, True, naming)
        meter = Meter(Request(model="m", messages=()), 0.0)
        self.attempt = Attempt(self.clock, CHAT, CHAT.Decoder(), output, self.log, meter, timeouts, timeouts.total, stream)
        backend = Backend("gateway", Provider("openai-chat", "http://gateway.test/v1", "tx-1"), None, Windows())
        origin = Origin(False, "gateway.test", 80)
        asking = Asking(backend, origin, id=id) if id else Asking(backend, origin, CALL, "k1")
        self.resuming = Resuming(self.clock, self.attempt, asking, stream, lambda: random)

    def connect(self) -> Wire:
        """The next connection, when it is time for it."""
        wish = self.resuming.next
        self.clock.go(max(wish.due, self.clock.now))
        self.asked.append(wish.request)
        self.wires.append(wire := Wire())
        self.resuming.begin(wire)
        return wire

    def begin(self, headers: dict[str, str] = STREAM) -> Wire:
        wire = self.connect()
        self.resuming.on_head(200, headers)
        return wire

    def hear(self, *data: bytes) -> None:
        for piece in data:
            self.resuming.on_data(piece)
        if self.attempt.verdict.done() and not self.reader.position:
            self.attempt.commit()
        self.text += self.reader.take()

    @property
    def line(self) -> bytes:
        """The first of the last request."""
        return self.asked[-1].partition(b"\r\n")[0]

    @property
    def failure(self) -> Failure | None:
        """How it ended."""
        promise = self.attempt.ended if self.attempt.verdict.done() and self.attempt.verdict.result() is None else self.attempt.verdict
        assert self.resuming.over
        assert promise.done()
        return promise.result()


def chunk(text: str, finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "x", "choices": [choice], **fields}, ensure_ascii=False).encode() + b"\n\n"


def frames_of(*texts: str) -> list[bytes]:
    return [*map(chunk, texts), chunk("", "stop"), b"data: [DONE]\n\n"]


def after(line: bytes) -> int:
    """How many frames a request says that it has."""
    if line.startswith(b"POST"):
        return 0
    place, _, dialect = line.removeprefix(b"GET /v1/generations/gen_1/stream?after=").partition(b"&")
    assert dialect == b"dialect=openai-chat HTTP/1.1"
    return int(place)


# ---- P4: nothing lost, doubled or in another order

HOW = st.sampled_from(["end", "failure", "silence", "refused", "headless"])
LIFE = st.sampled_from([b"", b": keep-alive\n\n", b":\n"])


@given(
    texts=st.lists(st.text(min_size=1), min_size=1),
    signs=st.lists(LIFE, min_size=1),
    cuts=st.lists(st.tuples(HOW, st.integers(0, 400)), max_size=TRIES),
    size=st.integers(1, 100),
    named=st.booleans(),
)
def test_wherever_it_is_cut_what_is_handed_on_is_the_undisturbed_stream(
    texts: list[str], signs: list[bytes], cuts: list[tuple[Any, int]], size: int, named: bool
) -> None:
    *frames, done = frames_of(*texts)
    frames = [*(b"event: chunk\n" * named + frame for frame in frames), done]
    scene, left, place = Scene(random=0.0), list(cuts), 0
    while not scene.resuming.over:
        how, length = left.pop(0) if left else ("", 1 << 30)
        wish = scene.resuming.next
        if how == "refused" and scene.wires:
            scene.resuming.on_failure(REFUSED)
            continue
        scene.connect()
        if how == "headless" or (how == "refused" and not scene.wires[1:]):
            scene.resuming.on_failure(REFUSED)
            continue
        place = after(wish.request.partition(b"\r\n")[0])
        scene.resuming.on_head(200, STREAM)
        said = b"".join(sign + frame for sign, frame in zip(signs * len(frames), frames[place:], strict=False))[:length]
        for start in range(0, len(said), size):
            scene.hear(said[start : start + size])
        if not scene.resuming.over:
            breaks(scene, how)
    assert scene.failure is None
    assert scene.text == b"".join(frames)
    assert scene.resuming.farewell is None


def breaks(scene: Scene, how: str) -> None:
    match how:
        case "end":
            scene.resuming.on_end()
        case "silence":
            scene.clock.go(scene.clock.now + SILENCE + 1)
            assert scene.wires[-1].aborted
        case _:
            scene.resuming.on_failure(CUT)


@pytest.mark.parametrize("at", range(len(b"".join(frames_of("Gr", "\N{GRINNING FACE}", "."))) + 1))
def test_one_cut_at_any_byte(at: int) -> None:
    frames = frames_of("Gr", "\N{GRINNING FACE}", ".")
    scene = Scene()
    scene.begin()
    scene.hear(b"".join(frames)[:at])
    if not scene.resuming.over:
        scene.resuming.on_failure(CUT)
        scene.begin()
        scene.hear(b"".join(frames[after(scene.line) :]))
    assert (scene.failure, scene.text) == (None, b"".join(frames))


def test_behind_the_terminator_the_end_of_the_connection_is_the_end() -> None:
    scene = Scene()
    wire = scene.begin()
    scene.hear(*frames_of("Hi"))
    assert (scene.resuming.over, scene.failure, wire.aborted) == (True, None, False)
    scene.resuming.on_end()
    scene.clock.go(100.0)
    assert not wire.aborted
    assert scene.clock.left() is None


# ---- what is asked


def test_without_a_head_it_is_the_same_call_again_and_then_what_is_behind_the_cursor() -> None:
    scene = Scene()
    scene.connect()
    scene.resuming.on_failure(REFUSED)
    assert scene.resuming.next.request == CALL
    scene.begin()
    scene.resuming.on_failure(CUT)
    scene.connect()
    assert scene.asked[1] == CALL
    assert scene.line == b"GET /v1/generations/gen_1/stream?after=0&dialect=openai-chat HTTP/1.1"
    assert b"authorization: Bearer tx-1\r\n" in scene.asked[-1]
    scene.resuming.on_head(200, STREAM)
    scene.hear(b": keep-alive\n\n" + chunk("Hi") + b": keep-alive\n\n" + chunk(" there") + chunk("!")[:-1])
    scene.resuming.on_end()
    scene.connect()
    assert after(scene.line) == 2


def test_a_whole_reply_that_broke_is_the_same_call_again_and_nothing_of_it_counted() -> None:
    scene = Scene(stream=False)
    for half in (BODY[:9], BODY[:-1], b""):
        scene.begin(WHOLE)
        scene.hear(half)
        scene.resuming.on_failure(CUT)
        assert not scene.attempt.verdict.done()
    scene.begin(WHOLE)
    scene.hear(BODY)
    scene.resuming.on_end()
    scene.hear()
    assert (scene.failure, scene.text, scene.asked) == (None, BODY, [CALL] * 4)


def test_a_whole_reply_that_is_too_long_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "REPLY_LIMIT", 100)
    monkeypatch.setattr("telex.generation.attempt.REPLY_LIMIT", 100)
    scene = Scene(stream=False)
    wire = scene.begin(WHOLE)
    scene.hear(BODY * 2)
    assert (wire.aborted, scene.resuming.over) == (True, True)
    assert "longer than" in scene.attempt.ended.result().message  # type: ignore[union-attr]


# ---- when, and when not


def test_the_first_is_at_once_and_then_each_pause_is_twice_as_long() -> None:
    scene, pauses = Scene(), list[float]()
    scene.begin()
    scene.hear(chunk("Hi"))
    for _ in range(8):
        scene.resuming.on_failure(CUT)
        pauses.append(round(scene.resuming.next.due - scene.clock.now, 3))
        scene.connect()
        scene.resuming.on_head(200, STREAM)
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    assert scene.resuming.next.due == scene.clock.now  # counted anew: a frame came


def test_connections_that_lived_are_not_counted() -> None:
    """What waits long for its turn says nothing else, and a proxy may cut it each time."""
    scene = Scene()
    for _ in range(3 * TRIES):
        scene.begin()
        scene.clock.go(scene.clock.now + core.LONGEST_PAUSE + 1.0)
        scene.hear(b": keep-alive\n\n")
        scene.resuming.on_failure(CUT)
        assert scene.resuming.next.due == scene.clock.now
    for _ in range(TRIES):
        assert not scene.resuming.over
        scene.resuming.on_failure(REFUSED)  # not even a connection: the life of the last is no other's
    assert scene.resuming.over


@given(random=st.floats(0.0, 1.0, exclude_max=True))
def test_jitter_shortens_the_pauses(random: float) -> None:
    scene = Scene(random=random)
    scene.begin()
    for limit in (0.0, 0.1, 0.2, 0.4):
        scene.resuming.on_failure(CUT)
        assert scene.resuming.next.due - scene.clock.now == pytest.approx(limit * random)
        scene.connect()


def test_only_what_is_first_may_go_out_on_a_connection_that_is_there() -> None:
    scene = Scene()
    assert not scene.resuming.next.fresh
    scene.begin()
    scene.resuming.on_failure(CUT)
    assert scene.resuming.next.fresh


def test_connections_without_a_frame_are_counted() -> None:
    scene = Scene(random=0.0)
    for _ in range(TRIES):
        scene.begin()
        scene.hear(b": keep-alive\n\n")
        scene.resuming.on_end()
    assert not scene.resuming.over
    scene.begin()
    scene.resuming.on_failure(CUT)
    assert (scene.failure, scene.resuming.farewell) == (CUT, None)


def test_where_there_never_was_one_it_is_soon_given_up() -> None:
    scene = Scene()
    for _ in range(FIRST_TRIES):
        scene.resuming.on_failure(REFUSED)
        scene.clock.go(scene.resuming.next.due)
    assert scene.clock.now == pytest.approx(0.7)
    scene.resuming.on_failure(REFUSED)
    assert scene.failure == REFUSED


def test_behind_the_time_that_a_gateway_holds_it_the_truth_is_told() -> None:
    scene = Scene()
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    scene.clock.go(scene.clock.now + AWAY - 1.0)
    scene.resuming.on_failure(REFUSED)
    assert not scene.resuming.over
    scene.clock.go(scene.clock.now + 1.0)
    scene.resuming.on_failure(REFUSED)
    assert scene.failure == Failure("truncated", f"{CUT.message} It could not be resumed: {REFUSED.message}")


def test_the_time_is_counted_from_the_last_answer() -> None:
    scene = Scene()
    scene.begin()
    scene.hear(chunk("Hi"))
    for _ in range(5):
        scene.resuming.on_failure(CUT)
        scene.clock.go(scene.clock.now + AWAY - 6.0)
        scene.begin()
    assert scene.clock.now > 2 * AWAY
    assert not scene.resuming.over


TLS = Failure("tls", "The certificate can't be trusted.")
NOT_HTTP = Failure("malformed", "That is not HTTP.")
SLOW = Failure("timeout", "Connecting took too long.", code="connect")


@pytest.mark.parametrize("failure", [TLS, NOT_HTTP, SLOW, Failure("busy", "There are too many files open.")])
def test_what_another_try_does_not_mend_is_told_at_once(failure: Failure) -> None:
    scene = Scene()
    scene.resuming.on_failure(failure)
    assert scene.failure == failure


def test_connecting_that_takes_too_long_is_tried_again_once_there_was_a_connection() -> None:
    scene = Scene()
    scene.begin()
    scene.resuming.on_failure(CUT)
    scene.resuming.on_failure(SLOW)
    assert not scene.resuming.over


# ---- what the gateway itself says is an end


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 502, 503])
def test_an_error_is_an_answer(status: int) -> None:
    scene = Scene()
    scene.connect()
    scene.resuming.on_head(status, WHOLE)
    scene.hear(b'{"error":{"message":"No."}}')
    scene.resuming.on_end()
    failure = scene.failure
    assert failure is not None
    assert (failure.status, scene.resuming.farewell) == (status, None)


def test_an_error_that_breaks_is_not_asked_for_again() -> None:
    scene = Scene()
    scene.connect()
    scene.resuming.on_head(503, WHOLE)
    scene.resuming.on_failure(CUT)
    assert scene.failure == CUT


def test_an_error_inside_the_stream_is_its_end() -> None:
    scene = Scene()
    wire = scene.begin()
    scene.hear(chunk("Hi"), b'data: {"error":{"message":"It broke."}}\n\n')
    assert scene.failure is not None
    assert (scene.failure.message, wire.aborted, scene.resuming.farewell) == ("It broke.", True, None)


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no longer keeps"), (410, "no longer keeps"), (401, "status 401"), (500, "status 500")]
)
def test_who_may_not_go_on_hears_why(status: int, words: str) -> None:
    scene = Scene()
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    wire = scene.connect()
    scene.resuming.on_head(status, {"content-type": "application/problem+json"})
    failure = scene.failure
    assert failure is not None
    assert (failure.kind, failure.status, wire.aborted, scene.resuming.farewell) == ("truncated", status, True, None)
    assert failure.message.startswith(CUT.message)
    assert words in failure.message


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_a_proxy_says_of_a_gateway_that_is_away_is_nobodys_word(status: int) -> None:
    scene = Scene(random=0.5)
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    wire = scene.connect()
    scene.resuming.on_head(status, {"content-type": "text/html"})
    assert (wire.aborted, scene.resuming.over) == (True, False)
    while not scene.resuming.over:
        scene.connect()
        scene.resuming.on_head(status, {"content-type": "text/html"})
    failure = scene.failure
    assert failure is not None
    assert (failure.kind, failure.status, len(scene.asked), scene.resuming.lost) == ("truncated", status, 1 + TRIES, True)


@pytest.mark.parametrize("headers", [{"content-type": "text/html"}, {"content-type": "application/json"}, {}])
def test_somebody_else_in_between_is_not_taken_for_the_gateway(headers: dict[str, str]) -> None:
    scene = Scene()
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    scene.connect()
    scene.resuming.on_head(200, headers)
    scene.hear(chunk("bought"))
    assert scene.failure is not None
    assert b"bought" not in scene.text


@pytest.mark.parametrize("name", ["", "../../x", "a b", "a\nb", "a?b"])
def test_without_a_name_there_is_nothing_to_resume(name: str) -> None:
    """It is no gateway, and its stream passes as it is, even the event that the end cut off."""
    scene = Scene()
    scene.begin({**STREAM, "telex-generation": name})
    frames = frames_of("Hi")
    scene.hear(b"".join(frames)[:-2])
    scene.resuming.on_end()
    assert (scene.failure, scene.resuming.farewell) == (None, None)


def test_a_frame_without_end_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    decoder = sse.Decoder(1000)
    monkeypatch.setattr(sse, "Decoder", lambda: decoder)
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.hear(b"data: " + b"x" * 2000)
    assert scene.failure is not None
    assert (scene.failure.kind, scene.wires[-1].aborted) == ("malformed", True)


# ---- what is there already

PROBLEM = {"content-type": "application/problem+json"}


def test_what_is_there_is_asked_for_from_its_beginning_and_never_ended() -> None:
    scene = Scene(id="gen_1")
    scene.connect()
    assert after(scene.line) == 0
    scene.clock.go(SILENCE)  # it has no head yet
    assert scene.wires[0].aborted
    scene.begin(dict(STREAM, **{"telex-generation": ""}))
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    scene.begin()
    assert after(scene.line) == 1
    scene.attempt.abort()
    assert (scene.resuming.over, scene.resuming.farewell, scene.wires[-1].aborted) == (True, None, True)


def test_an_id_is_no_path() -> None:
    scene = Scene(id="x/../y?z")
    assert scene.resuming.next.request.startswith(b"GET /v1/generations/x%2F..%2Fy%3Fz/stream?after=0&")


@pytest.mark.parametrize("status", [404, 409, 410, 500])
def test_why_it_can_not_be_heard_it_says_itself(status: int) -> None:
    scene = Scene(id="gen_1")
    scene.connect()
    scene.resuming.on_head(status, PROBLEM)
    scene.hear(b'{"detail":"No."}')
    scene.resuming.on_end()
    assert scene.failure is not None
    assert (scene.failure.message, scene.failure.status, scene.resuming.lost) == ("No.", status, False)


def test_who_falls_silent_while_saying_why_is_not_waited_for() -> None:
    scene = Scene(id="gen_1")
    scene.connect()
    scene.resuming.on_head(404, PROBLEM)
    scene.clock.go(SILENCE)
    assert scene.failure is not None
    assert scene.wires[-1].aborted


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_what_is_no_stream_is_not_taken_for_a_reply(kind: str) -> None:
    scene = Scene(id="gen_1")
    scene.connect()
    scene.resuming.on_head(200, {"content-type": kind})
    assert scene.failure is not None
    assert (scene.failure.kind, scene.failure.status) == ("malformed", 200)


def test_where_something_stands_before_a_gateway_that_is_not_there() -> None:
    scene = Scene(id="gen_1")
    while not scene.resuming.over:
        scene.connect()
        scene.resuming.on_head(503, PROBLEM)
    assert scene.failure is not None
    assert (scene.failure.kind, scene.failure.status, scene.resuming.frames) == ("unreachable", 503, 0)


def test_only_a_stream_that_the_gateway_ended_early_is_doubtful() -> None:
    """Who learns more from its record may say so, and what it says is the ending."""
    scene = Scene(id="gen_1")
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_failure(CUT)
    doubts = [scene.resuming.doubtful]
    scene.begin()
    scene.resuming.on_end()
    assert [*doubts, scene.resuming.doubtful] == [False, True]
    why = Failure("rate_limited", "It was too much.", retry_after=9.0)
    scene.resuming.conclude(why)
    assert (scene.failure, scene.resuming.lost) == (why, False)


# ---- clocks and flow


def test_silence_is_a_break_and_signs_of_life_are_none() -> None:
    scene = Scene()
    wire = scene.begin()
    scene.hear(chunk("Hi"))
    for _ in range(20):
        scene.clock.go(scene.clock.now + 15.0)
        scene.hear(b": keep-alive\n\n")
    assert (wire.aborted, scene.resuming.over) == (False, False)
    aborted = []
    for seconds in (SILENCE - 1, 1):
        scene.clock.go(scene.clock.now + seconds)
        aborted.append(wire.aborted)
    assert aborted == [False, True]
    scene.connect()  # whose head does not come either
    scene.clock.go(scene.clock.now + SILENCE)
    assert scene.wires[-1].aborted


def test_before_the_head_silence_is_the_attempts_to_judge() -> None:
    scene = Scene()
    scene.connect()
    scene.clock.go(60.0)
    failure = scene.failure
    assert failure is not None
    assert failure.code == "first_byte"
    assert scene.resuming.farewell is not None


@pytest.mark.parametrize("headed", [True, False])
def test_while_it_resumes_only_the_clock_of_the_whole_runs(headed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "AWAY", 3600.0)
    limits = Timeouts(idle=5.0, first_byte=5.0, content_idle=5.0)
    scene = Scene(timeouts=limits)
    scene.connect()
    if headed:
        scene.resuming.on_head(200, STREAM)
        scene.hear(chunk("Hi"))
    scene.clock.go(4.0)
    scene.resuming.on_failure(CUT)
    scene.clock.go(500.0)
    assert not scene.resuming.over
    scene.connect()
    scene.clock.go(500.9)
    assert not scene.resuming.over
    scene.resuming.on_failure(CUT)
    scene.clock.go(600.0)
    failure = scene.failure
    assert failure is not None
    assert failure.code == "total"


def test_pausing_holds_for_the_connection_of_the_moment() -> None:
    scene = Scene()
    first = scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_data(chunk("x" * HIGH_WATER))
    assert first.paused
    scene.clock.go(scene.clock.now + 10 * SILENCE)  # nobody reads: that is no silence of the gateway's
    assert not first.aborted
    scene.resuming.on_failure(CUT)
    second = scene.connect()
    assert second.paused
    scene.hear()
    assert not second.paused


# ---- leaving


STATES: dict[str, Callable[[Scene], object]] = {
    "asked": lambda scene: scene.connect(),
    "heard": lambda scene: heard(scene),
    "broken": lambda scene: heard(scene).resuming.on_failure(CUT),
    "broken-headless": lambda scene: asked(scene).resuming.on_failure(CUT),
}


def asked(scene: Scene) -> Scene:
    scene.connect()
    return scene


def heard(scene: Scene) -> Scene:
    scene.begin()
    scene.hear(chunk("Hi"))
    return scene


@pytest.mark.parametrize("state", STATES)
def test_who_leaves_says_so_by_the_name_that_it_knows(state: str) -> None:
    scene, stirred = Scene(), list[bool]()
    STATES[state](scene)
    scene.resuming.stirred = lambda: stirred.append(scene.resuming.over)
    scene.attempt.abort()
    farewell = scene.resuming.farewell
    assert farewell is not None
    name = b"gen_1" if state in ("heard", "broken") else b"k1"
    assert farewell.head.startswith(b"POST /v1/generations/" + name + b"/cancel HTTP/1.1\r\n")
    assert stirred == [True]
    assert scene.clock.left() is None
    assert scene.wires[-1].aborted


@pytest.mark.parametrize("how", ["before", "complete"])
def test_where_nothing_runs_nobody_is_told(how: Literal["before", "complete"]) -> None:
    scene = Scene()
    if how == "complete":
        scene.begin()
        scene.hear(*frames_of("Hi"))
    scene.resuming.abort()
    assert (scene.resuming.over, scene.resuming.farewell) == (True, None)


def test_a_mistake_of_ours_leaves() -> None:
    scene = Scene()
    scene.begin()
    scene.hear(chunk("Hi"))
    scene.resuming.on_bug(RuntimeError("ours"))
    assert scene.resuming.farewell is not None
    with pytest.raises(RuntimeError, match="ours"):
        scene.attempt.ended.result()
