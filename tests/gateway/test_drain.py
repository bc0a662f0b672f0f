"""P10: told to stop, Telex takes no more work, and no open stream ends without a word."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telex.testing import ScriptedUpstream, pour

from .client import Client, connect, request
from .draining import HI, NEVER, config, drain_many, until_not_ready
from .house import Child, serve
from .speech import CLIENTS, asks, error_of


async def test_p10_row47_two_hundred_streams_end_whole_or_with_a_word(tmp_path: Path) -> None:
    seen = await drain_many(tmp_path, streams=200, drain=4.0, short=0.5)
    assert (seen.whole, seen.told, seen.silent, seen.code) == (100, 100, 0, 0)
    assert seen.not_ready < 4.0  # so it said no while streams were open
    assert seen.gone < 4.0 + 20


@pytest.fixture
async def draining(tmp_path: Path) -> AsyncIterator[tuple[Child, Client]]:
    """A gateway that waits for one stream, and a client whose connection is older than that."""
    with ScriptedUpstream(NEVER) as upstream:
        async with serve(tmp_path, config(upstream, 3600)) as child, connect(child.port) as first, connect(child.port) as kept:
            first.ask()
            await first.head()
            assert await first.event() == HI
            kept.send(request(method="GET", path="/healthz"))
            assert (await kept.answer()).status == 200
            child.signal(signal.SIGTERM)
            await until_not_ready(child)
            yield child, kept
            child.signal(signal.SIGTERM)
            assert b"shutting_down" in await first.event()
            assert (await child.end())[0] == 0
            assert len(upstream.calls) == 1


async def test_p10_a_kept_connection_gets_a_refusal_and_is_closed(draining: tuple[Child, Client]) -> None:
    _, kept = draining
    kept.ask()
    answer = await kept.answer()
    assert (answer.status, answer.error["code"]) == (503, "shutting_down")
    assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
    assert "x-should-retry" not in answer.headers
    assert await kept.end() == b""


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_p10_new_work_is_refused_in_its_dialect(draining: tuple[Child, Client], stream: bool) -> None:
    child, _ = draining
    for dialect in CLIENTS:
        path, body, headers = asks(dialect, "up/m", stream)
        async with connect(child.port) as client:
            client.send(request(json.dumps(body).encode(), path=path, headers=headers))
            answer = await client.answer()
        assert answer.status == (529 if dialect == "anthropic" else 503)
        assert answer.headers["connection"] == "close"
        assert "shutting down" in error_of(dialect, answer)["message"]


async def test_p10_whoever_asks_how_it_is_still_hears_it(draining: tuple[Child, Client]) -> None:
    child, _ = draining
    for path, status in (("/healthz", 200), ("/readyz", 503), ("/v1/models", 200)):
        async with connect(child.port) as client:
            client.send(request(method="GET", path=path))
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (status, "close")


async def test_p10_a_reader_who_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    """Its stream has ended, but it takes nothing of it."""
    with ScriptedUpstream(pour(32 << 20)) as upstream:
        async with serve(tmp_path, config(upstream, drain=0.2)) as child, connect(child.port) as deaf:
            deaf.pause()
            deaf.ask()
            [call] = await upstream.until(1)
            await upstream.until(lambda: call.unsent > 0)
            child.signal(signal.SIGTERM)
            assert (await child.end())[0] == 0
