"""One attempt, told by a test what its connection says."""

from __future__ import annotations

import asyncio
import json

import pytest

from telex.config import Timeouts
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.generation.attempt import Attempt
from telex.generation.kept import KeptLog, Room
from telex.generation.log import HIGH_WATER, Log
from telex.generation.output import Naming, SourceOutput, StreamOutput
from telex.metering.meter import Meter

from .wires import Wire

CHAT = DIALECTS["openai-chat"]


def begun(log: Log) -> tuple[Attempt, Wire]:
    loop, wire = asyncio.get_running_loop(), Wire()
    meter = Meter(Request(model="m", messages=()), loop.time())
    output = SourceOutput(follows=True) if isinstance(log, KeptLog) else StreamOutput(CHAT, True, False, Naming("gen_1", 1))
    attempt = Attempt(loop, CHAT, CHAT.Decoder(), output, log, meter, Timeouts(), loop.time() + 600, True)
    attempt.on_connected(wire)
    attempt.on_head(200, {"content-type": "text/event-stream"})
    return attempt, wire


def frame(size: int) -> bytes:
    return b"data: " + json.dumps({"id": "x", "choices": [{"index": 0, "delta": {"content": "x" * size}}]}).encode() + b"\n\n"


async def test_what_waits_for_its_commit_pauses_it_and_of_a_kept_log_the_commit_lets_it_go_on() -> None:
    log = KeptLog(Room(1 << 30))
    attempt, wire = begun(log)
    attempt.on_data(frame(HIGH_WATER))
    attempt.on_data(frame(HIGH_WATER))
    assert (attempt.verdict.done(), wire.paused, len(log.entries)) == (True, True, 0)
    attempt.commit()
    assert (wire.paused, len(log.entries), log.drained) == (False, 2, None)
    attempt.abort()


async def test_of_a_passing_log_its_reader_does() -> None:
    log = Log()
    attempt, wire = begun(log)
    reader = log.reader()
    attempt.on_data(frame(HIGH_WATER))
    attempt.on_data(frame(HIGH_WATER))
    attempt.commit()
    paused, taken = wire.paused, len(reader.read())
    assert (paused, taken, wire.paused) == (True, 2, False)
    attempt.abort()


@pytest.mark.parametrize("size", [1000, 60_000])
async def test_a_log_that_is_full_ends_it_with_what_the_log_says(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.generation.kept.REPLY_LIMIT", 200_000)
    log = KeptLog(Room(1 << 30))
    attempt, wire = begun(log)
    attempt.on_data(frame(size))
    attempt.commit()
    while not attempt.ended.done():
        assert len(log.entries) * len(frame(size)) < 200_000
        attempt.on_data(frame(size))
    assert (attempt.ended.result(), wire.aborted, log.full is not None) == (log.full, True, True)
    before = len(log.entries)
    attempt.on_data(b"data: [DONE]\n\n")
    assert len(log.entries) == before


async def test_a_last_read_that_fills_the_log_is_no_good_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.generation.kept.REPLY_LIMIT", 100_000)
    log = KeptLog(Room(1 << 30))
    attempt, _ = begun(log)
    attempt.on_data(frame(1000))
    attempt.commit()
    attempt.on_data(frame(200_000) + b"data: [DONE]\n\n")
    assert (attempt.ended.done(), attempt.ended.result()) == (True, log.full)


async def test_behind_an_abort_nothing_counts() -> None:
    log = KeptLog(Room(1 << 30))
    attempt, wire = begun(log)
    attempt.on_data(frame(10))
    attempt.commit()
    attempt.abort()
    attempt.on_data(b"data: [DONE]\n\n")
    attempt.on_end()
    assert (wire.aborted, attempt.ended.done(), len(log.entries)) == (True, False, 1)
