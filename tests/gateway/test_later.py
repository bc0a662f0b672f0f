"""Answers for which nobody waits: accepted, found again by their id, and read in any way."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from telex.testing import Head, ScriptedUpstream, Send, Stall, say, status
from telex.testing.answers import SSE

from .client import Answer, chat, connect, request, send
from .house import House, gateway, in_each_dialect
from .keyed import keyed, make_key, with_key
from .returning import FIRST, FRAMES, ROOT, followed, gated, gated_whole, get, is_problem, record, until

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"model": "up/m", "messages": [{"role": "user", "content": "?"}]}),
    "openai-responses": ("/v1/responses", {"model": "up/m", "input": "?"}),
    "anthropic": ("/v1/messages", {"model": "up/m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}),
    "gemini": ("/v1beta/models/up%2Fm:generateContent", {"contents": [{"parts": [{"text": "?"}]}]}),
}


def job(stream: bool = False, prefer: str = "respond-async", **headers: str) -> bytes:
    return request(chat(stream), headers={"prefer": prefer, **headers})


async def accepted(house: House, **how: Any) -> str:
    answer = await send(house.port, job(**how))
    assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async"), answer
    id = str(answer.json["id"])
    assert answer.headers["location"] == f"{ROOT}/{id}"
    assert answer.headers["telex-generation"] == id
    assert answer.json["delivery"] == "background"
    return id


async def ended(house: House, id: str) -> dict[str, Any]:
    await until(lambda: id not in house.process.gateway._archive._here)
    return await record(house.port, id)


@pytest.mark.parametrize("stream", [True, False])
async def test_it_is_accepted_at_once_and_answers_when_somebody_comes_back(stream: bool) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house:
            id = await accepted(house, stream=stream)
            await upstream.until(1)
            assert (await record(house.port, id))["status"] == "running"
            assert is_problem(await get(house.port, f"{ROOT}/{id}/reply"), 409, "still runs")
            gate.set()
            said = await ended(house, id)
            assert (said["status"], said["kept"]) == ("complete", True)
            reply = await get(house.port, f"{ROOT}/{id}/reply")
            assert (reply.status, reply.text) == (200, "Hi there")
            assert (await followed(house.port, id)).text == "Hi there"
            listed = (await get(house.port, f"{ROOT}?delivery=background")).json
            assert [item["id"] for item in listed["data"]] == [id]


async def test_it_can_be_watched_although_it_was_asked_for_whole() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            id = await accepted(house)
            client.send(request(method="GET", path=f"{ROOT}/{id}/stream"))
            assert await begun_at(client) == FIRST, "the provider is asked for a stream"
            gate.set()
            assert [await client.event(), await client.event()] == FRAMES[1:]


async def begun_at(client: Any) -> bytes:
    status, _ = await client.head()
    assert status == 200
    return bytes(await client.event())


@pytest.mark.parametrize("dialect", ASKED)
async def test_in_every_dialect_and_read_in_every_other(dialect: str) -> None:
    path, body = ASKED[dialect]
    with ScriptedUpstream(say("Hi there")) as upstream:
        async with gateway(providers=in_each_dialect(upstream.url)) as house:
            for up in ASKED:
                asked = json.dumps({**body, "model": f"{up}/m"} if "model" in body else body).encode()
                answer = await send(house.port, request(asked, path=path.replace("up%2F", f"{up}%2F"), headers={"prefer": "respond-async"}))
                assert answer.status == 202, answer
                id = answer.json["id"]
                await ended(house, id)
                for other in (dialect, *ASKED):
                    reply = await get(house.port, f"{ROOT}/{id}/reply?dialect={other}")
                    assert reply.status == 200
                    assert b"Hi there" in reply.body
                    stream = await get(house.port, f"{ROOT}/{id}/stream?dialect={other}")
                    assert stream.status == 200
                    assert b"Hi" in stream.body


async def test_with_wait_it_answers_whole_if_that_comes_in_time() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            answer = await send(house.port, job(prefer="respond-async, wait=30"))
            assert (answer.status, answer.text) == (200, "Hi")


async def test_with_wait_it_says_where_to_come_back_if_it_does_not() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated_whole(gate)) as upstream:
        async with gateway(upstream.url) as house:
            answer = await send(house.port, job(prefer="respond-async;foo=bar, wait=1, handling=lenient"))
            assert (answer.status, answer.json["status"]) == (202, "running")
            gate.set()
            assert (await ended(house, answer.json["id"]))["status"] == "complete"


async def test_its_client_may_leave_while_it_waits() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated_whole(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(job(prefer="respond-async, wait=1000"))
            await upstream.until(1)
            [generation] = house.process.gateway.running
            client.reset()
            await until(lambda: not generation.log.readers)
            gate.set()
            assert (await ended(house, generation.id))["status"] == "complete"


async def test_without_the_word_wait_says_nothing() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            assert (await send(house.port, job(prefer="wait=1"))).status == 200
            refused = await send(house.port, job(prefer="respond-async, wait=soon"))
            assert (refused.status, refused.error["param"]) == (400, "Prefer")


async def test_what_fails_is_said_when_somebody_comes_back() -> None:
    with ScriptedUpstream(status(400)) as upstream:
        async with gateway(upstream.url) as house:
            id = await accepted(house)
            said = await ended(house, id)
            assert (said["status"], said["failure"]["kind"]) == ("failed", "bad_request")
            reply = await get(house.port, f"{ROOT}/{id}/reply?dialect=anthropic")
            assert (reply.status, reply.json["type"]) == (400, "error")


@pytest.mark.parametrize("note", [10**30, -(10**30), 1e300, chr(0x1F600), {"": [None]}], ids=repr)
async def test_whatever_a_request_holds_it_is_asked_as_it_came(note: object) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            answer = await send(house.port, request(chat(note=note), headers={"prefer": "respond-async"}))
            assert answer.status == 202
            assert (await ended(house, answer.json["id"]))["status"] == "complete"
            assert upstream.calls[0].json["note"] == note


async def test_what_can_not_be_asked_for_is_not_accepted() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house:
            for body, code in ((b"{}", 400), (chat(model="nobody"), 404)):
                assert (await send(house.port, request(body, headers={"prefer": "respond-async"}))).status == code
            assert (await get(house.port, ROOT)).json["data"] == []


async def test_row62_more_than_may_wait_are_refused_before_they_are_accepted() -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url, server={"concurrent": 1, "queue": 2}) as house:
            answers = [await send(house.port, job()) for _ in range(4)]
            assert [answer.status for answer in answers] == [202, 202, 202, 429]
            assert [answer.json["status"] for answer in answers[1:3]] == ["queued", "queued"]


async def test_its_turn_comes_however_long_it_waits() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate), say("Two")) as upstream:
        async with gateway(upstream.url, server={"concurrent": 1, "queue_seconds": 0.01}, timeouts={"total": 5.0}) as house:
            first, second = await accepted(house), await accepted(house)
            await upstream.until(1)
            waited = await send(house.port, request(chat()))
            assert waited.status == 503, "who waits for an answer is told"
            assert (await record(house.port, second))["status"] == "queued"
            gate.set()
            assert [(await ended(house, id))["status"] for id in (first, second)] == ["complete", "complete"]


async def test_row57_what_waits_can_be_cancelled() -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url, server={"concurrent": 1}) as house:
            running, waiting = await accepted(house), await accepted(house)
            await upstream.until(1)
            for id in (waiting, running):
                said = await send(house.port, request(path=f"{ROOT}/{id}/cancel"))
                assert (said.status, said.json["status"]) == (200, "cancelled")
            await upstream.calls[0].until("left_at", 10.0)
        assert len(upstream.calls) == 1


async def test_row44_to_another_key_there_is_none(tmp_path: Path) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with keyed(tmp_path, upstream.url) as house:
            anna, bert = [await make_key(house.process.store, name) for name in ("anna", "bert")]
            path, headers = with_key("/v1/chat/completions", anna)
            made = await send(house.port, request(chat(), path=path, headers={**headers, "prefer": "respond-async"}))
            assert made.status == 202
            id = made.json["id"]

            async def look(token: str, tail: str, method: str = "GET") -> Answer:
                path, headers = with_key(f"{ROOT}/{id}{tail}", token)
                return await send(house.port, request(method=method, path=path, headers=headers))

            forms = [("", "GET"), ("/reply", "GET"), ("/reply?dialect=gemini", "GET"), ("/stream", "GET"), ("/stream?after=1", "GET")]
            for ending in (False, True):
                if ending:
                    gate.set()
                    await until(lambda: not house.process.gateway._archive._here)
                for tail, method in [*forms, ("/cancel", "POST")]:
                    assert is_problem(await look(bert, tail, method), 404, id)
                path, headers = with_key(ROOT, bert)
                assert (await send(house.port, request(method="GET", path=path, headers=headers))).json["data"] == []
            assert (await look(anna, "/reply")).text == "Hi there"
