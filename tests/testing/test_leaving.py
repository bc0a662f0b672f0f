"""A client that leaves is seen at once, in every phase and however it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from telex.testing import Beat, Head, Play, ScriptedUpstream, Send, Stall, Wait, pour, say

from .client import PATH, RawClient

CEILING = 5.0
"""Seconds; it is milliseconds, but the machine may be slow."""

Leave = Callable[[RawClient], None]


def fin(client: RawClient) -> None:
    client.socket.close()


def half(client: RawClient) -> None:
    client.socket.shutdown(1)


def rst(client: RawClient) -> None:
    client.reset()


PHASES: dict[str, tuple[Play, bytes]] = {
    "before-the-head": ((Stall(),), b""),
    "waiting-for-the-head": ((Wait(3600), Head()), b""),
    "waiting-for-the-first-token": (say("Hello", first=3600), b"\r\n\r\n"),
    "between-frames": (say("Hello", " world", gap=3600), b'"role"'),
    "streaming": ((Head(), Beat(b"data: x\n\n", 0.001)), b"data: x\n\n"),
    "stalled": ((Head(), Send(b"data: x\n\n"), Stall()), b"data: x\n\n"),
    "pouring": (pour(1 << 40), b"xxxx"),
    "in-a-giant-write": ((Head(), Send(b"x" * (64 << 20))), b"xxxx"),
}


@pytest.mark.parametrize("leave", [fin, half, rst])
@pytest.mark.parametrize("phase", PHASES)
def test_is_stamped_in_every_phase(phase: str, leave: Leave) -> None:
    script, mark = PHASES[phase]
    with ScriptedUpstream(script) as upstream, RawClient(upstream.port, rcvbuf=4096) as client:
        client.ask()
        [call] = upstream.wait_for(1)
        if mark:
            client.until(mark)
        went = time.monotonic()
        leave(client)
        assert went <= call.wait("left_at") < went + CEILING
        upstream.wait_for(lambda: upstream.open_connections == 0)
        assert call.finished is None


def test_is_stamped_while_the_socket_takes_nothing() -> None:
    with ScriptedUpstream(pour(1 << 40)) as upstream, RawClient(upstream.port, rcvbuf=4096) as client:
        client.ask()
        [call] = upstream.wait_for(1)
        upstream.wait_for(lambda: call.bytes_sent and call.unsent)
        went = time.monotonic()
        client.socket.close()
        assert went <= call.wait("left_at") < went + CEILING


def test_is_stamped_when_the_request_is_not_whole() -> None:
    with ScriptedUpstream() as upstream, RawClient(upstream.port) as client:
        client.send(f"POST {PATH} HTTP/1.1\r\ncontent-length: 9\r\n\r\n{{".encode())
        upstream.wait_for(lambda: upstream.calls)
        client.socket.close()
        call = upstream.calls[0]
        call.wait("left_at")
        assert (call.complete, call.first_byte) == (None, None)


def test_is_no_leaving_when_all_was_said() -> None:
    with ScriptedUpstream() as upstream:
        with RawClient(upstream.port) as client:
            client.ask().answer()
            client.ask().answer()
        upstream.wait_for(lambda: upstream.open_connections == 0)
        assert [(call.left_at, call.finished is None) for call in upstream.calls] == [(None, False)] * 2


async def test_is_told_to_coroutines() -> None:
    with ScriptedUpstream((Stall(),)) as upstream, RawClient(upstream.port) as client:
        client.ask()
        [call] = await upstream.until(1)
        client.socket.close()
        await call.until("left_at")
        await upstream.until(lambda: upstream.open_connections == 0)


def test_the_last_byte_is_not_too_early_to_leave() -> None:
    with ScriptedUpstream() as upstream:
        for _ in range(200):
            with RawClient(upstream.port) as client:
                client.ask().until(b"data: [DONE]\n\n")
        upstream.wait_for(lambda: upstream.open_connections == 0)
        assert [call for call in upstream.calls if call.left_at or not call.finished] == []
