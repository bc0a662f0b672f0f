"""The fault matrix, as far as an upstream can cause it: each row, streamed and whole. Numbers are the matrix's."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple

import pytest

from telex.generation.traffic import Traffic
from telex.testing import FAULTS, Beat, Call, Close, Head, Play, ScriptedUpstream, Send, render, say, status
from telex.testing.answers import SSE, words

from .client import Answer, ask
from .house import House, gateway, provider

Delivery = Literal["streaming", "non-streaming"]
EVERY = pytest.mark.parametrize("delivery", ["streaming", "non-streaming"])
SOON = 0.3
"""Seconds of the time limits that a row waits for."""

LIMITS: dict[str, dict[str, float]] = {
    "connect": {"connect": SOON},
    "first_byte": {"first_byte": SOON},
    "first_content": {"first_content": SOON},
    "content_idle": {"content_idle": SOON},
    "idle": {"idle": SOON},
    "total": {"total": SOON},
}


@pytest.fixture(scope="module")
def upstream() -> Any:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    """A gateway with a model for each time limit that a row needs to be short."""
    targets = [{"provider": "up", "model": "scripted"}]
    models = {name: {"targets": targets, "timeouts": limits} for name, limits in LIMITS.items()}
    async with gateway(upstream.url, models=models) as house:
        yield house


class Seen(NamedTuple):
    answer: Answer
    calls: list[Call]
    line: dict[str, Any]


class Rig:
    """One request against one play: what the client got, what the provider saw, what the log says."""

    def __init__(self, house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]]) -> None:
        self._house = house
        self._upstream = upstream
        self._logged = logged

    async def run(self, delivery: Delivery, *plays: Play, model: str = "up/scripted") -> Seen:
        self._upstream.play(*plays)
        before = len(self._upstream.calls)
        answer = await ask(self._house.port, delivery == "streaming", model=model)
        [line] = self._logged
        return Seen(answer, self._upstream.calls[before:], line)

    def forget(self) -> None:
        self._logged.clear()


@pytest.fixture
def rig(house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Rig:
    """No test gets a connection that another has spoilt, nor pays for its retries."""
    monkeypatch.setattr("telex.upstream.pool.IDLE_SECONDS", 0.0)
    monkeypatch.setattr(house.process.engine, "traffic", Traffic())
    return Rig(house, upstream, logged)


# ---- what the rows say


class Refused(NamedTuple):
    """Answered with a status and an error in the client's dialect; `calls` to the provider."""

    status: int
    code: str | None
    calls: int
    model: str = "up/scripted"

    def check(self, seen: Seen) -> None:
        answer = seen.answer
        assert (answer.status, answer.headers["content-type"], answer.whole) == (self.status, "application/json", True)
        assert answer.error["message"]
        assert answer.error["code"] == self.code
        assert len(seen.calls) == self.calls
        assert len(seen.line["attempts"]) == max(1, self.calls)
        assert seen.line["ending"] == ("rate_limited" if self.status == 429 else "truncated" if "truncated" in str(self.code) else "failed")


class Cut(NamedTuple):
    """A stream that keeps what was said and then tells of the error: no made-up finish, no terminator, no second call."""

    text: str
    code: str
    model: str = "up/scripted"

    def check(self, seen: Seen) -> None:
        answer = seen.answer
        assert (answer.status, answer.whole, answer.done, answer.finishes) == (200, True, False, [])
        assert answer.text == self.text
        assert [chunk["error"]["code"] for chunk in answer.chunks if "error" in chunk] == [self.code]
        assert answer.chunks[-1]["error"]["message"]
        assert len(seen.calls) == 1
        assert seen.line["ending"] in ("failed", "truncated")


class Complete(NamedTuple):
    text: str = "One two three four five"
    calls: int = 1
    model: str = "up/scripted"

    def check(self, seen: Seen) -> None:
        answer = seen.answer
        assert (answer.status, answer.text, answer.whole, seen.line["ending"]) == (200, self.text, True, "complete")
        assert answer.headers["content-type"].startswith("application/json") or (answer.done and answer.finishes == ["stop"])
        assert len(seen.calls) == self.calls


Row = Refused | Cut | Complete
BROKEN = Refused(502, "upstream_malformed", 1)
SHORT = Cut("One two", "stream_truncated")

ROWS: dict[str, tuple[Row, Row]] = {
    "row05-headers-never-come": (Refused(504, "first_byte", 2, "first_byte"), Refused(504, "total", 1, "total")),
    "row06-429-with-retry-after": (Refused(429, "rate_limit_exceeded", 2),) * 2,
    "row07-429-without-retry-after": (Refused(429, "rate_limit_exceeded", 2),) * 2,
    "row08-500-before-body": (Refused(502, "upstream_error", 2),) * 2,
    "row08-502-before-body": (Refused(502, "upstream_error", 2),) * 2,
    "row08-503-before-body": (Refused(503, "server_is_overloaded", 2),) * 2,
    "row09-529-overloaded": (Refused(503, "server_is_overloaded", 2),) * 2,
    "row10-400": (Refused(400, None, 1),) * 2,
    "row10-401": (Refused(502, "upstream_denied", 1),) * 2,
    "row10-403": (Refused(403, "permission_denied", 1),) * 2,
    "row10-404": (Refused(404, "not_found", 1),) * 2,
    "row10-422": (Refused(422, None, 1),) * 2,
    "row11-context-too-long": (Refused(400, "context_length_exceeded", 1),) * 2,
    "row12-error-first": (Refused(502, "upstream_error", 2), Refused(502, "upstream_error", 1)),
    "row13-error-mid-stream": (Cut("One two", "upstream_error"), Refused(502, "upstream_error", 1)),
    "row13-error-mid-stream-then-terminator": (Cut("One two", "upstream_error"), Refused(502, "upstream_error", 1)),
    "row14-eof-without-terminator": (SHORT, BROKEN),
    "row14-fin-without-terminator": (SHORT, Refused(502, "stream_truncated", 1)),
    "row15-reset-mid-stream": (SHORT, Refused(502, "stream_truncated", 1)),
    "row16-eof-inside-event": (SHORT, BROKEN),
    "row16-fin-inside-event": (SHORT, Refused(502, "stream_truncated", 1)),
    "row17-terminator-but-open": (Complete(), Complete()),
    "row18-data-after-terminator": (Complete(), Complete()),
    "row19-malformed-event": (Cut("One two", "upstream_malformed"), BROKEN),
    "row20-invalid-utf8": (Cut("One two", "upstream_malformed"), BROKEN),
    "row20-split-code-point": (Complete("Grüße \N{GRINNING FACE}"), Complete("Grüße \N{GRINNING FACE}")),
    "row22-duplicated-event": (Complete("One two three three four five"), Complete()),
    "row23-html-200": (Refused(502, "upstream_malformed", 2),) * 2,
    "row24-empty-answer": (Refused(502, "stream_truncated", 2), Refused(502, "stream_truncated", 1)),
    "row25-stall-mid-stream": (Cut("One two", "idle", "idle"), Refused(504, "total", 1, "total")),
    "row26-only-keep-alives": (Refused(504, "first_content", 2, "first_content"), Refused(504, "total", 1, "total")),
    "row27-slow-first-token": (Complete(), Complete()),
    "row28-giant-event": (Refused(502, "upstream_malformed", 2), BROKEN),
    "row29-gzip-unasked": (Refused(502, "upstream_malformed", 2),) * 2,
    "row30-redirect": (Refused(502, "upstream_redirected", 1),) * 2,
}
"""What a client gets, streamed and whole, of each fault that answers. Limits of time are in `timeouts.*`, which is the error's code."""

PORTS = {"row01-refuses", "row03-connect-hangs"}
"""These are what a port does, so they need one of their own."""


def test_every_fault_has_its_row() -> None:
    assert ROWS.keys() | PORTS == FAULTS.keys()


@EVERY
@pytest.mark.parametrize("id", ROWS)
async def test_fault(id: str, delivery: Delivery, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[id][delivery == "non-streaming"]
    if id.startswith("row28"):
        monkeypatch.setattr("telex.generation.attempt.REPLY_LIMIT", 16 << 20)
    row.check(await rig.run(delivery, FAULTS[id](), model=row.model))


@EVERY
@pytest.mark.parametrize(
    ("id", "expected"),
    [("row01-refuses", (502, "upstream_unreachable")), ("row03-connect-hangs", (504, "connect"))],
)
async def test_ports(id: str, expected: tuple[int, str], delivery: Delivery, logged: list[dict[str, Any]]) -> None:
    models = {"hasty": {"targets": [{"provider": "up", "model": "m"}], "timeouts": LIMITS["connect"]}}
    with ScriptedUpstream(FAULTS[id]()) as upstream:
        async with gateway(upstream.url, models=models) as house:
            answer = await ask(house.port, delivery == "streaming", model="hasty")
    assert (answer.status, answer.error["code"]) == expected
    assert [attempt["failure"] for attempt in logged[0]["attempts"]] == ["unreachable" if id == "row01-refuses" else "timeout"] * 2


@EVERY
async def test_row02_dns_failure(delivery: Delivery, logged: list[dict[str, Any]]) -> None:
    nowhere = provider("http://a..b.invalid/v1")  # what resolvers refuse without asking anybody
    async with gateway(providers={"up": nowhere}) as house:
        answer = await ask(house.port, delivery == "streaming")
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
    assert len(logged[0]["attempts"]) == 2


# ---- before the first content: retried; behind it, never


BEFORE = [id for id, rows in ROWS.items() if isinstance(rows[0], Refused) and rows[0].calls == 2]


@pytest.mark.parametrize("id", BEFORE)
async def test_what_is_tried_twice_can_succeed_the_second_time(id: str, rig: Rig) -> None:
    row = ROWS[id][0]
    Complete("Good", calls=2).check(await rig.run("streaming", FAULTS[id](), say("Good"), model=row.model))


@EVERY
async def test_the_next_target_is_tried_when_the_first_is_out(delivery: Delivery) -> None:
    targets = [{"provider": name, "model": "m", "tier": tier} for tier, name in enumerate(("up", "up1"))]
    with ScriptedUpstream(status(503)) as out, ScriptedUpstream(say("Good")) as good:
        async with gateway(out.url, good.url, models={"both": {"targets": targets}}) as house:
            answer = await ask(house.port, delivery == "streaming", model="both")
        assert (answer.status, answer.text, len(out.calls), len(good.calls)) == (200, "Good", 2, 1)


@EVERY
@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
async def test_row10_does_not_try_the_next_target(code: int, delivery: Delivery) -> None:
    targets = [{"provider": name, "model": "m", "tier": tier} for tier, name in enumerate(("up", "up1"))]
    with ScriptedUpstream(status(code)) as out, ScriptedUpstream(say("Good")) as good:
        async with gateway(out.url, good.url, models={"both": {"targets": targets}}) as house:
            await ask(house.port, delivery == "streaming", model="both")
        assert (len(out.calls), len(good.calls)) == (1, 0)


async def test_nothing_of_a_failed_attempt_reaches_the_client(rig: Rig) -> None:
    role = b'data: {"id":"first","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    seen = await rig.run("streaming", (Head(200, SSE), Send(role), Close()), say("Good"))
    Complete("Good", calls=2).check(seen)
    assert b"first" not in seen.answer.body


@pytest.mark.parametrize("after", range(2, 7))
@pytest.mark.parametrize(
    "id", ["row13-error-mid-stream", "row14-fin-without-terminator", "row15-reset-mid-stream", "row16-fin-inside-event"]
)
async def test_rows_13_to_16_keep_what_was_said_wherever_they_cut(id: str, after: int, rig: Rig) -> None:
    seen = await rig.run("streaming", FAULTS[id](after=after), say("never asked again"))
    said = ("One", " two", " three", " four", " five")[: after - 1]
    assert (seen.answer.text, seen.answer.done, len(seen.calls)) == ("".join(said), False, 1)
    assert "error" in seen.answer.chunks[-1]


async def test_row13_in_one_write_with_the_content_keeps_it(rig: Rig) -> None:
    def play(call: Call) -> Any:
        good = b"".join(render(words(call, "Hi"), call).flat[:2])
        return Head(200, SSE), Send(good + b'data: {"error":{"message":"It broke."}}\n\n')

    Cut("Hi", "upstream_error").check(await rig.run("streaming", play))


# ---- what a row says beyond its table


@EVERY
async def test_row06_passes_retry_after(delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS["row06-429-with-retry-after"](retry_after=90))
    assert (seen.answer.status, seen.answer.headers["retry-after"], len(seen.calls)) == (429, "90", 1)


@EVERY
async def test_row06_waits_as_long_as_it_is_asked_to(delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS["row06-429-with-retry-after"](retry_after=0.2), say("Good"))
    first, second = seen.calls
    assert (seen.answer.text, second.accepted - (first.complete or 0) >= 0.2) == ("Good", True)


@EVERY
async def test_row07_says_when_to_come_back(delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS["row07-429-without-retry-after"]())
    assert int(seen.answer.headers["retry-after"]) > 0


@EVERY
@pytest.mark.parametrize("id", ["row08-500-before-body", "row10-401", "row19-malformed-event"])
async def test_what_was_retried_here_is_not_to_be_retried_by_sdks(id: str, delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS[id](after=0) if id.startswith("row19") else FAULTS[id]())
    assert seen.answer.headers["x-should-retry"] == "false"


@EVERY
async def test_row10_an_answer_to_our_key_does_not_show_it(delivery: Delivery, rig: Rig) -> None:
    told = {"error": {"message": "Incorrect API key provided: sk-secret.", "type": "invalid_request_error", "code": "invalid_api_key"}}
    seen = await rig.run(delivery, status(401, told))
    assert (seen.answer.status, b"sk-secret" in seen.answer.body) == (502, False)


async def test_row16_a_terminator_that_lacks_only_its_line_ends_is_one(rig: Rig) -> None:
    def play(call: Call) -> Any:
        return Head(200, SSE), Send(b"".join(render(words(call, "Hi"), call).flat).rstrip())

    Complete("Hi").check(await rig.run("streaming", play))


@pytest.mark.parametrize("extra", [b"{}", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"], ids=["body", "answer"])
async def test_row18_data_in_one_write_with_the_end_of_a_whole_reply_is_ignored(extra: bytes, rig: Rig) -> None:
    def play(call: Call) -> Any:
        body = render(words(call, "Hi"), call).body
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        return Send(head + body + extra), Close()

    Complete("Hi").check(await rig.run("non-streaming", play))
    Complete("Good").check(await again(rig))


async def again(rig: Rig) -> Seen:
    rig.forget()
    return await rig.run("non-streaming", say("Good"))


@EVERY
async def test_row23_does_not_echo_the_page(delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS["row23-html-200"]())
    assert b"nginx" not in seen.answer.body


@EVERY
async def test_row25_closes_the_upstream(delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS["row25-stall-mid-stream"](), model="idle" if delivery == "streaming" else "total")
    await seen.calls[0].until("left_at")


async def test_row26_keep_alives_behind_content_do_not_count_as_content(rig: Rig) -> None:
    def play(call: Call) -> Any:
        said = b"".join(render(words(call, "One"), call).flat[:2])
        return Head(200, SSE), Send(said), Beat(b": keep-alive\n\n", 0.02)

    seen = await rig.run("streaming", play, model="content_idle")
    Cut("One", "content_idle").check(seen)
    await seen.calls[0].until("left_at")


async def test_row26_empty_frames_behind_content_do_not_count_as_content(rig: Rig) -> None:
    def play(call: Call) -> Any:
        said = b"".join(render(words(call, "One"), call).flat[:2])
        return Head(200, SSE), Send(said), Beat(b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n', 0.02)

    Cut("One", "content_idle").check(await rig.run("streaming", play, model="content_idle"))


async def test_row28_a_first_frame_of_megabytes_is_legitimate(rig: Rig) -> None:
    Complete("x" * (3 << 20)).check(await rig.run("streaming", say("x" * (3 << 20))))


async def test_row28_a_giant_event_behind_content_is_an_error(rig: Rig) -> None:
    seen = await rig.run("streaming", say("One", "x" * (17 << 20)))
    Cut("One", "upstream_malformed").check(seen)


async def test_row29_identity_is_asked_for(rig: Rig) -> None:
    seen = await rig.run("streaming", say("Good"))
    assert seen.calls[0].headers["accept-encoding"] == "identity"


async def test_row29_nothing_is_unpacked(rig: Rig) -> None:
    body = gzip.compress(json.dumps({"error": {"message": "packed"}}).encode())
    seen = await rig.run("non-streaming", status(500, body, (("content-encoding", "gzip"),)))
    assert (seen.answer.status, b"packed" in seen.answer.body) == (502, False)


@EVERY
async def test_an_end_of_time_ends_everything(delivery: Delivery, rig: Rig) -> None:
    seen = await rig.run(delivery, FAULTS["row05-headers-never-come"](), model="total")
    Refused(504, "total", 1, "total").check(seen)
