"""The same Idempotency-Key with the same request means the same generation: while it runs, behind its end, and in another process."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from telex.testing import Head, Reset, ScriptedUpstream, Send, say, status
from telex.testing.answers import SSE

from .client import chat, connect, request, send
from .house import gateway
from .keyed import keyed, make_key, with_key
from .returning import FIRST, FRAMES, alone, begun, gated, gated_whole, record, until

KEY = "3fd1c1f4"


def again(stream: bool = True, key: str = KEY, policy: str = "", **fields: Any) -> bytes:
    return request(chat(stream, **fields), headers={"idempotency-key": key, "telex-on-disconnect": policy})


async def test_row45_while_it_runs_another_request_reads_it_too_from_the_beginning() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as one, connect(house.port) as other:
            one.send(again())
            id = await begun(one)
            other.send(again())
            assert await begun(other) == id
            gate.set()
            assert [await one.event(), await other.event()] == FRAMES[1:2] * 2
        assert len(upstream.calls) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_row45_behind_its_end_the_answer_is_the_same(stream: bool) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            first = await send(house.port, again(stream))
            second = await send(house.port, again(stream))
            await until(lambda: not house.process.gateway._archive._here)
            third = await send(house.port, again(stream))
        assert first.body == second.body == third.body
        assert first.headers["telex-generation"] == second.headers["telex-generation"] == third.headers["telex-generation"]
        assert [answer.headers.get("idempotent-replayed") for answer in (first, second, third)] == [None, "true", "true"]
        assert len(upstream.calls) == 1


async def test_row45_in_the_next_process_too(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/telex.db"}
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url, **tables) as house:
            first = await send(house.port, again())
        async with gateway(upstream.url, **tables) as house:
            assert (await send(house.port, again())).body == first.body
            assert (await send(house.port, again(seed=7))).status == 422
        assert len(upstream.calls) == 1


async def test_row45_two_at_the_same_moment_are_one() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated_whole(gate)) as upstream:
        async with gateway(upstream.url) as house:
            asked = [asyncio.create_task(send(house.port, again(stream=False))) for _ in range(20)]
            await upstream.until(1)
            gate.set()
            answers = await asyncio.gather(*asked)
        assert {answer.text for answer in answers} == {"Hi there"}
        assert len({answer.headers["telex-generation"] for answer in answers}) == 1
        assert len(upstream.calls) == 1


@pytest.mark.parametrize("ended", [False, True])
async def test_row46_with_another_body_it_is_refused(ended: bool) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(again())
            await begun(client)
            if ended:
                gate.set()
                await until(lambda: not house.process.gateway._archive._here)
            for other in (again(seed=7), again(stream=False), request(chat(), path="/v1/responses", headers={"idempotency-key": KEY})):
                refused = await send(house.port, other)
                assert (refused.status, refused.error["code"], refused.error["param"]) == (422, "idempotency_key_reused", "Idempotency-Key")
            gate.set()
        assert len(upstream.calls) == 1


async def test_what_failed_before_it_said_anything_may_be_tried_again() -> None:
    with ScriptedUpstream(status(500), status(500), say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            failed = await send(house.port, again())
            assert failed.status == 502
            assert (await send(house.port, again())).text == "Hi"
            assert (await record(house.port, failed.headers["telex-generation"]))["status"] == "failed"


async def test_what_broke_off_is_the_same_again_and_is_not_paid_for_twice() -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Reset())) as upstream:
        async with gateway(upstream.url) as house:
            first, second = await send(house.port, again()), await send(house.port, again())
        assert first.body == second.body
        assert (first.text, b"error" in first.body) == ("Hi", True)
        assert len(upstream.calls) == 1


async def test_its_policy_holds_and_what_was_cancelled_may_be_tried_again() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate), say("Hi")) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(again())
            id = await begun(client)
            client.leave()
            await upstream.calls[0].until("left_at", 10.0)
            assert (await send(house.port, again())).text == "Hi"
            assert (await record(house.port, id))["status"] == "cancelled"
            gate.set()


async def test_row33_one_that_is_held_is_found_again_by_its_key() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated_whole(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(again(stream=False, policy="hold"))
            await upstream.until(1)
            client.leave()
            await alone(house)
            asked = asyncio.create_task(send(house.port, again(stream=False, policy="hold")))
            await until(lambda: house.process.gateway.running[0].log.readers)
            gate.set()
            assert (await asked).text == "Hi there"
        assert len(upstream.calls) == 1


async def test_row44_a_key_is_its_owners(tmp_path: Path) -> None:
    with ScriptedUpstream(say("One"), say("Two")) as upstream:
        async with keyed(tmp_path, upstream.url) as house:
            texts = []
            for name in ("anna", "bert"):
                path, headers = with_key("/v1/chat/completions", await make_key(house.process.store, name))
                texts.append((await send(house.port, request(chat(), path=path, headers={**headers, "idempotency-key": KEY}))).text)
        assert texts == ["One", "Two"]


@pytest.mark.parametrize("key", ["ä", "x" * 256, "a b"])
async def test_what_is_no_key_is_refused(key: str) -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house:
            refused = await send(house.port, again(key=key))
            assert (refused.status, refused.error["param"]) == (400, "Idempotency-Key")


async def test_who_leaves_before_its_request_is_whole_holds_no_key() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(again()[:-5])
            await client.drain()
            client.leave()
            assert (await send(house.port, again())).text == "Hi"
        assert len(upstream.calls) == 1


async def test_a_key_does_not_say_how_it_is_answered() -> None:
    """A job that was submitted twice is one; and may be read at once."""
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            headers = {"idempotency-key": KEY, "prefer": "respond-async"}
            first, second = [await send(house.port, request(chat(), headers=headers)) for _ in range(2)]
            assert (first.status, second.status) == (202, 202)
            assert first.json["id"] == second.json["id"]
            client.send(again())
            assert await begun(client) == first.json["id"]
            gate.set()
        assert len(upstream.calls) == 1
