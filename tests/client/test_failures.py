"""What the library raises of each fault that a provider can cause: both colours, both places, whole and streamed."""

from __future__ import annotations

import pickle
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest

from telex import (
    BadRequest,
    ContextTooLong,
    GenerationError,
    Interrupted,
    NotFound,
    Overloaded,
    RateLimited,
    TelexError,
    Timeout,
    Unauthorized,
    UpstreamError,
)
from telex.client.errors import TABLE
from telex.core.errors import CONSEQUENCES, Failure
from telex.testing import FAULTS, Play, ScriptedUpstream, say, status

from .colours import COLOURS, PLACES, QUESTION, Colour, Place, Speaker, asked, configured, read, speaking

SOON = 0.3
"""Seconds of the time limits that a row waits for."""

LIMITS = {name: {name: SOON} for name in ("connect", "first_byte", "first_content", "content_idle", "idle", "total")}
TEXT = "One two three four five"


class Row(NamedTuple):
    """What a stream and a whole reply come to: a text, or an error. `said`: before it was interrupted. `models`: with which limits."""

    streamed: type[GenerationError] | str
    whole: type[GenerationError] | str
    said: str = "One two"
    models: tuple[str, str] = ("up/m", "up/m")


CUT = Row(Interrupted, UpstreamError)
GONE = Row(Interrupted, Interrupted)
ROWS = {
    "row05-headers-never-come": Row(Timeout, Timeout, models=("first_byte", "total")),
    "row06-429-with-retry-after": Row(RateLimited, RateLimited),
    "row07-429-without-retry-after": Row(RateLimited, RateLimited),
    "row08-500-before-body": Row(UpstreamError, UpstreamError),
    "row08-502-before-body": Row(UpstreamError, UpstreamError),
    "row08-503-before-body": Row(Overloaded, Overloaded),
    "row09-529-overloaded": Row(Overloaded, Overloaded),
    "row10-400": Row(BadRequest, BadRequest),
    "row10-401": Row(Unauthorized, Unauthorized),
    "row10-403": Row(Unauthorized, Unauthorized),
    "row10-404": Row(NotFound, NotFound),
    "row10-422": Row(BadRequest, BadRequest),
    "row11-context-too-long": Row(ContextTooLong, ContextTooLong),
    "row12-error-first": Row(UpstreamError, UpstreamError),
    "row13-error-mid-stream": CUT,
    "row13-error-mid-stream-then-terminator": CUT,
    "row14-eof-without-terminator": CUT,
    "row14-fin-without-terminator": GONE,
    "row15-reset-mid-stream": GONE,
    "row16-eof-inside-event": CUT,
    "row16-fin-inside-event": GONE,
    "row17-terminator-but-open": Row(TEXT, TEXT),
    "row18-data-after-terminator": Row(TEXT, TEXT),
    "row19-malformed-event": CUT,
    "row20-invalid-utf8": CUT,
    "row20-split-code-point": Row("Grüße \N{GRINNING FACE}", "Grüße \N{GRINNING FACE}"),
    "row21-block-index-out-of-order": Row(Interrupted, "One two"),
    "row21-block-index-missing": Row("One two", "One two"),
    "row22-duplicated-event": Row("One two three three four five", TEXT),
    "row23-html-200": Row(UpstreamError, UpstreamError),
    "row24-empty-answer": Row(Interrupted, Interrupted, said=""),
    "row25-stall-mid-stream": Row(Interrupted, Timeout, models=("idle", "total")),
    "row26-only-keep-alives": Row(Timeout, Timeout, models=("first_content", "total")),
    "row27-slow-first-token": Row(TEXT, TEXT),
    "row28-giant-event": Row(UpstreamError, "x" * (17 << 20)),
    "row29-gzip-unasked": Row(UpstreamError, UpstreamError),
    "row30-redirect": Row(UpstreamError, UpstreamError),
}
PORTS = {"row01-refuses": UpstreamError, "row03-connect-hangs": Timeout}
"""These are what a port does, so they need one of their own."""


def test_every_fault_has_its_row() -> None:
    assert ROWS.keys() | PORTS.keys() == FAULTS.keys()


def test_every_kind_of_failure_has_its_exception() -> None:
    assert TABLE.keys() == CONSEQUENCES.keys()
    assert all(issubclass(kind, TelexError) for kind in TABLE.values())


def models(target: str = "up") -> dict[str, Any]:
    narrow = {"targets": [{"provider": target, "model": "gpt-4o", "context": 100}]}
    return {"narrow": narrow} | {
        name: {"targets": [{"provider": target, "model": "m"}], "timeouts": limits} for name, limits in LIMITS.items()
    }


@pytest.fixture(scope="module")
def quickly() -> Iterator[None]:
    """No test gets a connection that another has spoilt, and nobody waits longer than must be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telex.upstream.pool.IDLE_SECONDS", 0.0)
        patch.setattr("telex.upstream.blocking.IDLE_SECONDS", 0.0)
        patch.setattr("telex.routing.policy.BACKOFF", 0.01)
        yield


@pytest.fixture(scope="module", params=[(colour, place) for colour in COLOURS for place in PLACES], ids="-".join)
async def client(request: pytest.FixtureRequest, upstream: ScriptedUpstream, quickly: None) -> AsyncIterator[Speaker]:
    colour, place = request.param
    async with speaking(colour, place, configured(upstream.url, models=models())) as client:
        yield client


def play(id: str) -> Play:
    return FAULTS[id](retry_after=0.05) if id.startswith("row06") else FAULTS[id]()


@pytest.mark.parametrize("id", ROWS)
async def test_streamed(id: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    row = ROWS[id]
    upstream.play(play(id))
    if isinstance(row.streamed, str):
        async with client.stream(QUESTION, model=row.models[0]) as stream:
            assert "".join(await read(stream)) == row.streamed
            assert (await stream.reply()).ending == "complete"
        return
    error = await fails(client, row.models[0])
    check(error, row.streamed, row.models[0])
    if row.streamed is Interrupted:
        assert error.reply is not None
        assert (error.reply.text, error.reply.ending in ("truncated", "failed")) == (row.said, True)


async def fails(client: Speaker, model: str) -> GenerationError:
    """The error of a stream that fails at any time, whose reply says the same."""
    stream, said = client.stream(QUESTION, model=model), list[str]()
    with pytest.raises(GenerationError) as caught:  # noqa: PT012
        async with stream:
            async for text in stream:
                said.append(text)
    reply = await stream.reply()
    assert reply.ending != "complete"
    if caught.value.reply is not None:
        assert caught.value.reply.text == reply.text == "".join(said)
    return caught.value


@pytest.mark.parametrize("id", ROWS)
async def test_whole(id: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    row = ROWS[id]
    upstream.play(play(id))
    if isinstance(row.whole, str):
        assert (await client.generate(QUESTION, model=row.models[1])).text == row.whole
        return
    with pytest.raises(GenerationError) as caught:
        await client.generate(QUESTION, model=row.models[1])
    check(caught.value, row.whole, row.models[1])


def check(error: GenerationError, expected: type[GenerationError], model: str) -> None:
    through_gateway_denied = type(error) is UpstreamError and error.failure.code == "upstream_denied"
    assert type(error) is expected or (expected is Unauthorized and through_gateway_denied), (error, error.failure)
    assert str(error)
    if isinstance(error, Timeout):
        assert error.which == model


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("id", PORTS)
async def test_ports(id: str, colour: Colour, place: Place) -> None:
    async with asked(colour, place, FAULTS[id](), models=models()) as (client, _):
        error = await fails(client, "connect")
        assert type(error) is PORTS[id]
        if isinstance(error, Timeout):
            assert error.which == "connect"


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("url", ["http://a..b.invalid/v1", "https://localhost:1/v1"])
async def test_nowhere(url: str, colour: Colour) -> None:
    async with speaking(colour, "here", configured(url)) as client:
        with pytest.raises(UpstreamError):
            await client.generate(QUESTION, model="up/m")


async def test_a_prompt_that_is_too_long_is_not_sent(client: Speaker, upstream: ScriptedUpstream) -> None:
    calls = len(upstream.calls)
    with pytest.raises(ContextTooLong, match="1000 tokens > 100 maximum"):
        await client.generate("word " * 1000, model="narrow")
    with pytest.raises(ContextTooLong, match="1000 tokens > 100 maximum"):
        async with client.stream("word " * 1000, model="narrow") as stream:
            await read(stream)
    assert len(upstream.calls) == calls


async def test_rate_limits_say_when_to_come_back(client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(FAULTS["row06-429-with-retry-after"](retry_after=90))
    with pytest.raises(RateLimited) as caught:
        await client.generate(QUESTION, model="up/m")
    assert caught.value.retry_after == 90


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("colour", COLOURS)
async def test_what_fails_before_the_first_content_is_tried_again_once(colour: Colour, place: Place) -> None:
    async with asked(colour, place, status(503), say("Good")) as (client, upstream):
        assert (await client.generate(QUESTION, model="up/m")).text == "Good"
        assert len(upstream.calls) == 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("colour", COLOURS)
async def test_and_no_more_often_whatever_is_between(colour: Colour, place: Place) -> None:
    async with asked(colour, place, status(503)) as (client, upstream):
        with pytest.raises(Overloaded):
            await client.generate(QUESTION, model="up/m")
        assert len(upstream.calls) == 2


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_next_target_is_tried(colour: Colour) -> None:
    targets = [{"provider": name, "model": "m", "tier": tier} for tier, name in enumerate(("out", "up"))]
    with ScriptedUpstream(status(503)) as out:
        providers = {"out": {"dialect": "openai-chat", "base_url": out.url}}
        with ScriptedUpstream(say("Good")) as good:
            providers["up"] = {"dialect": "anthropic", "base_url": good.url}
            async with speaking(colour, "here", {"providers": providers, "models": {"both": {"targets": targets}}}) as client:
                assert (await client.generate(QUESTION, model="both", max_tokens=9)).text == "Good"
            assert (len(out.calls), len(good.calls)) == (2, 1)


async def test_time_limits_of_one_call(client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(FAULTS["row05-headers-never-come"]())
    for limits in ({"total": SOON}, SOON):
        with pytest.raises(Timeout) as caught:
            await client.generate(QUESTION, model="up/m", timeouts=limits)
        assert caught.value.which == "total"


async def test_a_reader_who_is_slow_is_not_taken_for_a_silent_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever blocks is away for longer than the provider may be silent, by a clock that is put forward."""
    late = 0.0
    monkeypatch.setattr("telex.upstream.timers.Timers.time", lambda self: time.monotonic() + late)
    limits = {"idle": 60.0, "content_idle": 60.0, "total": 3600.0}
    async with asked("blocking", "here", say("One", " two", " three", gap=0.05)) as (client, _):
        async with client.stream(QUESTION, model="up/m", timeouts=limits) as stream:
            texts = []
            async for text in stream:
                texts.append(text)
                late += 500.0
        assert "".join(texts) == "One two three"


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_mistake_of_ours_is_shown_and_closes_the_connection(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> bool:
        raise RuntimeError("ours")

    async with asked(colour, "here", say("Hi")) as (client, upstream):
        monkeypatch.setattr("telex.metering.meter.Meter.feed", broken)
        with pytest.raises((RuntimeError, UpstreamError)) as caught:
            await client.generate(QUESTION, model="up/m")
        assert "ours" in repr(caught.value) + repr(caught.value.__cause__)
        await upstream.until(lambda: upstream.open_connections == 0)


def test_errors_can_be_sent_elsewhere() -> None:
    error = pickle.loads(pickle.dumps(RateLimited(Failure("rate_limited", "Slower.", retry_after=2.0))))
    assert (type(error), str(error), error.retry_after, error.reply) == (RateLimited, "Slower.", 2.0, None)
