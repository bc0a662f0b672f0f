"""Clients that take their time: for the head of a request, for its body, for reading the answer."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from telex.testing import ScriptedUpstream, Stall, pour, say

from .client import PATH, PATIENT, chat, connect, request
from .house import gateway

SOON = 0.3
"""Seconds of the limits under test."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.gateway.guard.HEAD_SECONDS", SOON)
    monkeypatch.setattr("telex.gateway.guard.STALL_SECONDS", SOON)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("start", [b"", b"P", b"POST ", b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-half: "])
async def test_row37_a_head_that_does_not_come_ends_the_connection(start: bytes) -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(start)
            answer = await client.end()
    assert answer.startswith(b"HTTP/1.1 408 ") if start else answer == b""


@pytest.mark.usefixtures("hasty")
async def test_row37_a_head_that_comes_drop_by_drop_ends_the_connection() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(b"POST / HTTP/1.1\r\n")
            end = asyncio.create_task(client.end())
            while not end.done():
                client.send(b"x: y\r\n")
                await asyncio.sleep(SOON / 20)


@pytest.mark.usefixtures("hasty")
async def test_row37_a_second_head_has_the_same_limit() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.ask()
            assert (await client.answer()).text == "Hi"
            client.send(b"POST / HTTP/1.1\r\n")
            await client.end()


@pytest.mark.usefixtures("hasty")
async def test_waiting_for_an_answer_has_no_such_limit() -> None:
    with ScriptedUpstream(say("Hi", first=SOON * 4)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.ask()
            assert (await client.answer()).text == "Hi"


@pytest.mark.parametrize("head", [b"x: " + b"a" * 200, b"x: y\r\n" * 40], ids=["long", "many"])
async def test_a_head_without_end_ends_the_connection(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.gateway.guard.HEAD_LIMIT", 100)
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(b"POST / HTTP/1.1\r\n" + head)
            await client.end()


async def test_row37_a_body_that_does_not_come_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.gateway.intake.BODY_SECONDS", SOON)
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            client.send(request(chat())[:-1])
            answer = await client.answer()
            assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        assert upstream.calls == []


def narrow(port: int) -> socket.socket:
    """A client with a small window."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_row34_a_reader_that_stalls_is_closed_and_so_is_the_upstream(stream: bool, logged: list[dict[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    with ScriptedUpstream(pour(32 << 20)) as upstream:
        async with gateway(upstream.url) as house:
            with narrow(house.port) as sock:
                await loop.sock_sendall(sock, request(chat(stream)))
                [call] = await upstream.until(1)
                if stream:
                    await call.until("left_at")
                async with asyncio.timeout(PATIENT):
                    while house.connections:  # noqa: ASYNC110 (nobody tells)
                        await asyncio.sleep(0.01)
                    last = b""
                    while data := await loop.sock_recv(sock, 1 << 20):  # what the kernel still had
                        last = data
                assert not last.endswith((b"0\r\n\r\n", b"}"))
    assert [line["ending"] for line in logged] == ["cancelled" if stream else "complete"]


@pytest.mark.usefixtures("hasty")
async def test_row35_a_slow_reader_that_goes_on_reading_is_not_closed() -> None:
    """It takes a hundred kilobytes within each limit, for many limits, with megabytes waiting in the kernel."""
    loop = asyncio.get_running_loop()
    with ScriptedUpstream(pour(32 << 20)) as upstream:
        async with gateway(upstream.url) as house:
            with narrow(house.port) as sock:
                await loop.sock_sendall(sock, request(chat()))
                [call] = await upstream.until(1)
                await upstream.until(lambda: call.unsent > 0)
                began, taken = loop.time(), 0
                while loop.time() < began + SOON * 12:
                    data = await asyncio.wait_for(loop.sock_recv(sock, 8 << 10), PATIENT)
                    assert data
                    taken += len(data)
                    await asyncio.sleep(SOON / 12)
                assert call.left_at is None


async def test_a_stalled_upstream_is_no_stalled_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.gateway.guard.STALL_SECONDS", 0.02)
    with ScriptedUpstream((Stall(),), say("Hi", first=0.2)) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as first, connect(house.port) as second:
            first.ask()
            await upstream.until(1)
            second.ask()
            assert (await second.answer()).text == "Hi"
            assert upstream.calls[0].left_at is None


async def test_p15_stalled_readers_and_slow_heads_do_not_stop_others() -> None:
    stalled, slow = 30, 30
    loop = asyncio.get_running_loop()
    with ScriptedUpstream(*[pour(8 << 20)] * stalled, say("Hi")) as upstream:
        async with gateway(upstream.url) as house:
            socks = [narrow(house.port) for _ in range(stalled + slow)]
            try:
                for sock in socks[:stalled]:
                    await loop.sock_sendall(sock, request(chat()))
                for sock in socks[stalled:]:
                    await loop.sock_sendall(sock, f"POST {PATH} HTTP/1.1\r\n".encode())
                await upstream.until(stalled)
                for _ in range(10):
                    async with connect(house.port) as client, asyncio.timeout(PATIENT):
                        client.ask()
                        assert (await client.answer()).text == "Hi"
            finally:
                for sock in socks:
                    sock.close()
