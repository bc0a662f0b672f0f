"""What one key made is no other's: to others it is not there, in whatever form they ask for it."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from telex.generation.generation import Generation
from telex.testing import ScriptedUpstream, say

from .client import Answer, ask, chat, connect, request, send
from .house import House, gateway
from .keyed import keyed, make_key, with_key
from .returning import ROOT, gated

UPS = ("openai-chat", "openai-responses")
"""A provider that knows nothing of responses, and one that speaks them and would go on from any that it is told of."""

each_up = pytest.mark.parametrize("up", UPS)


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    providers = {name: {"dialect": name, "base_url": upstream.url} for name in UPS}
    async with keyed(tmp_path_factory.mktemp("keys"), providers=providers) as house:
        yield house


@pytest.fixture(scope="module")
async def anna(house: House) -> str:
    return await make_key(house.process.store, "anna")


@pytest.fixture(scope="module")
async def bert(house: House) -> str:
    return await make_key(house.process.store, "bert")


@pytest.fixture(scope="module")
async def admin(house: House) -> str:
    return await make_key(house.process.store, "admin", admin=True)


async def respond(house: House, token: str, up: str, path: str = "/v1/responses", **fields: Any) -> Answer:
    path, headers = with_key(path, token)
    body = json.dumps({"model": f"{up}/m", "input": "Hi", **fields}).encode()
    return await send(house.port, request(body, path=path, headers=headers))


async def look(house: House, token: str, path: str, method: str = "GET") -> Answer:
    path, headers = with_key(path, token)
    return await send(house.port, request(method=method, path=path, headers=headers))


async def made(house: House, upstream: ScriptedUpstream, token: str, up: str) -> Any:
    """A response of that key's."""
    upstream.play(say("One"))
    answer = await respond(house, token, up)
    assert answer.status == 200
    return answer.json


@each_up
async def test_row44_it_is_not_found(up: str, house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    """Nor deleted, nor stopped; what others hear is what they hear of one that there never was."""
    id = (await made(house, upstream, anna, up))["id"]
    for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        others, never = [await look(house, bert, f"/v1/responses/{it}{end}", method) for it in (id, "resp_never")]
        assert (others.status, others.error["code"]) == (404, "not_found")
        assert others.body.replace(id.encode(), b"resp_never") == never.body
    assert (await look(house, anna, f"/v1/responses/{id}")).json["id"] == id
    assert (await look(house, anna, f"/v1/responses/{id}/input_items")).status == 200
    assert (await look(house, anna, f"/v1/responses/{id}", "DELETE")).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@each_up
async def test_nobody_else_goes_on_from_it(up: str, stream: bool, house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    id = (await made(house, upstream, anna, up))["id"]
    before = len(upstream.calls)
    for other in UPS:
        for previous in (id, "resp_never"):
            answer = await respond(house, bert, other, previous_response_id=previous, stream=stream)
            assert (answer.status, answer.error["code"]) == (404, "previous_response_not_found")
            assert answer.error["param"] == "previous_response_id"
    counted = await respond(house, bert, up, "/v1/responses/input_tokens", previous_response_id=id)
    assert counted.status == 404
    assert len(upstream.calls) == before
    upstream.play(say("Two"))
    assert (await respond(house, anna, up, previous_response_id=id, stream=stream)).status == 200
    sent = upstream.calls[-1].json
    assert sent.get("previous_response_id") == (id if up == "openai-responses" else None)
    assert len(sent.get("messages", "...")) == 3


@each_up
async def test_nobody_else_refers_to_what_it_said(up: str, house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    id = (await made(house, upstream, anna, up))["output"][0]["id"]
    question = {"role": "user", "content": "And?"}
    before = len(upstream.calls)
    references: list[dict[str, Any]] = [{"type": "item_reference", "id": id}, {"id": id}, {"type": None, "id": id}]
    for item in (*references, {"type": "item_reference", "id": "msg_never"}):
        for other in UPS:
            answer = await respond(house, bert, other, input=[question, item])
            assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "item_not_found", "input[1].id")
    path, headers = with_key("/v1/responses", bert)
    hidden = json.dumps({"model": f"{up}/m", "input": [references[0]]}).replace("item_reference", "item\\u005freference")
    assert (await send(house.port, request(hidden.encode(), path=path, headers=headers))).status == 404
    assert len(upstream.calls) == before
    for reference in references if up == "openai-chat" else references[:1]:
        upstream.play(say("Two"))
        assert (await respond(house, anna, up, input=[question, reference, question], store=False)).status == 200
    sent = upstream.calls[-1].json
    said = sent["input"][1] if up == "openai-responses" else sent["messages"][1]["content"]
    assert said == (references[0] if up == "openai-responses" else "One")


async def test_two_keys_may_have_the_same_ids(house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    """Since those are the provider's; a scripted one gives all the same."""
    first, second = [await made(house, upstream, token, "openai-responses") for token in (anna, bert)]
    assert first["id"] == second["id"]
    assert (await look(house, anna, f"/v1/responses/{first['id']}", "DELETE")).status == 200
    assert (await look(house, anna, f"/v1/responses/{first['id']}")).status == 404
    assert (await look(house, bert, f"/v1/responses/{first['id']}")).status == 200
    upstream.play(say("Two"))
    item = {"type": "item_reference", "id": second["output"][0]["id"]}
    assert (await respond(house, bert, "openai-responses", input=[item])).status == 200
    assert (await respond(house, anna, "openai-responses", input=[item])).status == 404


@each_up
async def test_conversations_that_nobody_made_here_are_nobodys(up: str, house: House, upstream: ScriptedUpstream, anna: str) -> None:
    before = len(upstream.calls)
    for conversation in ("conv_1", {"id": "conv_1"}):
        answer = await respond(house, anna, up, conversation=conversation)
        assert (answer.status, answer.error["param"]) == (404, "conversation")
    assert len(upstream.calls) == before


async def test_where_access_is_open_what_is_not_known_may_be_the_providers(upstream: ScriptedUpstream) -> None:
    async with gateway(providers={"up": {"dialect": "openai-responses", "base_url": upstream.url}}) as house:
        upstream.play(say("One"), say("Two"))
        assert (await respond(house, "", "up", previous_response_id="resp_elsewhere")).status == 200
        assert upstream.calls[-1].json["previous_response_id"] == "resp_elsewhere"
        assert (await respond(house, "", "up", conversation="conv_1")).status == 200


# ---- coming back to generations


def asking_to_keep(token: str, up: str = "openai-chat", policy: str = "finish") -> bytes:
    _, headers = with_key("", token)
    return request(chat(True, model=f"{up}/m"), headers={"telex-on-disconnect": policy, **headers})


async def test_row44_others_find_no_generation(house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    """Neither one that is kept nor one that is gone: what they hear is what they hear of one that there never was."""
    upstream.play(say("One"), say("One"))
    kept = (await send(house.port, asking_to_keep(anna))).headers["telex-generation"]
    gone = (await send(house.port, asking_to_keep(anna, policy="cancel"))).headers["telex-generation"]
    for id, status in ((kept, 200), (gone, 410)):  # of which its own key still has the record
        for method, end in (("GET", ""), ("GET", "/reply"), ("GET", "/stream"), ("GET", "/stream?after=1"), ("POST", "/cancel")):
            others, never = [await look(house, bert, f"{ROOT}/{it}{end}", method) for it in (id, "gen_never")]
            assert (others.status, others.headers["content-type"]) == (404, "application/problem+json")
            assert others.body.replace(id.encode(), b"gen_never") == never.body
            read = end not in ("", "/cancel")
            assert (await look(house, anna, f"{ROOT}/{id}{end}", method)).status == (status if read else 200)
            assert (await look(house, "", f"{ROOT}/{id}{end}", method)).status == 401
    assert kept in [row["id"] for row in (await look(house, anna, ROOT)).json["data"]]
    assert {row["owner"] for row in (await look(house, bert, ROOT)).json["data"]} <= {"key_bert"}


async def test_others_stop_no_generation_that_runs(house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    async with connect(house.port) as client:
        client.send(asking_to_keep(anna))
        _, headers = await client.head()
        id = headers["telex-generation"]
        for method, end in (("GET", ""), ("GET", "/stream"), ("POST", "/cancel")):
            assert (await look(house, bert, f"{ROOT}/{id}{end}", method)).status == 404
        assert (await look(house, anna, f"{ROOT}/{id}")).json["status"] == "running"
        gate.set()
        while event := await client.event():
            last = event
        assert last == b"data: [DONE]\n\n"


async def test_an_admin_sees_and_stops_all_and_reads_none(house: House, upstream: ScriptedUpstream, anna: str, admin: str) -> None:
    upstream.play(say("One"))
    id = (await send(house.port, asking_to_keep(anna))).headers["telex-generation"]
    record = (await look(house, admin, f"{ROOT}/{id}")).json
    assert (record["owner"], record["status"]) == ("key_anna", "complete")
    assert id in [row["id"] for row in (await look(house, admin, ROOT)).json["data"]]
    for end in ("/reply", "/stream"):
        assert (await look(house, admin, f"{ROOT}/{id}{end}")).status == 404
    gate = threading.Event()
    upstream.play(gated(gate))
    async with connect(house.port) as client:
        client.send(asking_to_keep(anna))
        _, headers = await client.head()
        stopped = await look(house, admin, f"{ROOT}/{headers['telex-generation']}/cancel", "POST")
        assert (stopped.status, stopped.json["status"]) == (200, "cancelled")
    gate.set()


async def test_a_generation_knows_whose_it_is(house: House, upstream: ScriptedUpstream, anna: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Generation] = []
    monkeypatch.setattr(house.process.engine, "_on_end", ended.append)
    upstream.play(say("One"))
    await respond(house, anna, "openai-chat")
    async with gateway(upstream.url) as open_house:
        monkeypatch.setattr(open_house.process.engine, "_on_end", ended.append)
        upstream.play(say("One"))
        await ask(open_house.port)
    assert [generation.owner for generation in ended] == ["key_anna", ""]


async def test_row44_nobody_else_cancels_by_its_key(house: House, upstream: ScriptedUpstream, anna: str, bert: str) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    path, headers = with_key("/v1/chat/completions", anna)
    async with connect(house.port) as client:
        client.send(request(chat(model="openai-chat/m"), path=path, headers={**headers, "idempotency-key": "k-1"}))
        await client.head()
        assert (await look(house, bert, f"{ROOT}/k-1/cancel", "POST")).status == 404
        assert (await look(house, anna, f"{ROOT}/k-1/cancel", "POST")).json["status"] == "cancelled"
    gate.set()
