"""Many generations leave nothing behind: no task, no thread, no socket, no file, no memory that grows."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

from telex import GenerationError
from telex.testing import FAULTS, Play, say, status

from .colours import COLOURS, QUESTION, Colour, Speaker, asked, eventually, read

HOUSE = ("telex.client", "telex.generation", "telex.upstream", "telex.metering", "httpcore2", "httpx2")
PLAYS: tuple[Play, ...] = (say("Hello", " world", "."), status(400), FAULTS["row15-reset-mid-stream"](), say("Hi"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def ours() -> int:
    """Objects of the library and of what it stands on that are alive."""
    gc.collect()
    return sum(str(type(thing).__module__).startswith(HOUSE) for thing in gc.get_objects())


async def one(client: Speaker, number: int) -> None:
    """Whole, streamed, left in the middle, cancelled; complete, refused and broken by turns."""
    try:
        if number % 4 == 0:
            await client.generate(QUESTION, model="up/m")
            return
        async with client.stream(QUESTION, model="up/m") as stream:
            if number % 4 == 1:
                await read(stream)
            elif number % 4 == 2:
                async for _ in stream:
                    break
            else:
                stream.cancel()
                await read(stream)
    except GenerationError:
        pass


async def many(colour: Colour, count: int) -> None:
    async with asked(colour, "here", by_turns()) as (client, upstream):
        for number in range(40):
            await one(client, number)
        before, tasks, threads, objects = descriptors(), len(asyncio.all_tasks()), threading.active_count(), ours()
        began = time.perf_counter()
        for start in range(0, count, 20):
            await asyncio.gather(*(one(client, number) for number in range(start, start + 20)))
        print(f"\n{colour}: {count / (time.perf_counter() - began):.0f} generations/s")
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
        assert descriptors() - before <= 2 * 20 + 2  # connections that wait for the next call, both ends
        assert threading.active_count() - threads <= 32  # those of `asyncio.to_thread`, which stay
        assert ours() - objects <= 20 * 10  # and what belongs to those connections
    await eventually(lambda: upstream.open_connections == 0)
    assert len(upstream.calls) >= 0.7 * count


def by_turns() -> Play:
    turn = 0

    def play(call: object) -> Play:
        nonlocal turn
        turn += 1
        return PLAYS[turn % len(PLAYS)]

    return play


@pytest.mark.parametrize("colour", COLOURS)
async def test_500_generations_leave_nothing(colour: Colour) -> None:
    await many(colour, 500)


@pytest.mark.soak
@pytest.mark.parametrize("colour", COLOURS)
async def test_10000_generations_leave_nothing(colour: Colour) -> None:
    await many(colour, 10_000)
