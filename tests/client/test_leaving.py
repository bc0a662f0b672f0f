"""Leaving takes the generation with it, in every phase and from anywhere; not reading holds the provider up."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from telex import AsyncClient, Cancelled, Client, TelexError
from telex.config import Config
from telex.testing import Beat, Call, Hang, Head, Play, ScriptedUpstream, Send, Stall, pour, render, say, status
from telex.testing.answers import SSE, words

from .colours import COLOURS, PATIENT, PLACES, QUESTION, Colour, Place, Speaker, asked, configured, eventually, read, speaking

CEILING = 10.0
"""Seconds for what takes milliseconds."""

each_colour = pytest.mark.parametrize("colour", COLOURS)
each_place = pytest.mark.parametrize("place", PLACES)


def babbles(call: Call) -> Any:
    """One piece of text after the other, for ever."""
    frames = render(words(call, "Hi"), call).flat
    return Head(200, SSE), Send(frames[0]), Beat(next(frame for frame in frames if b"Hi" in frame), 0.01)


def pauses(call: Call) -> Any:
    frames = render(words(call, "Hi"), call).flat
    first = next(number for number, frame in enumerate(frames) if b"Hi" in frame)
    return Head(200, SSE), Send(b"".join(frames[: first + 1])), Stall()


PHASES: dict[str, tuple[bool, Play]] = {
    "waiting": (True, (Stall(),)),
    "waiting-for-content": (True, (Head(200, SSE), Beat(b": ping\n\n", 0.01))),
    "streaming": (True, babbles),
    "stalled": (True, pauses),
    "whole": (False, (Stall(),)),
    "whole-half-sent": (False, (Head(200, (("content-type", "application/json"),)), Send(b'{"id":'), Stall())),
}
"""Whether a stream is asked for, and what the provider does when it is left."""


async def hear(client: Speaker, stream: bool, started: asyncio.Event, cancels: list[Callable[[], None]]) -> Any:
    """What a reader does: it reads on until there is no more."""
    if not stream:
        return await client.generate(QUESTION, model="up/m")
    asking = client.stream(QUESTION, model="up/m")
    cancels.append(asking.cancel)
    async with asking as heard:
        async for _ in heard:
            started.set()
        return await heard.reply()


@each_place
@each_colour
@pytest.mark.parametrize("phase", [name for name, (stream, _) in PHASES.items() if stream])
async def test_cancelling_from_elsewhere_closes_the_upstream(phase: str, colour: Colour, place: Place) -> None:
    stream, play = PHASES[phase]
    started, cancels = asyncio.Event(), list[Callable[[], None]]()
    async with asked(colour, place, play) as (client, upstream):
        reading = asyncio.create_task(hear(client, stream, started, cancels))
        [call] = await upstream.until(1)
        if phase in ("streaming", "stalled"):
            await started.wait()
        cancels[0]()
        with pytest.raises(Cancelled) as caught:
            await asyncio.wait_for(reading, PATIENT)
        assert caught.value.reply is not None
        assert caught.value.reply.ending == "cancelled"
        assert caught.value.reply.text.startswith("Hi") == started.is_set()
        await call.until("left_at", CEILING)
        if place == "here":
            await upstream.until(lambda: upstream.open_connections == 0, CEILING)


@each_place
@each_colour
@pytest.mark.parametrize("phase", PHASES)
async def test_closing_the_client_ends_everything(phase: str, colour: Colour, place: Place) -> None:
    stream, play = PHASES[phase]
    async with asked(colour, place, play) as (client, upstream):
        reading = asyncio.create_task(hear(client, stream, asyncio.Event(), []))
        [call] = await upstream.until(1)
        await client.close()
        with pytest.raises(Cancelled):
            await asyncio.wait_for(reading, PATIENT)
        await call.until("left_at", CEILING)


@each_colour
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_cancelling_while_connecting_ends_it(stream: bool, colour: Colour) -> None:
    """The time limits are those of a whole hour: only the cancelling can end it."""
    cancels: list[Callable[[], None]] = []
    with ScriptedUpstream((Hang(),)) as upstream:
        async with speaking(colour, "here", configured(upstream.url, timeouts={"connect": 3600.0})) as client:
            reading = asyncio.create_task(hear(client, stream, asyncio.Event(), cancels))
            await asyncio.sleep(0.05)  # nobody tells that it connects; sooner is harder, not easier
            await client.close()
            with pytest.raises((Cancelled, TelexError)):
                await asyncio.wait_for(reading, CEILING)


@each_colour
async def test_cancelling_between_two_tries_ends_the_waiting(colour: Colour) -> None:
    cancels: list[Callable[[], None]] = []
    async with asked(colour, "here", status(429, headers=[("retry-after", "4")])) as (client, upstream):
        reading = asyncio.create_task(hear(client, True, asyncio.Event(), cancels))
        [call] = await upstream.until(1)
        await call.until("finished")
        cancels[0]()
        with pytest.raises(Cancelled):
            await asyncio.wait_for(reading, PATIENT)
        assert len(upstream.calls) == 1


@each_colour
async def test_cancelled_before_it_is_entered_it_asks_nobody(colour: Colour) -> None:
    async with asked(colour, "here") as (client, upstream):
        stream = client.stream(QUESTION, model="up/m")
        stream.cancel()
        with pytest.raises(Cancelled):
            await stream.__aenter__()
        assert upstream.calls == []


@each_place
@each_colour
async def test_leaving_the_with_statement_closes_the_upstream(colour: Colour, place: Place) -> None:
    async with asked(colour, place, babbles) as (client, upstream):
        async with client.stream(QUESTION, model="up/m") as stream:
            async for text in stream:
                assert text == "Hi"
                break
        [call] = upstream.calls
        await call.until("left_at", CEILING)
        reply = await stream.reply()
        assert (reply.ending, reply.text[:2]) == ("cancelled", "Hi")


@each_colour
async def test_an_error_of_the_readers_closes_the_upstream(colour: Colour) -> None:
    async with asked(colour, "here", babbles) as (client, upstream):
        with pytest.raises(ZeroDivisionError):
            async with client.stream(QUESTION, model="up/m"):
                _ = 1 // 0
        await upstream.calls[0].until("left_at", CEILING)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_task_that_is_cancelled_closes_the_upstream(stream: bool) -> None:
    async with asked("async", "here", (Stall(),)) as (client, upstream):
        reading = asyncio.create_task(hear(client, stream, asyncio.Event(), []))
        [call] = await upstream.until(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await call.until("left_at", CEILING)


@each_colour
async def test_after_leaving_the_client_is_as_good_as_new(colour: Colour) -> None:
    async with asked(colour, "here", *[babbles] * 20, say("Good")) as (client, upstream):
        for _ in range(20):
            async with client.stream(QUESTION, model="up/m") as stream:
                async for _ in stream:
                    break
        assert (await client.generate(QUESTION, model="up/m")).text == "Good"
        assert len(upstream.calls) == 21


def test_cancelling_is_prompt() -> None:
    """P1, with a ceiling ten times as wide: from another thread, while the reader waits for the next piece."""
    with ScriptedUpstream(pauses) as upstream, Client(config=here(upstream)) as llm:
        stream = llm.stream(QUESTION, model="up/m")
        with pytest.raises(Cancelled), stream:  # noqa: PT012
            canceller = threading.Timer(0.0, stream.cancel)
            canceller.start()
            began = time.monotonic()
            list(stream)
        assert upstream.calls[0].wait("left_at") - began < 10 * 0.25
        canceller.join()


def here(upstream: ScriptedUpstream) -> Any:
    return msgspec.convert(configured(upstream.url), Config)


# ---- not reading


async def settled(call: Call) -> None:
    """Return when the provider could hand on nothing for a while; a slow machine only makes it longer."""
    async with asyncio.timeout(PATIENT):
        sent = -1
        while sent != call.bytes_sent or not call.unsent:
            sent = call.bytes_sent
            await asyncio.sleep(0.2)


@each_colour
async def test_a_reader_that_stops_holds_the_provider_up_and_gets_all_of_it_later(colour: Colour) -> None:
    size = 32 << 20
    async with asked(colour, "here", pour(size)) as (client, upstream):
        async with client.stream(QUESTION, model="up/m") as stream:
            texts = stream.smoothed(0.0)
            await anext(texts)
            [call] = upstream.calls
            await settled(call)
            assert call.unsent > 0  # P19: the provider feels it
            assert call.bytes_sent < size
            total = 0
            async for text in texts:
                total += len(text)
        assert total > 0.9 * size
        await call.until("finished")


@each_colour
async def test_where_a_reader_stops_a_gateway_keeps_the_rest_for_it(colour: Colour) -> None:
    """So that it can be come back to: the provider is not held up, and the reader's own process takes no more than it reads."""
    size = 32 << 20
    async with asked(colour, "gateway", pour(size)) as (client, upstream), client.stream(QUESTION, model="up/m") as stream:
        texts = stream.smoothed(0.0)
        await anext(texts)
        await upstream.calls[0].until("finished")
        assert sum([len(text) async for text in texts]) > 0.9 * size


@each_colour
async def test_what_a_reader_does_not_read_costs_nearly_nothing(colour: Colour) -> None:
    """P3: what waits in this process is bounded, whatever the provider has to say."""
    async with asked(colour, "here", pour(200 << 20)) as (client, upstream):
        tracemalloc.start()
        try:
            async with client.stream(QUESTION, model="up/m") as stream:
                texts = aiter(stream)
                await anext(texts)
                await settled(upstream.calls[0])
                kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 20 << 20


@each_colour
async def test_two_streams_of_one_client_do_not_wait_for_each_other(colour: Colour) -> None:
    async with asked(colour, "here", pour(8 << 20), say("quick")) as (client, _), client.stream(QUESTION, model="up/m") as slow:
        await anext(aiter(slow))
        async with client.stream(QUESTION, model="up/m") as quick:
            assert await read(quick) == ["quick"]


async def test_the_clients_of_two_loops_are_two() -> None:
    async with asked("async", "here") as (client, _):
        await client.generate(QUESTION, model="up/m")

        def elsewhere() -> None:
            work: Awaitable[Any] = client.generate(QUESTION, model="up/m")
            with pytest.raises(TelexError, match="one event loop"):
                asyncio.run(work)  # type: ignore[arg-type]

        await asyncio.to_thread(elsewhere)


def test_a_client_made_outside_a_loop_serves_one_after_the_other() -> None:
    def closes(call: Call) -> Any:
        return Head(200, (("content-type", "application/json"),), "until-close"), Send(render(words(call, "Hi"), call).body)

    with ScriptedUpstream(closes) as upstream:
        client = AsyncClient(config=here(upstream))
        for _ in range(2):
            assert asyncio.run(client.generate(QUESTION, model="up/m")).text == "Hi"


async def test_nothing_runs_any_more_when_a_client_is_closed() -> None:
    before, tasks = threading.active_count(), len(asyncio.all_tasks())
    for colour in COLOURS:
        async with asked(colour, "here", babbles) as (client, _), client.stream(QUESTION, model="up/m") as stream:
            await anext(aiter(stream))
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("telex")]
    assert threading.active_count() - before <= 32  # those of `asyncio.to_thread`, which stay
