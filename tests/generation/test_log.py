"""The log between the upstream that writes and those who read: what both kinds have alike, and the one that passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.events import PartDelta
from telex.generation.kept import KeptLog, Room
from telex.generation.log import HIGH_WATER, Heard, Log, Reader

from .plainly import PLAINLY

PATIENT = 30.0


def joined(log: Log) -> Reader:
    return log.join(PLAINLY) if isinstance(log, KeptLog) else log.reader()


def passing() -> Log:
    return Log()


def kept() -> Log:
    return KeptLog(Room(1 << 30))


both = pytest.mark.parametrize("make", [passing, kept])
Make = Callable[[], Log]

# ---- what both have alike


@both
async def test_what_was_appended_is_taken_at_once_and_once(make: Make) -> None:
    log = make()
    reader = joined(log)
    log.append([b"one ", b"two "])
    log.append([b"three"])
    assert (reader.take(), reader.take(), reader.position) == (b"one two three", b"", 3)


@both
async def test_it_is_taken_frame_by_frame(make: Make) -> None:
    log = make()
    reader = joined(log)
    log.append([b"one ", b"two "])
    assert (reader.read(), reader.position) == ([b"one ", b"two "], 2)


async def test_it_is_taken_as_events() -> None:
    log = Log()
    reader = log.reader()
    events = [PartDelta(0, 0, text) for text in "abc"]
    log.append([Heard(list(events[:2]), 5), Heard(list(events[2:]), 5)])
    assert reader.take_events() == events
    assert reader.position == 2


@both
async def test_what_came_before_its_reader_is_there(make: Make) -> None:
    log = make()
    log.append([b"x"])
    reader = joined(log)
    await asyncio.wait_for(reader.wait(), PATIENT)
    assert reader.take() == b"x"


@both
async def test_waiting_ends_when_there_is_something(make: Make) -> None:
    log = make()
    reader = joined(log)
    waiting = reader.wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    log.append([b"x"])
    await asyncio.wait_for(waiting, PATIENT)
    await asyncio.wait_for(reader.wait(), PATIENT)  # it is still there
    assert reader.take() == b"x"


@both
@pytest.mark.parametrize("act", [Log.close, Log.wake, lambda log: log.readers[0].wake(), lambda log: log.readers[0].leave()])
async def test_waiting_ends_at_the_end_when_woken_and_when_leaving(make: Make, act: Callable[[Log], None]) -> None:
    log = make()
    waiting = joined(log).wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    act(log)
    await asyncio.wait_for(waiting, PATIENT)


@both
async def test_nobody_waits_for_a_closed_log_or_behind_leaving(make: Make) -> None:
    log = make()
    reader = joined(log)
    log.append([b"x"])
    log.close()
    await asyncio.wait_for(reader.wait(), PATIENT)
    assert (reader.over, reader.take()) == (False, b"x")
    await asyncio.wait_for(reader.wait(), PATIENT)
    assert reader.over
    log = make()
    reader = joined(log)
    reader.leave()
    reader.leave()
    assert (reader.over, log.readers) == (True, [])
    await asyncio.wait_for(reader.wait(), PATIENT)


@both
async def test_a_reader_that_was_cancelled_disturbs_no_writer(make: Make) -> None:
    log = make()
    reader = joined(log)
    waiting = reader.wait()
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    log.append([b"x"])
    assert reader.take() == b"x"


# ---- the passing one


async def test_above_the_mark_the_writer_is_told_to_pause_and_when_to_go_on() -> None:
    log, drained = Log(), list[bool]()
    reader = log.reader()
    log.drained = lambda: drained.append(True)
    assert not log.append([b"x" * HIGH_WATER])
    reader.take()
    assert drained == []
    assert log.append([b"x" * HIGH_WATER, b"x"])
    assert log.append([])
    assert drained == []
    reader.take()
    assert drained == [True]
    assert not log.append([b"x"])


# ---- whatever the order of what happens

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from([0, 1, HIGH_WATER // 3, HIGH_WATER + 1]), max_size=4)),
        st.tuples(st.just("take"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_passing_log_gives_all_of_it_once_and_holds_little(steps: list[tuple[str, object]]) -> None:
    """The writer is one that pauses when it is told to: then no more waits than one write beyond the mark."""
    log, written, got = Log(), bytearray(), bytearray()
    paused = False

    def go_on() -> None:
        nonlocal paused
        paused = False

    reader = log.reader()
    log.drained = go_on
    for step, what in steps:
        if isinstance(what, list) and not paused:
            frames = [b"%d" % size + b"x" * size for size in what]
            assert len(written) - len(got) <= HIGH_WATER
            written += b"".join(frames)
            paused = log.append(frames)
        elif step == "take":
            got += reader.take()
            assert not paused
            assert got == written
    log.close()
    while not reader.over:
        got += reader.take()
    assert got == written
