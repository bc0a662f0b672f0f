"""Jobs of a gateway, against one that is played: what it is asked, what becomes of what it answers, and connections that break."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.house import gateway
from telex import AsyncClient, BadRequest, Cancelled, Interrupted, NotFound, Overloaded, RateLimited, Unauthorized, UpstreamError
from telex.client.jobs import GatewayJobs
from telex.generation import resuming
from telex.generation.run import CANCELLED
from telex.testing import Call, Close, Head, Play, Refuse, Reset, Script, ScriptedUpstream, Send, Stall, Until, Wait, say, status
from telex.testing.answers import error
from telex.testing.script import cut_script, resolve

from .colours import COLOURS, PATIENT, QUESTION, Colour, Speaker, eventually, read, speaker
from .keeping import ID, TEXTS, Keeping, problem

each_colour = pytest.mark.parametrize("colour", COLOURS)
TEXT = "".join(TEXTS)


@asynccontextmanager
async def kept(colour: Colour, play: Play) -> AsyncIterator[tuple[Speaker, ScriptedUpstream]]:
    with ScriptedUpstream(play) as upstream:
        client = speaker(colour, upstream.url, api_key="tx-key")
        try:
            yield client, upstream
        finally:
            await client.close()


def failing(*frames: bytes) -> Any:
    """A stream that ends with an error behind two words, as a gateway writes it."""

    def disturb(script: Script, number: int) -> Script:
        return (*script[:4], *map(Send, frames))

    return disturb


CUT = b'data: {"error":{"message":"The provider broke off.","type":"server_error","param":null,"code":"stream_truncated"}}\n\n'
STOPPED = b'data: {"error":{"message":"The generation was cancelled.","type":"server_error","param":null,"code":"cancelled"}}\n\n'
LATER = b'data: {"error":{"message":"Slower.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded","retry_after":9}}\n\n'


@each_colour
async def test_submitting_is_a_request_that_prefers_to_be_answered_later(colour: Colour) -> None:
    async with kept(colour, Keeping()) as (client, upstream):
        job = await client.submit(QUESTION, model="local", system="Be brief.", timeouts={"total": 9}, seed=7)
        assert job.id == ID
        [call] = upstream.calls
        assert (call.method, call.path) == ("POST", "/v1/chat/completions")
        assert (call.headers["prefer"], call.headers["authorization"]) == ("respond-async", "Bearer tx-key")
        assert call.headers["telex-timeouts"] == "total=9.000"
        assert len(call.headers["idempotency-key"]) >= 32
        assert (call.json["model"], call.json["seed"], call.json["stream"]) == ("local", 7, True)
        await client.submit(QUESTION, model="local")
        assert upstream.calls[1].headers["idempotency-key"] != call.headers["idempotency-key"]


@each_colour
async def test_its_reply_has_the_figures_of_the_record(colour: Colour) -> None:
    async with kept(colour, Keeping(dropped=["seed", "prompt_cache_key"])) as (client, _):
        reply = await client.job(ID).reply()
        assert (reply.text, reply.ending, reply.finish_reason, reply.id, reply.model) == (TEXT, "complete", "stop", ID, "m")
        assert (reply.timing.ttft, reply.timing.e2e, reply.certainty) == (0.25, 1.5, "final")
        assert reply.usage is not None
        assert (reply.usage.output, reply.usage.cached) == (6, 5)
        assert reply.dropped == ("seed", "cache")


@each_colour
async def test_status_and_cancel_are_what_the_gateway_says(colour: Colour) -> None:
    async with kept(colour, Keeping(status="queued")) as (client, upstream):
        job = client.job(ID)
        assert (await job.status(), await job.cancel()) == ("queued", "queued")
        assert [(call.method, call.path) for call in upstream.calls] == [
            ("GET", f"/v1/generations/{ID}"),
            ("POST", f"/v1/generations/{ID}/cancel"),
        ]


@each_colour
async def test_a_cursor_is_as_good_in_another_process(colour: Colour) -> None:
    async with kept(colour, Keeping()) as (client, _):
        async with client.job(ID).stream() as stream:
            texts = aiter(stream)
            before = [await anext(texts) for _ in range(3)]
        async with kept(colour, Keeping()) as (other, _), other.job(ID).stream(after=stream.cursor) as stream:
            assert before + await read(stream) == list(TEXTS)
            assert (await stream.reply()).text == TEXT


@each_colour
async def test_another_client_picks_it_up_when_the_first_has_gone(colour: Colour) -> None:
    """With a gateway that is no play."""
    gate = threading.Event()

    def story(call: Call) -> Script:
        head, *steps = resolve(say(*TEXTS), call)
        return (head, Wait(0.01), *steps[:3], Until(gate.is_set), *steps[3:])  # by a clock that counts milliseconds

    with ScriptedUpstream(story) as upstream:
        async with gateway(upstream.url) as house:
            url = f"http://127.0.0.1:{house.port}"
            first, second = speaker(colour, url), speaker(colour, url)
            job = await first.submit(QUESTION, model="up/m", seed=7)
            async with job.stream() as stream:
                before = [await anext(aiter(stream))]
            await first.close()
            picked = second.job(job.id)
            assert await picked.status() == "running"
            gate.set()
            async with picked.stream(after=stream.cursor) as stream:
                assert before + await read(stream) == list(TEXTS)
            reply = await picked.reply()
            assert (reply.text, reply.id, reply.certainty, await picked.status()) == (TEXT, job.id, "final", "complete")
            assert reply.timing.ttft is not None
            assert 0 < reply.timing.ttft <= reply.timing.e2e
            await second.close()
        assert len(upstream.calls) == 1
        assert upstream.calls[0].left_at is None


# ---- connections that break


@each_colour
@pytest.mark.parametrize("end", [Close(), Reset()], ids=["fin", "rst"])
async def test_it_goes_on_behind_the_frames_that_it_has(end: Any, colour: Colour) -> None:
    def disturb(script: Script, number: int) -> Script:
        return (*script[:3], end) if number < 4 and len(script) > 3 else script

    keeping = Keeping(disturb=disturb)
    async with kept(colour, keeping) as (client, _), client.job(ID).stream() as stream:
        assert await read(stream) == list(TEXTS)
        assert keeping.afters == [0, 2, 4, 6, 8]
        assert stream.cursor == len(keeping.frames)


@each_colour
async def test_frames_that_say_nothing_are_counted_too(colour: Colour) -> None:
    keeping = Keeping(disturb=lambda script, number: script if number else (*script[:5], Close()))
    keeping.frames.insert(3, b'data: {"id":"r","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n')
    async with kept(colour, keeping) as (client, _), client.job(ID).stream() as stream:
        assert await read(stream) == list(TEXTS)
        assert (keeping.afters, stream.cursor) == ([0, 4], len(keeping.frames))


FRAMES = Keeping().frames


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.integers(0, len(b"".join(FRAMES)) - 1), max_size=4))
async def test_cuts_anywhere_change_nothing_that_is_heard(places: list[int]) -> None:
    """Also inside a frame, before the first, and behind the last but its terminator."""

    def disturb(script: Script, number: int) -> Script:
        return cut_script(script, places[number]) if number < len(places) else script

    async with kept("async", Keeping(disturb=disturb)) as (client, _), client.job(ID).stream() as stream:
        assert await read(stream) == list(TEXTS)
        assert (await stream.reply()).ending == "complete"


@each_colour
async def test_a_gateway_that_is_away_for_a_while(colour: Colour) -> None:
    """It restarts: its port refuses, then something before it says 503."""
    answers: list[Script] = [(Head(503, (), "length"), Send(b"")), problem(502, "Nobody is here.")]

    def disturb(script: Script, number: int) -> Script:
        return (*script[:3], Close()) if number == 0 else answers[number - 1] if number <= len(answers) else script

    keeping = Keeping(disturb=disturb)
    async with kept(colour, keeping) as (client, upstream), client.job(ID).stream() as stream:
        texts = aiter(stream)
        assert await anext(texts) == "Once"
        await upstream.until(lambda: len(keeping.afters) > 1)
        assert [text async for text in texts] == list(TEXTS[1:])


@each_colour
async def test_a_connection_that_falls_silent_is_as_good_as_broken(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "SILENCE", 0.1)
    keeping = Keeping(disturb=lambda script, number: script if number else (*script[:3], Stall()))
    async with kept(colour, keeping) as (client, upstream):
        assert (await client.job(ID).reply()).text == TEXT
        await upstream.calls[0].until("left_at")


@each_colour
async def test_a_job_that_waits_long_for_its_turn_is_waited_for(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that showed signs of life, and broke without a frame, don't count as tries in vain."""
    monkeypatch.setattr(resuming, "LONGEST_PAUSE", -1.0)  # a loop's clock may stand still for a millisecond
    breaks = 3 * resuming.TRIES
    alive = Send(b": keep-alive\n\n")
    keeping = Keeping(disturb=lambda script, number: (script[0], alive, Close()) if number < breaks else script)
    async with kept(colour, keeping) as (client, _):
        assert (await client.job(ID).reply()).text == TEXT
        assert len(keeping.afters) == breaks + 1


@each_colour
async def test_a_gateway_that_was_killed_may_count_fewer_frames_than_were_heard(colour: Colour) -> None:
    """Then its stream ends at once, and its record says how the job ended."""
    failure = {"kind": "truncated", "message": "Telex ended while it ran.", "retry_after": None}
    keeping = Keeping(disturb=lambda script, number: script[:1] if number else (*script[:4], Close()), status="truncated", failure=failure)
    async with kept(colour, keeping) as (client, _):
        with pytest.raises(Interrupted, match="Telex ended while it ran") as caught:
            await client.job(ID).reply()
        assert caught.value.reply is not None
        assert (caught.value.reply.text, keeping.afters) == ("Once upon", [0, 3])


@each_colour
async def test_when_the_gateway_does_not_come_back_what_was_heard_is_not_lost(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "LONGEST_PAUSE", 0.001)
    keeping = Keeping(disturb=lambda script, number: (*script[:4], Close()) if not number else (Close(),))
    async with kept(colour, keeping) as (client, _):
        with pytest.raises(Interrupted, match="may go on") as caught:
            await client.job(ID).reply()
        assert caught.value.reply is not None
        assert (caught.value.reply.text, caught.value.reply.ending) == ("Once upon", "truncated")
        assert len(keeping.afters) == 1 + resuming.TRIES


@each_colour
async def test_a_post_that_broke_is_sent_again_with_the_same_key(colour: Colour) -> None:
    keeping = Keeping()
    plays: list[Script] = [(Close(),), (Head(202, (), "length", 99), Send(b"{"), Reset())]

    def play(call: Call) -> Play:
        return plays.pop(0) if plays else keeping

    async with kept(colour, play) as (client, upstream):
        assert (await client.submit(QUESTION, model="m")).id == ID
        assert len(upstream.calls) == 3
        assert len({call.headers["idempotency-key"] for call in upstream.calls}) == 1
        assert len({call.body for call in upstream.calls}) == 1


@each_colour
async def test_nobody_answers(colour: Colour) -> None:
    async with kept(colour, (Refuse(),)) as (client, _):
        for work in (client.submit(QUESTION, model="m"), client.job(ID).status()):
            with pytest.raises(UpstreamError, match="can't be reached: Connection refused") as caught:
                await work
            assert caught.value.failure.kind == "unreachable"


@each_colour
async def test_a_slow_reader_holds_the_gateway_up(colour: Colour) -> None:
    texts = ("x" * 10_000,) * 2_000
    async with kept(colour, Keeping(*texts)) as (client, upstream):
        async with client.job(ID).stream() as stream:
            heard = aiter(stream)
            await anext(heard)
            [call] = upstream.calls
            await eventually(lambda: call.unsent > 0)
            assert call.bytes_sent < 20_000_000
            assert 1 + len([text async for text in heard]) == len(texts)
        assert len(upstream.calls) == 2  # and the record


# ---- what the gateway itself says


@each_colour
async def test_what_the_gateway_says_is_the_end(colour: Colour) -> None:
    for frame, raised, text in ((CUT, Interrupted, "Once upon"), (STOPPED, Cancelled, "Once upon"), (LATER, Interrupted, "Once upon")):
        keeping = Keeping(disturb=failing(frame))
        async with kept(colour, keeping) as (client, _):
            with pytest.raises(raised) as caught:
                await client.job(ID).reply()
            assert caught.value.reply is not None
            assert (caught.value.reply.text, keeping.afters) == (text, [0])


@each_colour
async def test_a_failure_before_the_first_word_is_what_generate_would_raise(colour: Colour) -> None:
    keeping = Keeping(disturb=lambda script, number: (script[0], Send(LATER)))
    async with kept(colour, keeping) as (client, _):
        with pytest.raises(RateLimited, match="Slower") as caught:
            async with client.job(ID).stream():
                pass
        assert caught.value.retry_after == 9


REFUSALS: list[tuple[Script, type[Exception], str]] = [
    (problem(404, "There is no generation 'x' here."), NotFound, "no generation"),
    (problem(410, "It was here, and is no longer kept."), NotFound, "no longer kept"),
    (problem(409, "Its frames are not kept."), BadRequest, "not kept"),
    (problem(401, "A key is wanted."), Unauthorized, "gateway wants a key"),
]


@each_colour
@pytest.mark.parametrize(("answer", "raised", "words"), REFUSALS, ids=[404, 410, 409, 401])
async def test_problems(answer: Script, raised: type[Exception], words: str, colour: Colour) -> None:
    async with kept(colour, answer) as (client, upstream):
        for work in (client.job("x/y?z").status, client.job("x").reply, client.job("x").cancel):
            with pytest.raises(raised, match=words):
                await work()
        assert len(upstream.calls) == 3
        assert upstream.calls[0].path == "/v1/generations/x%2Fy%3Fz"


@each_colour
async def test_what_is_no_longer_kept_is_interrupted_with_what_was_said(colour: Colour) -> None:
    gone = problem(410, "It was here, and is no longer kept.")
    keeping = Keeping(disturb=lambda script, number: gone if number else (*script[:4], Close()))
    async with kept(colour, keeping) as (client, _):
        with pytest.raises(Interrupted, match="no longer keeps") as caught:
            await client.job(ID).reply()
        assert caught.value.reply is not None
        assert (caught.value.reply.text, keeping.afters) == ("Once upon", [0, 3])
        assert "may go on" not in str(caught.value)


@each_colour
async def test_a_proxy_before_no_gateway(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "LONGEST_PAUSE", 0.001)
    async with kept(colour, problem(503, "Nobody is here.")) as (client, upstream):
        with pytest.raises(UpstreamError, match="status 503"):
            await client.job(ID).reply()
        assert len(upstream.calls) == 1 + resuming.TRIES


@each_colour
async def test_a_key_that_is_repeated_is_shown_to_nobody(colour: Colour) -> None:
    with ScriptedUpstream(problem(409, "Not with tx-canary-1.")) as upstream:
        client = speaker(colour, upstream.url, api_key="tx-canary-1")
        with pytest.raises(BadRequest, match="Not with") as caught:
            await client.job(ID).reply()
        assert "canary" not in str(caught.value)
        await client.close()


@each_colour
async def test_refusals_to_begin_come_in_the_dialect(colour: Colour) -> None:
    def busy(call: Call) -> Play:
        return status(503, error(call, 503, "Come back.", "server_busy"), [("retry-after", "3")])

    async with kept(colour, busy) as (client, upstream):
        with pytest.raises(Overloaded, match="Come back") as caught:
            await client.submit(QUESTION, model="m")
        assert (caught.value.retry_after, len(upstream.calls)) == (3, 1)


@each_colour
@pytest.mark.parametrize("play", [say("Hi"), status(202, "Hello"), status(202, {"object": "x"})], ids=["answer", "text", "json"])
async def test_what_is_no_gateway_for_jobs(play: Play, colour: Colour) -> None:
    async with kept(colour, play) as (client, _):
        with pytest.raises((UpstreamError, BadRequest), match="gateway"):
            await client.submit(QUESTION, model="m")


@each_colour
async def test_what_does_not_stream_is_no_gateway(colour: Colour) -> None:
    async with kept(colour, status(200, "<html>", [("content-type", "text/html")])) as (client, _):
        with pytest.raises(UpstreamError, match="gateway"):
            await client.job(ID).reply()


# ---- nothing is left


async def test_streams_that_end_or_are_left_leave_nothing() -> None:
    def disturb(script: Script, number: int) -> Script:
        return (*script[:3], Close()) if number % 3 == 0 else (*script[:4], Stall()) if number % 3 == 1 else script

    with ScriptedUpstream(Keeping(disturb=disturb)) as upstream:
        tasks = len(asyncio.all_tasks())
        async with AsyncClient(upstream.url) as client:
            for _ in range(12):
                async with client.job(ID).stream() as stream:
                    async for _ in stream:
                        break
            await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
            await upstream.until(lambda: upstream.open_connections <= 1)
        await upstream.until(lambda: not upstream.open_connections)


@pytest.mark.parametrize("when", ["at-once", "at-the-first-word"])
async def test_who_stops_has_stopped(when: str) -> None:
    with ScriptedUpstream(Keeping(disturb=lambda script, number: (*script[:4], Stall()))) as upstream:
        async with AsyncClient(upstream.url) as client:
            jobs = client._own_jobs()
            assert isinstance(jobs, GatewayJobs)
            following = await jobs.follow(ID)
            if when == "at-once":  # before it began
                following.stop()
            else:  # before it knows itself
                verdict = cast("asyncio.Future[Any]", following._attempt.verdict)
                verdict.add_done_callback(lambda verdict: following.stop())
            async with asyncio.timeout(PATIENT):
                await following.opened(following.join())
                await following.finished()
            assert (following.ended, following.failure) == (True, CANCELLED)
            assert [call.method for call in upstream.calls] == ["GET"] * (when != "at-once")


@each_colour
async def test_closing_the_client_ends_its_readers_and_not_the_job(colour: Colour) -> None:
    async with kept(colour, Keeping(disturb=lambda script, number: (*script[:4], Stall()))) as (client, upstream):
        waiting = asyncio.create_task(client.job(ID).reply())
        [call] = await upstream.until(1)
        await client.close()
        await call.until("left_at")
        with pytest.raises(Exception, match=r"closed|left"):
            await waiting
        assert [call.method for call in upstream.calls] == ["GET"]
