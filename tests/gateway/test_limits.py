"""Requests and tokens a minute and requests at once, of keys, models and targets: who is refused, what it is told, and that nothing leaks.

The arithmetic of a minute is in tests/limits; here is what a client sees of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.colours import COLOURS, PLACES, Colour, Place, asked, read
from telex import RateLimited
from telex.core.messages import Usage
from telex.limits.table import Holder, Limits
from telex.stores.ports import StoreError
from telex.testing import FAULTS, Play, ScriptedUpstream, Stall, say, status

from .client import Answer, ask, chat, connect, request, send
from .complaints import told
from .house import House, gateway
from .keyed import keyed, make_key
from .speech import CLIENTS, asks

SHORT = dict.fromkeys(("connect", "first_byte", "first_content", "content_idle", "idle", "total"), 0.2)
each_client = pytest.mark.parametrize("client", CLIENTS)
EVERY = pytest.mark.parametrize("stream", [True, False], ids=["streaming", "non-streaming"])


@asynccontextmanager
async def limited(*plays: Play, targets: int = 1, timeouts: Any = None, **limits: Any) -> AsyncIterator[tuple[House, ScriptedUpstream]]:
    """A model `m` with these limits, over targets `t0`, `t1`, … of one provider; `target`: the limits of each of them."""
    each = limits.pop("target", {})
    rows = [{"provider": "up", "model": f"t{number}", "tier": number + 1, **each} for number in range(targets)]
    with ScriptedUpstream(*plays) as upstream:
        models = {"m": {"targets": rows, "retries": 0, "timeouts": timeouts or {}, **limits}}
        async with gateway(upstream.url, models=models) as house:
            yield house, upstream


def refused(answer: Answer, *words: str, wait: int | None) -> None:
    """`wait`: the seconds after which it may come again."""
    assert answer.status == 429, answer.body
    assert all(word in answer.error["message"] for word in words), answer.error["message"]
    assert answer.error["code"] == "rate_limit_exceeded"
    assert answer.headers.get("retry-after") == (str(wait) if wait is not None else None)
    assert answer.headers.get("x-should-retry") == (None if wait is not None else "false")


@EVERY
async def test_requests_a_minute_of_a_model(stream: bool, logged: list[dict[str, Any]]) -> None:
    async with limited(rpm=2) as (house, upstream):
        answers = [await ask(house.port, stream, model="m") for _ in range(3)]
        assert len(upstream.calls) == 2
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused(answers[2], "the model 'm'", "rpm = 2 (requests a minute)", wait=60)
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"rpm";q=2;w=60'] * 3
    assert [answer.headers["ratelimit"] for answer in answers] == ['"rpm";r=1;t=60', '"rpm";r=0;t=60', '"rpm";r=0;t=60']
    assert [(line["ending"], line["failure"]) for line in logged] == [("complete", None)] * 2 + [("rate_limited", "limited")]


async def test_without_limits_nothing_is_said_of_them() -> None:
    async with limited() as (house, _):
        headers = (await ask(house.port, model="m")).headers
    assert not {"ratelimit", "ratelimit-policy"} & headers.keys()


@each_client
@EVERY
async def test_each_dialect_says_it_as_its_sdk_reads_it(client: str, stream: bool) -> None:
    async with limited(rpm=1) as (house, _):
        path, body, headers = asks(client, "m", stream)
        answers = [await send(house.port, request(json.dumps(body).encode(), path=path, headers=headers)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "60"
    assert "the model 'm' has the limit rpm = 1" in told(client, answers[1].json).message


@EVERY
async def test_requests_at_once(stream: bool) -> None:
    async with limited((Stall(),), say("Hi"), concurrent=1) as (house, upstream):
        async with connect(house.port) as first:
            first.ask(stream, model="m")
            [call] = await upstream.until(1)
            answer = await ask(house.port, stream, model="m")
            refused(answer, "concurrent = 1 (requests at once)", wait=1)
            assert answer.headers["ratelimit-policy"] == '"concurrent";q=1;qu="concurrent-requests"'
            assert answer.headers["ratelimit"] == '"concurrent";r=0'
            first.leave()
            await call.until("left_at")
        assert (await ask(house.port, stream, model="m")).status == 200


@EVERY
async def test_tokens_are_reserved_and_set_right(stream: bool) -> None:
    """Each asks for nearly all of a minute's tokens and uses seven."""
    async with limited(say("Hi", usage=Usage(5, 2)), tpm=1000) as (house, _):
        answers = [await ask(house.port, stream, model="m", max_tokens=900) for _ in range(4)]
        assert [answer.status for answer in answers] == [200] * 4
        left = [int(answer.headers["ratelimit"].split("r=")[1].split(";")[0]) for answer in answers]
        assert answers[0].headers["ratelimit-policy"] == '"tpm";q=1000;w=60;qu="tokens"'
        assert stream or left == [993, 986, 979, 972]  # a stream's headers may come before its usage


async def test_tokens_that_run_are_not_there_for_others() -> None:
    async with limited((Stall(),), tpm=1000) as (house, upstream), connect(house.port) as first:
        first.ask(model="m", max_tokens=900)
        await upstream.until(1)
        refused(await ask(house.port, model="m", max_tokens=900), "tpm = 1000 (tokens a minute)", wait=60)
        assert len(upstream.calls) == 1


@EVERY
async def test_a_request_larger_than_the_limit_is_told_that_it_never_fits(stream: bool) -> None:
    async with limited(tpm=1000) as (house, upstream):
        answer = await ask(house.port, stream, model="m", max_tokens=2000)
        refused(answer, "needs 2003 tokens", "it will never fit", wait=None)
        assert not upstream.calls


# ---- keys


async def test_a_key_has_its_own_and_the_tightest_is_told(tmp_path: Path) -> None:
    models = {"m": {"targets": [{"provider": "up", "model": "t"}], "rpm": 10}}
    with ScriptedUpstream() as upstream:
        async with keyed(tmp_path, upstream.url, models=models) as house:
            alice, bob = await make_key(house.process.store, "alice", rpm=1), await make_key(house.process.store, "bob")
            asked = [request(chat(model="m"), headers={"authorization": f"Bearer {token}"}) for token in (alice, alice, bob, bob)]
            answers = [await send(house.port, each) for each in asked]
        assert len(upstream.calls) == 3
    assert [answer.status for answer in answers] == [200, 429, 200, 200]
    refused(answers[1], "the key 'alice'", wait=60)
    assert [answer.headers["ratelimit-policy"][:9] for answer in answers] == ['"rpm";q=1'] * 4
    assert [answer.headers["ratelimit"] for answer in answers] == [f'"rpm";r={left};t=60' for left in (0, 0, 8, 7)]


# ---- targets


@EVERY
async def test_a_target_at_its_limit_is_passed_over(stream: bool, logged: list[dict[str, Any]]) -> None:
    async with limited((Stall(),), say("Hi"), targets=2, target={"concurrent": 1}) as (house, upstream), connect(house.port) as first:
        first.ask(stream, model="m")
        await upstream.until(1)
        assert (await ask(house.port, stream, model="m")).status == 200
        assert [call.json["model"] for call in upstream.calls] == ["t0", "t1"]
    passed, answered = logged[0]["attempts"]
    assert (passed["target"], passed["failure"], answered["target"], answered["failure"]) == ("up/t0", "limited", "up/t1", "")


@EVERY
async def test_where_all_targets_are_at_their_limits_nobody_is_called(stream: bool) -> None:
    async with limited(say("Hi"), targets=2, target={"rpm": 1}, rpm=10) as (house, upstream):
        answers = [await ask(house.port, stream, model="m") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        refused(answers[2], "the target 'up/t0'", wait=60)
        assert len(upstream.calls) == 2
        assert '"rpm";r=8' in (await ask(house.port, stream, model="m")).headers["ratelimit"], "what was not asked does not count"


async def test_a_target_at_its_limit_costs_no_retries_and_is_not_out() -> None:
    async with limited(say("Hi"), targets=2, target={"rpm": 1}) as (house, _):
        for _ in range(20):
            await ask(house.port, model="m")
        traffic = house.process.engine.traffic
        assert not any(row.failures for row in traffic.health._rows.values())
        assert (traffic.budget._saved, traffic.health.running) == (20, 0)


async def test_one_that_was_asked_and_failed_is_told_rather_than_a_limit() -> None:
    async with limited(status(503), targets=2, target={"rpm": 1}) as (house, upstream):
        assert [(await ask(house.port, model="m")).status for _ in range(2)] == [503, 429]
        assert len(upstream.calls) == 2


# ---- nothing leaks


@pytest.mark.parametrize("fault", FAULTS)
@EVERY
async def test_whatever_ends_it_its_place_is_free_again(fault: str, stream: bool) -> None:
    async with limited(FAULTS[fault](), timeouts=SHORT, concurrent=1, target={"concurrent": 1}) as (house, _):
        for _ in range(2):
            answer = await ask(house.port, stream, model="m")
            assert b"the limit" not in answer.body
        assert house.process.engine.traffic.limits.running == 0


@pytest.mark.parametrize("how", ["leave", "reset", "half_close"])
@EVERY
async def test_a_client_that_leaves_frees_its_place(how: str, stream: bool) -> None:
    async with limited((Stall(),), concurrent=1, target={"concurrent": 1}) as (house, upstream):
        for number in range(3):
            async with connect(house.port) as client:
                client.ask(stream, model="m")
                call = (await upstream.until(number + 1))[number]
                getattr(client, how)()
                await call.until("left_at")


# ---- in the library


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("place", PLACES)
async def test_the_library_keeps_the_limits_of_models_and_targets(colour: Colour, place: Place) -> None:
    target = {"provider": "up", "model": "t", "rpm": 2}
    async with asked(colour, place, say("Hi"), models={"m": {"targets": [target]}, "n": {"targets": [target], "rpm": 1}}) as (
        llm,
        upstream,
    ):
        assert (await llm.generate("?", model="n")).text == "Hi"
        with pytest.raises(RateLimited, match="the model 'n' has the limit rpm = 1") as caught:
            await llm.generate("?", model="n")
        assert 50 < (caught.value.retry_after or 0) <= 60
        async with llm.stream("?", model="m") as stream:
            assert await read(stream) == ["Hi"]
        with pytest.raises(RateLimited, match="the target 'up/t' has the limit rpm = 2"):
            await llm.generate("?", model="m")
        assert len(upstream.calls) == 2


# ---- a new process


async def test_limits_outlive_the_process(tmp_path: Path) -> None:
    """A key's limit of one request a minute is still used up, and so is what was used of a model's tokens."""
    with ScriptedUpstream(say("Hi")) as upstream:
        models = {"m": {"targets": [{"provider": "up", "model": "t"}], "tpm": 100_000}}
        async with keyed(tmp_path, upstream.url, models=models) as house:
            token = await make_key(house.process.store, "anna", rpm=1)
            headers = {"authorization": f"Bearer {token}"}
            assert (await send(house.port, request(chat(model="m"), headers=headers))).status == 200
        async with keyed(tmp_path, upstream.url, models=models) as house:
            answer = await send(house.port, request(chat(model="m"), headers=headers))
            assert (answer.status, "the key 'anna'" in answer.error["message"]) == (429, True)
            [left] = house.process.engine.traffic.quotas([Holder("model", "m", Limits(tpm=100_000))], asyncio.get_running_loop().time())
            assert 99_000 < left.left < 100_000
    assert len(upstream.calls) == 1


async def test_a_store_that_fails_stops_nobody(tmp_path: Path, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> Any:
        future: Future[None] = Future()
        future.set_exception(StoreError("The disk is full."))
        return future

    monkeypatch.setattr("telex.stores.sqlite.counters.SqliteCounters.load", broken)
    monkeypatch.setattr("telex.stores.sqlite.counters.SqliteCounters.save", broken)
    with ScriptedUpstream(say("Hi")) as upstream:
        async with keyed(tmp_path, upstream.url) as house:
            headers = {"authorization": f"Bearer {await make_key(house.process.store, 'anna', rpm=2)}"}
            assert (await send(house.port, request(chat(model="up/t"), headers=headers))).status == 200
    said = {name for line in logged if line["event"] == "limits" for name in line.keys() & {"not_loaded", "not_saved"}}
    assert said == {"not_loaded", "not_saved"}
