"""P14 on a machine that has time: five times as many requests as a gateway has places for, whether anybody waits for them or not."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.client import connect
from gateway.house import serve
from telex.metering.meter import quantile
from telex.testing import ScriptedUpstream, say

from .telling import SEED, spread, tell

pytestmark = pytest.mark.soak

PLACES, LINE = 20, 2
FIRST, GAP, MOST = 0.1, 0.02, 11
"""Seconds of the provider, and words that it says at most: so one place serves five a second."""

CAPACITY = PLACES / (FIRST + GAP * (MOST - 1) / 2)
TIMES, SECONDS = 5, 10.0


class Asked(NamedTuple):
    """`seconds`: to the first content, or to the refusal."""

    status: int
    seconds: float
    retry_after: str


async def ask(port: int) -> Asked:
    began = time.monotonic()
    async with connect(port) as client:
        client.ask()
        status, headers = await client.head()
        await client.event()
        seconds = time.monotonic() - began
        while await client.piece():
            pass
    return Asked(status, seconds, headers.get("retry-after", ""))


async def storm(port: int, rate: float, seconds: float) -> list[Asked]:
    """An open loop: each comes at its time, whatever became of those before."""
    began, tasks = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(ask(port)))
    return await asyncio.gather(*tasks)


@asynccontextmanager
async def emptied(pipe: asyncio.StreamReader | None) -> AsyncIterator[None]:
    """A log that nobody reads would stop who writes it."""
    assert pipe is not None
    task = asyncio.create_task(pipe.read())
    try:
        yield
    finally:
        task.cancel()


async def recover(port: int, bound: float) -> float:
    """Seconds until one is served as if nothing had been."""
    began = time.monotonic()
    while True:
        asked = await ask(port)
        if asked.status == 200 and asked.seconds <= bound:
            return time.monotonic() - began


async def test_p14_five_times_too_much(tmp_path: Path) -> None:
    coin = random.Random(SEED)
    with ScriptedUpstream(lambda call: say(*["word "] * coin.randint(1, MOST), first=FIRST, gap=GAP)) as upstream:
        tables = f'[server]\nconcurrent = {PLACES}\nqueue = {LINE}\n[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        async with serve(tmp_path, tables) as child, emptied(child.process.stderr):
            alone = sorted(asked.seconds for asked in [await ask(child.port) for _ in range(100)])
            unloaded = quantile(alone, 0.99) or 0.0
            before = child.rss
            asked = await storm(child.port, TIMES * CAPACITY, SECONDS)
            grown = child.rss - before
            recovery = await recover(child.port, 2 * unloaded)
    served = [one.seconds for one in asked if one.status == 200]
    refused = [one.seconds for one in asked if one.status != 200]
    tell(
        "P14",
        f"{len(asked)} requests in {SECONDS:g} s where {CAPACITY * SECONDS:.0f} fit: {len(served)} served, TTFT {spread(served)} "
        f"(unloaded {spread(alone)}; promised twice that); {len(refused)} refused in {spread(refused)} (promised p99 50 ms); "
        f"recovered in {recovery:.2f} s (promised 5 s); grown by {grown / 1e6:.1f} MB",
    )
    assert {one.status for one in asked} == {200, 429}
    assert all(one.retry_after for one in asked if one.status == 429)
    assert len(served) > 0.5 * CAPACITY * SECONDS
    assert (quantile(sorted(refused), 0.99) or 0) < 0.5
    assert (quantile(sorted(served), 0.99) or 0) < 20 * unloaded
    assert recovery < 50
