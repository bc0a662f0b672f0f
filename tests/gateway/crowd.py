"""Many clients at once, at a gateway that is a process of its own: what they cost while they are there, and what stays of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from telex.testing import Beat, Call, Hang, Head, Play, ScriptedUpstream, Send, Stall, say
from telex.testing.answers import SSE

from .client import PATIENT, Client, connect
from .house import Child, serve, unheard

FIRST = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
SLOW: Play = (Head(200, SSE), Send(FIRST), Beat(FIRST, 1.0))
WORDS: Play = say(*["word "] * 20, first=0.01, gap=0.01)

CONFIG = """
[providers.up]
dialect = "openai-chat"
base_url = "{up}"
[providers.hung]
dialect = "openai-chat"
base_url = "{hung}"
[timeouts]
connect = 3600.0
"""
"""Only its client's leaving can end what waits for a connection."""

PHASES: dict[str, tuple[bool, Play]] = {
    "before the first byte": (True, (Stall(),)),
    "mid-stream": (True, SLOW),
    "non-streaming": (False, (Stall(),)),
}
"""Beside connecting: whether the client asks for a stream, and what the provider does when it leaves."""

WORKERS = 20
"""Lanes of those who come and go."""

IDLE = 4 * WORKERS
"""Connections to the provider that may wait for the next call: more than one a lane, since some are opened while another is not yet
free again."""

ODD = 5
"""Files that are no crowd's: a list of models that is asked for, a connection that only one of its ends knows to be closed."""


class Town(Struct):
    """A gateway, a provider behind it, and one to which no connection ever comes about. `files`: those that the gateway has open when
    nobody is there."""

    child: Child
    up: ScriptedUpstream
    hung: ScriptedUpstream
    files: int

    @property
    def empty(self) -> bool:
        """Nothing is open but what was so at first, and connections to the provider that wait for the next call."""
        idle = self.up.open_connections
        return idle <= IDLE and self.child.files <= self.files + idle + ODD


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    with ScriptedUpstream(SLOW) as up, ScriptedUpstream((Hang(),)) as hung:
        async with serve(folder, CONFIG.format(up=up.url, hung=hung.url)) as child, unheard(child):
            yield Town(child, up, hung, child.files)


class Visit(Struct):
    """Of a crowd that came and went. `rss`: bytes of memory of the gateway before, while all were there, and afterwards. `files`: while
    all were there. `noticed`: seconds between a client's leaving and its provider's noticing, by phase."""

    count: int
    rss: tuple[int, int, int]
    files: int
    noticed: dict[str, list[float]]
    cancelled: int

    @property
    def each(self) -> float:
        """Bytes of memory that an open stream took."""
        return (self.rss[1] - self.rss[0]) / self.count


async def visit(town: Town, count: int, seconds: float, seed: int = 1) -> Visit:
    """`count` slow streams, open at the same time; in the midst of them as many clients that leave, a quarter in each phase, and `seconds`
    of such as come and go. Then all leave."""
    child = town.child
    before = child.rss
    town.up.play(SLOW)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(child.port)) for _ in range(count)]
        await asyncio.gather(*(first_event(client) for client in clients))
        during, files = child.rss, child.files
        noticed = {"connecting": await leave_connecting(town, count // 4)}
        for phase in PHASES:
            noticed[phase] = await leave(town, count // 4, phase)
        cancelled = await churn(town, seconds, seed)
        await asyncio.gather(*(next_event(client) for client in clients))  # nobody lost a stream over it
    await town.up.until(lambda: all(call.finished or call.left_at for call in town.up.calls))
    await eventually(lambda: town.empty)
    return Visit(count, (before, during, child.rss), files, noticed, cancelled)


async def first_event(client: Client) -> None:
    client.ask()
    await client.head()
    await next_event(client)


async def next_event(client: Client) -> None:
    assert await client.event() == FIRST


async def leave(town: Town, count: int, phase: str) -> list[float]:
    """Clients that leave all at once."""
    stream, play = PHASES[phase]
    town.up.play(play)
    before = len(town.up.calls)
    began = dict[int, float]()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(town.child.port)) for _ in range(count)]
        for number, client in enumerate(clients):
            client.ask(stream, user=str(number))
        calls: list[Call] = (await town.up.until(before + count))[before:]
        if phase == "mid-stream":
            await asyncio.gather(*(client.head() for client in clients))
        for number, client in enumerate(clients):
            began[number] = time.monotonic()
            client.reset()
        return [await call.until("left_at") - began[int(call.json["user"])] for call in calls]


async def leave_connecting(town: Town, count: int) -> list[float]:
    """The same; when the last attempt to connect is given up, the gateway has two files less for each."""
    others = connecting(town.hung.port)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(town.child.port)) for _ in range(count)]
        for client in clients:
            client.ask(model="hung/m")
        await eventually(lambda: connecting(town.hung.port) == others + count)
        began, files = time.monotonic(), town.child.files
        for client in clients:
            client.reset()
        await eventually(lambda: town.child.files <= files - 2 * count + ODD)
        return [time.monotonic() - began] * count


def connecting(port: int) -> int:
    """Connections of this machine to a loopback port that wait to come about."""
    peer = f" 0100007F:{port:04X} 02 "
    return sum(peer in line for line in Path("/proc/net/tcp").read_text().splitlines())


async def churn(town: Town, seconds: float, seed: int) -> int:
    """How many were cancelled in that time; the others had their answer."""
    town.up.play(WORDS)
    end, cancelled = time.monotonic() + seconds, 0

    async def come_and_go(coin: random.Random) -> None:
        nonlocal cancelled
        while time.monotonic() < end:
            async with connect(town.child.port) as client:
                client.ask()
                try:
                    async with asyncio.timeout(coin.uniform(0, 0.3)):
                        assert (await client.answer()).done
                except TimeoutError:
                    cancelled += 1

    await asyncio.gather(*(come_and_go(random.Random(seed + n)) for n in range(WORKERS)))
    return cancelled


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(PATIENT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
