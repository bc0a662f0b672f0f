"""How generations end, as each dialect's clients, the log and the library are told of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytest

from client.colours import COLOURS, PLACES, QUESTION, Colour, Place, asked, eventually, read
from telex import GenerationError, Interrupted, RateLimited
from telex.core.errors import Failure
from telex.core.messages import Usage
from telex.testing import Call, Play, ScriptedUpstream, Stall, Wait, perform, render, say, status
from telex.testing.answers import stream, words
from telex.testing.script import Send, resolve

from .client import Answer, connect, request, send
from .complaints import told, told_in
from .house import House, gateway, in_each_dialect
from .speech import CLIENTS, asks

SLOWER = Failure("rate_limited", "Slow down.", retry_after=7.0)
FULL = Failure("overloaded", "No room.", retry_after=8.5)
BROKE = Failure("upstream_error", "It broke.")


def breaks(failure: Failure | None, *more: bytes) -> Play:
    """Some words (and more frames), then the failure, or just no terminator."""

    def play(call: Call) -> Any:
        said = render(words(call, "One", " two")[:4], call).flat
        broke = render([failure], call).flat if failure is not None else []
        return stream([Send(frame) for frame in (*said, *more, *broke)])

    return play


class Ending(NamedTuple):
    """What is played, and what it is called: by the log, and by whoever reads on."""

    play: Play
    ending: str
    kind: str | None
    message: str = ""
    retry_after: float | None = None


ENDINGS = {
    "complete": Ending(say("One", " two"), "complete", None),
    "truncated": Ending(breaks(None), "truncated", "truncated"),
    "failed": Ending(breaks(BROKE), "failed", "upstream_error", "It broke."),
    "rate limited": Ending(breaks(SLOWER), "rate_limited", "rate_limited", "Slow down.", 7.0),
    "rate limited, for who knows how long": Ending(breaks(Failure("rate_limited", "Enough.")), "rate_limited", "rate_limited", "Enough."),
    "overloaded": Ending(breaks(FULL), "failed", "overloaded", "No room.", 8.5),
}
every_ending = pytest.mark.parametrize("name", ENDINGS)
each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", CLIENTS)
each_colour = pytest.mark.parametrize("colour", COLOURS)
each_place = pytest.mark.parametrize("place", PLACES)


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    rows = in_each_dialect(upstream.url)
    models = {
        f"hasty-{name}": {"targets": [{"provider": name, "model": "m"}], "timeouts": {"gate": 0.05}, "retries": 0} for name in CLIENTS
    }
    async with gateway(providers=rows, models=models) as house:
        yield house


async def ask(house: House, client: str, model: str, stream: bool = True) -> Answer:
    path, body, headers = asks(client, model, stream)
    return await send(house.port, request(json.dumps(body).encode(), path=path, headers=headers))


# ---- to each dialect's clients, and in the log


@every_ending
@each_upstream
@each_client
async def test_in_a_stream(house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]], client: str, up: str, name: str) -> None:
    play, ending, kind, message, wait = ENDINGS[name]
    upstream.play(play)
    answer = await ask(house, client, f"{up}/m")
    assert answer.status == 200
    assert b"One" in answer.body
    [line] = logged
    assert (line["ending"], line["failure"]) == (ending, kind)
    if kind is None:
        assert b'"error":{' not in answer.body
        return
    said = told_in(client, answer)
    assert said.message.startswith(message)
    assert said.retry_after == wait


@each_client
async def test_behind_the_gate_there_is_no_header_for_it(house: House, upstream: ScriptedUpstream, client: str) -> None:
    """The provider answers with a status, but the client's headers are out: it is told inside the stream, and when to come back too."""

    def play(call: Call) -> Any:
        return Wait(0.3), *resolve(status(429, headers=(("retry-after", "90"),)), call)

    upstream.play(play)
    answer = await ask(house, client, f"hasty-{client}")
    assert (answer.status, "retry-after" in answer.headers) == (200, False)
    assert told_in(client, answer).retry_after == 90.0


@each_client
async def test_before_the_stream_it_is_a_header_too(house: House, upstream: ScriptedUpstream, client: str) -> None:
    upstream.play(status(429, headers=(("retry-after", "90"),)))
    for streamed in (True, False):
        answer = await ask(house, client, f"{client}/m", streamed)
        assert (answer.status, answer.headers["retry-after"], told(client, answer.json).retry_after) == (429, "90", 90.0)


@each_client
async def test_a_client_that_leaves(house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]], client: str) -> None:
    def play(call: Call) -> Any:
        return stream([*(Send(frame) for frame in render(words(call, "One", " two")[:4], call).flat), Stall()])

    upstream.play(play)
    path, body, headers = asks(client, f"{client}/m", True)
    async with connect(house.port) as socket:
        socket.send(request(json.dumps(body).encode(), path=path, headers=headers))
        while b"two" not in await socket.event():
            pass
        socket.leave()
        await eventually(lambda: logged)
    [line] = logged
    assert (line["ending"], line["failure"]) == ("cancelled", "cancelled")
    assert line["tokens"] in ("estimated", "partial")


# ---- to the library


@each_upstream
@each_place
@each_colour
async def test_what_had_been_said_is_kept_with_when_to_come_back(colour: Colour, place: Place, up: str) -> None:
    async with asked(colour, place, breaks(SLOWER), dialect=up) as (client, _):
        stream = client.stream(QUESTION, model="up/m")
        with pytest.raises(Interrupted, match=r"Slow down\.") as caught:
            async with stream:
                await read(stream)
    error = caught.value
    assert (error.retry_after, error.failure.kind) == (7.0, "rate_limited")
    assert error.reply is not None
    assert (error.reply.text, error.reply.ending, error.reply.finish_reason) == ("One two", "rate_limited", None)


@each_place
@each_colour
async def test_before_anything_was_said_it_is_no_interruption(colour: Colour, place: Place) -> None:
    async with asked(colour, place, perform([SLOWER]), models={"m": {"targets": [{"provider": "up", "model": "m"}], "retries": 0}}) as (
        client,
        _,
    ):
        with pytest.raises(RateLimited) as caught:
            await client.generate(QUESTION, model="m")
        assert (caught.value.retry_after, caught.value.reply) == (7.0, None)


COUNTED = Usage(7, 2)
COUNT = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}\n\n'
"""As some servers send it while they still speak."""

CERTAIN: dict[str, tuple[Play, str, Usage | None]] = {
    "final": (say("One", " two", usage=COUNTED), "final", COUNTED),
    "partial": (breaks(BROKE, COUNT), "partial", COUNTED),
    "estimated at a cut": (breaks(None), "estimated", Usage(5, 2)),
    "missing": (perform([BROKE]), "missing", None),
}
"""What is played, how sure the tokens are then, and how many."""


@pytest.mark.parametrize("name", CERTAIN)
async def test_the_log_says_how_sure_the_tokens_are(
    house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]], name: str
) -> None:
    play, certainty, usage = CERTAIN[name]
    upstream.play(play)
    await ask(house, "openai-chat", "openai-chat/m")
    [line] = logged
    assert (line["tokens"], line["output_tokens"]) == (certainty, usage.output if usage else None)


@pytest.mark.parametrize("name", CERTAIN)
@each_place
@each_colour
async def test_the_librarys_reply_says_how_sure_its_usage_is(colour: Colour, place: Place, name: str) -> None:
    play, certainty, usage = CERTAIN[name]
    async with asked(colour, place, play) as (client, _):
        stream = client.stream(QUESTION, model="up/m")
        with nullcontext() if certainty == "final" else pytest.raises(GenerationError):
            async with stream:
                await read(stream)
        reply = await stream.reply()
    assert (reply.certainty, reply.usage) == (certainty, usage)
