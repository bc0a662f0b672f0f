"""A whole reply is the same whether its provider was asked for it whole or for a stream, in every dialect and through both drivers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from client.colours import COLOURS, QUESTION, Colour, speaking
from telex.core.messages import Choice, Finish, Part, Reply, Usage
from telex.generation.whole import LONG
from telex.testing import FAULTS, ScriptedUpstream, reply, say

from .client import Answer, request, send
from .house import House, gateway, in_each_dialect
from .speech import CLIENTS, asks

LIMIT: dict[str, dict[str, Any]] = {
    "openai-chat": {"max_completion_tokens": LONG + 1},
    "openai-responses": {"max_output_tokens": LONG + 1},
    "anthropic": {"max_tokens": LONG + 1},
    "gemini": {"generationConfig": {"maxOutputTokens": LONG + 1}},
}
"""How a long reply is asked for."""

DEEP: dict[str, dict[str, Any]] = {
    "openai-chat": {"reasoning_effort": "high"},
    "openai-responses": {"reasoning": {"effort": "high"}},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 16_000}, "max_tokens": 20_000},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 16_000}}},
}
"""How long thinking is."""

CALL = Part("tool_call", '{"city":"Oslo"}', "call_1", "weather", "function")
TURNS = {
    "text": (Choice(0, (Part("text", "It is blue: Grüße \N{GRINNING FACE}."),), Finish(0, "stop")),),
    "cut": (Choice(0, (Part("text", "It is"),), Finish(0, "length")),),
    "call": (Choice(0, (Part("text", "Let me look."), CALL), Finish(0, "tool_calls")),),
}
CREATED = frozenset({"created", "created_at", "completed_at", "createTime"})
"""Fields that say when, where no provider does."""

each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", CLIENTS)


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    """Each dialect's provider, and beside it one that is always asked for the whole."""
    rows = in_each_dialect(upstream.url)
    hasty = {"targets": [{"provider": "openai-chat", "model": "m"}], "timeouts": {"total": 0.5}}
    impatient = {"targets": [{"provider": "openai-chat", "model": "m"}], "timeouts": {"first_byte": 0.1, "first_content": 0.1, "idle": 0.1}}
    models = {"hasty": hasty, "impatient": impatient}
    wholes = {f"{name}-whole": {**row, "whole": "whole"} for name, row in rows.items()}
    async with gateway(providers={**rows, **wholes}, models=models) as house:
        yield house


async def ask(house: House, client: str, model: str, **fields: Any) -> Answer:
    path, body, headers = asks(client, model, **fields)
    return await send(house.port, request(json.dumps(body).encode(), path=path, headers=headers))


def said(answer: Answer) -> Any:
    """The reply, but for what names one generation and its time."""
    assert answer.status == 200, answer.body
    text = answer.body.decode().replace(answer.headers["telex-generation"], "gen")
    return json.loads(text, object_pairs_hook=lambda pairs: {name: value for name, value in pairs if name not in CREATED})


@pytest.mark.parametrize("turn", TURNS)
@each_upstream
@each_client
async def test_the_reply_is_the_same_either_way(house: House, upstream: ScriptedUpstream, client: str, up: str, turn: str) -> None:
    upstream.play(reply(Reply("scripted-1", "m", 1_700_000_000, TURNS[turn], Usage(7, 3))))
    streamed = said(await ask(house, client, f"{up}/m", **LIMIT[client]))
    whole = said(await ask(house, client, f"{up}-whole/m", **LIMIT[client]))
    assert [call.wants_stream for call in upstream.calls[-2:]] == [True, False]
    assert streamed == whole


@each_client
async def test_long_thinking_is_streamed_and_short_is_not(house: House, upstream: ScriptedUpstream, client: str) -> None:
    upstream.play(say("Hello"))
    assert (await ask(house, client, f"{client}/m", **DEEP[client])).status == 200
    assert (await ask(house, client, f"{client}/m")).status == 200
    assert [call.wants_stream for call in upstream.calls[-2:]] == [True, False]


async def test_what_is_not_understood_here_goes_through_untouched(house: House, upstream: ScriptedUpstream) -> None:
    """Bytes pass, and with them whatever the unknown field brings about."""
    upstream.play(say("Hello"))
    await ask(house, "openai-chat", "openai-chat/m", reasoning_effort="high", unheard_of=[1])
    assert not upstream.calls[-1].wants_stream


async def test_nobody_waits_for_the_first_word_of_a_whole_reply(house: House, upstream: ScriptedUpstream) -> None:
    """Who asked for the whole gets it, however late the stream that it is folded from begins."""
    upstream.play(say("Late", first=0.3, head=0.3))
    assert (await ask(house, "openai-chat", "impatient", reasoning_effort="high")).text == "Late"
    assert upstream.calls[-1].wants_stream


async def test_but_for_everything(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(FAULTS["row25-stall-mid-stream"]())
    answer = await ask(house, "openai-chat", "hasty", reasoning_effort="high")
    assert (answer.status, answer.error["code"], upstream.calls[-1].wants_stream) == (504, "total", True)


@pytest.mark.parametrize("up", CLIENTS)
@pytest.mark.parametrize("colour", COLOURS)
async def test_the_librarys_reply_is_the_same_either_way(colour: Colour, up: str) -> None:
    with ScriptedUpstream(reply(Reply("scripted-1", "m", 1_700_000_000, TURNS["call"], Usage(7, 3)))) as upstream:
        row = {"dialect": up, "base_url": upstream.url, "api_key": "k"}
        tables = {"providers": {"up": row, "whole": {**row, "whole": "whole"}}}
        async with speaking(colour, "here", tables) as client:
            streamed = await client.generate(QUESTION, model="up/m", max_tokens=LONG + 1)
            whole = await client.generate(QUESTION, model="whole/m", max_tokens=LONG + 1)
        assert [call.wants_stream for call in upstream.calls] == [True, False]
    assert (streamed.whole, streamed.usage, streamed.certainty) == (whole.whole, whole.usage, whole.certainty)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_gateway_is_asked_for_a_stream_too(colour: Colour) -> None:
    """Its connection would idle out like any other."""
    with ScriptedUpstream(say("Hello")) as upstream:
        async with speaking(colour, "gateway", {"providers": {"up": {"dialect": "openai-chat", "base_url": upstream.url}}}) as client:
            reply = await client.generate(QUESTION, model="up/m", reasoning="high")
        assert (reply.text, reply.ending, upstream.calls[-1].wants_stream) == ("Hello", "complete", True)
