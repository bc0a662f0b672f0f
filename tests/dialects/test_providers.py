"""Every row of the providers' table: that it can be used as it is, and that what its provider says is understood by OpenAI's SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai
import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from gateway.house import gateway
from plays import PLAYS, Heard, Play
from recorded import Recording, load, names
from telex.config import Provider, default_config, parse_config, read_key
from telex.config.load import LOOPBACK, known_rows
from telex.core.json import encode
from telex.core.messages import Message, Part, Reply, Request
from telex.dialects import openai_chat
from telex.dialects.quirks import Quirks
from telex.testing import Head, ScriptedUpstream, Send
from telex.testing.answers import JSON, SSE, say
from telex.upstream.address import parse_url

ROWS = known_rows()
HERE = "http://127.0.0.1:9/v1"
KEY = "sk-of-the-provider"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello?"}]}
COUNTED: dict[str, Any] = {"stream_options": {"include_usage": True}}
AUTH = {"azure": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
"""The header in which a provider looks for its key, where that is not `authorization`."""
CREDENTIALS = frozenset({"authorization", *AUTH.values()})


each_row = pytest.mark.parametrize("name", ROWS)
SCENES = [(play, way) for play in PLAYS for way in ("helper", "create") if way == "create" or not play.whole]
each_scene = pytest.mark.parametrize(("play", "way"), SCENES, ids=[f"{play.provider}-{play.deviation}-{way}" for play, way in SCENES])
COSTLY = ("no_done", "calls_by_id", "repair")
FLAGS = [(name, quirk) for name, row in ROWS.items() for quirk in row.get("quirks", {}) if quirk in COSTLY]
RECORDINGS = [recording for file in names("chat", whole=False) for recording in load(file) if recording.provider in ROWS]


# the table


@each_row
def test_every_row_is_a_provider(name: str) -> None:
    text = f"[providers.{name}]" if "base_url" in ROWS[name] else f"[providers.{name}]\nbase_url = '{HERE}'"
    row = parse_config(text, "t").providers[name]
    if not row.embedded:
        origin, _ = parse_url(row.base_url)
        assert origin.secure is (origin.host not in LOOPBACK)


@each_row
def test_a_key_in_the_environment_makes_a_provider_available(name: str) -> None:
    """Not without knowing where it is: then the key waits for a configuration that says it."""
    row = msgspec.convert(ROWS[name], Provider)
    environ = {row.key_env: KEY} if row.key_env else {}
    assert set(default_config(environ).providers) == {"local", *([name] if row.key_env and row.base_url else [])}
    assert ((key := read_key(row, environ)) and key.reveal()) == (KEY if row.key_env else None)


@each_row
async def test_the_key_is_sent_as_the_provider_wants_it(room: Room, name: str) -> None:
    room.upstream.play(say("Hello", dialect=ROWS[name]["dialect"]))
    await room.client.chat.completions.create(model=f"{name}/m", **ASK)
    header = AUTH.get(name, "authorization")
    sent = {field: value for field, value in room.upstream.calls[-1].headers.items() if field in CREDENTIALS}
    assert sent == {header: f"Bearer {KEY}" if header == "authorization" else KEY}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["dialect"] == "openai-chat"])
def test_a_limit_and_earlier_reasoning_stand_where_the_provider_looks(name: str) -> None:
    quirks = msgspec.convert(ROWS[name].get("quirks", {}), Quirks)
    turn = Message("assistant", (Part("reasoning", "Hm."), Part("text", "Hello")))
    request = Request(model="m", messages=(Message("user", (Part("text", "Hello?"),)), turn), max_tokens=7, dialect="anthropic")
    sent = json.loads(encode(openai_chat.encode_request(request, "m", False, quirks)))
    assert {field: value for field, value in sent.items() if field.startswith("max_")} == {quirks.limit_field: 7}
    reasoning: dict[str, str] = {quirks.reasoning_field: "Hm."} if quirks.reasoning_field else {}
    assert sent["messages"][1] == {"role": "assistant", "content": "Hello", **reasoning}


async def test_mistral_is_told_nothing_that_it_refuses(room: Room) -> None:
    room.upstream.play(say("Hello"))
    stream = await room.client.chat.completions.create(model="mistral/m", stream=True, max_completion_tokens=7, **ASK, **COUNTED)
    assert [chunk async for chunk in stream]
    assert room.upstream.calls[-1].json == {"model": "m", **ASK, "stream": True, "max_tokens": 7}


async def test_a_limit_is_sent_where_one_is_needed(room: Room) -> None:
    room.upstream.play(say("Hello", dialect="anthropic"))
    await room.client.chat.completions.create(model="anthropic/m", **ASK)
    await room.client.chat.completions.create(model="anthropic/m", max_completion_tokens=7, **ASK)
    assert [call.json["max_tokens"] for call in room.upstream.calls[-2:]] == [8192, 7]


# what providers say


class Room:
    """One upstream that is every provider, one gateway before it that has a row for each, and the SDK as its client."""

    def __init__(self, upstream: ScriptedUpstream, client: AsyncOpenAI) -> None:
        self.upstream = upstream
        self.client = client

    async def heard(self, provider: str, data: bytes, way: str, whole: bool = False) -> Heard:
        """What the SDK makes of what a provider sent, a stream or a `whole` body: its streaming helper, or `create`."""
        self.upstream.play((Head(200, JSON, "length") if whole else Head(200, SSE), Send(data)))
        try:
            if way == "create":
                return understood(await self.client.chat.completions.create(model=f"{provider}/m", **ASK))
            async with self.client.chat.completions.stream(model=f"{provider}/m", **ASK, **COUNTED) as stream:
                return understood(await stream.get_final_completion())
        except openai.LengthFinishReasonError as error:
            return understood(error.completion)
        except openai.APIError as error:
            return Heard(failure=str(error.body["message"] if isinstance(error.body, dict) else error))


@pytest.fixture(scope="module")
async def room() -> AsyncIterator[Room]:
    with ScriptedUpstream() as upstream:
        common = {"base_url": upstream.url, "embedded": False, "api_key": KEY}
        rows = {name: {**row, **common} for name, row in ROWS.items()}
        folded = {f"{name}, folded": {**row, "whole": "stream"} for name, row in rows.items()}
        without = {f"{name} without {quirk}": {**rows[name], "quirks": others(name, quirk)} for name, quirk in FLAGS}
        async with (
            gateway(providers=rows | folded | without) as house,
            AsyncOpenAI(base_url=f"http://127.0.0.1:{house.port}/v1", api_key="none", max_retries=0) as client,
        ):
            yield Room(upstream, client)


def others(name: str, quirk: str) -> dict[str, Any]:
    """The quirks of a row but one."""
    return {field: value for field, value in ROWS[name]["quirks"].items() if field != quirk}


def understood(completion: ChatCompletion) -> Heard:
    [choice] = completion.choices
    message, usage = choice.message, completion.usage
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    assert len({call.id for call in calls if call.id}) == len(calls)
    return Heard(
        message.content or "",
        [(call.function.name, json.loads(call.function.arguments)) for call in calls],
        str(choice.finish_reason),
        getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or "",
        (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0),
        message.role,
    )


def test_every_row_has_a_play() -> None:
    assert {play.provider for play in PLAYS} == set(ROWS)
    assert len({(play.provider, play.deviation) for play in PLAYS}) == len(PLAYS)


@each_scene
async def test_what_a_provider_says_is_understood(room: Room, play: Play, way: str) -> None:
    provider = play.provider if play.whole or way == "helper" else f"{play.provider}, folded"
    assert await room.heard(provider, play.data, way, play.whole) == play.heard


@pytest.mark.parametrize(("name", "quirk"), FLAGS)
async def test_no_quirk_is_there_without_need(room: Room, name: str, quirk: str) -> None:
    """Each costs something; without it some play of its row is not understood."""
    understood = [await understands(room, f"{name} without {quirk}", play) for play in PLAYS if play.provider == name]
    assert not all(understood)


async def understands(room: Room, provider: str, play: Play) -> bool:
    try:
        return await room.heard(provider, play.data, "create" if play.whole else "helper", play.whole) == play.heard
    except Exception:  # the SDK raises whatever its own code trips over
        return False


@pytest.mark.parametrize("recording", [pytest.param(recording, id=recording.name) for recording in RECORDINGS])
async def test_what_a_provider_once_said_is_understood(room: Room, recording: Recording) -> None:
    wanted, provider = told(recording.reply), recording.provider
    assert await room.heard(f"{provider}, folded", recording.data, "create") == wanted
    got = await room.heard(provider, recording.data, "helper")
    if not recording.quirks.repair:  # as it was sent: some count in their own way
        got, wanted = replace(got, usage=(0, 0)), replace(wanted, usage=(0, 0))
    assert got == wanted


def told(reply: Reply) -> Heard:
    """A reply as a reader gets it."""
    if reply.failure is not None:
        return Heard(failure=reply.failure.message)
    [choice] = reply.choices
    assert choice.finish is not None
    reasoning = "".join(part.text for part in choice.parts if part.kind == "reasoning")
    calls = [(part.name, json.loads(part.text)) for part in choice.parts if part.kind == "tool_call"]
    usage = (reply.usage.input, reply.usage.output) if reply.usage else (0, 0)
    return Heard(reply.text, calls, choice.finish.reason, reasoning, usage)
