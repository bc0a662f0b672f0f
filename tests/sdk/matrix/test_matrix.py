"""Every official SDK against every dialect of a provider, over real sockets: what is said arrives, or is refused by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from gateway.house import gateway
from telex.core.events import PartDelta, PartEnd, PartStart
from telex.core.messages import Finish, Request
from telex.testing import ScriptedUpstream

from .__main__ import PAGE
from .cells import CELLS, RESULTS, STOPPED, Cell, calls_tools, has_what_was_signed, said, says, text, tool_turn
from .cells import WORDS as WORDS_SAID
from .clients import CLIENTS
from .page import REFUSED_CHOICES, page
from .speakers import Ask, Heard, Speaker

Way = Literal["whole", "stream", "helper"]
UPSTREAMS = tuple(CLIENTS)
each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", UPSTREAMS)
each_way = pytest.mark.parametrize("way", ["whole", "stream", "helper"])
each_colour = pytest.mark.parametrize("colour", ["async", "sync"])


class Room:
    """One provider in every dialect, one gateway before it, one client of every SDK before that."""

    def __init__(self, upstream: ScriptedUpstream, port: int) -> None:
        self.upstream = upstream
        self.speakers: dict[str, Speaker] = {name: speaker(f"http://127.0.0.1:{port}") for name, speaker in CLIENTS.items()}

    async def say(self, client: str, up: str, way: Way, colour: str, ask: Ask) -> Heard:
        speaker = self.speakers[client]
        arguments = speaker.arguments(f"{up}/m", ask)
        if colour == "sync":
            return await asyncio.to_thread(getattr(speaker, f"{way}_sync"), arguments)
        spoken: Awaitable[Heard] = getattr(speaker, way)(arguments)
        return await spoken

    def told(self) -> Request:
        """What the provider was asked last, as its own dialect reads it."""
        call = self.upstream.calls[-1]
        dialect, operation = call.operation
        request = dialect.decode_request(call.body, operation, call.headers)
        assert isinstance(request, Request), request
        return request


@pytest.fixture(scope="module")
async def room() -> AsyncIterator[Room]:
    with ScriptedUpstream() as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": "k"} for name in UPSTREAMS}
        async with gateway(providers=providers) as house:
            room = Room(upstream, house.port)
            try:
                yield room
            finally:
                for speaker in room.speakers.values():
                    await speaker.close()


@each_colour
@each_way
@each_upstream
@each_client
@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
async def test_what_is_said_arrives(room: Room, cell: Cell, client: str, up: str, way: Way, colour: str) -> None:
    room.upstream.play(cell.play(up))
    if cell.failed is not None:
        with pytest.raises(room.speakers[client].errors) as raised:
            await room.say(client, up, way, colour, cell.ask)
        cell.failed(room.speakers[client].failed(raised.value), client, way != "whole")
        return
    assert cell.heard is not None
    cell.heard(await room.say(client, up, way, colour, cell.ask), client, up)
    cell.told(room.told())


@each_colour
@pytest.mark.parametrize("way", ["whole", "helper"])
@each_upstream
@each_client
async def test_a_turn_with_tools_goes_on(room: Room, client: str, up: str, way: Way, colour: str) -> None:
    """The client sends the model's turn back as its SDK gave it, with what the tools found."""
    ask = Ask(tools=True)
    room.upstream.play(tool_turn(up), said(up, *text(*WORDS_SAID)))
    heard = await room.say(client, up, way, colour, ask)
    calls_tools(heard, client, up)
    ids = call_ids(heard.turn)
    says(await room.say(client, up, way, colour, replace(ask, turn=heard.turn, results=RESULTS, ids=ids)), client, up)
    has_what_was_signed(room.told())


def call_ids(turn: Any) -> tuple[str, ...]:
    """The ids of the calls in a turn, as the SDK of each dialect has them."""
    if isinstance(turn, dict):
        return tuple(call["id"] for call in turn["tool_calls"])
    if isinstance(turn, list):
        return tuple(one["call_id"] if "call_id" in one else one["id"] for one in turn if one["type"] in ("tool_use", "function_call"))
    return tuple(part.function_call.id for part in turn.parts if part.function_call)


@each_upstream
@pytest.mark.parametrize("client", ["openai-chat", "gemini"])
async def test_several_choices_arrive_or_are_refused_by_name(room: Room, client: str, up: str) -> None:
    two = [*text("one"), PartStart(1, 0, "text"), PartDelta(1, 0, "two"), PartEnd(1, 0), Finish(1, "stop", STOPPED[up])]
    room.upstream.play(said(up, *two))
    before = len(room.upstream.calls)
    if (client, up) not in REFUSED_CHOICES:
        assert (await room.say(client, up, "whole", "async", Ask(choices=2))).choices == ("one", "two")
        assert (await room.say(client, up, "stream", "async", Ask(choices=2))).choices == ("one", "two")
        assert room.told().choices == 2
        return
    with pytest.raises(room.speakers[client].errors) as raised:
        await room.say(client, up, "whole", "async", Ask(choices=2))
    failed = room.speakers[client].failed(raised.value)
    assert failed.status == 400
    field = REFUSED_CHOICES[client, up].partition("`")[2].rstrip("`")
    assert f"{field}'" in failed.message
    assert len(room.upstream.calls) == before


def test_the_page_says_what_is_tried() -> None:
    assert PAGE.read_text() == page(), "it is written anew by `make docs`"
