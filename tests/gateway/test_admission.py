"""More than there is room for: turns, refusals at once, and a gateway that is as well as before once it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from client.colours import eventually
from telex.testing import Play, ScriptedUpstream, Stall, say

from .client import PATIENT, Answer, Client, ask, chat, connect, request, send
from .house import House, gateway
from .keyed import keyed, make_key

AT_ONCE = 0.5
"""Seconds for what takes a millisecond."""

LEAVING: dict[str, Callable[[Client], None]] = {"fin": Client.leave, "half-close": Client.half_close, "rst": Client.reset}
EVERY = pytest.mark.parametrize("stream", [True, False], ids=["streaming", "non-streaming"])


class Full:
    """A gateway whose places are all taken by clients whose provider says nothing. `free` lets one of them go."""

    def __init__(self, house: House, upstream: ScriptedUpstream, stack: AsyncExitStack) -> None:
        self.house = house
        self.upstream = upstream
        self._stack = stack
        self._holders: list[Client] = []
        self._freed = 0
        self._tokens: dict[str, str] = {}

    @property
    def waiting(self) -> int:
        return self.house.process.gateway.admission.waiting

    @property
    def running(self) -> int:
        return self.house.process.gateway.admission.running

    async def fill(self, places: int) -> None:
        for number in range(places):
            client = await self.connect()
            client.send(await self.request_of("holder"))
            await self.upstream.until(number + 1)
            self._holders.append(client)

    async def connect(self) -> Client:
        return await self._stack.enter_async_context(connect(self.house.port))

    def free(self) -> None:
        self._freed += 1
        self._holders.pop().leave()

    async def line(self, *clients: str, stream: bool = True) -> list[asyncio.Task[Answer]]:
        """Requests by these names, each waiting before the next comes."""
        tasks = []
        for name in clients:
            before = self.waiting
            tasks.append(asyncio.create_task(self.ask_as(name, stream)))
            await eventually(lambda before=before: self.waiting > before)  # type: ignore[misc]
        return tasks

    async def ask_as(self, owner: str, stream: bool = True) -> Answer:
        return await send(self.house.port, await self.request_of(owner, stream))

    async def request_of(self, owner: str, stream: bool = True) -> bytes:
        """With a key of its own for each."""
        if owner not in self._tokens:
            self._tokens[owner] = await make_key(self.house.process.store, owner, admin=True)
        return request(chat(stream, user=owner), headers=self.key_of(owner))

    def key_of(self, owner: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens[owner]}"}

    def asked(self) -> list[str]:
        """Who was served, in order, since all places were taken."""
        return [call.json["user"] for call in self.upstream.calls[len(self._holders) + self._freed :]]


@asynccontextmanager
async def full(places: int = 1, answer: Play | None = None, **server: Any) -> AsyncIterator[Full]:
    with ScriptedUpstream(*[(Stall(),)] * places, answer or say("Hi")) as upstream, TemporaryDirectory() as folder:
        house_of = keyed(Path(folder), upstream.url, server={"concurrent": places, **server})
        async with house_of as house, AsyncExitStack() as stack:
            fixture = Full(house, upstream, stack)
            await fixture.fill(places)
            yield fixture


async def served(tasks: list[asyncio.Task[Answer]]) -> list[Answer]:
    async with asyncio.timeout(PATIENT):
        return await asyncio.gather(*tasks)


@EVERY
async def test_who_finds_no_place_waits_for_one(stream: bool, logged: list[dict[str, Any]]) -> None:
    async with full() as crowd:
        [task] = await crowd.line("a", stream=stream)
        began = time.monotonic()
        await asyncio.sleep(0.1)
        assert len(crowd.upstream.calls) == 1, "nobody asks a provider before its turn"
        crowd.free()
        [answer] = await served([task])
        waited = time.monotonic() - began
    assert (answer.status, answer.text) == (200, "Hi")
    line = next(line for line in logged if line["ending"] == "complete")
    assert 0.1 <= line["queue"] <= waited + 1
    assert line["ttft"] >= line["queue"], "it is a part of what the client waits for"
    if not stream:
        timing = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
        assert float(timing["queue"]) == pytest.approx(line["queue"] * 1000, abs=0.1)


async def test_owners_take_turns_and_each_ones_requests_keep_their_order() -> None:
    async with full() as crowd:
        tasks = await crowd.line("flood", "flood", "flood", "a", "b")
        crowd.free()
        await served(tasks)
        assert crowd.asked() == ["flood", "a", "b", "flood", "flood"]


@EVERY
async def test_row62_who_waits_too_long_is_told_to_come_back(stream: bool, logged: list[dict[str, Any]]) -> None:
    async with full(queue_seconds=0.2) as crowd:
        answer = await crowd.ask_as("a", stream)
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "server_busy", "1")
        assert "x-should-retry" not in answer.headers, "in a moment it may well be better"
        assert (crowd.waiting, len(crowd.upstream.calls)) == (0, 1)
    [line] = [line for line in logged if line["failure"] == "busy"]
    assert line["queue"] >= 0.2


async def test_the_time_for_everything_runs_while_it_waits() -> None:
    async with full(queue_seconds=3600) as crowd:
        fast = request(chat(), headers={"telex-timeouts": "total=0.2", **crowd.key_of("holder")})
        answer = await send(crowd.house.port, fast)
        assert (answer.status, crowd.waiting) == (503, 0)


@EVERY
async def test_row62_a_full_line_refuses_at_once(stream: bool) -> None:
    async with full(queue=2, queue_seconds=3600) as crowd:
        waiting = await crowd.line("a", "a")
        for _ in range(20):
            began = time.monotonic()
            answer = await crowd.ask_as("a", stream)
            assert time.monotonic() - began < AT_ONCE
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert answer.error["message"] == "Too many of your requests wait already: 2 may (server.queue)."
        crowd.free()
        assert [answer.status for answer in await served(waiting)] == [200, 200]
        assert len(crowd.upstream.calls) == 3


async def test_row63_a_flood_is_its_owners_own_problem() -> None:
    async with full(queue=3, queue_seconds=3600, answer=say("Hi", gap=0.02)) as crowd:
        flood = await crowd.line("flood", "flood", "flood")
        beyond = [await crowd.ask_as("flood") for _ in range(10)]
        assert {answer.status for answer in beyond} == {429}
        others = await crowd.line("a", "b")
        crowd.free()
        assert {answer.status for answer in await served([*flood, *others])} == {200}
        assert crowd.asked()[:3] == ["flood", "a", "b"], "each waits for one turn of the flood"


@pytest.mark.parametrize("how", LEAVING)
@EVERY
async def test_row31_a_client_that_leaves_while_it_waits_leaves_the_line(how: str, stream: bool, logged: list[dict[str, Any]]) -> None:
    async with full(queue_seconds=3600) as crowd:
        client = await crowd.connect()
        client.send(await crowd.request_of("leaver", stream))
        await eventually(lambda: crowd.waiting == 1)
        LEAVING[how](client)
        await eventually(lambda: crowd.waiting == 0)
        [task] = await crowd.line("next")
        crowd.free()
        assert (await served([task]))[0].status == 200
        assert len(crowd.upstream.calls) == 2, "nobody was asked for who left"
    assert [line["ending"] for line in logged].count("cancelled") == 2  # and the one that held the place


async def test_nobody_is_lost_between_leaving_and_being_called() -> None:
    """Half of a crowd leaves while places become free: the others are all served, and no place is gone."""
    async with full(places=2, queue_seconds=3600, answer=say("Hi", gap=0.01)) as crowd:
        leavers = [await crowd.connect() for _ in range(20)]
        for leaver in leavers:
            leaver.send(await crowd.request_of("leaver"))
        tasks = [asyncio.create_task(crowd.ask_as(str(number))) for number in range(20)]
        await eventually(lambda: crowd.waiting == 40)
        crowd.free()
        crowd.free()
        for number, leaver in enumerate(leavers):
            LEAVING[[*LEAVING][number % 3]](leaver)
            await asyncio.sleep(0.002)
        assert {answer.status for answer in await served(tasks)} == {200}
        await eventually(lambda: crowd.running == 0)
        assert crowd.waiting == 0


async def test_one_that_waits_is_shown_as_queued_and_can_be_cancelled() -> None:
    async with full(queue_seconds=3600) as crowd:
        [task] = await crowd.line("a", stream=False)
        id = next(generation.id for generation in crowd.house.process.gateway.running if not generation.begun)
        record = await send(crowd.house.port, request(method="GET", path=f"/v1/generations/{id}", headers=crowd.key_of("a")))
        assert record.json["status"] == "queued"
        cancelled = await send(crowd.house.port, request(method="POST", path=f"/v1/generations/{id}/cancel", headers=crowd.key_of("a")))
        assert cancelled.json["status"] == "cancelled"
        [answer] = await served([task])
        assert (answer.status, crowd.waiting, crowd.running) == (499, 0, 1)
        assert len(crowd.upstream.calls) == 1


async def test_a_gateway_that_ends_lets_nobody_wait() -> None:
    async with full(queue_seconds=3600) as crowd:
        tasks = await crowd.line("a", "b")
        crowd.house.process.stop()
        for answer in await served(tasks):
            assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "shutting_down", "1")
            assert "x-should-retry" not in answer.headers
        assert crowd.upstream.calls[0].left_at is None, "what runs goes on"
        crowd.house.process.stop()
        async with asyncio.timeout(PATIENT):
            await crowd.house.serving


async def test_p14_five_times_too_much_harms_nobody_who_is_let_in() -> None:
    """Places for 10 answers of a tenth of a second, and 500 requests a second; then as before."""
    places, rate, seconds = 10, 500, 2.0
    with ScriptedUpstream(say("Hi", first=0.1)) as upstream:
        async with gateway(upstream.url, server={"concurrent": places, "queue": 2}) as house:
            tasks, began, most = [], time.monotonic(), 0
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                tasks.append(asyncio.create_task(ask(house.port)))
                most = max(most, house.process.gateway.admission.running)
            answers = await served(tasks)
            assert 0 < most <= places
            accepted = [answer for answer in answers if answer.status == 200]
            assert {answer.status for answer in answers} == {200, 429}
            assert all("retry-after" in answer.headers for answer in answers if answer.status == 429)
            assert all(answer.text == "Hi" for answer in accepted)
            assert len(upstream.calls) == len(accepted), "what was refused cost nothing"
            assert (await ask(house.port)).status == 200
