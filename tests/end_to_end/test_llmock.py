"""A provider that nobody here wrote breaks, and says whether Telex behaved: its verdict finds nothing wrong with our retries."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from llmock.scenarios import Behavior, Fail, StreamFault, StreamFaultKind
from llmock.testing import LLMockServer

from client.colours import COLOURS, Colour, read, speaking
from gateway.client import PATIENT, chat, request, send
from gateway.house import gateway
from sdk.matrix.clients import CLIENTS
from sdk.matrix.speakers import Ask
from telex import GenerationError

from .fates import BASES, LIMITS, TEXT, Call, Fate, Judge, broken, draw, providers

SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 22))]
Hear = Callable[[Call], Awaitable[int | None]]
"""Makes a call. None once all of the answer was heard, else the status of the error; where it came in a stream, whatever stands there."""


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@asynccontextmanager
async def sdks(judge: Judge) -> AsyncIterator[Hear]:
    """The official SDK of every dialect, none of which tries again, through a gateway."""
    async with gateway(providers=judge.providers, timeouts=LIMITS) as house:
        speakers = {name: speaker(f"http://127.0.0.1:{house.port}") for name, speaker in CLIENTS.items()}

        async def hear(call: Call) -> int | None:
            speaker = speakers[call.by]
            arguments = speaker.arguments(call.model, Ask())
            try:
                heard = await (speaker.stream(arguments) if call.stream else speaker.whole(arguments))
            except speaker.errors as error:
                return speaker.failed(error).status
            assert heard.text == TEXT
            return None

        try:
            yield hear
        finally:
            for speaker in speakers.values():
                await speaker.close()


@asynccontextmanager
async def library(judge: Judge, colour: Colour) -> AsyncIterator[Hear]:
    """A client of Telex, with no gateway between."""
    async with speaking(colour, "here", {"providers": judge.providers, "timeouts": LIMITS}) as client:

        async def hear(call: Call) -> int | None:
            try:
                if call.stream:
                    async with client.stream("Count.", model=call.model) as stream:
                        text = "".join(await read(stream))
                else:
                    text = (await client.generate("Count.", model=call.model)).text
            except GenerationError as error:
                return error.failure.http_status
            assert text == TEXT
            return None

        yield hear


Room = Callable[[Judge], Any]
ROOMS: dict[str, tuple[Room, tuple[str, ...]]] = {
    "gateway": (sdks, tuple(CLIENTS)),
    **{f"{colour} client": (partial(library, colour=colour), ("a", "b", "c", "d")) for colour in COLOURS},
}
"""Through what is asked, and by whom."""

each_room = pytest.mark.parametrize("room", ROOMS)


@pytest.mark.parametrize("seed", SEEDS)
@each_room
async def test_the_verdict_finds_nothing_wrong(server: LLMockServer, room: str, seed: int) -> None:
    """Limits, outages, refusals, streams that break before their first content, all at the same time."""
    enter, askers = ROOMS[room]
    calls = draw(seed, askers)
    judge = Judge(server, *calls)
    async with enter(judge) as hear:
        statuses = await asyncio.gather(*(hear(call) for call in calls))
    for call, status in zip(calls, statuses, strict=True):
        if call.fate.status:
            assert (status or 200) == call.fate.status, call
        else:
            assert status is not None, call
            assert status >= 500, call
    judge.hear(*calls)


@pytest.mark.parametrize("kind", ["truncate", "disconnect", "malformed", "stall"])
@each_room
async def test_no_stream_that_breaks_is_taken_for_whole(server: LLMockServer, room: str, kind: StreamFaultKind) -> None:
    """Behind the first content nothing is asked for again but by the client, who was told of the break. One that is not told takes what it
    has for the answer, and the verdict finds that."""
    enter, askers = ROOMS[room]
    fate = Fate((broken(kind, 6),), attempts=2, streams=True)
    calls = [Call(by, up, True, number, fate) for number, (by, up) in enumerate((by, up) for by in askers for up in BASES)]
    judge = Judge(server, *calls)
    async with enter(judge) as hear:
        first = await asyncio.gather(*(hear(call) for call in calls))
        assert None not in first
        assert judge.verdict().attempts == len(calls)
        assert set(await asyncio.gather(*(hear(call) for call in calls))) == {None}
    judge.hear(*calls)


# ---- the verdict can be bad


def tries(times: int) -> Callable[[int], Awaitable[None]]:
    """A client that does not listen."""

    async def ask(port: int) -> None:
        for _ in range(times):
            await send(port, request(chat()))

    return ask


BAD: dict[str, tuple[Callable[[], Behavior], Callable[[int], Awaitable[None]]]] = {
    "retry_after_ignored": (partial(Fail, 429, retry_after=5.0), tries(2)),
    "retried_non_retryable": (partial(Fail, 422), tries(2)),
    "retry_storm": (partial(Fail, 500, times=None), tries(11)),
    "truncated_stream_accepted": (partial(StreamFault, "truncate", after_chunks=6), tries(1)),
    "malformed_chunk_ignored": (partial(StreamFault, "malformed", after_chunks=6), tries(1)),
    "no_backoff": (partial(Fail, 500, times=2), tries(3)),
    "gave_up": (partial(Fail, 500), tries(1)),
}


@pytest.mark.parametrize("code", BAD)
async def test_it_finds_what_a_bad_client_does(server: LLMockServer, code: str) -> None:
    fault, ask = BAD[code]
    judge = Judge(server)
    server.state.scenarios.add(fault())
    await ask(server.port)
    assert code in [finding.code for finding in judge.verdict().findings]


# ---- as a process, whose exit status is the verdict

CHAOS = ["--error-rate", "429=0.1", "--error-rate", "500=0.1", "--error-rate", "503=0.1", "--error-rate", "400=0.05", "--rpm", "600"]


async def llmock(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "llmock.cli", *arguments, stdout=pipe, stderr=pipe)


@asynccontextmanager
async def llmock_serve() -> AsyncIterator[int]:
    """The port of a server that errs at random."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await llmock("serve", "--port", str(port), *CHAOS)
    try:
        async with asyncio.timeout(PATIENT):
            while True:
                assert process.returncode is None
                try:
                    await send(port, request(method="GET", path="/health"))
                except ConnectionError:
                    await asyncio.sleep(0.05)  # it has no way of saying that it listens
                else:
                    break
        yield port
    finally:
        process.terminate()
        await process.communicate()


async def report(port: int) -> tuple[int | None, str]:
    """The exit status of `llmock report`, and what it printed."""
    process = await llmock("report", "--url", f"http://127.0.0.1:{port}")
    async with asyncio.timeout(PATIENT):
        out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def test_its_report_exits_with_0_and_with_1_for_a_bad_client() -> None:
    async with llmock_serve() as port:
        async with gateway(providers=providers(f"http://127.0.0.1:{port}")) as house:
            names = [f"{up}/m{number}" for number in range(25) for up in BASES]
            answers = await asyncio.gather(*(send(house.port, request(chat(n % 2 == 0, model=name))) for n, name in enumerate(names)))
        assert len({answer.status for answer in answers}) > 1  # something did happen
        status, said = await report(port)
        assert status == 0, said
        for _ in range(20):  # whatever is drawn, this does not listen to it
            await asyncio.gather(*(tries(2)(port) for _ in range(20)))
        status, said = await report(port)
        assert (status, "FAIL" in said) == (1, True)
