"""Responses that Telex holds: a next one goes on from them, and they can be asked for again, by OpenAI's SDK as it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from telex.core import json as wire_json
from telex.core.messages import Part
from telex.gateway.responses import Held, Responses
from telex.testing import ScriptedUpstream, say

from .house import House, gateway, in_each_dialect

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
FOREIGN = [name for name in DIALECTS if name != "openai-responses"]


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    providers = in_each_dialect(upstream.url)
    async with gateway(providers=providers) as house:
        yield house


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{house.port}/v1", api_key="none", max_retries=0) as client:
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


def hold(responses: Responses, id: str, size: int = 1) -> None:
    body = wire_json.encode({"model": "m", "input": "x" * size})
    responses.hold("", body, {"id": id, "output": []}, native=False)


def test_the_oldest_make_room() -> None:
    responses = Responses(most=2)
    for id in ("a", "b", "c"):
        hold(responses, id)
    assert responses.find("", "a") is None
    assert isinstance(responses.find("", "b"), Held)


def test_bytes_are_bounded_too() -> None:
    responses = Responses(most_bytes=4000)
    hold(responses, "a", 1000)
    hold(responses, "b", 1000)
    assert responses.find("", "a") is None
    hold(responses, "c", 9000)
    assert json.dumps([responses.find("", id) is None for id in "bc"]) == "[true, true]"
    hold(responses, "d")
    assert responses.find("", "d") is not None
