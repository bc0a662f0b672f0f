"""`background` of OpenAI's Responses, whichever dialect the provider speaks: asked for, polled, followed, resumed, stopped, forgotten."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Usage
from telex.dialects import DIALECTS
from telex.stores.futures import failed
from telex.stores.ports import StoreError
from telex.testing import Call, Play, Script, ScriptedUpstream, Send, Stall, Until, perform, say, status
from telex.testing.script import Close, resolve

from .client import Answer, Client, connect, request, send
from .house import House, gateway, in_each_dialect
from .keyed import keyed, make_key, with_key
from .returning import until

ROOT = "/v1/responses"
TEXTS = ("The", " sky", " is", " blue", ".")
PROVIDER = pytest.mark.parametrize("up", DIALECTS)
NO_HEADERS: Mapping[str, str] = {}
FORMS = ("GET", ""), ("GET", "?stream=true&starting_after=1"), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")
"""In which it can be asked for: method, and what stands behind its path."""

ENDED = ("completed", "failed", "cancelled", "incomplete")


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    async with gateway(providers=in_each_dialect(upstream.url)) as house:
        yield house


def begins(call: Call) -> tuple[Script, Script]:
    """The answer in TEXTS, up to its first words and behind them; a whole reply is all behind."""
    steps = resolve(say(*TEXTS), call)
    first = TEXTS[0].encode()
    place = next(n for n, step in enumerate(steps, 1) if isinstance(step, Send) and first in step.data) if call.wants_stream else 0
    return steps[:place], steps[place:]


def gated(gate: threading.Event) -> Play:
    """The rest of an answer comes when `gate` is set."""

    def play(call: Call) -> Script:
        first, rest = begins(call)
        return (*first, Until(gate.is_set), *rest)

    return play


def broken(call: Call) -> Script:
    """The connection ends in the middle."""
    first, _ = begins(call)
    return (*first, Close())


def stalled(call: Call) -> Script:
    first, _ = begins(call)
    return (*first, Stall())


def asking(up: str, headers: Mapping[str, str] = NO_HEADERS, **fields: Any) -> bytes:
    body = {"model": f"{up}/m", "input": "Why?", "background": True, **fields}
    return request(json.dumps(body).encode(), path=ROOT, headers=headers)


async def submit(house: House, up: str, headers: Mapping[str, str] = NO_HEADERS, **fields: Any) -> Any:
    """The response as it is answered at once."""
    answer = await send(house.port, asking(up, headers, **fields))
    assert answer.status == 200, answer
    return answer.json


async def look(house: House, id: str, end: str = "", method: str = "GET", headers: Mapping[str, str] = NO_HEADERS) -> Answer:
    return await send(house.port, request(method=method, path=f"{ROOT}/{id}{end}", headers=headers))


async def poll(house: House, id: str) -> Any:
    """The response, once it has ended."""
    while (answer := await look(house, id)).json["status"] not in ENDED:
        assert answer.status == 200
    return answer.json


async def opened(client: Client, up: str, **fields: Any) -> tuple[str, list[bytes]]:
    """A stream of which two events came: the id of its response, and them."""
    client.send(asking(up, stream=True, **fields))
    assert (await client.head())[0] == 200
    events = [await client.event(), await client.event()]
    return data_of(events[0])["response"]["id"], events


def data_of(event: bytes) -> Any:
    return json.loads(event.partition(b"data: ")[2])


def numbers(body: bytes) -> list[int]:
    return [data_of(event)["sequence_number"] for event in body.split(b"\n\n")[:-1]]


# ---- polled


@PROVIDER
async def test_it_is_answered_at_once_and_polled_until_it_is_complete(house: House, upstream: ScriptedUpstream, up: str) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    made = await submit(house, up)
    assert (made["object"], made["status"], made["output"], made["usage"]) == ("response", "queued", [], None)
    assert (made["background"], made["store"], made["error"]) == (True, True, None)
    seen = {"queued"}
    while "in_progress" not in seen:
        seen.add((await look(house, made["id"])).json["status"])
    assert seen <= {"queued", "in_progress"}
    gate.set()
    done = await poll(house, made["id"])
    assert (done["id"], done["status"], done["background"], done["store"]) == (made["id"], "completed", True, True)
    assert done["output"][0]["content"][0]["text"] == "".join(TEXTS)
    assert (done["usage"]["input_tokens"], done["usage"]["output_tokens"]) == (7, len(TEXTS))
    assert set(made) <= set(done)
    assert not upstream.calls[-1].json.get("background")
    items = (await look(house, made["id"], "/input_items")).json["data"]
    assert items[0]["content"] == [{"type": "input_text", "text": "Why?"}]


@PROVIDER
async def test_one_that_is_cut_short_is_incomplete(house: House, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(say("The sky", reason="length"))
    done = await poll(house, (await submit(house, up))["id"])
    assert (done["status"], done["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert done["output"][0]["content"][0]["text"] == "The sky"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@PROVIDER
async def test_one_that_fails_says_why(house: House, upstream: ScriptedUpstream, up: str, stream: bool) -> None:
    upstream.play(status(400))
    if stream:
        answer = await send(house.port, asking(up, stream=True))
        assert [event["type"] for event in map(json.loads, answer.datas)] == ["error", "response.failed"]
        id = "resp_" + answer.headers["telex-generation"]
    else:
        id = (await submit(house, up))["id"]
    done = await poll(house, id)
    assert (done["id"], done["status"], done["output"], done["background"]) == (id, "failed", [], True)
    assert (set(done["error"]) >= {"code", "message"}, "Scripted 400." in done["error"]["message"]) == (True, True)
    assert (await look(house, id, "/cancel", "POST")).json == done
    events = await look(house, id, "?stream=true")
    assert [event["type"] for event in map(json.loads, events.datas)] == ["error", "response.failed"]
    assert numbers(events.body) == [0, 1]


# ---- followed


@PROVIDER
async def test_row41_a_stream_that_was_left_goes_on_behind_any_number(house: House, upstream: ScriptedUpstream, up: str) -> None:
    """While it runs, and when it has ended: the bytes are those that an undisturbed reader gets."""
    gate = threading.Event()
    upstream.play(gated(gate))
    async with connect(house.port) as client, connect(house.port) as back:
        id, events = await opened(client, up)
        assert data_of(events[0])["type"] == "response.created"
        client.leave()
        back.send(request(method="GET", path=f"{ROOT}/{id}?stream=true&starting_after=1"))
        assert (await back.head())[0] == 200
        third = await back.event()
        assert data_of(third)["sequence_number"] == 2
        assert (await look(house, id)).json["status"] == "in_progress"
        gate.set()
        events += [third]
        while event := await back.event():
            events.append(event)
    whole = b"".join(events)
    assert numbers(whole) == list(range(len(events)))
    assert data_of(events[-1])["type"] == "response.completed"
    assert {data_of(event)["response"]["id"] for event in events if "response" in data_of(event)} == {id}
    assert (await look(house, id, "?stream=true")).body == whole
    for number in range(len(events)):
        after = await look(house, id, f"?stream=true&starting_after={number}")
        assert after.body == b"".join(events[number + 1 :])
    assert (await look(house, id, f"?stream=true&starting_after={len(events)}")).body == events[-1], "there are not so many"
    assert (await poll(house, id))["output"][0]["content"][0]["text"] == "".join(TEXTS)


@PROVIDER
async def test_row41_one_that_was_polled_can_be_followed(house: House, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(say(*TEXTS))
    id = (await submit(house, up))["id"]
    await poll(house, id)
    events = await look(house, id, "?stream=true")
    assert numbers(events.body) == list(range(len(events.datas)))
    last = json.loads(events.datas[-1])
    assert (last["type"], last["response"]["id"]) == ("response.completed", id)
    assert last["response"]["output"][0]["content"][0]["text"] == "".join(TEXTS)


@PROVIDER
async def test_row14_a_stream_that_breaks_goes_on_counting(house: House, upstream: ScriptedUpstream, up: str) -> None:
    """What says so has the next number, and the name of the response."""
    upstream.play(broken)
    answer = await send(house.port, asking(up, stream=True))
    events = [json.loads(data) for data in answer.datas]
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    id = events[0]["response"]["id"]
    assert events[-1]["response"]["id"] == id
    for number in range(len(events) - 1):
        after = await look(house, id, f"?stream=true&starting_after={number}")
        assert [json.loads(data) for data in after.datas] == events[number + 1 :]
    done = await poll(house, id)
    assert (done["status"], done["error"]["code"]) == ("failed", "stream_truncated")


async def test_what_came_whole_is_followed_as_its_events(house: House, upstream: ScriptedUpstream) -> None:
    """A provider of the dialect is asked for the whole where a fold might lose something."""
    upstream.play(say(*TEXTS))
    done = await poll(house, (await submit(house, "openai-responses", tools=[{"type": "web_search"}]))["id"])
    assert not upstream.calls[-1].wants_stream
    assert (done["background"], done["output"][0]["content"][0]["text"]) == (True, "".join(TEXTS))
    events = await look(house, done["id"], "?stream=true")
    assert numbers(events.body) == list(range(len(events.datas)))
    assert {event["response"]["id"] for event in map(json.loads, events.datas) if "response" in event} == {done["id"]}


async def test_a_name_is_replaced_where_it_is_the_name(house: House, upstream: ScriptedUpstream) -> None:
    """What a provider of the dialect calls its response may be a word that stands elsewhere, too."""

    def words(call: Call) -> list[Event]:
        named = Start("sky", call.model, 1_700_000_000, "openai-responses")
        return [named, PartStart(0, 0, "text"), *(PartDelta(0, 0, text) for text in TEXTS), PartEnd(0, 0), Finish(0, "stop"), Done()]

    upstream.play(perform(words))
    answer = await send(house.port, asking("openai-responses", stream=True))
    last = json.loads(answer.datas[-1])["response"]
    assert (last["id"], last["output"][0]["content"][0]["text"]) == ("resp_" + answer.headers["telex-generation"], "".join(TEXTS))


async def test_row42_what_is_no_number_is_refused(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hi"))
    id = (await submit(house, "anthropic"))["id"]
    for number in ("x", "-1", "1.5", "9" * 30):
        answer = await look(house, id, f"?stream=true&starting_after={number}")
        assert (answer.status, answer.error["param"]) == (400, "starting_after")


async def test_one_that_somebody_waited_for_has_no_events_and_is_not_cancelled(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hi"))
    for stream in (False, True):
        answer = await send(house.port, asking("anthropic", background=False, stream=stream))
        id = json.loads(answer.datas[0])["response"]["id"] if stream else answer.json["id"]
        assert (await look(house, id, "?stream=true")).error["param"] == "stream"
        assert (await look(house, id, "/cancel", "POST")).status == 400
        assert (await look(house, id)).json["background"] is False


# ---- after another process


@PROVIDER
async def test_row48_it_outlives_the_process(upstream: ScriptedUpstream, tmp_path: Path, up: str) -> None:
    rows, store = in_each_dialect(upstream.url), f"sqlite:///{tmp_path}/telex.db"
    upstream.play(say(*TEXTS))
    async with gateway(providers=rows, store=store) as house:
        streamed = await send(house.port, asking(up, stream=True))
        id = json.loads(streamed.datas[0])["response"]["id"]
        polled = await submit(house, up)
        responses = [await poll(house, it) for it in (id, polled["id"])]
    async with gateway(providers=rows, store=store) as house:
        assert [(await look(house, it)).json for it in (id, polled["id"])] == responses
        for number in (0, 3, len(streamed.datas) - 2):
            after = await look(house, id, f"?stream=true&starting_after={number}")
            assert after.body == b"".join(event + b"\n\n" for event in streamed.body.split(b"\n\n")[number + 1 : -1])
        upstream.play(say("Next"))
        assert (await poll(house, (await submit(house, up, previous_response_id=id))["id"]))["status"] == "completed"
        assert (await look(house, id, "/cancel", "POST")).json == responses[0]
        assert (await look(house, id, method="DELETE")).json == {"id": id, "object": "response.deleted", "deleted": True}
        for end in ("", "?stream=true", "/input_items"):
            assert (await look(house, id, end)).status == 404


async def test_row47_one_that_the_process_left_has_failed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """What of it came can be followed."""
    rows, store = in_each_dialect(upstream.url), f"sqlite:///{tmp_path}/telex.db"
    gate = threading.Event()
    upstream.play(gated(gate))
    async with gateway(providers=rows, store=store) as house, connect(house.port) as client:
        id, events = await opened(client, "anthropic")
    gate.set()
    async with gateway(providers=rows, store=store) as house:
        done = (await look(house, id)).json
        assert (done["status"], done["error"]["code"]) == ("failed", "shutting_down")
        again = await look(house, id, "?stream=true")
        assert again.body.startswith(b"".join(events))
        assert [json.loads(data)["type"] for data in again.datas[-2:]] == ["error", "response.failed"]
        assert numbers(again.body) == list(range(len(again.datas)))


@PROVIDER
async def test_row48_one_that_had_not_begun_runs_in_the_next_process(upstream: ScriptedUpstream, tmp_path: Path, up: str) -> None:
    """With the conversation that it goes on from, and others go on from it."""
    rows, store = in_each_dialect(upstream.url), f"sqlite:///{tmp_path}/telex.db"
    gate = threading.Event()
    upstream.play(say("One"), gated(gate), say("Two"))
    before = len(upstream.calls)
    async with gateway(providers=rows, store=store, server={"concurrent": 1}) as house:
        first = await poll(house, (await submit(house, up, input="a"))["id"])
        running = await submit(house, up)
        await until(lambda: len(upstream.calls) == before + 2)
        waiting = await submit(house, up, input="b", previous_response_id=first["id"])
    gate.set()
    async with gateway(providers=rows, store=store) as house:
        assert (await look(house, running["id"])).json["status"] == "failed"
        done = await poll(house, waiting["id"])
        assert (done["status"], done["output"][0]["content"][0]["text"]) == ("completed", "Two")
        assert len((await look(house, done["id"], "/input_items")).json["data"]) == 3
        assert len(upstream.calls) == before + 3
        upstream.play(say("Three"))
        assert (await send(house.port, asking(up, background=False, previous_response_id=done["id"]))).json["status"] == "completed"


# ---- stopped


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@PROVIDER
async def test_row57_one_that_runs_is_cancelled(house: House, upstream: ScriptedUpstream, up: str, stream: bool) -> None:
    upstream.play(stalled)
    before = len(upstream.calls)
    async with connect(house.port) as client:
        id = (await opened(client, up))[0] if stream else (await submit(house, up))["id"]
        await until(lambda: len(upstream.calls) > before)
        stopped = (await look(house, id, "/cancel", "POST")).json
        assert (stopped["id"], stopped["status"], stopped["output"], stopped["error"]) == (id, "cancelled", [], None)
        await upstream.calls[-1].until("left_at")
        if stream:
            while event := await client.event():
                last = event
            assert data_of(last)["type"] == "response.failed"
    for method, end in (("POST", "/cancel"), ("GET", "")):
        assert (await look(house, id, end, method)).json == stopped


@PROVIDER
async def test_row57_one_that_is_complete_stays_so(house: House, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(say("Hi"))
    done = await poll(house, (await submit(house, up))["id"])
    for _ in range(2):
        assert (await look(house, done["id"], "/cancel", "POST")).json == done
    assert done["status"] == "completed"


async def test_one_that_waits_for_its_turn_is_cancelled(upstream: ScriptedUpstream) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    async with gateway(providers=in_each_dialect(upstream.url), server={"concurrent": 1}) as house:
        before = len(upstream.calls)
        first, second = [await submit(house, "anthropic") for _ in range(2)]
        await until(lambda: len(upstream.calls) > before)
        assert (await look(house, second["id"])).json["status"] == "queued"
        assert (await look(house, second["id"], "/cancel", "POST")).json["status"] == "cancelled"
        gate.set()
        assert (await poll(house, first["id"]))["status"] == "completed"
        assert len(upstream.calls) == before + 1


# ---- forgotten


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
@PROVIDER
async def test_one_that_is_deleted_is_gone_and_one_that_runs_is_not_deleted(
    upstream: ScriptedUpstream, tmp_path: Path, up: str, store: str
) -> None:
    """Deleted the moment it has ended, when the store may not have it yet."""
    gate = threading.Event()
    upstream.play(gated(gate))
    place = f"sqlite:///{tmp_path}/telex.db" if store == "sqlite" else store
    async with gateway(providers=in_each_dialect(upstream.url), store=place) as house, connect(house.port) as client:
        id, _ = await opened(client, up)
        refused = await look(house, id, method="DELETE")
        assert (refused.status, (await look(house, id)).json["status"]) == (400, "in_progress")
        gate.set()
        while event := await client.event():
            last = event
        assert data_of(last)["type"] == "response.completed"
        assert (await look(house, id, method="DELETE")).status == 200
        for method, end in FORMS:
            assert (await look(house, id, end, method)).status == 404
        gone = await send(house.port, request(method="GET", path=f"/v1/generations/{id.removeprefix('resp_')}"))
        assert gone.status == 410
        calls = len(upstream.calls)
        next = await send(house.port, asking("anthropic", background=False, previous_response_id=id))
        assert (next.status, next.error["param"], len(upstream.calls)) == (400, "previous_response_id", calls)


async def test_an_unknown_one_is_404_in_the_words_of_openai(house: House) -> None:
    for id in ("resp_never", "resp_gen_never", "gen_never", "never", "resp_"):
        for method, end in FORMS:
            answer = await look(house, id, end, method)
            assert (answer.status, answer.error["type"], answer.error["code"]) == (404, "invalid_request_error", "not_found")
            assert id in answer.error["message"]


async def test_a_generation_that_is_no_response_is_none(house: House, upstream: ScriptedUpstream) -> None:
    """Nor one of another dialect that nobody waits for."""
    upstream.play(say("Hi"))
    body = json.dumps({"model": "anthropic/m", "messages": [{"role": "user", "content": "?"}]}).encode()
    answer = await send(house.port, request(body, headers={"prefer": "respond-async"}))
    assert answer.status == 202
    assert (await look(house, "resp_" + answer.json["id"])).status == 404


# ---- with what else a request can say


async def test_what_is_not_stored_has_no_background(house: House, upstream: ScriptedUpstream) -> None:
    await until(lambda: not house.process.gateway.running)  # of the tests before
    before = len(upstream.calls)
    for stream in (False, True):
        answer = await send(house.port, asking("anthropic", store=False, stream=stream))
        assert (answer.status, answer.error["param"], answer.error["code"]) == (400, "background", "invalid_value")
    assert len(upstream.calls) == before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@PROVIDER
async def test_row45_the_same_key_means_the_same_response(house: House, upstream: ScriptedUpstream, up: str, stream: bool) -> None:
    gate, headers = threading.Event(), {"idempotency-key": f"background-{up}-{stream}"}
    upstream.play(gated(gate))
    before = len(upstream.calls)
    async with connect(house.port) as client:
        id = (await opened(client, up, headers=headers) if stream else [(await submit(house, up, headers))["id"]])[0]
        if not stream:
            again = await submit(house, up, headers)
            assert (again["id"], again["status"] in ("queued", "in_progress")) == (id, True)
        gate.set()
        done = await poll(house, id)
        answer = await send(house.port, asking(up, headers, stream=True) if stream else asking(up, headers))
        assert answer.headers["idempotent-replayed"] == "true"
        if stream:
            assert json.loads(answer.datas[-1])["response"]["id"] == id
        else:
            assert answer.json == done
    other = await send(house.port, asking(up, headers, input="What?"))
    assert other.status == 422
    assert len(upstream.calls) == before + 1


async def test_row45_who_asks_again_and_waits_gets_the_whole(house: House, upstream: ScriptedUpstream) -> None:
    """The first time it asked for it later, which is said in a header and not in the body."""
    gate, headers = threading.Event(), {"idempotency-key": "waits"}
    upstream.play(gated(gate))
    accepted = await send(house.port, asking("anthropic", {**headers, "prefer": "respond-async"}, background=False))
    assert accepted.status == 202
    async with connect(house.port) as client:
        client.send(asking("anthropic", headers, background=False))
        [generation] = [found for found in house.process.gateway.running if found.id == accepted.json["id"]]
        await until(lambda: generation.log.readers)
        gate.set()
        answer = await client.answer()
    assert (answer.json["status"], answer.json["output"][0]["content"][0]["text"]) == ("completed", "".join(TEXTS))


@PROVIDER
async def test_a_next_response_goes_on_from_it(house: House, upstream: ScriptedUpstream, up: str) -> None:
    """Also behind a provider of the dialect, who does not know it by its name here: it is told what was said, with its own ids."""
    upstream.play(perform(thinking), say("Two"), say("Three"))
    first = await poll(house, (await submit(house, up, input="a"))["id"])
    second = await poll(house, (await submit(house, up, input="b", previous_response_id=first["id"]))["id"])
    third = await send(house.port, asking(up, background=False, input="c", previous_response_id=second["id"]))
    assert third.status == 200
    sent = upstream.calls[-1]
    assert "previous_response_id" not in sent.json
    if up == "openai-responses":
        said = [(item["type"], item.get("id", "").partition("_")[0]) for item in sent.json["input"]]
        user = ("message", "")
        assert said == [user, ("reasoning", "rs"), ("message", "msg"), user, ("message", "msg"), user]
        assert [item.get("id") for item in sent.json["input"][1:3]] == [item["id"] for item in first["output"]]
    request = sent.dialect.decode_request(sent.body, sent.operation[1], sent.headers)
    texts = [part.text for message in request.messages for part in message.parts if part.kind == "text"]  # type: ignore[union-attr]
    assert texts == ["a", "One", "b", "Two", "c"]


def thinking(call: Call) -> list[Event]:
    return [
        Start("theirs", call.model, 1_700_000_000),
        *((PartStart(0, 0, "reasoning"), PartDelta(0, 0, "Hm."), PartEnd(0, 0)) if call.dialect.NAME != "openai-chat" else ()),
        PartStart(0, 1, "text"),
        PartDelta(0, 1, "One"),
        PartEnd(0, 1),
        Finish(0, "stop"),
        Usage(7, 2),
        Done(),
    ]


async def test_what_it_would_go_on_from_must_be_there(house: House, upstream: ScriptedUpstream) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    id = (await submit(house, "anthropic"))["id"]
    for background in (False, True):
        answer = await send(house.port, asking("anthropic", background=background, previous_response_id=id))
        assert (answer.status, answer.error["code"]) == (400, "previous_response_in_progress")
    gate.set()
    await poll(house, id)


# ---- whose it is


@PROVIDER
async def test_row44_to_another_key_it_is_not_there(upstream: ScriptedUpstream, tmp_path: Path, up: str) -> None:
    """While it runs and behind its end: each answer is what is heard of one that there never was."""
    gate = threading.Event()
    upstream.play(gated(gate))
    before = len(upstream.calls)
    async with keyed(tmp_path, providers=in_each_dialect(upstream.url)) as house:
        anna, bert, admin = [
            with_key("", await make_key(house.process.store, name, admin=name == "admin"))[1] for name in ("anna", "bert", "admin")
        ]
        id = (await submit(house, up, anna))["id"]
        for ended in (False, True):
            if ended:
                gate.set()
                while (await look(house, id, headers=anna)).json["status"] != "completed":
                    pass
            for other in (bert, admin):
                for method, end in FORMS:
                    theirs, never = [await look(house, it, end, method, other) for it in (id, "resp_gen_never")]
                    assert (theirs.status, theirs.body.replace(id.encode(), b"resp_gen_never")) == (404, never.body)
                for background in (False, True):
                    answer = await send(house.port, asking(up, other, background=background, previous_response_id=id))
                    assert (answer.status, answer.error["code"]) == (404, "previous_response_not_found")
            assert (await look(house, id, headers=anna)).status == 200
        assert len(upstream.calls) == before + 1


# ---- a store that fails


async def test_row50_what_can_not_be_kept_is_not_accepted(
    house: House, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(upstream.calls)
    monkeypatch.setattr(house.process.gateway._archive._store, "create", lambda saved: failed(StoreError("The disk is full")))
    for stream in (False, True):
        answer = await send(house.port, asking("anthropic", stream=stream))
        assert (answer.status, answer.error["code"], "retry-after" in answer.headers) == (503, "server_busy", True)
    assert len(upstream.calls) == before


async def test_row51_what_runs_is_known_and_stopped_without_the_store(
    house: House, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.play((Stall(),))
    id = (await submit(house, "anthropic"))["id"]
    with monkeypatch.context() as patch:
        patch.setattr(house.process.gateway._conversations, "_store", None)
        patch.setattr(house.process.gateway._archive._store, "find", lambda id: failed(StoreError("The disk is full")))
        assert (await look(house, id)).json["status"] in ("queued", "in_progress")
        assert (await look(house, id, "/input_items")).status == 200
        other = await look(house, "resp_gen_other")
        assert (other.status, other.error["code"]) == (503, "server_busy")
        assert (await look(house, id, "/cancel", "POST")).status in (200, 503), "it may be in the store by then"
    assert (await look(house, id)).json["status"] == "cancelled"
