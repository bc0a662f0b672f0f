"""`/v1/generations`: what is known of a generation, and reading it again, from any place, once or by many."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from telex.core import sse
from telex.core.events import PartDelta, Start
from telex.core.messages import Usage
from telex.dialects import DIALECTS
from telex.gateway import deliver
from telex.testing import Head, ScriptedUpstream, Send, Stall, Until, perform, say, status
from telex.testing.answers import SSE, words

from .client import Answer, chat, connect, request, send
from .house import House, gateway, in_each_dialect
from .returning import FIRST, FRAMES, ROOT, alone, asking, begun, followed, gated, get, is_problem, record, until

NO_HEADERS: Mapping[str, str] = {}
NUMBERED = {"telex-on-disconnect": "finish", "telex-event-ids": "true"}
TEXTS = ("The", " sky", " is", " blue", ".")
QUESTION = {"role": "user", "content": "?"}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"messages": [QUESTION], "stream": True}),
    "openai-responses": ("/v1/responses", {"input": "?", "stream": True}),
    "anthropic": ("/v1/messages", {"messages": [QUESTION], "max_tokens": 9, "stream": True}),
    "gemini": ("/v1beta/models/{}:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "?"}]}]}),
}
DIALECT = pytest.mark.parametrize("dialect", ASKED)
PROVIDER = pytest.mark.parametrize("up", ASKED)


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    rows = in_each_dialect(upstream.url)
    async with gateway(providers=rows) as house:
        yield house


def asked(dialect: str, up: str, headers: Mapping[str, str] = NO_HEADERS, stream: bool = True) -> bytes:
    """A request of `dialect` for a model of the provider `up`, which goes on if its client leaves."""
    path, body = ASKED[dialect]
    if dialect == "gemini" and not stream:
        path = "/v1beta/models/{}:generateContent"
    fields = {**body, **({"stream": stream} if "stream" in body else {}), **({} if dialect == "gemini" else {"model": f"{up}/m"})}
    said = {"telex-on-disconnect": "finish", **headers}
    return request(json.dumps(fields).encode(), path=path.format(f"{up}%2Fm"), headers=said)


def frames_of(body: bytes) -> list[bytes]:
    """The body cut behind each event, as its bytes are."""
    text = body.replace(b"\r\n", b"\n")
    assert text == body, "nothing here ends its lines otherwise"
    return [frame + b"\n\n" for frame in body.split(b"\n\n")[:-1]]


# ---- reading again


@DIALECT
@PROVIDER
async def test_row41_from_every_cursor_it_is_what_followed_byte_for_byte(
    house: House, upstream: ScriptedUpstream, dialect: str, up: str
) -> None:
    upstream.play(say(*TEXTS))
    answer = await send(house.port, asked(dialect, up))
    id, frames, first = answer.headers["telex-generation"], frames_of(answer.body), DIALECTS[dialect].FIRST_NUMBER
    assert len(frames) > len(TEXTS)
    whole = await followed(house.port, id)
    assert (whole.body, whole.headers["content-type"]) == (answer.body, answer.headers["content-type"])
    assert (whole.headers["cache-control"], whole.headers["x-accel-buffering"]) == ("no-cache, no-transform", "no")
    for number, _ in enumerate(frames, first):
        assert (await followed(house.port, id, number)).body == b"".join(frames[number - first + 1 :])
    beyond = await followed(house.port, id, len(frames) + 7)
    assert beyond.body == frames[-1], "the ending"


@PROVIDER
async def test_row41_cursors_of_responses_are_the_numbers_of_its_events(house: House, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(say(*TEXTS))
    answer = await send(house.port, asked("openai-responses", up))
    id, events = answer.headers["telex-generation"], [json.loads(data) for data in answer.datas]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    again = await followed(house.port, id, events[3]["sequence_number"], **{"telex-event-ids": "true"})
    assert [json.loads(data)["sequence_number"] for data in again.datas] == list(range(4, len(events)))
    ids = [int(line[4:]) for line in again.body.splitlines() if line.startswith(b"id: ")]
    assert ids == list(range(4, len(events)))


async def test_row41_what_is_there_comes_first_and_then_what_comes_without_a_gap() -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client, connect(house.port) as other:
            client.send(asking("hold"))
            id = await begun(client)
            client.leave()
            generation = await alone(house)
            other.send(request(method="GET", path=f"{ROOT}/{id}/stream?after=0"))
            assert await begun(other) == id
            gate.set()
            assert [await other.event() for _ in range(3)] == [*FRAMES[1:], b""]
            assert other.whole
            assert generation.ending == "complete"


async def test_row41_who_came_back_leaves_and_comes_back_again() -> None:
    """Cut behind every frame: what was seen and what it went on with are what an undisturbed reader sees."""
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking("hold"))
            id = await begun(client)
            client.leave()
            await alone(house)
            gate.set()
            seen = [FIRST]
            while (await record(house.port, id))["status"] == "running" or len(seen) < len(FRAMES):
                async with connect(house.port) as reader:
                    reader.send(request(method="GET", path=f"{ROOT}/{id}/stream?after={len(seen)}"))
                    assert (await reader.head())[0] == 200
                    seen.append(await reader.event())
            assert seen == FRAMES


async def test_row43_many_readers_at_once_each_get_all() -> None:
    gates = [threading.Event() for _ in range(3)]
    texts = [b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n for n in range(3)]
    steps = [step for gate, text in zip(gates, texts, strict=True) for step in (Until(gate.is_set), Send(text))]
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), *steps, *map(Send, FRAMES[1:]))) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(asking("hold"))
            id = await begun(client)
            readers = []
            for gate in gates:
                readers += [asyncio.create_task(followed(house.port, id)) for _ in range(3)]
                [generation] = house.process.gateway.running
                await until(lambda: len(generation.log.readers) == 1 + len(readers))  # noqa: B023 (awaited here)
                gate.set()
            bodies = {(await reader).body for reader in readers}
            rest = [await client.event() for _ in range(5)]
    assert bodies == {b"".join([FIRST, *rest])}
    assert rest == [*texts, *FRAMES[1:]]


async def test_row42_what_is_not_known_or_no_longer_here_is_said(house: House, upstream: ScriptedUpstream) -> None:
    for path in ("", "/stream?after=1", "/reply"):
        assert is_problem(await get(house.port, f"{ROOT}/gen_nobody{path}"), 404, "gen_nobody")
    assert is_problem(await send(house.port, request(path=f"{ROOT}/gen_nobody/cancel")), 404)
    upstream.play(say("Hi"))
    left = await send(house.port, asked("anthropic", "gemini", {"telex-on-disconnect": "cancel"}))
    for path in ("/stream?after=1", "/reply"):
        answer = await get(house.port, f"{ROOT}/{left.headers['telex-generation']}{path}")
        assert is_problem(answer, 410, "Telex-On-Disconnect: hold")
    said = await record(house.port, left.headers["telex-generation"])
    assert (said["status"], said["timing"]["ttft"] is not None) == ("complete", True), "its figures stay"


async def test_row42_after_a_while_it_is_forgotten_and_says_so() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url, retention={"resumable": "0s"}) as house:
            for policy in ("finish", "cancel"):
                answer = await send(house.port, asking(policy))
                await until(lambda: not house.process.gateway._archive._here)
                for path in ("", "/stream?after=1", "/reply"):
                    gone = await get(house.port, f"{ROOT}/{answer.headers['telex-generation']}{path}")
                    assert is_problem(gone, 410, "retention")
            await until(lambda: house.process.engine.room.used == 0)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "1e3", "9" * 30, "%D9%A3"])
async def test_row42_what_is_no_cursor_is_refused(house: House, upstream: ScriptedUpstream, cursor: str) -> None:
    upstream.play(say("Hi"))
    answer = await send(house.port, asked("openai-chat", "openai-chat"))
    path = f"{ROOT}/{answer.headers['telex-generation']}/stream"
    assert is_problem(await get(house.port, f"{path}?after={cursor}"), 400, "no cursor")
    if cursor.isascii():
        assert is_problem(await get(house.port, path, {"last-event-id": cursor}), 400, "no cursor") or "%" in cursor


@DIALECT
async def test_ids_are_for_those_who_ask_and_are_cursors(house: House, upstream: ScriptedUpstream, dialect: str) -> None:
    upstream.play(say(*TEXTS))
    plain = await send(house.port, asked(dialect, "openai-chat"))
    assert b"id: " not in b"".join(line[:4] for line in plain.body.splitlines())
    numbered = await send(house.port, asked(dialect, "openai-chat", {"telex-event-ids": "true"}))
    first, id = DIALECTS[dialect].FIRST_NUMBER, numbered.headers["telex-generation"]
    events = frames_of(numbered.body)
    assert [event.split(b"\n")[0] for event in events] == [b"id: %d" % number for number in range(first, first + len(events))]
    assert len(sse.Decoder().feed(numbered.body)) == len(events)
    last = first + 2
    asked_again = await followed(house.port, id, 0, **{"last-event-id": str(last)})
    assert asked_again.body == b"".join(events[3:]), "the newer cursor counts, and who has ids gets ids"
    assert (await followed(house.port, id, last)).body == b"".join(event.partition(b"\n")[2] for event in events[3:])


async def test_an_array_goes_on_as_an_array(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say(*TEXTS))
    path, body = "/v1beta/models/openai-chat%2Fm:streamGenerateContent", json.dumps(ASKED["gemini"][1]).encode()
    answer = await send(house.port, request(body, path=path, headers=NUMBERED))
    again = await followed(house.port, answer.headers["telex-generation"], 2)
    assert (again.json, again.headers["content-type"]) == (answer.json[2:], answer.headers["content-type"])
    assert len(again.json) > 2


async def test_signs_of_life_are_sent_and_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "KEEP_ALIVE_SECONDS", 0.03)
    gate = threading.Event()
    with ScriptedUpstream(gated(gate)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client, connect(house.port) as other:
            client.send(request(chat(), headers=NUMBERED))
            _, headers = await client.head()
            assert await client.event() == b"id: 1\n" + FIRST
            other.send(
                request(method="GET", path=f"{ROOT}/{headers['telex-generation']}/stream?after=1", headers={"telex-event-ids": "true"})
            )
            await other.head()
            for reader in (client, other):
                for _ in range(3):
                    assert (await reader.event()).startswith(b":")
            gate.set()
            for reader in (client, other):
                while (event := await reader.event()).startswith(b":"):
                    pass
                assert event == b"id: 2\n" + FRAMES[1]
                assert await reader.event() == b"id: 3\n" + FRAMES[2]


# ---- the whole of it


@DIALECT
@PROVIDER
async def test_a_streams_reply_is_what_its_frames_add_up_to(house: House, upstream: ScriptedUpstream, dialect: str, up: str) -> None:
    """The same as what was answered whole, but for ids that are made up."""
    upstream.play(say(*TEXTS))
    streamed, whole = await send(house.port, asked(dialect, up)), await send(house.port, asked(dialect, up, stream=False))
    replies = [await get(house.port, f"{ROOT}/{answer.headers['telex-generation']}/reply") for answer in (streamed, whole)]
    assert (replies[1].body, replies[1].status, replies[0].status) == (whole.body, 200, 200)
    decoded = [DIALECTS[dialect].Decoder().whole(answer.body) for answer in (*replies, whole)]
    kinds = [[event for event in events if not isinstance(event, Start)] for events in decoded]
    assert kinds[1] == kinds[2]
    texts = ["".join(event.text for event in events if isinstance(event, PartDelta)) for events in kinds]
    assert texts == ["".join(TEXTS)] * 3
    usages = [[(event.input, event.output) for event in events if isinstance(event, Usage)] for events in kinds]
    assert usages[0] == usages[1] == [(7, len(TEXTS))]


@pytest.mark.parametrize("stream", [True, False])
async def test_one_that_failed_before_anything_answers_its_error(stream: bool) -> None:
    limited = status(429, headers=[("retry-after", "7")])
    with ScriptedUpstream(limited) as upstream:
        async with gateway(upstream.url, models={"m": {"targets": [{"provider": "up", "model": "m"}], "retries": 0}}) as house:
            answer = await send(house.port, request(chat(stream, model="m"), headers={"telex-on-disconnect": "finish"}))
            id = answer.headers["telex-generation"]
            reply, said = await get(house.port, f"{ROOT}/{id}/reply"), await record(house.port, id)
            assert (answer.status, reply.status, reply.body) == (429, 429, answer.body)
            assert reply.headers["retry-after"] == answer.headers["retry-after"] == "7"
            assert (said["status"], said["failure"]["kind"], said["failure"]["retry_after"]) == ("rate_limited", "rate_limited", 7.0)
            if stream:
                [error] = (await followed(house.port, id)).datas
                assert json.loads(error)["error"]["code"] == answer.error["code"]


# ---- what is known of it


async def test_the_record_says_what_the_log_says(logged: list[dict[str, Any]]) -> None:
    models = {"m": {"targets": [{"provider": "up", "model": "one"}, {"provider": "up1", "model": "two"}], "retries": 0}}
    with ScriptedUpstream(status(500)) as broken, ScriptedUpstream(perform(lambda call: words(call, *TEXTS), gap=0.01)) as good:
        async with gateway(broken.url, good.url, models=models) as house:
            answer = await send(house.port, request(chat(model="m"), headers={"telex-on-disconnect": "finish"}))
            said = await record(house.port, answer.headers["telex-generation"])
    [line] = logged
    names = "id owner status model dialect delivery on_disconnect created timing usage certainty attempts failure dropped kept"
    assert list(said) == names.split()
    assert said["id"] == line["id"] == answer.headers["telex-generation"]
    assert (said["status"], said["model"], said["dialect"], said["delivery"]) == ("complete", "m", "openai-chat", "stream")
    assert (line["ending"], line["model"], line["dialect"], line["delivery"]) == ("complete", "m", "openai-chat", "stream")
    assert set(said["timing"]) == {"queue", "ttft", "itl_p50", "itl_p95", "e2e", "connect"}
    assert all(line[name] == seconds for name, seconds in said["timing"].items() if name != "connect")
    assert 0 <= said["timing"]["connect"] <= said["timing"]["ttft"] <= said["timing"]["e2e"]
    assert (said["usage"]["input"], said["usage"]["output"], said["certainty"]) == (7, 5, "final")
    assert (line["input_tokens"], line["output_tokens"], line["tokens"]) == (7, 5, "final")
    assert said["attempts"] == line["attempts"]
    assert [attempt["failure"] for attempt in said["attempts"]] == [*["upstream_error"] * (len(said["attempts"]) - 1), ""]
    assert (said["failure"], said["dropped"], line["dropped"]) == (None, [], [])


async def test_what_a_provider_says_of_a_failure_is_in_the_record_and_not_in_the_log(logged: list[dict[str, Any]]) -> None:
    with ScriptedUpstream(status(400, b'{"error":{"message":"You sent canary-7.","type":"x","code":null,"param":null}}')) as upstream:
        async with gateway(upstream.url) as house:
            answer = await send(house.port, asking("finish"))
            assert "canary-7" in (await record(house.port, answer.headers["telex-generation"]))["failure"]["message"]
    assert [line["failure"] for line in logged] == ["bad_request"]
    assert "canary-7" not in str(logged)


async def test_one_that_runs_is_known_as_far_as_it_came() -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.ask()
            said = await record(house.port, await begun(client))
            assert (said["status"], said["on_disconnect"], said["failure"], said["certainty"]) == ("running", "cancel", None, "estimated")
            assert said["timing"]["ttft"] <= said["timing"]["e2e"]
            assert [attempt["failure"] for attempt in said["attempts"]] == [""]


async def test_the_newest_are_listed_first() -> None:
    with ScriptedUpstream(say("Hi"), say("Hi"), say("Hi"), (Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            ids = [(await send(house.port, asking("finish"))).headers["telex-generation"] for _ in range(3)]
            client.send(asking("cancel"))
            ids.append(await begun(client))
            listed = (await get(house.port, ROOT)).json
            assert ([said["id"] for said in listed["data"]], listed["has_more"]) == (ids[::-1], False)
            assert [said["status"] for said in listed["data"]] == ["running", *["complete"] * 3]
            listed = (await get(house.port, f"{ROOT}?limit=2")).json
            assert ([said["id"] for said in listed["data"]], listed["has_more"]) == (ids[:1:-1], True)
            for limit in ("0", "101", "x", "-1"):
                assert is_problem(await get(house.port, f"{ROOT}?limit={limit}"), 400, "limit")


async def test_what_is_wrong_here_is_said_as_problem_details(house: House) -> None:
    async def asks(method: str, path: str, **headers: str) -> Answer:
        return await send(house.port, request(method=method, path=path, headers=headers))

    assert is_problem(await asks("GET", f"{ROOT}/gen_1/nothing"), 404)
    assert is_problem(await asks("DELETE", f"{ROOT}/gen_1"), 405)
    assert is_problem(await asks("GET", f"{ROOT}/gen_1/cancel"), 405)
    assert is_problem(await asks("POST", f"{ROOT}/gen_1/cancel", origin="http://elsewhere.test"), 403, "origins")
    assert is_problem(await asks("GET", ROOT, host="elsewhere.test"), 421, "server.hosts")


# ---- what a generation that is kept costs


async def test_what_ended_is_let_go_of_and_read_from_the_store() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            answer = await send(house.port, asking("finish"))
            await until(lambda: not house.process.gateway._archive._here)
            assert house.process.engine.room.used == 0
            id = answer.headers["telex-generation"]
            assert (await followed(house.port, id)).body == answer.body
            assert (await get(house.port, f"{ROOT}/{id}/reply")).text == "Hi"


async def test_of_what_was_asked_nothing_is_kept() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            body = chat(messages=[{"role": "user", "content": "canary-3"}])
            answer = await send(house.port, request(body, headers={"telex-on-disconnect": "hold"}))
            await until(lambda: not house.process.gateway._archive._here)
            saved = await asyncio.wrap_future(house.process.store.generations.find(answer.headers["telex-generation"]))
            assert saved is not None
            assert (b"canary-3" in b"".join((saved.record, saved.reading, saved.request)), saved.request) == (False, b"")
