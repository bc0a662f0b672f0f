"""The promises with their numbers, on a machine that has time: `make soak` runs these and prints what it measured.

The ceilings are wide, for slow machines; the numbers are for people.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.client import ask, chat, connect, request
from gateway.house import gateway, serve
from telex.core import sse
from telex.core.errors import Failure
from telex.dialects import DIALECTS
from telex.metering.meter import quantile
from telex.testing import FAULTS, Call, ScriptedUpstream, pour, say

pytestmark = pytest.mark.soak
SEED = int(os.environ.get("TELEX_SEED", "1"))


def tell(promise: str, what: str) -> None:
    print(f"\n{promise}: {what}", flush=True)


def spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return ", ".join(f"{name} {(quantile(ordered, q) or 0) * 1000:.1f} ms" for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)))


async def leave_often(phase: str, stream: bool, play: Callable[[], object], times: int = 250) -> list[float]:
    """Seconds between a client's leaving and the provider's noticing, `times` times."""
    delays = []
    with ScriptedUpstream(play()) as upstream:  # type: ignore[arg-type]
        async with gateway(upstream.url) as house:
            for n in range(times):
                async with connect(house.port) as client:
                    client.ask(stream)
                    await client.drain()
                    call: Call = (await upstream.until(n + 1))[n]
                    if phase == "streaming":
                        await client.head()
                    began = time.monotonic()
                    client.reset()
                delays.append(await call.until("left_at") - began)
            await upstream.until(lambda: upstream.open_connections == 0)
    return delays


@pytest.mark.parametrize(
    ("phase", "stream", "fault"),
    [
        ("waiting", True, "row05-headers-never-come"),
        ("streaming", True, "row25-stall-mid-stream"),
        ("whole", False, "row05-headers-never-come"),
        ("keep-alives", True, "row26-only-keep-alives"),
    ],
)
async def test_p1_leaving_closes_the_provider(phase: str, stream: bool, fault: str) -> None:
    delays = await leave_often(phase, stream, lambda: FAULTS[fault]())
    tell("P1", f"{len(delays)} clients left while {phase}: {spread(delays)} until the provider knew; promised p99 250 ms")
    assert max(delays) < 10


async def test_p2_the_pool_survives_five_seconds_of_cancelling() -> None:
    cancelled = 0
    with ScriptedUpstream(say(*["word "] * 20, first=0.01, gap=0.01)) as upstream:
        async with gateway(upstream.url) as house:
            end = time.monotonic() + 5

            async def churn(coin: random.Random) -> None:
                nonlocal cancelled
                while time.monotonic() < end:
                    async with connect(house.port) as client:
                        client.ask()
                        try:
                            async with asyncio.timeout(coin.uniform(0, 0.15)):
                                await client.answer()
                        except TimeoutError:
                            cancelled += 1

            await asyncio.gather(*(churn(random.Random(SEED + n)) for n in range(20)))
            upstream.play(say("still", " here"))
            began, slowest = time.monotonic(), 0.0
            for _ in range(10):
                assert (await ask(house.port)).text == "still here"
                slowest, began = max(slowest, time.monotonic() - began), time.monotonic()
            open_connections = upstream.open_connections
    tell("P2", f"{cancelled} cancelled in 5 s, then 10 of 10 answered, the slowest in {slowest * 1000:.1f} ms; promised 100 ms")
    assert open_connections <= 20


@asynccontextmanager
async def connect_deaf(port: int) -> AsyncIterator[socket.socket]:
    """A client of which nothing ever reads, not even a buffer of its own."""
    with socket.create_connection(("127.0.0.1", port)) as deaf:
        yield deaf


async def test_p3_a_client_that_never_reads_costs_little(tmp_path: Path) -> None:
    with ScriptedUpstream(pour(200 << 20)) as upstream:
        config = f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        async with serve(tmp_path, config) as child, connect_deaf(child.port) as deaf:
            before = child.rss
            deaf.send(request(chat()))
            (call,) = await upstream.until(1)
            sent = -1
            while sent != call.bytes_sent:  # until nobody takes any more
                sent = call.bytes_sent
                await asyncio.sleep(1)
            grown = child.rss - before
    tell("P3", f"200 MB for nobody: the gateway grew by {grown / 1e6:.1f} MB, the provider got rid of {sent / 1e6:.1f} MB; promised 20 MB")
    assert grown < 20_000_000


def test_p16_no_bytes_break_the_decoders() -> None:
    coin = random.Random(SEED)
    seeds = [b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n', b"data: [DONE]\n\n", b'event: error\ndata: {"error":{}}\n\n']
    count, end = 0, time.monotonic() + 60
    dialect = DIALECTS["openai-chat"]
    while time.monotonic() < end:
        data = bytearray(b"".join(coin.choices(seeds, k=3)))
        for _ in range(coin.randint(0, 12)):
            data[coin.randrange(len(data))] = coin.choice(b'\r\n\0{}[]":,\\ \xff0adet')
        frames, decoder = sse.Decoder(limit=1 << 16), dialect.Decoder()
        place = coin.randrange(len(data))
        for frame in [*frames.feed(bytes(data[:place])), *frames.feed(bytes(data[place:])), *frames.end()]:
            decoder.feed(frame)
        decoder.end()
        decoder = dialect.Decoder()
        assert decoder.whole(bytes(data[6:])) is not None
        assert isinstance(dialect.decode_error(500, {}, bytes(data[6:]), 0.0), Failure)
        count += 1
    tell("P16", f"{count} mangled streams, bodies and errors in 60 s (seed {SEED}): no exception")
