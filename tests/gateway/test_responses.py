"""Responses that are stored: a next one goes on from them, and they can be asked for again, by OpenAI's SDK as it is."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from telex.core.messages import Choice, Finish, Part, Reply
from telex.stores.futures import failed
from telex.stores.ports import SavedResponse, StoreError
from telex.testing import ScriptedUpstream, Until, reply, say
from telex.testing.script import resolve

from .client import ask, connect, request, send
from .house import House, gateway, in_each_dialect
from .keyed import keyed, make_key

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
FOREIGN = [name for name in DIALECTS if name != "openai-responses"]


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    providers = in_each_dialect(upstream.url)
    async with gateway(providers=providers) as house:
        yield house


def openai_at(house: House, key: str = "none") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"http://127.0.0.1:{house.port}/v1", api_key=key, max_retries=0)


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with openai_at(house) as client:
        yield client


def told(upstream: ScriptedUpstream) -> list[tuple[str, str]]:
    """Who said what, of the conversation that the provider was sent last."""
    call = upstream.calls[-1]
    dialect, operation = call.operation
    request = dialect.decode_request(call.body, operation, call.headers)
    assert hasattr(request, "messages"), request
    parts: list[tuple[str, Part]] = [(message.role, part) for message in request.messages for part in message.parts]
    return [(role, part.text) for role, part in parts if part.kind == "text"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("up", FOREIGN)
async def test_a_next_response_goes_on_from_the_last(client: AsyncOpenAI, upstream: ScriptedUpstream, up: str, stream: bool) -> None:
    """Three in a row; what was said before is told again to a provider that has never heard of responses."""
    upstream.play(say("One"), say("Two"), say("Three"))
    previous = openai.omit
    for number, question in enumerate(("a", "b", "c"), 1):
        asked: dict[str, Any] = {"model": f"{up}/m", "input": question, "previous_response_id": previous, "instructions": f"i{number}"}
        if stream:
            async with client.responses.stream(**asked) as events:
                response: Any = await events.get_final_response()
        else:
            response = await client.responses.create(**asked)
        previous = response.id
    said = [("user", "a"), ("assistant", "One"), ("user", "b"), ("assistant", "Two"), ("user", "c")]
    assert [(role, text) for role, text in told(upstream) if role != "system"] == said
    assert [text for role, text in told(upstream) if role == "system"] == ["i3"]  # earlier instructions are not inherited
    assert response.output_text == "Three"


async def test_a_provider_of_the_dialect_is_asked_to_go_on_itself(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    upstream.play(say("One"), say("Two"))
    first = await client.responses.create(model="openai-responses/m", input="a")
    await client.responses.create(model="openai-responses/m", input="b", previous_response_id=first.id)
    assert upstream.calls[-1].json["previous_response_id"] == first.id
    assert upstream.calls[-1].json["input"] == "b"


async def test_an_unknown_one_is_refused_by_name_where_nobody_can_know_it(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    before = len(upstream.calls)
    with pytest.raises(openai.BadRequestError) as raised:
        await client.responses.create(model="anthropic/m", input="b", previous_response_id="resp_unknown")
    assert raised.value.param == "previous_response_id"
    assert len(upstream.calls) == before


async def test_one_or_the_other(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.responses.create(model="anthropic/m", input="b", previous_response_id="resp_1", conversation="conv_1")
    assert raised.value.param == "previous_response_id"


@pytest.mark.parametrize("up", FOREIGN)
async def test_an_item_of_a_response_is_referred_to(client: AsyncOpenAI, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(say("One"), say("Two"))
    first = await client.responses.create(model=f"{up}/m", input="a")
    question: Any = {"role": "user", "content": "b"}
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    await client.responses.create(model=f"{up}/m", input=[{"role": "user", "content": "a"}, reference, question])
    assert told(upstream) == [("user", "a"), ("assistant", "One"), ("user", "b")]
    await client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(model=f"{up}/m", input=[reference, question])


@pytest.mark.parametrize("up", DIALECTS)
async def test_it_is_found_again_and_deleted(client: AsyncOpenAI, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(say("Hello"))
    made = await client.responses.create(model=f"{up}/m", input=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    found = await client.responses.retrieve(made.id)
    assert (found.id, found.output_text, found.status) == (made.id, "Hello", "completed")
    items = [item async for item in client.responses.input_items.list(made.id, order="asc", limit=1)]
    assert [item.content for item in items] == ["a", "b"]  # type: ignore[union-attr]
    with pytest.raises(openai.BadRequestError):
        await client.responses.cancel(made.id)
    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.delete(made.id)


async def test_what_asks_not_to_be_stored_is_not(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hello"))
    made = await client.responses.create(model="anthropic/m", input="a", store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=101", "after=nothing"])
async def test_pages_that_there_are_not(client: AsyncOpenAI, upstream: ScriptedUpstream, query: str) -> None:
    upstream.play(say("Hello"))
    made = await client.responses.create(model="anthropic/m", input="a")
    with pytest.raises(openai.BadRequestError) as raised:
        await client.get(f"/responses/{made.id}/input_items?{query}", cast_to=object)
    assert raised.value.param == query.partition("=")[0]


# ---- what is told again


def thought(text: str) -> Reply:
    """What a provider of Responses says that thinks first: the thought has an id by which it must be sent again."""
    parts = Part("reasoning", "Hm.", "rs_1", dialect="openai-responses"), Part("text", text)
    return Reply("resp_theirs", "m", 1700000000, (Choice(0, parts, Finish(0, "stop", "completed")),), dialect="openai-responses")


@pytest.mark.parametrize("up", FOREIGN)
async def test_an_item_that_was_referred_to_is_told_again_later(client: AsyncOpenAI, upstream: ScriptedUpstream, up: str) -> None:
    """The reference is the client's word for it, and no other's."""
    upstream.play(say("One"), say("Two"), say("Three"))
    first = await client.responses.create(model=f"{up}/m", input="a")
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    question: Any = {"role": "user", "content": "b"}
    second = await client.responses.create(model=f"{up}/m", input=[reference, question])
    await client.responses.create(model=f"{up}/m", input="c", previous_response_id=second.id)
    assert told(upstream) == [("assistant", "One"), ("user", "b"), ("assistant", "Two"), ("user", "c")]


async def test_what_a_provider_of_the_dialect_said_is_told_another_with_its_words(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    """The first response is its provider's own, which goes on from it itself; to another it would have to be told, and is refused."""
    upstream.play(reply(thought("One")))
    first = await client.responses.create(model="openai-responses/m", input="a")
    assert first.id == "resp_theirs"
    before = len(upstream.calls)
    with pytest.raises(openai.BadRequestError) as raised:
        await client.responses.create(model="anthropic/m", input="b", previous_response_id=first.id)
    assert raised.value.param == "previous_response_id"
    assert len(upstream.calls) == before


# ---- the store


@pytest.mark.parametrize("up", DIALECTS)
async def test_it_outlives_the_process(upstream: ScriptedUpstream, tmp_path: Path, up: str) -> None:
    """Two gateways on one file, one after the other."""
    rows, store = in_each_dialect(upstream.url), f"sqlite:///{tmp_path}/telex.db"
    upstream.play(say("One"), say("Two"), say("Three"))
    async with gateway(providers=rows, store=store) as house, openai_at(house) as client:
        first = await client.responses.create(model=f"{up}/m", input="a")
        second = await client.responses.create(model=f"{up}/m", input="b", previous_response_id=first.id)
        deleted = await client.responses.create(model=f"{up}/m", input="x")
        if up != "openai-responses":  # whose provider gives all the same id
            await client.responses.delete(deleted.id)
    async with gateway(providers=rows, store=store) as house, openai_at(house) as client:
        assert (await client.responses.retrieve(second.id)).output_text == ("Two" if up != "openai-responses" else "Three")
        if up == "openai-responses":
            return
        assert (await client.responses.retrieve(first.id)).to_dict() == first.to_dict()
        items = [item async for item in client.responses.input_items.list(second.id, order="asc")]
        assert [item.type for item in items] == ["message"] * 3
        upstream.play(say("Four"))
        third = await client.responses.create(model=f"{up}/m", input="c", previous_response_id=second.id)
        said = [("user", "a"), ("assistant", "One"), ("user", "b"), ("assistant", "Two"), ("user", "c")]
        assert (third.output_text, told(upstream)) == ("Four", said)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(deleted.id)


@pytest.mark.parametrize("up", FOREIGN)
async def test_from_one_that_was_deleted_nothing_goes_on(tmp_path: Path, upstream: ScriptedUpstream, up: str) -> None:
    """With a key it is unknown; where access is open it may be the provider's, and no provider of another dialect knows any."""
    rows = in_each_dialect(upstream.url)
    upstream.play(say("One"))
    async with gateway(providers=rows) as house, openai_at(house) as client:
        made = await client.responses.create(model=f"{up}/m", input="a")
        await client.responses.delete(made.id)
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model=f"{up}/m", input="b", previous_response_id=made.id)
    async with keyed(tmp_path, providers=rows) as house, openai_at(house, await make_key(house.process.store, "anna")) as client:
        made = await client.responses.create(model=f"{up}/m", input="a")
        await client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError) as raised:
            await client.responses.create(model=f"{up}/m", input="b", previous_response_id=made.id)
        assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")
        with pytest.raises(openai.NotFoundError):
            await client.responses.input_items.list(made.id)


async def test_what_is_kept_for_no_time_is_not_there(upstream: ScriptedUpstream) -> None:
    upstream.play(say("One"))
    async with gateway(providers=in_each_dialect(upstream.url), retention={"jobs": "0s"}) as house, openai_at(house) as client:
        made = await client.responses.create(model="anthropic/m", input="a")
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(made.id)


async def test_one_that_still_runs_is_not_gone_on_from(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    gate = threading.Event()

    def play(call: Any) -> Any:
        head, *steps = resolve(say("One", "Two"), call)
        return (head, *steps[:3], Until(gate.is_set), *steps[3:])

    upstream.play(play, say("Three"))
    async with await client.responses.create(model="anthropic/m", input="a", stream=True) as events:
        created: Any = await anext(events)
        with pytest.raises(openai.BadRequestError) as raised:
            await client.responses.create(model="anthropic/m", input="b", previous_response_id=created.response.id)
        assert (raised.value.code, raised.value.param) == ("previous_response_in_progress", "previous_response_id")
        items = [item async for item in client.responses.input_items.list(created.response.id)]
        assert [item.type for item in items] == ["message"]
        gate.set()
        async for _ in events:
            pass
    await client.responses.create(model="anthropic/m", input="b", previous_response_id=created.response.id)
    assert told(upstream) == [("user", "a"), ("assistant", "OneTwo"), ("user", "b")]


class Failing:
    """The port of a store that can do nothing."""

    def __getattr__(self, name: str) -> Callable[..., Future[Any]]:
        return lambda *arguments: failed(StoreError("The disk is full"))


class Late:
    """One that has not written yet, and finds nothing."""

    def __init__(self) -> None:
        self.saved: list[SavedResponse] = []

    def save(self, response: SavedResponse) -> Future[None]:
        self.saved.append(response)
        return Future()

    def find(self, owner: str, id: str) -> Future[None]:
        done = Future[None]()
        done.set_result(None)
        return done

    find_item = find


async def test_who_was_answered_goes_on_at_once(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the store still has to do."""
    async with gateway(providers=in_each_dialect(upstream.url)) as house, openai_at(house) as client:
        monkeypatch.setattr(house.process.gateway._conversations, "_store", store := Late())
        upstream.play(say("One"), say("Two"), say("Three"))
        first = await client.responses.create(model="anthropic/m", input="a")
        assert (await client.responses.retrieve(first.id)).output_text == "One"
        await client.responses.create(model="anthropic/m", input="b", previous_response_id=first.id)
        assert told(upstream) == [("user", "a"), ("assistant", "One"), ("user", "b")]
        reference: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "c"}]
        await client.responses.create(model="anthropic/m", input=reference)
        assert told(upstream) == [("assistant", "One"), ("user", "c")]
        assert store.saved[0].id == first.id


async def test_row51_a_store_that_fails_is_said_to_who_needs_it_and_to_nobody_else(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(providers=in_each_dialect(upstream.url)) as house, openai_at(house) as client:
        monkeypatch.setattr(house.process.gateway._conversations, "_store", Failing())
        upstream.play(say("One"))
        made = await client.responses.create(model="anthropic/m", input="a")
        assert made.output_text == "One"
        streamed = await client.responses.create(model="anthropic/m", input="a", stream=True)
        assert [event.type async for event in streamed][-1] == "response.completed"
        assert (await ask(house.port, model="openai-chat/m")).text == "One"
        before = len(upstream.calls)
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("GET", "?stream=true")):
            answer = await send(house.port, request(method=method, path=f"/v1/responses/{made.id}{path}"))
            assert (answer.status, answer.error["code"], "retry-after" in answer.headers) == (503, "server_busy", True)
        for fields in ({"previous_response_id": made.id}, {"input": [{"type": "item_reference", "id": "msg_1"}]}):
            body = json.dumps({"model": "anthropic/m", "input": "b", **fields}).encode()
            answer = await send(house.port, request(body, path="/v1/responses"))
            assert (answer.status, answer.error["code"]) == (503, "server_busy")
        assert len(upstream.calls) == before


async def test_an_input_that_is_nested_too_deeply_is_refused(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    deep = b'{"model":"openai-chat/m","input":%b"item_reference"%b}' % (b"[" * 50_000, b"]" * 50_000)
    async with gateway(providers=in_each_dialect(upstream.url)) as house, connect(house.port) as client:
        client.send(request(deep, path="/v1/responses"))
        assert (await client.answer()).status == 400
