"""The library at a gateway that wants keys, in both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.house import House
from gateway.keyed import keyed, make_key
from telex import NotFound, Unauthorized
from telex.testing import ScriptedUpstream, say

from .colours import COLOURS, QUESTION, Colour, read, speaker

each_colour = pytest.mark.parametrize("colour", COLOURS)


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with keyed(tmp_path_factory.mktemp("keys"), upstream.url) as house:
        yield house


@pytest.fixture(scope="module")
async def token(house: House) -> str:
    return await make_key(house.process.store, "web", models=("up/m",))


@each_colour
async def test_its_key_lets_it_in(colour: Colour, house: House, token: str, upstream: ScriptedUpstream) -> None:
    client = speaker(colour, f"http://127.0.0.1:{house.port}", api_key=token)
    upstream.play(say("Hello"), say("Hello"))
    assert (await client.generate(QUESTION, model="up/m")).text == "Hello"
    async with client.stream(QUESTION, model="up/m") as stream:
        assert await read(stream) == ["Hello"]
    with pytest.raises(NotFound):
        await client.generate(QUESTION, model="up/other")
    await client.close()


@pytest.mark.parametrize("wrong", [None, "tx-wrong"])
@each_colour
async def test_any_other_is_unauthorized(colour: Colour, wrong: str | None, house: House, upstream: ScriptedUpstream) -> None:
    client = speaker(colour, f"http://127.0.0.1:{house.port}", api_key=wrong)
    before = len(upstream.calls)
    with pytest.raises(Unauthorized, match="The gateway wants a key that is valid there") as whole:
        await client.generate(QUESTION, model="up/m")
    with pytest.raises(Unauthorized) as streamed:
        async with client.stream(QUESTION, model="up/m") as stream:
            await read(stream)
    for raised in (whole, streamed):
        assert (raised.value.failure.kind, raised.value.failure.code) == ("unauthorized", "invalid_api_key")
    assert len(upstream.calls) == before
    await client.close()
