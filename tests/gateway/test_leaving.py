"""A client that leaves takes its generation with it, and one that only stops reading costs nearly nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from telex.testing import Beat, Call, Hang, Head, Play, ScriptedUpstream, Send, Stall, pour, say
from telex.testing.answers import SSE

from .client import MODEL, PATIENT, Client, ask, chat, connect, request
from .house import gateway, serve

CEILING = 10.0
"""Seconds for what takes milliseconds."""

FIRST = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
LEAVING: dict[str, Callable[[Client], None]] = {"fin": Client.leave, "half-close": Client.half_close, "rst": Client.reset}
PHASES: dict[str, tuple[bool, Play]] = {
    "waiting": (True, (Stall(),)),
    "waiting-for-content": (True, (Head(200, SSE), Beat(b": ping\n\n", 0.01))),
    "streaming": (True, (Head(200, SSE), Beat(FIRST, 0.01))),
    "stalled": (True, (Head(200, SSE), Send(FIRST), Stall())),
    "whole": (False, (Stall(),)),
    "whole-half-sent": (False, (Head(200, (("content-type", "application/json"),)), Send(b'{"id":'), Stall())),
}
"""Whether the client asks for a stream, and what the provider does when it leaves."""


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("phase", PHASES)
async def test_leaving_closes_the_upstream(phase: str, how: str, logged: list[dict[str, Any]]) -> None:
    stream, play = PHASES[phase]
    with ScriptedUpstream(play) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.ask(stream)
            [call] = await upstream.until(1)
            if phase in ("streaming", "stalled"):
                await client.head()
                assert await client.event() == FIRST
            LEAVING[how](client)
            await call.until("left_at", CEILING)
            await upstream.until(lambda: upstream.open_connections == 0, CEILING)
            assert len(upstream.calls) == 1
    assert [line["ending"] for line in logged] == ["cancelled"]


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_leaving_while_connecting_ends_it(how: str, stream: bool, logged: list[dict[str, Any]]) -> None:
    """The time limits are those of a whole hour: only the leaving can end it."""
    with ScriptedUpstream((Hang(),)) as upstream:
        async with gateway(upstream.url, timeouts={"connect": 3600.0}) as house, connect(house.port) as client:
            client.ask(stream)
            async with asyncio.timeout(CEILING):
                while not house.process.gateway.running:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.001)
                [generation] = house.process.gateway.running
                LEAVING[how](client)
                await generation.finished()
    assert [line["ending"] for line in logged] == ["cancelled"]


async def test_leaving_while_the_embedded_model_reads_a_whole_reply_closes_a_stream() -> None:
    targets = [{"provider": "up", "model": "m", "whole": "stream"}]
    with ScriptedUpstream((Head(200, SSE), Beat(FIRST, 0.01))) as upstream:
        async with gateway(upstream.url, models={"folded": {"targets": targets}}) as house, connect(house.port) as client:
            client.ask(stream=False, model="folded")
            [call] = await upstream.until(1)
            await call.until("first_byte")
            client.leave()
            await call.until("left_at", CEILING)


async def test_leaving_before_the_request_is_whole_starts_nothing(logged: list[dict[str, Any]]) -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house:
            async with connect(house.port) as client:
                client.send(request(chat())[:-1])
                client.leave()
            assert (await ask(house.port)).status == 200
        assert len(upstream.calls) == 1
    assert len(logged) == 1


async def test_leaving_behind_the_end_disturbs_nobody() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            for _ in range(20):
                async with connect(house.port) as client:
                    client.ask()
                    assert (await client.answer()).done
                await upstream.calls[-1].until("finished")
        assert [call.left_at for call in upstream.calls] == [None] * 20
        assert upstream.connections == 1


# ---- not reading


def config(upstream: ScriptedUpstream) -> str:
    return f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'


async def never_reads(port: int, stream: bool = True) -> socket.socket:
    """A client with a small window that asks and then reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, request(chat(stream, model=MODEL)))
    return sock


async def test_200_mb_to_a_client_that_never_reads_grow_the_gateway_by_less_than_20(tmp_path: Path) -> None:
    with ScriptedUpstream(say("warm"), pour(200 << 20)) as upstream:
        async with serve(tmp_path, config(upstream)) as child:
            assert (await ask(child.port)).text == "warm"
            before = child.rss
            with await never_reads(child.port) as sock:
                call = (await upstream.until(2))[1]
                await settled(call)
                assert call.unsent > 0  # P19: the upstream feels it
                assert call.bytes_sent < 100 << 20
                assert child.rss - before < 20 << 20
                sock.close()
                await call.until("left_at", CEILING)


async def test_clients_that_never_read_cost_kilobytes_each(tmp_path: Path) -> None:
    count = 30
    with ScriptedUpstream(say("warm"), pour(200 << 20)) as upstream:
        async with serve(tmp_path, config(upstream)) as child, AsyncExitStack() as stack:
            assert (await ask(child.port)).text == "warm"
            before = child.rss
            for _ in range(count):
                stack.enter_context(await never_reads(child.port))
            await asyncio.gather(*(settled(call) for call in (await upstream.until(1 + count))[1:]))
            assert child.rss - before < count * (512 << 10)


async def settled(call: Call) -> None:
    """Return when the provider could hand on nothing for a while; a slow machine only makes it longer."""
    async with asyncio.timeout(PATIENT):
        sent = -1
        while sent != call.bytes_sent or not call.unsent:
            sent = call.bytes_sent
            await asyncio.sleep(0.5)


async def test_a_client_that_reads_again_gets_all_of_it() -> None:
    size = 96 << 20  # more than what kernels keep on the way
    with ScriptedUpstream(pour(size)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.ask()
            [call] = await upstream.until(1)
            await client.head()
            client.pause()
            await settled(call)
            client.resume()
            total = 0
            while piece := await client.piece():
                total += len(piece)
            assert client.whole
            assert total > 0.99 * size
        assert call.finished is not None


# ---- the gateway leaves


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
async def test_the_embedded_model_goes_with_the_gateway(number: signal.Signals, tmp_path: Path) -> None:
    async with serve(tmp_path) as child:
        async with asyncio.timeout(600), connect(child.port) as client:  # the weights may have to be fetched first
            client.send(request(chat(model="local", max_tokens=2, messages=[{"role": "user", "content": "Hi"}])))
            status, _ = await client.head(patience=600)
            assert status == 200
            while await client.event():
                pass
            assert client.whole
        children = child.children()
        assert children
        endings = [os.pidfd_open(pid) for pid in children]
        child.signal(number)
        code, _, err = await child.end()
        assert code == (0 if number == signal.SIGTERM else -number)
        assert "Traceback" not in err
        for ending in endings:
            await readable(ending)
            os.close(ending)


async def readable(descriptor: int) -> None:
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        async with asyncio.timeout(PATIENT):
            await event.wait()
    finally:
        loop.remove_reader(descriptor)
