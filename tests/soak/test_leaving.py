"""P1, P2: who leaves takes the generation along, one by one and in crowds, and nothing stays. `make soak` prints what it measured.

The ceilings of all these files are wide, for slow machines; the numbers are for people.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.client import ask, connect
from gateway.crowd import eventually, town, visit
from gateway.house import gateway
from telex.gateway.server import allow_files
from telex.testing import FAULTS, Call, Hang, ScriptedUpstream, say

from .telling import SEED, spread, tell

pytestmark = pytest.mark.soak
TIMES = 250


async def leave_often(phase: str, stream: bool, play: Callable[[], object]) -> list[float]:
    """Seconds between a client's leaving and the provider's noticing."""
    delays = []
    with ScriptedUpstream(play()) as upstream:  # type: ignore[arg-type]
        async with gateway(upstream.url) as house:
            for n in range(TIMES):
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


async def test_p1_leaving_ends_what_has_no_connection_yet() -> None:
    delays = []
    with ScriptedUpstream((Hang(),)) as upstream:
        async with gateway(upstream.url, timeouts={"connect": 3600.0}) as house:
            for _ in range(TIMES):
                async with connect(house.port) as client:
                    client.ask()
                    await eventually(lambda: bool(house.process.gateway.running))
                    [generation] = house.process.gateway.running
                    began = time.monotonic()
                    client.reset()
                    await generation.finished()
                delays.append(time.monotonic() - began)
    tell("P1", f"{len(delays)} clients left while connecting: {spread(delays)} until it was given up; promised p99 250 ms")
    assert max(delays) < 10


async def test_p1_p2_a_thousand_streams_and_a_thousand_who_leave(tmp_path: Path) -> None:
    allow_files()
    async with town(tmp_path) as place:
        first = await visit(place, 1000, seconds=5.0, seed=SEED)
        second = await visit(place, 1000, seconds=5.0, seed=SEED + 1)
        files = place.child.files - place.up.open_connections
    mb = [f"{size / 1e6:.1f}" for size in (*first.rss, second.rss[2])]
    opened = f"{second.files} open files and {mb[1]} MB instead of {place.files} and {mb[0]}"
    tell("P1", f"1000 slow streams open: {opened}, {first.each / 1e3:.0f} KB each")
    for phase, delays in second.noticed.items():
        tell("P1", f"{len(delays)} of 1000 left at the same time, {phase}: {spread(delays)} until the provider knew; promised p99 250 ms")
    tell("P1, P2", f"then {second.cancelled} cancelled in 5 s, and all left: {files} files and {mb[2]} MB")
    tell("P1, P2", f"after another such crowd {mb[3]} MB")
    assert second.rss[2] - first.rss[2] < 20 << 20
    assert first.each < 1 << 20
    assert all(seconds < 10 for delays in second.noticed.values() for seconds in delays)


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
