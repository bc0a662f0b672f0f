"""A stream through a gateway goes on over as many connections as it takes, and whoever reads it notices nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.house import gateway
from telex import GenerationError, Interrupted, UpstreamError
from telex.generation import carrying
from telex.generation import resuming as core
from telex.testing import (
    Beat,
    Call,
    Close,
    Head,
    Play,
    Pour,
    Refuse,
    Reset,
    ScriptedUpstream,
    Send,
    Stall,
    Step,
    Until,
    Wait,
    render,
    say,
    status,
)
from telex.testing.answers import JSON, SSE, words

from .colours import COLOURS, PATIENT, QUESTION, Colour, Speaker, asked, eventually, provider, read, speaker
from .test_leaks import descriptors
from .test_leaving import settled
from .tunnel import Tunnel, tunnel

TEXTS = ("Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{LATIN SMALL LETTER SHARP S}e", " \N{GRINNING FACE}", " und", " tsch\u00fcs", ".")
TEXT = "".join(TEXTS)
NAMED = ("telex-generation", "gen_1")

each_colour = pytest.mark.parametrize("colour", COLOURS)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than must be."""
    monkeypatch.setattr(core, "BACKOFF", 0.001)
    monkeypatch.setattr(core, "LONGEST_PAUSE", 0.02)


# ---- a gateway that is played


def said(call: Call) -> list[bytes]:
    """The frames of the whole stream, whatever part of it is asked for."""
    return render(words(call, *TEXTS), call).flat


def place(call: Call) -> int:
    """How many of them whoever asks has."""
    path, _, query = call.path.partition("?")
    if call.method == "POST":
        return 0
    assert (call.method, path) == ("GET", "/v1/generations/gen_1/stream")
    after, dialect = query.split("&")
    assert dialect == "dialect=openai-chat"
    return int(after.removeprefix("after="))


def goes_on(*then: Step, frames: int | None = None, more: bytes = b"") -> Play:
    """From where whoever asks stands: all of it, or so many frames and `more` bytes, and then this."""

    def play(call: Call) -> Any:
        rest = said(call)[place(call) :]
        sends = [Send(frame) for frame in (rest if frames is None else rest[:frames])]
        return Head(200, (*SSE, NAMED)), *sends, *([Send(more)] if more else []), *then

    return play


def broken(*then: Step, frames: int = 1, inside: int = 10) -> Play:
    """So many frames, some bytes of the next, and then this."""

    def play(call: Call) -> Any:
        rest = said(call)[place(call) :]
        return goes_on(*then, frames=frames, more=rest[frames][:inside])

    return play


def whole(call: Call) -> Any:
    return Head(200, (*JSON, NAMED), "length"), Send(render(words(call, *TEXTS), call).body)


@asynccontextmanager
async def played(colour: Colour, *plays: Play) -> AsyncIterator[tuple[Speaker, ScriptedUpstream]]:
    """A client of a gateway that plays these."""
    with ScriptedUpstream(*plays) as there:
        client = speaker(colour, there.url)
        try:
            yield client, there
        finally:
            await client.close()


BREAKS: dict[str, tuple[Play, ...]] = {
    "fin": (broken(Close()),),
    "reset": (broken(Reset()),),
    "end-of-the-body": (goes_on(frames=2),),
    "before-the-head": ((Close(),), (Reset(),)),
    "behind-the-head": (goes_on(Close(), frames=0),),
    "inside-the-first-frame": (broken(Reset(), frames=0, inside=1),),
    "inside-a-code-point": (broken(Close(), frames=1, inside=-10),),
    "many-times": (broken(Close()), broken(Reset()), (Reset(),), goes_on(frames=0), broken(Close()), goes_on(Close(), frames=1)),
}


@each_colour
@pytest.mark.parametrize("breaks", BREAKS)
async def test_whoever_reads_notices_nothing(breaks: str, colour: Colour) -> None:
    async with played(colour, *BREAKS[breaks], goes_on()) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            assert await read(stream) == list(TEXTS)
            reply = await stream.reply()
        assert (reply.ending, reply.text, reply.id) == ("complete", TEXT, "gen_1")
        assert len(there.calls) == len(BREAKS[breaks]) + 1


@each_colour
async def test_every_call_has_a_key_and_wants_to_be_held(colour: Colour) -> None:
    async with played(colour, (Close(),), goes_on(), (Close(),), whole) as (client, there):
        async with client.stream(QUESTION, model="m", timeouts=9.0) as stream:
            await read(stream)
        await client.generate(QUESTION, model="m")
    calls = there.calls
    keys = [call.headers["idempotency-key"] for call in calls]
    assert [call.headers["telex-on-disconnect"] for call in calls] == ["hold"] * 4
    assert (keys[0], keys[2]) == (keys[1], keys[3])
    assert keys[0] != keys[2]
    assert calls[0].body == calls[1].body
    assert calls[0].headers["telex-timeouts"] == "total=9.000"


@each_colour
async def test_a_whole_reply_that_broke_is_asked_for_again(colour: Colour) -> None:
    def half(call: Call) -> Any:
        body = render(words(call, *TEXTS), call).body
        return Head(200, (*JSON, NAMED), "length", len(body)), Send(body[:50]), Close()

    async with played(colour, (Reset(),), half, whole) as (client, there):
        reply = await client.generate(QUESTION, model="m")
        assert (reply.text, reply.id, len(there.calls)) == (TEXT, "gen_1", 3)


@each_colour
async def test_a_gateway_that_refuses_for_a_while_is_waited_for(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, refusals = threading.Event(), 0
    tell = core.Resuming.on_failure

    def counted(self: core.Resuming, failure: Any) -> None:
        nonlocal refusals
        refusals += failure.kind == "unreachable"
        tell(self, failure)

    monkeypatch.setattr(core.Resuming, "on_failure", counted)
    monkeypatch.setattr(core, "BACKOFF", 0.05)
    async with played(colour, broken(Until(gate.is_set), Close(), frames=2)) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            texts = aiter(stream)
            heard = [await anext(texts)]
            there.play((Refuse(),))
            gate.set()
            opening = asyncio.create_task(opened(there, lambda: refusals >= 2))
            heard += [text async for text in texts]
            await opening
        assert heard == list(TEXTS)


async def opened(there: ScriptedUpstream, when: Callable[[], object]) -> None:
    await eventually(when)
    there.play(goes_on())


@each_colour
async def test_a_connection_that_fell_silent_is_left(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "SILENCE", 0.3)
    async with played(colour, broken(Stall()), goes_on(Stall(), frames=0), goes_on()) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            assert await read(stream) == list(TEXTS)
        assert len(there.calls) >= 3
        await there.calls[0].until("left_at")


@each_colour
async def test_signs_of_life_are_no_silence(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than a silence may, and goes on where comments were not counted."""
    monkeypatch.setattr(core, "SILENCE", 1.0)
    alive = (Wait(0.05), Send(b": keep-alive\n\n"))
    async with played(colour, goes_on(*alive * 30, frames=2), goes_on()) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            assert await read(stream) == list(TEXTS)
        assert [place(call) for call in there.calls] == [0, 2]


# ---- where it can't be


@each_colour
@pytest.mark.parametrize("code", [404, 410, 401, 500])
async def test_what_is_no_longer_kept_is_interrupted_with_what_was_said(code: int, colour: Colour) -> None:
    async with played(colour, broken(Close(), frames=2), status(code, {"status": code, "detail": "x"})) as (client, there):
        stream = client.stream(QUESTION, model="m")
        with pytest.raises(Interrupted, match="no longer keeps" if code in (404, 410) else f"status {code}") as caught:
            async with stream:
                await read(stream)
        assert caught.value.reply is not None
        assert (caught.value.reply.text, caught.value.reply.ending, len(there.calls)) == (TEXTS[0], "truncated", 2)


@each_colour
async def test_a_proxy_before_a_gateway_that_restarts_is_not_its_word(colour: Colour) -> None:
    away = [status(code, "<html>Bad gateway</html>", [("content-type", "text/html")]) for code in (502, 503, 504)]
    async with played(colour, broken(Close(), frames=2), *away, goes_on()) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            assert await read(stream) == list(TEXTS)
        assert [place(call) for call in there.calls] == [0, 2, 2, 2, 2]


@each_colour
async def test_an_error_inside_the_stream_is_its_end(colour: Colour) -> None:
    error = b"data: " + json.dumps({"error": {"message": "It broke.", "type": "server_error"}}).encode() + b"\n\n"
    async with played(colour, broken(Close(), frames=2), goes_on(frames=1, more=error)) as (client, there):
        stream = client.stream(QUESTION, model="m")
        with pytest.raises(Interrupted, match="It broke") as caught:
            async with stream:
                await read(stream)
        assert caught.value.reply is not None
        assert (caught.value.reply.text, len(there.calls)) == ("".join(TEXTS[:2]), 2)


@each_colour
async def test_where_no_try_reaches_it_the_truth_is_told(colour: Colour) -> None:
    gate = threading.Event()
    async with played(colour, broken(Until(gate.is_set), Close(), frames=2)) as (client, there):
        stream = client.stream(QUESTION, model="m")
        with pytest.raises(Interrupted, match=r"broke .*could not be resumed: .*can't be reached") as caught:  # noqa: PT012
            async with stream:
                there.play((Refuse(),))
                gate.set()
                await read(stream)
        assert caught.value.reply is not None
        assert caught.value.reply.text == TEXTS[0]


@each_colour
async def test_a_gateway_that_is_not_there_is_said_soon(colour: Colour) -> None:
    async with played(colour, (Refuse(),)) as (client, _):
        with pytest.raises(UpstreamError, match="can't be reached"):
            await client.generate(QUESTION, model="m")
        with pytest.raises(UpstreamError, match="can't be reached"):
            async with client.stream(QUESTION, model="m") as stream:
                await read(stream)


@each_colour
async def test_the_time_for_the_whole_holds_all_the_same(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.client.place.GRACE", 0.3)
    async with played(colour, broken(Stall())) as (client, there):
        with pytest.raises(GenerationError) as caught:
            async with client.stream(QUESTION, model="m", timeouts=0.3) as stream:
                await read(stream)
        assert caught.value.failure.code == "total"
        assert cancelled(there) == ["gen_1"]


@each_colour
async def test_a_provider_is_never_resumed(colour: Colour) -> None:
    async with asked(colour, "here", broken(Close(), frames=2), say("never")) as (client, there):
        with pytest.raises(Interrupted):
            async with client.stream(QUESTION, model="up/m") as stream:
                await read(stream)
        assert len(there.calls) == 1
        assert "idempotency-key" not in there.calls[0].headers
        assert "telex-on-disconnect" not in there.calls[0].headers


# ---- leaving


def cancelled(there: ScriptedUpstream) -> list[str]:
    """What was asked to end."""
    return [call.path.split("/")[3] for call in there.calls if call.method == "POST" and call.path.endswith("/cancel")]


@each_colour
@pytest.mark.parametrize("how", ["leave", "cancel", "close"])
async def test_who_leaves_a_stream_says_so(how: str, colour: Colour) -> None:
    async with played(colour, goes_on(Beat(b": keep-alive\n\n", 0.01), frames=2), status(200, {})) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            await anext(aiter(stream))
            if how == "cancel":
                stream.cancel()
            elif how == "close":
                await client.close()
        assert cancelled(there) == ["gen_1"]
        await there.calls[0].until("left_at")


@each_colour
async def test_who_leaves_while_it_is_broken_says_so_too(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "BACKOFF", 3600.0)
    monkeypatch.setattr(core, "LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr(core, "AWAY", 7200.0)
    async with played(colour, goes_on(Close(), frames=2), goes_on(Close(), frames=0), status(200, {})) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            reading = asyncio.ensure_future(read(stream))
            await there.until(2)
            await there.calls[1].until("finished")
            stream.cancel()
            with pytest.raises(GenerationError):
                await asyncio.wait_for(reading, PATIENT)
        assert cancelled(there) == ["gen_1"]


@each_colour
async def test_who_has_no_id_yet_says_so_by_the_key(colour: Colour) -> None:
    async with played(colour, (Stall(),), status(200, {})) as (client, there):
        reading = asyncio.ensure_future(client.generate(QUESTION, model="m"))
        [call] = await there.until(1)
        await client.close()
        with pytest.raises(GenerationError):
            await asyncio.wait_for(reading, PATIENT)
        assert cancelled(there) == [call.headers["idempotency-key"]]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_task_that_is_cancelled_says_so(stream: bool) -> None:
    async with played("async", (Stall(),), status(200, {})) as (client, there):

        async def ask() -> None:
            if stream:
                async with client.stream(QUESTION, model="m"):
                    pass
            await client.generate(QUESTION, model="m")

        asking = asyncio.create_task(ask())
        [call] = await there.until(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert cancelled(there) == [call.headers["idempotency-key"]]


@each_colour
async def test_a_gateway_that_does_not_hear_it_holds_nobody_up(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "FAREWELL", 0.2)
    async with played(colour, goes_on(Stall(), frames=2), (Stall(),)) as (client, there):
        async with asyncio.timeout(PATIENT):
            async with client.stream(QUESTION, model="m"):
                pass
        await there.calls[1].until("left_at")


@each_colour
async def test_who_heard_the_end_says_nothing(colour: Colour) -> None:
    def at_once(call: Call) -> Any:
        return Head(200, (*SSE, NAMED), "length"), Send(b"".join(said(call)))  # the last byte is the end

    async with played(colour, at_once, whole) as (client, there):
        async with client.stream(QUESTION, model="m") as stream:
            await read(stream)
            stream.cancel()
        await client.generate(QUESTION, model="m")
        assert [place(call) for call in there.calls] == [0, 0]
        assert there.connections == 1  # used again: its end was heard out


@each_colour
async def test_a_reader_that_stops_holds_the_gateway_up_and_gets_all_of_it_later(colour: Colour) -> None:
    size = 32 << 20

    def pours(call: Call) -> Any:
        first, second, third, *rest = render(words(call, "x" * 4096), call).flat
        return Head(200, (*SSE, NAMED)), Send(first), Pour(second, size // len(second)), Send(third), *map(Send, rest)

    async with played(colour, pours) as (client, there), client.stream(QUESTION, model="m") as stream:
        texts = stream.smoothed(0.0)
        await anext(texts)
        await settled(there.calls[0])
        assert there.calls[0].unsent > 0
        assert there.calls[0].bytes_sent < size
        assert sum([len(text) async for text in texts]) > 0.9 * size


# ---- a real gateway, behind a way that breaks


@asynccontextmanager
async def far_away(colour: Colour, play: Play, *cuts: int) -> AsyncIterator[tuple[Speaker, Tunnel, ScriptedUpstream]]:
    with ScriptedUpstream(play) as up:
        async with gateway(providers={"up": provider("openai-chat", up.url)}) as house, tunnel(house.port, *cuts) as way:
            client = speaker(colour, f"http://127.0.0.1:{way.port}")
            try:
                yield client, way, up
            finally:
                await client.close()


@each_colour
@pytest.mark.parametrize("seed", range(6))
async def test_p4_the_text_is_the_undisturbed_one(seed: int, colour: Colour) -> None:
    """Cut anywhere, in heads as well, while it runs and behind its end; the provider is asked once."""
    draw = random.Random(seed)
    texts = [draw.choice((" word", "Gr\u00fc\u00dfe", "\N{GRINNING FACE}", '"\\\n', "x" * 300)) for _ in range(60)]
    cuts = [draw.randrange(3000) for _ in range(9)]
    async with far_away(colour, say(*texts, gap=0.002), *cuts) as (client, way, up):
        async with client.stream(QUESTION, model="up/m") as stream:
            assert "".join(await read(stream)) == "".join(texts)
            reply = await stream.reply()
        assert (reply.ending, reply.id[:4], way.cut >= 5, len(up.calls)) == ("complete", "gen_", True, 1)


@each_colour
@pytest.mark.parametrize("seed", range(3))
async def test_a_whole_reply_is_asked_for_once(seed: int, colour: Colour) -> None:
    draw = random.Random(seed)
    text = "x" * 5000
    async with far_away(colour, say(text, first=0.05), *(draw.randrange(3000) for _ in range(5))) as (client, way, up):
        reply = await client.generate(QUESTION, model="up/m")
        assert (reply.text, way.cut, len(up.calls)) == (text, 5, 1)


@each_colour
async def test_one_that_is_held_goes_on_where_its_client_was_away(colour: Colour) -> None:
    gate = threading.Event()

    def play(call: Call) -> Any:
        frames = said(call)
        return Head(200, SSE), Send(b"".join(frames[:3])), Until(gate.is_set), Send(b"".join(frames[3:]))

    async with far_away(colour, play) as (client, way, up):
        async with client.stream(QUESTION, model="up/m") as stream:
            texts = aiter(stream)
            heard = [await anext(texts), await anext(texts)]
            way.close()
            gate.set()
            await up.calls[0].until("finished")
            heard += [text async for text in texts]
        assert (heard, len(up.calls)) == (list(TEXTS), 1)


@each_colour
async def test_many_that_resumed_leave_nothing(colour: Colour) -> None:
    texts = [f" {number}" for number in range(40)]
    async with far_away(colour, say(*texts), *[1500, 700, 800] * 60) as (client, way, _):

        async def ask() -> None:
            async with client.stream(QUESTION, model="up/m") as stream:
                assert "".join(await read(stream)) == "".join(texts)

        for _ in range(5):
            await ask()
        await eventually(lambda: way.open <= 1)
        files, tasks, threads, before = descriptors(), len(asyncio.all_tasks()), threading.active_count(), way.cut
        for _ in range(30):
            await ask()
        assert way.cut - before > 30
        await eventually(lambda: way.open <= 1 and len(asyncio.all_tasks()) <= tasks and descriptors() <= files)
        assert threading.active_count() - threads <= 32  # those of `asyncio.to_thread`, which stay
        assert resumings() <= 2  # what the last connection still knows, which waits for the next call


def resumings() -> int:
    """How many are alive; the gateway, in this process too, keeps what was said, but knows none of them."""
    gc.collect()
    return sum(isinstance(thing, core.Resuming | carrying.Carrier) for thing in gc.get_objects())
