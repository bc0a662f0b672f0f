"""Jobs in both places: they go on whoever reads them, any number of readers has all of it, and they end as any generation does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from telex import AsyncClient, BadRequest, Cancelled, Client, Interrupted, NotFound, RateLimited, TelexError, Timeout, UpstreamError
from telex.config import Config
from telex.core.events import Done, PartDelta
from telex.testing import FAULTS, Call, Refuse, Script, ScriptedUpstream, Send, Stall, Until, say, status
from telex.testing.answers import SSE
from telex.testing.script import resolve

from .colours import COLOURS, PATIENT, PLACES, QUESTION, Colour, Place, asked, configured, eventually, read, speaker

each_colour = pytest.mark.parametrize("colour", COLOURS)
each_place = pytest.mark.parametrize("place", PLACES)
WORDS = ("Once", " upon", " a", " time.")


def halfway(gate: threading.Event) -> Any:
    """A story that stops behind two words until `gate` is set."""

    def play(call: Call) -> Script:
        steps = resolve(say(*WORDS), call)
        cut = next(number for number, step in enumerate(steps) if isinstance(step, Send) and b" a" in step.data)
        return (*steps[:cut], Until(gate.is_set), *steps[cut:])

    return play


@each_place
@each_colour
async def test_a_job_goes_on_while_nobody_reads(colour: Colour, place: Place) -> None:
    async with asked(colour, place, say(*WORDS)) as (client, upstream):
        job = await client.submit(QUESTION, model="up/m", system="Be brief.", max_tokens=9)
        [call] = await upstream.until(1)
        await call.until("finished")
        reply = await job.reply(timeout=PATIENT)
        assert (reply.text, reply.ending, reply.id, await job.status()) == ("".join(WORDS), "complete", job.id, "complete")
        assert reply.usage is not None
        assert (reply.usage.output, reply.certainty) == (4, "final")
        assert (call.json["messages"][0]["content"], call.field("max_tokens") or call.field("max_completion_tokens")) == ("Be brief.", 9)
        assert (await job.reply()).text == (await client.job(job.id).reply()).text == reply.text
        assert len(upstream.calls) == 1


@each_place
@each_colour
async def test_leaving_its_stream_leaves_the_job(colour: Colour, place: Place) -> None:
    gate = threading.Event()
    async with asked(colour, place, halfway(gate)) as (client, upstream):
        job = await client.submit(QUESTION, model="up/m")
        async with job.stream() as stream:
            assert [await anext(aiter(stream)), await anext(aiter(stream))] == ["Once", " upon"]
            assert await job.status() == "running"
        assert upstream.calls[0].left_at is None
        gate.set()
        async with job.stream(after=stream.cursor) as rest:
            assert await read(rest) == [" a", " time."]
            assert (await rest.reply()).text == "".join(WORDS)
        await upstream.calls[0].until("finished")


@each_place
@each_colour
async def test_every_cursor_is_exact(colour: Colour, place: Place) -> None:
    async with asked(colour, place, say(*WORDS)) as (client, _):
        job = await client.submit(QUESTION, model="up/m")
        for number in range(len(WORDS) + 1):
            async with job.stream() as stream:
                texts = aiter(stream)
                before = [await anext(texts) for _ in range(number)]
            async with job.stream(after=stream.cursor) as stream:
                assert before + await read(stream) == list(WORDS)
                end = stream.cursor
        async with job.stream(after=end) as stream:
            assert (await read(stream), stream.cursor) == ([], end)
        async with job.stream(after=end + 100) as stream:
            assert await read(stream) == []


@each_place
@each_colour
async def test_readers_come_together_and_late(colour: Colour, place: Place) -> None:
    gate = threading.Event()
    async with asked(colour, place, halfway(gate)) as (client, upstream):
        job = await client.submit(QUESTION, model="up/m")

        async def listen() -> list[str]:
            async with job.stream() as stream:
                return await read(stream)

        readers = [asyncio.create_task(listen()) for _ in range(3)]
        waiting = asyncio.create_task(job.reply())
        async with job.stream() as stream:
            assert await anext(aiter(stream)) == "Once"
        gate.set()
        assert await asyncio.gather(*readers) == [list(WORDS)] * 3
        assert (await waiting).text == "".join(WORDS)
        assert len(upstream.calls) == 1


@each_place
@each_colour
async def test_it_reads_as_any_stream_does(colour: Colour, place: Place) -> None:
    async with asked(colour, place, say("It is", " blue. Because", " it scatters.")) as (client, _):
        job = await client.submit(QUESTION, model="up/m")
        async with job.stream() as stream:
            assert [sentence async for sentence in stream.sentences()] == ["It is blue. ", "Because it scatters."]
        async with job.stream() as stream:
            assert "".join([text async for text in stream.smoothed(0.0)]) == "It is blue. Because it scatters."
        async with job.stream() as stream:
            events = [event async for event in stream.events()]
        assert [event.text for event in events if isinstance(event, PartDelta)] == ["It is", " blue. Because", " it scatters."]
        assert isinstance(events[-1], Done)


@dataclass
class City:
    name: str


@each_place
@each_colour
async def test_a_reply_of_a_type(colour: Colour, place: Place) -> None:
    async with asked(colour, place, say('{"name":', '"Oslo"}')) as (client, _):
        job = await client.submit("A city?", model="up/m", response_format=City)
        assert (await job.reply()).parsed == City("Oslo")


@each_place
@each_colour
async def test_waiting_ends_and_the_job_goes_on(colour: Colour, place: Place) -> None:
    gate = threading.Event()
    async with asked(colour, place, halfway(gate)) as (client, _):
        job = await client.submit(QUESTION, model="up/m")
        with pytest.raises(Timeout, match="goes on") as caught:
            await job.reply(timeout=0.05)
        assert (caught.value.which, caught.value.param, await job.status()) == ("reply", "timeout", "running")
        gate.set()
        assert (await job.reply(PATIENT)).text == "".join(WORDS)


@each_place
@each_colour
async def test_cancelling_stops_the_model_and_tells_who_reads(colour: Colour, place: Place) -> None:
    async with asked(colour, place, halfway(threading.Event())) as (client, upstream):
        job = await client.submit(QUESTION, model="up/m")
        waiting = asyncio.create_task(job.reply())
        async with job.stream() as stream:
            texts = aiter(stream)
            assert [await anext(texts), await anext(texts)] == ["Once", " upon"]
            assert await job.cancel() == "cancelled"
            with pytest.raises(Cancelled, match="The generation was cancelled"):
                await read(stream)
        await upstream.calls[0].until("left_at")
        with pytest.raises(Cancelled) as caught:
            await waiting
        assert caught.value.reply is not None
        assert (caught.value.reply.text, await job.status()) == ("Once upon", "cancelled")


@each_place
@each_colour
async def test_what_has_ended_can_not_be_cancelled(colour: Colour, place: Place) -> None:
    async with asked(colour, place, say(*WORDS)) as (client, _):
        job = await client.submit(QUESTION, model="up/m")
        await job.reply()
        assert await job.cancel() == "complete"


@each_place
@each_colour
async def test_it_fails_as_a_call_does(colour: Colour, place: Place) -> None:
    refused = status(429, headers=[("retry-after", "90")])
    async with asked(colour, place, refused, FAULTS["row15-reset-mid-stream"]()) as (client, _):
        job = await client.submit(QUESTION, model="up/m")
        with pytest.raises(RateLimited) as limited:
            await job.reply()
        assert (limited.value.retry_after, await job.status()) == (90, "rate_limited")
        with pytest.raises(RateLimited):
            async with job.stream():
                pass
        broken = await client.submit(QUESTION, model="up/m")
        with pytest.raises(Interrupted) as interrupted:
            await broken.reply()
        assert interrupted.value.reply is not None
        assert (interrupted.value.reply.ending, await broken.status()) == ("truncated", "truncated")


@each_colour
async def test_what_can_not_begin_is_said_at_once(colour: Colour) -> None:
    async with asked(colour, "here") as (client, upstream):
        with pytest.raises(NotFound):
            await client.submit(QUESTION, model="nobody/m")
        with pytest.raises(BadRequest) as caught:
            await client.submit([], model="up/m")
        assert caught.value.param == "messages"
        with pytest.raises(NotFound, match="no job 'gen_1' in this process"):
            await client.job("gen_1").reply()
        with pytest.raises(NotFound):
            await client.job("gen_1").status()
        assert upstream.calls == []


@each_colour
async def test_closing_the_client_stops_its_jobs(colour: Colour) -> None:
    async with asked(colour, "here", (Stall(),)) as (client, upstream):
        job = await client.submit(QUESTION, model="up/m")
        waiting = asyncio.create_task(job.reply())
        [call] = await upstream.until(1)
        await client.close()
        await call.until("left_at")
        with pytest.raises(TelexError):
            await waiting
        with pytest.raises(TelexError, match="closed"):
            await job.status()
        with pytest.raises(TelexError, match="closed"):
            await client.submit(QUESTION, model="up/m")
        await eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("telex")])


@each_colour
async def test_limits_are_of_all_that_a_client_does(colour: Colour) -> None:
    limited = {"m": {"targets": [{"provider": "up", "model": "m"}], "rpm": 1}}
    async with asked(colour, "here", say(*WORDS), models=limited) as (client, upstream):
        await client.generate(QUESTION, model="m")
        job = await client.submit(QUESTION, model="m")
        with pytest.raises(RateLimited, match="rpm"):
            await job.reply()
        assert len(upstream.calls) == 1


@each_colour
async def test_what_is_too_much_is_forgotten_the_oldest_first(colour: Colour) -> None:
    """`retention.max_bytes` bounds what is kept of jobs that have ended."""
    long = say("x" * 50_000)
    async with asked(colour, "here", long, retention={"max_bytes": "250KB"}) as (client, _):
        jobs = []
        for _ in range(3):
            jobs.append(await client.submit(QUESTION, model="up/m"))
            assert len((await jobs[-1].reply()).text) == 50_000
        with pytest.raises(NotFound, match="no longer kept"):
            await jobs[0].reply()
        assert len((await jobs[-1].reply()).text) == 50_000


def test_an_interrupt_reaches_who_waits(tmp_path: Path) -> None:
    """Ctrl-C in a program that waits for a job: it hears it at once, and its jobs end with it."""
    with ScriptedUpstream((Stall(),)) as upstream:
        program = (
            "import msgspec\nfrom telex import Client\nfrom telex.config import Config\n"
            f"config = msgspec.convert({configured(upstream.url)!r}, Config)\n"
            "with Client(config=config) as llm:\n"
            "    try:\n        llm.submit('?', model='up/m').reply()\n"
            "    except KeyboardInterrupt:\n        print('heard')\n"
        )
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        try:
            [call] = upstream.wait_for(1)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=PATIENT)
            assert (out, child.returncode) == ("heard\n", 0)
            call.wait("left_at")
        finally:
            child.kill()
            child.wait()


def test_a_client_that_is_not_closed_holds_no_program_up() -> None:
    with ScriptedUpstream((Stall(),)) as upstream:
        program = (
            "import msgspec\nfrom telex import Client\nfrom telex.config import Config\n"
            f"Client(config=msgspec.convert({configured(upstream.url)!r}, Config)).submit('?', model='up/m')\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENT)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_job_for_many_threads() -> None:
    with ScriptedUpstream(say(*WORDS)) as upstream, Client(config=msgspec.convert(configured(upstream.url), Config)) as llm:
        texts: list[str] = []

        def work() -> None:
            texts.append(llm.submit(QUESTION, model="up/m").reply().text)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENT)
        assert texts == ["".join(WORDS)] * 8


@each_colour
async def test_a_transport_of_its_own(colour: Colour) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        frames = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        return httpx2.Response(200, headers=dict(SSE), content=frames)

    config = msgspec.convert(configured("http://provider.test/v1"), Config)
    client = speaker(colour, config=config, transport=httpx2.MockTransport(answer))
    assert (await (await client.submit(QUESTION, model="up/m")).reply()).text == "Hi"
    await client.close()


def test_a_transport_that_blocks_is_refused_with_what_to_do() -> None:
    with Client(config=Config(), transport=httpx2.HTTPTransport()) as llm, pytest.raises(TelexError, match="AsyncClient"):
        llm.submit(QUESTION, model="up/m")


def test_an_awaiting_client_of_one_loop_after_the_other_has_the_jobs_of_each() -> None:
    with ScriptedUpstream((Refuse(),)) as upstream:
        client = AsyncClient(config=msgspec.convert(configured(upstream.url), Config))

        async def work() -> str:
            job = await client.submit(QUESTION, model="up/m")
            with pytest.raises(UpstreamError):
                await job.reply()
            assert await job.status() == "failed"
            return job.id

        first = asyncio.run(work())
        asyncio.run(work())
        with pytest.raises(NotFound):
            asyncio.run(client.job(first).status())
