"""Who reads a generation, and what becomes of it when nobody does, by a clock that is not the real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from telex.config import Config, OnDisconnect
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog

from .simulation import STREAM, Answer, Net, Provider, Push, generation_number, run_virtually

HOLD = 20.0
FRAME = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'


class Talker(Provider):
    """One frame a second, for a long time."""

    def answer(self, stream: bool, name: str) -> Answer:
        return Answer("good", 0.0, 0.0, 200, STREAM, [Push(1.0, FRAME)] * 1000)


def virtually(policy: OnDisconnect, story: Callable[[Generation, Net], Awaitable[None]]) -> None:
    async def world() -> None:
        net = Net({"up": Talker(random.Random(1), "openai-chat", {})})
        generation_number.set(0)
        net.streams[0] = True
        model = {"targets": [{"provider": "up", "model": "m"}], "on_disconnect": policy, "hold": HOLD}
        row = {"dialect": "openai-chat", "base_url": "http://up"}
        engine = Engine(msgspec.convert({"providers": {"up": row}, "models": {"m": model}}, Config), pool=net)
        body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True})
        request = DIALECTS["openai-chat"].decode_request(body)
        assert isinstance(request, Request)
        generation = await engine.begin(new_id(), request)
        assert isinstance(generation, Generation)
        await story(generation, net)
        generation.stop()
        await generation.finished()
        assert not any(wire.open for wire in net.wires)

    run_virtually(world())


def test_row33_held_it_waits_so_long_and_no_longer() -> None:
    async def story(generation: Generation, net: Net) -> None:
        reader = generation.join()
        generation.start()
        await asyncio.sleep(5)
        generation.leave(reader)
        await asyncio.sleep(HOLD - 0.5)
        assert not generation.ended
        await asyncio.sleep(1)
        assert (generation.ended, generation.ending) == (True, "cancelled")

    virtually("hold", story)


def test_row33_who_comes_back_in_time_keeps_it_and_leaving_again_begins_the_wait_again() -> None:
    async def story(generation: Generation, net: Net) -> None:
        first = generation.join()
        generation.start()
        await asyncio.sleep(5)
        generation.leave(first)
        generation.leave(first)
        await asyncio.sleep(HOLD - 1)
        second = generation.join(after=2)
        await asyncio.sleep(10 * HOLD)
        assert not generation.ended
        third = generation.join()
        generation.leave(second)
        await asyncio.sleep(2 * HOLD)
        assert not generation.ended, "one of two is still there"
        generation.leave(third)
        await asyncio.sleep(HOLD - 1)
        assert not generation.ended
        await asyncio.sleep(2)
        assert generation.ending == "cancelled"
        assert generation.failure is not None

    virtually("hold", story)


def test_row33_finishing_it_needs_nobody() -> None:
    async def story(generation: Generation, net: Net) -> None:
        reader = generation.join()
        generation.start()
        await asyncio.sleep(5)
        generation.leave(reader)
        await asyncio.sleep(20 * HOLD)
        assert not generation.ended
        assert isinstance(generation.log, KeptLog)
        late = generation.join(after=3)
        said = b""
        while data := late.take():
            said += data
        assert said.count(FRAME) == len(generation.log.entries) - 3

    virtually("finish", story)


def test_row33_cancelled_it_ends_at_once() -> None:
    async def story(generation: Generation, net: Net) -> None:
        reader = generation.join()
        generation.start()
        await asyncio.sleep(5)
        assert [wire.open for wire in net.wires] == [True]
        generation.leave(reader)
        await asyncio.sleep(0)
        assert [wire.open for wire in net.wires] == [False]
        await generation.finished()
        assert generation.ending == "cancelled"

    virtually("cancel", story)


@pytest.mark.parametrize("policy", ["hold", "finish"])
def test_row34_nobody_who_does_not_read_holds_the_provider_up(policy: OnDisconnect) -> None:
    async def story(generation: Generation, net: Net) -> None:
        generation.join()
        generation.start()
        await asyncio.sleep(500.5)
        assert isinstance(generation.log, KeptLog)
        assert len(generation.log.entries) == 500
        assert not net.wires[0]._paused

    virtually(policy, story)


def test_it_ends_while_it_is_held_and_nothing_is_left_behind() -> None:
    async def story(generation: Generation, net: Net) -> None:
        reader = generation.join()
        generation.start()
        await asyncio.sleep(5)
        generation.leave(reader)
        generation.stop()
        await generation.finished()
        failure = generation.failure
        await asyncio.sleep(2 * HOLD)
        assert generation.failure is failure
        late = generation.join()
        generation.leave(late)

    virtually("hold", story)
