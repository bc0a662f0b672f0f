"""What becomes of a generation whose client leaves, as was said at the start; and a client that comes back finds all of it."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telex.generation import log
from telex.generation.attempt import Attempt
from telex.generation.generation import Generation
from telex.testing import Beat, Head, ScriptedUpstream, Send, Stall, Until, pour, say
from telex.testing.answers import JSON, SSE

from .client import PATIENT, Client, ask, chat, connect, request, send
from .house import gateway, serve
from .returning import (
    FIRST,
    FRAMES,
    ROOT,
    WHOLE,
    alone,
    asking,
    begun,
    followed,
    gated,
    gated_whole,
    get,
    is_problem,
    record,
    until,
)

CEILING = 10.0
KEPT = pytest.mark.parametrize("policy", ["hold", "finish"])
LEAVING: dict[str, Callable[[Client], None]] = {"fin": Client.leave, "half-close": Client.half_close, "rst": Client.reset}

# ---- leaving


@KEPT
@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("said", ["header", "model"])
async def test_row33_left_mid_stream_it_goes_on(said: str, how: str, policy: str, logged: list[dict[str, Any]]) -> None:
    gate = threading.Event()
    target = {"targets": [{"provider": "up", "model": "m"}], "on_disconnect": policy, "hold": 3600.0}
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url, models={"m": target}) as house, connect(house.port) as client:
            client.send(asking(policy) if said == "header" else request(chat(model="m")))
            id = await begun(client)
            LEAVING[how](client)
            generation = await alone(house)
            assert (await record(house.port, id))["status"] == "running"
            gate.set()
            await generation.finished()
            assert (await record(house.port, id))["status"] == "complete"
            assert (await followed(house.port, id)).body == b"".join(FRAMES)
            reply = await get(house.port, f"{ROOT}/{id}/reply")
            assert (reply.status, reply.headers["telex-generation"], reply.text) == (200, id, "Hi there")
        assert upstream.calls[0].left_at is None
    assert [line["ending"] for line in logged] == ["complete"]


async def test_row33_left_mid_stream_what_is_to_be_cancelled_is_gone() -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking("cancel"))
            id = await begun(client)
            assert is_problem(await followed(house.port, id), 409, "Telex-On-Disconnect: hold")
            assert is_problem(await get(house.port, f"{ROOT}/{id}/reply"), 409, "Telex-On-Disconnect: hold")
            assert (await record(house.port, id))["status"] == "running"
            client.leave()
            await upstream.calls[0].until("left_at", CEILING)
            await until(lambda: not house.process.gateway.running)
            for path in ("/stream?after=1", "/reply"):
                assert is_problem(await get(house.port, f"{ROOT}/{id}{path}"), 410, "Telex-On-Disconnect: hold")
            assert (await record(house.port, id))["status"] == "cancelled"


async def test_row33_held_for_a_while_and_then_cancelled(logged: list[dict[str, Any]]) -> None:
    """The other time limits are those of a whole hour: only that nobody came back can end it."""
    model = {"targets": [{"provider": "up", "model": "m"}], "on_disconnect": "hold", "hold": 0.1}
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url, models={"m": model}) as house, connect(house.port) as client:
            client.ask(model="m")
            id = await begun(client)
            client.leave()
            await upstream.calls[0].until("left_at", CEILING)
            await until(lambda: not house.process.gateway.running)
            said = await record(house.port, id)
            assert (said["status"], said["failure"]["kind"]) == ("cancelled", "cancelled")
            [first, error] = (await followed(house.port, id)).frames
            assert (first, "error" in json.loads(error.removeprefix(b"data: "))) == (FIRST, True)
            assert (await get(house.port, f"{ROOT}/{id}/reply")).status == 499
    assert [line["ending"] for line in logged] == ["cancelled"]


@KEPT
async def test_row32_row33_a_whole_answer_is_there_for_who_left(policy: str) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated_whole(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking(policy, stream=False))
            [call] = await upstream.until(1)
            client.leave()
            generation = await alone(house)
            running = await get(house.port, f"{ROOT}/{generation.id}/reply")
            assert is_problem(running, 409, "still runs")
            gate.set()
            await generation.finished()
            reply = await get(house.port, f"{ROOT}/{generation.id}/reply")
            assert (reply.status, reply.body, reply.headers["content-type"]) == (200, WHOLE, "application/json")
            assert (await followed(house.port, generation.id)).text == "Hi there"
        assert call.left_at is None


@KEPT
async def test_row33_what_fails_behind_its_clients_back_answers_its_error(policy: str) -> None:
    with ScriptedUpstream((Head(200, SSE), Beat(FIRST, 0.01))) as upstream:
        async with gateway(upstream.url, timeouts={"total": 1.0}) as house, connect(house.port) as client:
            client.send(asking(policy))
            id = await begun(client)
            client.leave()
            await until(lambda: not house.process.gateway.running)
            said = await record(house.port, id)
            assert (said["status"], said["failure"]["kind"], said["certainty"]) == ("failed", "timeout", "estimated")
            reply = await get(house.port, f"{ROOT}/{id}/reply")
            assert (reply.status, reply.error["code"], reply.headers["x-should-retry"]) == (504, "total", "false")
            *frames, error = (await followed(house.port, id)).frames
            assert set(frames) == {FIRST}
            assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "total"


@KEPT
async def test_left_before_the_first_content_it_goes_on(policy: str) -> None:
    gate = threading.Event()
    play = (Head(200, SSE), *gated(gate)[2:3], *(Send(frame) for frame in FRAMES))
    with ScriptedUpstream(play) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking(policy))
            await upstream.until(1)
            client.leave()
            generation = await alone(house)
            gate.set()
            assert (await followed(house.port, generation.id)).body == b"".join(FRAMES)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "up/m", "messages": [{"role": "user", "content": "?"}]}),
        ("/v1/responses", {"model": "up/m", "input": "?"}),
        ("/v1/messages", {"model": "up/m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}),
        ("/v1beta/models/up%2Fm:generateContent", {"contents": [{"parts": [{"text": "?"}]}]}),
    ],
)
async def test_a_wrong_word_is_refused_by_the_headers_name_in_the_clients_dialect(path: str, body: dict[str, Any]) -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house:
            answer = await send(house.port, request(json.dumps(body).encode(), path=path, headers={"telex-on-disconnect": "stay"}))
            assert answer.status == 400
            assert "Telex-On-Disconnect" in answer.json["error"]["message"]
        assert not upstream.calls


# ---- not reading


@KEPT
@pytest.mark.parametrize("how", ["never", "a byte at a time"])
async def test_row34_row35_a_slow_reader_holds_nobody_up_and_gets_the_rest_from_the_log(how: str, policy: str) -> None:
    size = 16 << 20
    with ScriptedUpstream(pour(size)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking(policy, connection="close"))
            [call] = await upstream.until(1)
            _, headers = await client.head()
            client.pause()
            dripped = bytearray()
            slowly = asyncio.create_task(drip(client, dripped)) if how != "never" else None
            [reader_of] = house.process.gateway.running
            await call.until("finished")
            await until(lambda: not house.process.gateway.running)
            [reader] = reader_of.log.readers
            assert reader.has_more, "it is far behind"
            if slowly is not None:
                slowly.cancel()
                assert dripped
            client.resume()
            body = dechunked(bytes(dripped) + await client.end())
            whole = await get(house.port, f"{ROOT}/{headers['telex-generation']}/stream")
            assert whole.done
            assert body == whole.body


def dechunked(raw: bytes) -> bytes:
    body, place = bytearray(), 0
    while True:
        end = raw.index(b"\r\n", place)
        if not (length := int(raw[place:end], 16)):
            return bytes(body)
        body += raw[end + 2 : end + 2 + length]
        place = end + 4 + length


async def drip(client: Client, into: bytearray) -> None:
    while True:
        client.resume()
        into += await client._reader.read(1)
        client.pause()
        await asyncio.sleep(0.01)


async def test_row34_200_mb_that_nobody_reads_end_at_the_limit_and_with_a_clear_error(tmp_path: Path) -> None:
    config = "[providers.up]\ndialect = 'openai-chat'\nbase_url = '{}'\n"
    with ScriptedUpstream(say("warm"), pour(200 << 20)) as upstream:
        async with serve(tmp_path, config.format(upstream.url)) as child, connect(child.port) as client:
            assert (await ask(child.port)).text == "warm"
            before = child.rss
            client.send(asking("finish"))
            _, headers = await client.head()
            client.pause()
            await upstream.calls[1].until("left_at", CEILING)
            assert child.rss - before < 2 * log.REPLY_LIMIT
            id = headers["telex-generation"]
            said = await record(child.port, id)
            assert (said["status"], said["failure"]["kind"]) == ("failed", "malformed")
            assert str(log.REPLY_LIMIT) in said["failure"]["message"]
            assert str(log.REPLY_LIMIT) in (await get(child.port, f"{ROOT}/{id}/reply")).error["message"]


async def test_row65_what_ended_first_is_forgotten_first_when_there_is_too_much() -> None:
    with ScriptedUpstream(pour(100_000)) as upstream:
        async with gateway(upstream.url, retention={"max_bytes": "500KB"}) as house:
            ids = []
            for _ in range(10):
                answer = await send(house.port, asking("finish"))
                assert answer.done
                ids.append(answer.headers["telex-generation"])
            await until(lambda: not house.process.gateway._archive._here)
            await asyncio.wrap_future(house.process.store.generations.forget(0.0, 500_000))  # as is done now and then
            states = [(await get(house.port, f"{ROOT}/{id}/stream")).status for id in ids]
            assert states == [410] * states.count(410) + [200] * states.count(200)
            assert 2 <= states.count(200) <= 4
            assert house.process.engine.room.used <= 500_000
            assert is_problem(await followed(house.port, ids[0]), 410, "no longer kept")


async def test_row65_what_there_is_no_room_for_ends_with_a_clear_error() -> None:
    with ScriptedUpstream(pour(1 << 20)) as upstream:
        async with gateway(upstream.url, retention={"max_bytes": "100KB"}) as house:
            answer = await send(house.port, asking("finish"))
            assert "retention.max_bytes" in json.loads(answer.datas[-1])["error"]["message"]
            assert (await record(house.port, answer.headers["telex-generation"]))["status"] == "failed"
            assert (await send(house.port, asking("cancel"))).done


# ---- one ending


@KEPT
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("first", ["completion", "cancel"])
async def test_row57_cancel_races_completion(first: str, stream: bool, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both happen before the event loop can do anything else: the first wins, and there is one terminal frame."""
    generation: Generation
    gate = threading.Event()
    receive: dict[str, Callable[..., None]] = {"data": Attempt.on_data, "end": Attempt.on_end}

    def race(what: str, attempt: Attempt, *data: bytes) -> None:
        last = what == "end" if not stream else b"DONE" in b"".join(data)
        if last and first == "cancel":
            generation.stop()
        receive[what](attempt, *data)
        if last:
            generation.stop()

    monkeypatch.setattr(Attempt, "on_data", lambda attempt, data: race("data", attempt, data))
    monkeypatch.setattr(Attempt, "on_end", lambda attempt: race("end", attempt))
    halves = (Head(200, JSON), Send(WHOLE[:9]), Until(gate.is_set), Send(WHOLE[9:]))
    with ScriptedUpstream(gated(gate) if stream else halves) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking(policy, stream))
            await until(lambda: any(running.committed for running in house.process.gateway.running))
            [generation] = house.process.gateway.running
            gate.set()
            answer = await client.answer()
            id = answer.headers["telex-generation"]
            said, reply = await record(house.port, id), await get(house.port, f"{ROOT}/{id}/reply")
            if first == "completion":
                assert (said["status"], reply.status, reply.text) == ("complete", 200, "Hi there")
                assert answer.text == "Hi there"
            else:
                assert (said["status"], reply.status) == ("cancelled", 499)
            if stream:
                assert (b"error" in answer.body, b"DONE" in answer.body) == (first == "cancel", first == "completion")
                assert (await followed(house.port, id)).body == answer.body
            cancelled = await send(house.port, request(path=f"{ROOT}/{id}/cancel"))
            assert (cancelled.status, cancelled.json) == (200, said)


async def test_cancelling_closes_the_provider_and_tells_every_reader() -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client, connect(house.port) as other:
            client.send(asking("finish"))
            id = await begun(client)
            other.send(request(method="GET", path=f"{ROOT}/{id}/stream"))
            await begun(other)
            said = await send(house.port, request(path=f"{ROOT}/{id}/cancel"))
            assert said.json["status"] == "cancelled"
            await upstream.calls[0].until("left_at", CEILING)
            for reader in (client, other):
                assert "cancelled" in json.loads((await reader.event()).removeprefix(b"data: "))["error"]["message"]
                assert (await reader.event(), reader.whole) == (b"", True)


async def test_cancelling_what_is_not_kept_answers_with_its_record() -> None:
    with ScriptedUpstream((Stall(),)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.ask(stream=False)
            await upstream.until(1)
            [generation] = house.process.gateway.running
            said = await send(house.port, request(path=f"{ROOT}/{generation.id}/cancel"))
            assert (said.status, said.json["status"]) == (200, "cancelled")
            assert (await client.answer()).status == 499
            assert (await get(house.port, f"{ROOT}/{generation.id}")).json == said.json


async def test_who_has_no_id_yet_cancels_by_the_key_of_its_call() -> None:
    with ScriptedUpstream((Stall(),)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking("hold", True, **{"idempotency-key": "k-1"}))
            await upstream.until(1)
            client.leave()
            assert is_problem(await send(house.port, request(path=f"{ROOT}/k-2/cancel")), 404)
            said = await send(house.port, request(path=f"{ROOT}/k-1/cancel"))
            assert (said.status, said.json["status"]) == (200, "cancelled")
            await upstream.calls[0].until("left_at", CEILING)


# ---- the gateway leaves


def config(upstream: ScriptedUpstream, drain: float) -> str:
    return f'[server]\ndrain = {drain}\n[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'


@KEPT
async def test_row47_what_nobody_reads_gets_the_drain_too(policy: str, tmp_path: Path) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with serve(tmp_path, config(upstream, 3600)) as child, connect(child.port) as client:
            client.send(asking(policy))
            id = await begun(client)
            client.leave()
            await until_left(child.port, id)
            child.signal(signal.SIGTERM)
            await drained(child.port)
            gate.set()
            code, _, err = await child.end()
    assert code == 0
    assert [json.loads(line)["ending"] for line in err.splitlines()] == ["complete"]


async def test_row47_behind_the_drain_what_nobody_reads_ends_as_truncated(tmp_path: Path) -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with serve(tmp_path, config(upstream, 0.3)) as child, connect(child.port) as client:
            client.send(asking("finish"))
            id = await begun(client)
            client.leave()
            await until_left(child.port, id)
            child.signal(signal.SIGTERM)
            code, _, err = await child.end()
    assert code == 0
    assert [json.loads(line)["ending"] for line in err.splitlines()] == ["truncated"]


async def until_left(port: int, id: str) -> None:
    """Return when the gateway may be expected to know that the client left: it has answered others since."""
    for _ in range(3):
        assert (await record(port, id))["status"] == "running"


async def drained(port: int) -> None:
    """Return when it takes no more work."""
    async with asyncio.timeout(PATIENT):
        while (await get(port, "/readyz")).status != 503:
            pass


# ---- Responses


@KEPT
async def test_a_response_that_ended_behind_its_clients_back_is_held(policy: str) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            body = json.dumps({"model": "up/m", "input": "?", "stream": True}).encode()
            client.send(request(body, path="/v1/responses", headers={"telex-on-disconnect": policy}))
            await client.head()
            created = json.loads((await client.event()).split(b"data: ", 1)[1])
            client.leave()
            generation = await alone(house)
            gate.set()
            await generation.finished()
            held = await get(house.port, f"/v1/responses/{created['response']['id']}")
            reply = await get(house.port, f"{ROOT}/{generation.id}/reply")
            assert (held.status, reply.status) == (200, 200)
            assert held.json["output"][0]["content"][0]["text"] == "Hi there"
            assert reply.json == held.json
