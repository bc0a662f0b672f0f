"""Who is asked: shares, hedges, and what becomes of a target that is out. Over real sockets; the rules themselves are in tests/routing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from telex.routing.budget import PER_SECOND, REQUESTS
from telex.routing.health import FAILURES
from telex.testing import FAULTS, Play, ScriptedUpstream, Stall, say, status

from .client import ask, connect
from .house import House, gateway

EVERY = pytest.mark.parametrize("stream", [True, False], ids=["streaming", "non-streaming"])


class Two:
    """A model of two targets, each with a provider of its own."""

    def __init__(self, first: ScriptedUpstream, second: ScriptedUpstream, house: House) -> None:
        self.first = first
        self.second = second
        self.house = house

    @property
    def calls(self) -> tuple[int, int]:
        return len(self.first.calls), len(self.second.calls)

    async def ask(self, stream: bool = True, **fields: Any) -> str:
        answer = await ask(self.house.port, stream, model="m", **fields)
        assert answer.status == 200, answer.body
        return answer.text


@asynccontextmanager
async def two(first: Play, second: Play, targets: tuple[dict[str, Any], dict[str, Any]] = ({}, {}), **model: Any) -> AsyncIterator[Two]:
    """`targets`: what each of them has besides; the second is of a higher tier if it does not say otherwise."""
    with ScriptedUpstream(first) as one, ScriptedUpstream(second) as other:
        rows = [{"provider": "up", "model": "a", **targets[0]}, {"provider": "up1", "model": "b", "tier": 2, **targets[1]}]
        async with gateway(one.url, other.url, models={"m": {"targets": rows, **model}}) as house:
            yield Two(one, other, house)


async def test_p8_a_hedge_takes_over_and_the_loser_is_closed(logged: list[dict[str, Any]]) -> None:
    async with two((Stall(),), say("Good"), hedge=0.05) as both:
        assert await both.ask() == "Good"
        assert both.calls == (1, 1)
        await both.first.calls[0].until("left_at")
    [line] = logged
    assert [(each["target"], each["failure"]) for each in line["attempts"]] == [("up1/b", ""), ("up/a", "cancelled")]


async def test_p8_the_first_is_kept_when_it_speaks_before_its_hedge() -> None:
    async with two(say("Good", first=0.2), (Stall(),), hedge=0.05) as both:
        assert await both.ask() == "Good"
        await both.second.calls[0].until("left_at")


@EVERY
async def test_p8_without_being_asked_nobody_hedges(stream: bool) -> None:
    async with two(say("Good", first=0.2), say("Bad")) as both:
        assert await both.ask(stream) == "Good"
        assert both.calls == (1, 0)


async def test_a_target_that_fails_again_and_again_is_passed_over(logged: list[dict[str, Any]]) -> None:
    async with two(status(503), say("Good"), retries=0) as both:
        for _ in range(FAILURES):
            assert await both.ask() == "Good"
        assert both.calls == (FAILURES, FAILURES)
        assert await both.ask() == "Good"
        assert both.calls == (FAILURES, FAILURES + 1)
    passed, answered = logged[-1]["attempts"]
    assert (passed["target"], passed["failure"], answered["target"], answered["failure"]) == ("up/a", "out", "up1/b", "")
    assert passed["why"].endswith("overloaded")


async def test_a_target_that_asks_to_be_left_alone_is(logged: list[dict[str, Any]]) -> None:
    async with two(status(429, headers=[("retry-after", "60")]), say("Good")) as both:
        assert [await both.ask(), await both.ask()] == ["Good", "Good"]
        assert both.calls == (1, 2)


async def test_row69_a_key_that_was_revoked_puts_its_provider_out_and_no_other(logged: list[dict[str, Any]]) -> None:
    async with two(status(401), say("Good")) as both:
        answer = await ask(both.house.port, model="m")
        assert (answer.status, answer.error["code"]) == (502, "upstream_denied"), "the client's own key is good"
        assert [await both.ask(), await both.ask()] == ["Good", "Good"]
        assert both.calls == (1, 2)


@EVERY
async def test_where_nothing_else_is_left_what_is_out_is_asked(stream: bool) -> None:
    with ScriptedUpstream(status(429, headers=[("retry-after", "60")]), say("Good")) as upstream:
        async with gateway(upstream.url) as house:
            assert [(await ask(house.port, stream)).status, (await ask(house.port, stream)).status] == [429, 200]


@pytest.mark.parametrize("phase", ["waiting", "streaming"])
async def test_clients_that_leave_put_nobody_out(phase: str) -> None:
    play = (Stall(),) if phase == "waiting" else FAULTS["row25-stall-mid-stream"]()
    async with two(play, say("Bad")) as both:
        for number in range(2 * FAILURES):
            async with connect(both.house.port) as client:
                client.ask(model="m")
                call = (await both.first.until(number + 1))[number]
                if phase == "streaming":
                    await client.head()
                client.leave()
                await call.until("left_at")
        both.first.play(say("Good"))
        assert await both.ask() == "Good"
        assert len(both.second.calls) == 0


async def test_targets_are_for_their_deliveries() -> None:
    async with two(say("stream"), say("whole"), ({"deliveries": ["stream"]}, {"deliveries": ["complete"]})) as both:
        assert [await both.ask(True), await both.ask(False)] == ["stream", "whole"]


async def test_a_delivery_without_a_target_is_refused() -> None:
    async with two(say("Hi"), say("Hi"), ({"deliveries": ["batch"]}, {"deliveries": ["complete"]})) as both:
        answer = await ask(both.house.port, model="m")
    assert (answer.status, answer.error["message"]) == (400, "'m' has no target for this delivery (stream).")


async def test_prompts_that_begin_alike_go_to_one_target() -> None:
    async with two(say("one"), say("other"), ({}, {"tier": 1}), balance="prefix") as both:
        by_key = [{await both.ask(prompt_cache_key=key) for _ in range(3)} for key in map(str, range(12))]
        assert all(len(texts) == 1 for texts in by_key)
        assert {text for texts in by_key for text in texts} == {"one", "other"}
        systems = [[{"role": "system", "content": f"Be {n}."}, {"role": "user", "content": str(k)}] for n in range(2) for k in range(3)]
        texts = [await both.ask(messages=messages) for messages in systems]
        assert [len(set(texts[:3])), len(set(texts[3:]))] == [1, 1]


async def test_the_one_that_speaks_sooner_is_asked() -> None:
    async with two(say("slow", first=0.3), say("fast"), ({}, {"tier": 1}), balance="least-latency") as both:
        texts = [await both.ask() for _ in range(6)]
        assert sorted(texts[:2]) == ["fast", "slow"], "each is measured once"
        assert texts[2:] == ["fast"] * 4


async def test_p7_retries_have_one_budget() -> None:
    async with two(status(503), status(503)) as both:
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(both.house.port, model="m") for _ in range(100)))
        granted = 100 / REQUESTS + PER_SECOND * (1 + time.monotonic() - began)
        assert {answer.status for answer in answers} == {503}
        assert 0 < sum(both.calls) - 100 <= granted, "each alone would have had three more"
