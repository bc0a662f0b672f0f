"""P3, P15, P19: clients that read slowly, or not at all, cost little memory, hold their provider up, and disturb nobody."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from gateway.client import PATH, chat, connect, request
from gateway.house import Child, serve, unheard
from telex.gateway.server import allow_files
from telex.testing import Call, Play, ScriptedUpstream, pour, say

from .telling import SEED, at, spread, tell

pytestmark = pytest.mark.soak
FLOOD = "up/flood"
"""A model that says 200 MB as fast as it is read; every other says "Hi"."""


def floods(call: Call) -> Play:
    return pour(200 << 20) if call.model == "flood" else say("Hi")


@asynccontextmanager
async def flooded(folder: Path) -> AsyncIterator[tuple[Child, ScriptedUpstream]]:
    allow_files()
    with ScriptedUpstream(floods) as upstream:
        config = f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        async with serve(folder, config) as child, unheard(child):
            yield child, upstream


@contextmanager
def deaf(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Clients that ask for the flood, and of which nothing ever reads, not even a buffer of their own."""
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for sock in socks:
            sock.send(request(chat(model=FLOOD)))
        yield socks


async def full(calls: list[Call]) -> int:
    """The bytes that the provider got rid of, when nobody takes any more."""
    sent = -1
    while sent != (now := sum(call.bytes_sent for call in calls)):
        sent = now
        await asyncio.sleep(1)
    return sent


@pytest.mark.parametrize("count", [1, 50])
async def test_p3_clients_that_never_read_cost_little_and_are_closed(count: int, tmp_path: Path) -> None:
    async with flooded(tmp_path) as (child, upstream):
        before = child.rss
        with deaf(child.port, count):
            calls = await upstream.until(count)
            sent = await full(calls)
            grown = child.rss - before
            left = [await call.until("left_at", 120) - (call.last_byte or 0.0) for call in calls]
    tell(
        "P3", f"{count} x 200 MB for nobody: {grown / 1e6:.1f} MB more memory, {grown / count / 1024:.0f} KiB each; promised 20 MB, 256 KiB"
    )
    tell(
        "P3",
        f"the provider got rid of {sent / count / 1e6:.1f} MB each, and was left {min(left):.0f} to {max(left):.0f} s later; promised 30 s",
    )
    assert grown < 20_000_000 * (1 + count // 10)
    assert max(left) < 100


async def test_p15_slow_neighbours_do_not_matter(tmp_path: Path) -> None:
    async with flooded(tmp_path) as (child, upstream):
        await first_words(child.port, 1.0)
        alone = await first_words(child.port, 8.0)
        before = len(upstream.calls)  # thousands, which are not counted anew with every byte of the flood
        with deaf(child.port, 100):
            await full((await upstream.until(lambda: len(upstream.calls) == before + 100))[before:])
            dripping = [asyncio.create_task(drip(child.port, random.Random(SEED + n))) for n in range(100)]
            crowded = await first_words(child.port, 8.0)
            stalled = sum(call.model == "flood" and call.left_at is None for call in upstream.calls)
            for task in dripping:
                task.cancel()
            await asyncio.wait(dripping)
    added = at(crowded, 0.99) - at(alone, 0.99)
    tell("P15", f"the first words of {len(alone)} streams, alone: {spread(alone)}")
    tell("P15", f"of {len(crowded)} beside {stalled} stalled readers and 100 slow heads: {spread(crowded)}")
    tell("P15", f"p99 + {added * 1000:.1f} ms; promised 10 ms")
    assert stalled == 100
    assert added < 1


async def first_words(port: int, seconds: float) -> list[float]:
    """Seconds from a request to the first of its stream, of four clients that ask one after the other."""
    end, waits = time.monotonic() + seconds, list[float]()

    async def one() -> None:
        while time.monotonic() < end:
            async with connect(port) as client:
                began = time.monotonic()
                client.ask()
                await client.head()
                await client.event()
                waits.append(time.monotonic() - began)
                while await client.piece():
                    pass

    await asyncio.gather(*(one() for _ in range(4)))
    return waits


async def drip(port: int, coin: random.Random) -> None:
    """Heads that come byte by byte, and never to their end; one that is closed begins anew."""
    while True:
        async with connect(port) as client:
            ended = asyncio.create_task(client.end())
            for byte in request(chat(), path=PATH):
                client.send(bytes([byte]))
                await asyncio.wait([ended], timeout=coin.uniform(0.2, 0.4))
                if ended.done():
                    break
            ended.cancel()


async def test_p19_a_slow_reader_holds_the_provider_up(tmp_path: Path) -> None:
    """It reads some 3 MB/s of what could be hundreds, then stops."""
    async with flooded(tmp_path) as (child, upstream), connect(child.port) as client:
        client.ask(model=FLOOD)
        await client.head()
        [call] = await upstream.until(1)
        taken, most, end = 0, 0, time.monotonic() + 5
        while time.monotonic() < end:
            taken += len(await client.piece())
            most = max(most, call.bytes_sent - taken)
            client.pause()
            await asyncio.sleep(0.01)
            client.resume()
        client.pause()
        ahead = await full([call]) - taken
        unsent = call.unsent
    tell("P19", f"{taken / 1e6:.1f} MB read in 5 s, the provider at most {most / 1e6:.1f} MB ahead")
    tell("P19", f"at a stop it is {ahead / 1e6:.1f} MB ahead, and keeps {unsent / 1e6:.1f} MB that it can't get rid of")
    assert unsent > 0
    assert most < 100_000_000
