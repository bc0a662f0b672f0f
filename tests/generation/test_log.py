"""The log between the upstream that writes and the one who reads."""

from __future__ import annotations

import asyncio

import pytest

from telex.generation.log import HIGH_WATER, Log

PATIENT = 30.0


async def test_what_was_appended_is_taken_at_once_and_once() -> None:
    log = Log()
    log.append([b"one ", b"two "])
    log.append([b"three"])
    assert (log.take(), log.take(), log.frames) == (b"one two three", b"", 3)


async def test_waiting_ends_when_there_is_something() -> None:
    log = Log()
    waiting = log.wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    log.append([b"x"])
    await asyncio.wait_for(waiting, PATIENT)
    await asyncio.wait_for(log.wait(), PATIENT)  # it is still there
    assert log.take() == b"x"


@pytest.mark.parametrize("act", [Log.close, Log.wake])
async def test_waiting_ends_at_the_end_and_when_woken(act: object) -> None:
    assert callable(act)
    log = Log()
    waiting = log.wait()
    await asyncio.sleep(0)
    act(log)
    await asyncio.wait_for(waiting, PATIENT)


async def test_nobody_waits_for_a_closed_log() -> None:
    log = Log()
    log.close()
    await asyncio.wait_for(log.wait(), PATIENT)


async def test_a_reader_that_went_away_disturbs_no_writer() -> None:
    log = Log()
    waiting = log.wait()
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    log.append([b"x"])
    assert log.take() == b"x"


async def test_above_the_mark_the_writer_is_told_to_pause_and_when_to_go_on() -> None:
    log, drained = Log(), list[bool]()
    log.drained = lambda: drained.append(True)
    assert not log.append([b"x" * HIGH_WATER])
    log.take()
    assert drained == []
    assert log.append([b"x" * HIGH_WATER, b"x"])
    assert log.append([])
    assert drained == []
    log.take()
    assert drained == [True]
    assert not log.append([b"x"])
