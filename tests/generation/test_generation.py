"""One generation without a gateway: its beginning, its end, and being stopped between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from telex.config import Config
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.testing import FAULTS, ScriptedUpstream, Stall, say

PATIENT = 30.0


@asynccontextmanager
async def begun(upstream: ScriptedUpstream, stream: bool = True, **model: Any) -> AsyncIterator[tuple[Generation, list[Generation]]]:
    """A generation that has not started, and those of its engine that ended."""
    target = {"provider": "up", "model": "scripted"}
    tables = {"providers": {"up": {"dialect": "openai-chat", "base_url": upstream.url}}, "models": {"m": {"targets": [target], **model}}}
    ended: list[Generation] = []
    engine = Engine(msgspec.convert(tables, Config), ended.append)
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": stream})
    request = DIALECTS["openai-chat"].decode_request(body)
    assert isinstance(request, Request)
    generation = await engine.begin(new_id(), request)
    assert isinstance(generation, Generation)
    try:
        yield generation, ended
    finally:
        await engine.stop()


async def finished(generation: Generation) -> None:
    async with asyncio.timeout(PATIENT):
        await generation.finished()
    assert generation.ended


@pytest.mark.parametrize("stream", [True, False])
async def test_it_ends_once_and_complete(stream: bool) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with begun(upstream, stream) as (generation, ended):
            generation.start()
            await finished(generation)
            generation.stop()
            assert (generation.ending, generation.failure, generation.committed, ended) == ("complete", None, True, [generation])
            assert b"Hi" in generation.join().take()


def at_once(generation: Generation) -> None:
    generation.stop()


def a_little_later(generation: Generation) -> None:
    asyncio.get_running_loop().call_soon(generation.stop)


@pytest.mark.parametrize("when", [at_once, a_little_later])
async def test_stopped_before_it_ran_it_still_ends(when: Callable[[Generation], None]) -> None:
    with ScriptedUpstream((Stall(),)) as upstream:
        async with begun(upstream) as (generation, ended):
            generation.start()
            when(generation)
            await finished(generation)
            assert (generation.ending, ended) == ("cancelled", [generation])


async def test_stopped_it_says_why() -> None:
    with ScriptedUpstream((Stall(),)) as upstream:
        async with begun(upstream) as (generation, _):
            generation.start()
            [call] = await upstream.until(1)
            generation.stop(Failure("truncated", "It was enough."))
            await finished(generation)
            assert (generation.ending, generation.join().take()) == ("truncated", DIALECTS["openai-chat"].Encoder().feed(enough())[0])
            await call.until("left_at")


def enough() -> Failure:
    return Failure("truncated", "It was enough.")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_mistake_of_ours_is_an_ending_too(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> bytes:
        raise RuntimeError("secret")

    monkeypatch.setattr("telex.generation.generation.Generation._make_attempt", broken)
    with ScriptedUpstream() as upstream:
        async with begun(upstream, stream) as (generation, _):
            generation.start()
            await finished(generation)
            assert generation.failure
            assert (generation.failure.kind, isinstance(generation.bug, RuntimeError)) == ("internal", True)
            assert b"secret" not in generation.join().take()


@pytest.mark.parametrize("where", ["telex.generation.output.StreamOutput.frame", "telex.metering.meter.Meter.feed"])
async def test_a_mistake_of_ours_in_a_callback_is_an_ending_too(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the event loop calls has nobody above it who could catch."""

    def broken(*arguments: object) -> bytes:
        raise RuntimeError("secret")

    monkeypatch.setattr(where, broken)
    with ScriptedUpstream() as upstream:
        async with begun(upstream) as (generation, _):
            generation.start()
            await finished(generation)
            assert generation.failure
            assert (generation.failure.kind, isinstance(generation.bug, RuntimeError)) == ("internal", True)
            await upstream.until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("cut", [1, 3])
async def test_a_time_limit_shorter_than_those_before_it_is_kept(cut: int) -> None:
    """`idle` counts from the last byte, whatever longer limit was waited for when it began."""
    with ScriptedUpstream(FAULTS["row25-stall-mid-stream"](after=cut)) as upstream:
        async with begun(upstream, retries=0, timeouts={"idle": 0.1, "first_byte": 3600.0}) as (generation, _):
            generation.start()
            await finished(generation)
            assert generation.failure
            assert (generation.failure.kind, generation.failure.code) == ("timeout", "idle")
