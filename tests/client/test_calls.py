"""What a client says is what the provider is told, what it answers is what the client gets: both colours, both places, every dialect."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import pickle
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest

from telex import BadRequest, NotFound, Reply, TelexError
from telex.core import messages
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Message, Part, Request, Tool, ToolChoice, Usage
from telex.dialects import DIALECTS
from telex.metering.meter import Timing
from telex.testing import ScriptedUpstream, perform, say

from .colours import COLOURS, PLACES, QUESTION, Colour, Place, Speaker, asked, configured, provider, read, speaker, speaking

each_colour = pytest.mark.parametrize("colour", COLOURS)
PNG = b"\x89PNG\r\n\x1a\nnot much of one"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USAGE = Usage(input=20, output=9, cached=5)


@pytest.fixture(scope="module", params=[(colour, place) for colour in COLOURS for place in PLACES], ids="-".join)
async def client(request: pytest.FixtureRequest, upstream: ScriptedUpstream) -> AsyncIterator[Speaker]:
    """A provider in every dialect; the client of each colour in each place."""
    providers = {name: provider(name, upstream.url) for name in DIALECTS}
    colour, place = request.param
    async with speaking(colour, place, {"providers": providers}) as client:
        yield client


def told(upstream: ScriptedUpstream) -> Request:
    """What the provider was asked last, as its own dialect reads it."""
    call = upstream.calls[-1]
    dialect, operation = call.operation
    request = dialect.decode_request(call.body, operation, call.headers)
    assert isinstance(request, Request), request
    return request


def answer(*middle: Event, reason: Any = "stop") -> Any:
    return perform([Start("r", "m", 1_700_000_000), *middle, Finish(0, reason), USAGE, Done()])


def part(index: int, kind: Any, *texts: str, **known: Any) -> list[Event]:
    return [PartStart(0, index, kind, **known), *(PartDelta(0, index, text) for text in texts), PartEnd(0, index)]


each_dialect = pytest.mark.parametrize("up", DIALECTS)


@each_dialect
async def test_whole_and_streamed_are_the_same_reply(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(answer(*part(0, "reasoning", "It", " is."), *part(1, "text", "Hello é", " \N{GRINNING FACE}", " world")))
    whole = await client.generate(QUESTION, model=f"{up}/m")
    async with client.stream(QUESTION, model=f"{up}/m") as stream:
        texts = await read(stream)
        streamed = await stream.reply()
    for reply in (whole, streamed):
        assert (reply.text, reply.reasoning, reply.finish_reason, reply.ending) == (
            "Hello é \N{GRINNING FACE} world",
            "It is.",
            "stop",
            "complete",
        )
        assert reply.usage is not None
        assert (reply.usage.input, reply.usage.output, reply.certainty, reply.cost, reply.dropped) == (20, 9, "final", None, ())
        assert reply.model == "m"
        assert re.fullmatch("gen_[0-9a-f]{24}", reply.id)
        assert reply.timing.ttft is not None
        assert 0 <= reply.timing.ttft <= reply.timing.e2e
        assert reply.failure is None
    assert "".join(texts) == whole.text
    assert whole.id != streamed.id
    assert streamed.timing.itl_p50 is not None


@each_dialect
async def test_everything_is_told(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(answer(*part(0, "tool_call", '{"city":', '"Oslo"}', id="c1", name="weather", tool="function"), reason="tool_calls"))
    tools = [
        {"name": "weather", "description": "of a city", "parameters": SCHEMA},
        Tool("clock", "of a city", SCHEMA),
    ]
    stop = "END" if "stop" in DIALECTS[up].FIELDS else None
    reply = await client.generate(
        QUESTION, model=f"{up}/m", system="Be brief.", tools=tools, tool_choice="weather", temperature=0.5, top_p=0.9, max_tokens=99,
        stop=stop, reasoning="low", images=[PNG],
    )  # fmt: skip
    request = told(upstream)
    system, question = request.messages
    assert (system.role, system.parts[0].text, question.parts[0].text) == ("system", "Be brief.", QUESTION)
    assert (question.parts[1].kind, base64.b64decode(question.parts[1].data), question.parts[1].media_type) == ("image", PNG, "image/png")
    assert [(tool.name, tool.description, tool.schema) for tool in request.tools] == [
        (n, "of a city", SCHEMA) for n in ("weather", "clock")
    ]
    assert request.tool_choice == ToolChoice("required", ("weather",))
    assert (request.temperature, request.top_p, request.max_tokens, request.stream) == (0.5, 0.9, 99, False)
    assert request.stop == (("END",) if stop else ())
    [call] = reply.tool_calls
    assert (call.name, call.arguments, reply.finish_reason) == ("weather", {"city": "Oslo"}, "tool_calls")


@each_dialect
async def test_a_conversation_with_tools_goes_on(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    calling = part(0, "tool_call", '{"city":"Oslo"}', id="c1", name="weather", tool="function")
    upstream.play(answer(*calling, reason="tool_calls"), answer(*part(0, "text", "Rain.")))
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    first = await client.generate(QUESTION, model=f"{up}/m", tools=tools)
    [call] = first.tool_calls
    messages = [{"role": "user", "content": QUESTION}, first, {"role": "tool", "tool_call_id": call.id, "content": "wet"}]
    second = await client.generate(messages, model=f"{up}/m", tools=tools)
    asked = told(upstream).messages
    assert second.text == "Rain."
    assert [part.kind for message in asked for part in message.parts] == ["text", "tool_call", "tool_result"]
    assert (asked[1].parts[0].name, asked[2].parts[0].parts[0].text) == ("weather", "wet")


@dataclasses.dataclass
class City:
    city: str


class CityStruct(msgspec.Struct):
    city: str


class CityModel(pydantic.BaseModel):
    city: str


@each_dialect
@pytest.mark.parametrize("kind", [City, CityStruct, CityModel])
async def test_a_reply_of_a_type(kind: Any, up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(answer(*part(0, "text", '{"city":', '"Oslo"}')))
    reply = await client.generate(QUESTION, model=f"{up}/m", response_format=kind)
    assert reply.parsed == kind(city="Oslo")
    format = told(upstream).format
    assert format is not None
    assert (format.kind, (format.schema or {})["properties"]["city"]["type"]) == ("json_schema", "string")
    async with client.stream(QUESTION, model=f"{up}/m", response_format=kind) as stream:
        assert (await stream.reply()).parsed == kind(city="Oslo")


@each_dialect
async def test_a_reply_of_a_schema(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(answer(*part(0, "text", '{"city":"Oslo"}')), answer(*part(0, "text", "Oslo")))
    assert (await client.generate(QUESTION, model=f"{up}/m", response_format=SCHEMA)).parsed == {"city": "Oslo"}
    reply = await client.generate(QUESTION, model=f"{up}/m", response_format=SCHEMA)
    assert reply.text == "Oslo"
    with pytest.raises(TelexError, match="response_format"):
        _ = reply.parsed


@each_dialect
async def test_events_and_arguments_as_they_come(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    pieces = ('{"city":"Os', 'lo","days":[1,', "2]}")
    upstream.play(answer(*part(0, "tool_call", *pieces, id="c1", name="weather", tool="function"), reason="tool_calls"))
    seen: list[Any] = []
    events: list[Event] = []
    async with client.stream(QUESTION, model=f"{up}/m", tools=[Tool("weather", schema=SCHEMA)]) as stream:
        async for event in stream.events():
            events.append(event)
            if isinstance(event, PartDelta):
                seen += [call.arguments for call in stream.tool_calls]
        assert (await stream.reply()).tool_calls == stream.tool_calls
    assert any(isinstance(event, Start) for event in events[:2])
    assert isinstance(events[-1], Done)
    assert seen[-1] == {"city": "Oslo", "days": [1, 2]}
    assert all(set(arguments) <= {"city", "days"} for arguments in seen)


@each_dialect
async def test_what_is_dropped_is_named_as_the_library_names_it(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hi"))
    reply = await client.generate(QUESTION, model=f"{up}/m", seed=7, cache="threads")
    expected = {name for name, word in (("cache", "cache_key"), ("seed", "seed")) if word not in DIALECTS[up].FIELDS}
    assert set(reply.dropped) == expected
    assert told(upstream).seed == (None if "seed" in expected else 7)


@pytest.mark.parametrize("up", ["anthropic", "openai-responses", "gemini"])
async def test_marks_for_a_cache_come_to_those_who_take_them(up: str, client: Speaker, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hi"))
    reply = await client.generate([Message("user", (Part("text", QUESTION, cache="short"),))], model=f"{up}/m")
    taken = up == "anthropic"
    [question] = told(upstream).messages
    assert question.parts[0].cache == ("short" if taken else None)
    assert reply.dropped == (() if taken else ("messages[].parts[].cache",))


# ---- calls that can't be


@pytest.mark.parametrize(
    ("prompt", "options", "param"),
    [
        ([], {}, "messages"),
        ([{"role": "wizard", "content": "?"}], {}, "messages[0].role"),
        ([{"content": "?"}], {}, "messages[0].role"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "messages[0].content[0].image_url"),
        ([7], {}, "messages[0]"),
        (QUESTION, {"tools": [{"description": "of nothing"}]}, "tools[0].function.name"),
        (QUESTION, {"tools": [7]}, "tools[0]"),
        (QUESTION, {"images": ["picture.png"]}, "images"),
        (QUESTION, {"images": [b"GARBAGE"]}, "images"),
        (QUESTION, {"images": [Path("/nowhere/picture.png")]}, "images"),
        (QUESTION, {"timeouts": {"totle": 1.0}}, "timeouts"),
        (QUESTION, {"timeouts": {"total": 0}}, "timeouts"),
        (QUESTION, {"response_format": lambda: 1}, "response_format"),
        (QUESTION, {"model": ""}, "model"),
    ],
    ids=lambda value: None if callable(value) else str(value)[:40],
)
async def test_a_call_that_cannot_be_names_the_argument(prompt: Any, options: dict[str, Any], param: str, client: Speaker) -> None:
    options = {"model": "openai-chat/m", **options}
    with pytest.raises(BadRequest) as caught:
        await client.generate(prompt, **options)
    assert caught.value.param == param
    assert str(caught.value)


async def test_an_argument_that_there_is_not_is_a_mistake_of_the_caller(client: Speaker) -> None:
    with pytest.raises(TypeError, match="temprature"):
        await client.generate(QUESTION, model="openai-chat/m", temprature=1)


async def test_what_would_change_the_answer_is_refused_by_its_argument(client: Speaker) -> None:
    with pytest.raises(BadRequest) as caught:
        await client.generate(QUESTION, model="openai-responses/m", stop="END")
    assert caught.value.param == "stop"


UNTOLD = [
    ("openai-chat", Part("file", url="https://example.com/a.pdf")),
    ("anthropic", Part("audio", data="AAAA", media_type="audio/wav")),
]


@pytest.mark.parametrize(("up", "part"), UNTOLD, ids=lambda value: getattr(value, "kind", value))
async def test_what_the_provider_cannot_be_told_is_refused_by_its_place(up: str, part: Part, client: Speaker) -> None:
    with pytest.raises(BadRequest) as caught:
        await client.generate([Message("user", (part,))], model=f"{up}/m")
    assert caught.value.param == "messages[0].content[0]"


@pytest.mark.parametrize("place", PLACES)
@each_colour
async def test_a_model_that_lets_nothing_go_names_the_argument(colour: Colour, place: Place) -> None:
    strict = {"targets": [{"provider": "up", "model": "m"}], "unsupported": "refuse"}
    async with asked(colour, place, say("Hi"), dialect="anthropic", models={"strict": strict}) as (client, upstream):
        with pytest.raises(BadRequest) as caught:
            await client.generate(QUESTION, model="strict", seed=7)
        assert (caught.value.param, "seed" in str(caught.value), upstream.calls) == ("seed", True, [])


async def test_a_model_that_there_is_not(client: Speaker) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await client.generate(QUESTION, model="nowhere")
    with pytest.raises(NotFound, match="nowhere"):
        async with client.stream(QUESTION, model="nowhere"):
            pass


async def test_a_model_that_one_provider_lists(upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hi"))
    for colour in COLOURS:
        async with speaking(colour, "here", configured(upstream.url)) as client:
            assert (await client.generate(QUESTION, model="scripted")).text == "Hi"


# ---- where it runs


@each_colour
async def test_without_anything_it_takes_the_configuration_that_is_here(
    colour: Colour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ScriptedUpstream(say("Hi")) as upstream:
        (tmp_path / "telex.toml").write_text(f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n')
        for options in ({}, {"config": "telex.toml"}, {"config": tmp_path / "telex.toml"}):
            client = speaker(colour, **options)
            assert (await client.generate(QUESTION, model="up/m")).text == "Hi"
            await client.close()


@each_colour
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"api_key": "k"}, "URL"),
        ({"url": "127.0.0.1:8484"}, "no address"),
        ({"url": "http://127.0.0.1:8484", "config": "telex.toml"}, "its own configuration"),
        ({"config": "nowhere.toml"}, "nowhere.toml"),
    ],
    ids=str,
)
def test_a_place_that_cannot_be_is_said(colour: Colour, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(TelexError, match=words):
        speaker(colour, **arguments)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
@each_colour
async def test_a_gateway_by_any_form_of_its_url_with_its_key(colour: Colour, suffix: str) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        client = speaker(colour, f"http://127.0.0.1:{upstream.port}{suffix}", api_key="tx-secret")
        assert (await client.generate(QUESTION, model="any/name: here")).text == "Hi"
        await client.close()
        [call] = upstream.calls
        assert (call.path, call.json["model"], call.headers["authorization"]) == (
            "/v1/chat/completions",
            "any/name: here",
            "Bearer tx-secret",
        )


@each_colour
async def test_many_at_once(colour: Colour) -> None:
    async with asked(colour, "here", say("Hi", " you", gap=0.001)) as (client, _):
        replies = await asyncio.gather(*(client.generate(QUESTION, model="up/m") for _ in range(30)))
        assert {reply.text for reply in replies} == {"Hi you"}
        assert len({reply.id for reply in replies}) == 30


@each_colour
async def test_connections_are_used_again(colour: Colour) -> None:
    async with asked(colour, "here", say("Hi", " you")) as (client, upstream):
        for _ in range(5):
            await client.generate(QUESTION, model="up/m")
            async with client.stream(QUESTION, model="up/m") as stream:
                await read(stream)
        assert len(upstream.calls) == 10
        assert upstream.connections <= 2  # one may still be ending while the next call begins


@each_colour
async def test_a_closed_client_says_so(colour: Colour) -> None:
    async with asked(colour, "here") as (client, _):
        await client.close()
        with pytest.raises(TelexError, match="closed"):
            await client.generate(QUESTION, model="up/m")


@each_colour
async def test_a_stream_is_read_inside_its_with_statement(colour: Colour) -> None:
    async with asked(colour, "here") as (client, _):
        stream = client.stream(QUESTION, model="up/m")
        with pytest.raises(TelexError, match="with statement"):
            await stream.reply()
        async with stream:
            assert "".join(await read(stream))
            assert await read(stream) == []
        with pytest.raises(TelexError, match="once"):
            await stream.__aenter__()


def test_no_key_shows_in_what_is_raised_or_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for colour in COLOURS:
        client = speaker(colour, "http://127.0.0.1:9", api_key="tx-canary")
        assert "canary" not in repr(vars(client))
        assert "canary" not in repr(getattr(client, "_client", client))


def test_a_reply_can_be_shown_and_sent_elsewhere() -> None:
    reply: Reply[Any] = Reply(messages.Reply("r", "m"), "gen_1", Timing(None, None, None, 1.0, None), None, "missing", (), None)
    again = pickle.loads(pickle.dumps(reply))
    assert (again.id, again.whole, repr(again)) == ("gen_1", reply.whole, repr(reply))
