"""The log between the upstream that writes and those who read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.events import PartDelta
from telex.generation.log import FRAME_COST, HIGH_WATER, LOG_COST, REPLY_LIMIT, Heard, KeptLog, Log, Reader, Room

PATIENT = 30.0
GIB = 1 << 30


def passing() -> Log:
    return Log()


def kept() -> Log:
    return KeptLog(Room(GIB))


both = pytest.mark.parametrize("make", [passing, kept])
Make = Callable[[], Log]

# ---- what both have alike


@both
async def test_what_was_appended_is_taken_at_once_and_once(make: Make) -> None:
    log = make()
    reader = log.reader()
    log.append([b"one ", b"two "])
    log.append([b"three"])
    assert (reader.take(), reader.take(), log.frames, reader.position) == (b"one two three", b"", 3, 3)


@both
async def test_it_is_taken_frame_by_frame_or_as_events(make: Make) -> None:
    log = make()
    reader = log.reader()
    log.append([b"one ", b"two "])
    assert reader.take_frames() == [b"one ", b"two "]
    log = make()
    reader = log.reader()
    events = [PartDelta(0, 0, text) for text in "abc"]
    log.append([Heard(list(events[:2]), 5), Heard(list(events[2:]), 5)])
    assert reader.take_events() == events
    assert reader.position == 2


@both
async def test_what_came_before_its_reader_is_there(make: Make) -> None:
    log = make()
    log.append([b"x"])
    reader = log.reader()
    await asyncio.wait_for(reader.wait(), PATIENT)
    assert reader.take() == b"x"


@both
async def test_waiting_ends_when_there_is_something(make: Make) -> None:
    log = make()
    reader = log.reader()
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
    waiting = log.reader().wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    act(log)
    await asyncio.wait_for(waiting, PATIENT)


@both
async def test_nobody_waits_for_a_closed_log_or_behind_leaving(make: Make) -> None:
    log = make()
    reader = log.reader()
    log.append([b"x"])
    log.close()
    await asyncio.wait_for(reader.wait(), PATIENT)
    assert (reader.over, reader.take()) == (False, b"x")
    await asyncio.wait_for(reader.wait(), PATIENT)
    assert reader.over
    log = make()
    reader = log.reader()
    reader.leave()
    reader.leave()
    assert (reader.over, log.readers) == (True, [])
    await asyncio.wait_for(reader.wait(), PATIENT)


@both
async def test_a_reader_that_was_cancelled_disturbs_no_writer(make: Make) -> None:
    log = make()
    reader = log.reader()
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


# ---- the kept one


async def test_nobody_pauses_its_writer() -> None:
    log = KeptLog(Room(GIB))
    log.reader()
    assert not log.append([b"x" * 100 * HIGH_WATER])
    assert log.full is None


async def test_row34_a_reader_is_not_given_more_at_once_than_may_wait_for_it() -> None:
    log = KeptLog(Room(GIB))
    frames = [bytes([n]) * (HIGH_WATER // 4) for n in range(64)]
    log.append(frames)
    reader, read = log.reader(), list[list[bytes]]()
    while taken := reader.take_frames():
        read.append(taken)
    assert [frame for taken in read for frame in taken] == frames
    assert max(sum(map(len, taken)) for taken in read) <= 2 * HIGH_WATER


async def test_a_frame_that_is_longer_than_that_is_given_whole() -> None:
    log = KeptLog(Room(GIB))
    log.append([b"x" * 10 * HIGH_WATER, b"y"])
    reader = log.reader()
    assert (len(reader.take()), reader.take()) == (10 * HIGH_WATER, b"y")


def test_a_cursor_beyond_the_end_gets_the_ending() -> None:
    log = KeptLog(Room(GIB))
    log.append([b"a", b"b"])
    beyond, behind, at = log.reader(9), log.reader(3), log.reader(2)
    assert [reader.take() for reader in (beyond, behind, at)] == [b"", b"", b""]
    log.append([b"c", b"end"])
    assert [reader.take() for reader in (beyond, behind, at)] == [b"", b"end", b"cend"]
    log.close()
    assert [reader.over for reader in (beyond, behind, at)] == [False, True, True]
    assert (beyond.take(), beyond.over, beyond.position) == (b"end", True, 4)
    assert log.reader(4).over
    assert log.reader(5).take() == b"end"


def test_a_cursor_of_a_log_without_any_frame_is_over_at_its_end() -> None:
    log = KeptLog(Room(GIB))
    reader = log.reader(7)
    log.close()
    assert (reader.over, reader.take(), reader.over) == (True, b"", True)


def test_beyond_the_limit_it_is_full_and_says_so() -> None:
    log = KeptLog(Room(GIB))
    block = b"x" * (1 << 20)
    while not log.append([block]):
        assert log.full is None
    assert REPLY_LIMIT - (1 << 20) <= (log.frames - 1) * len(block) <= REPLY_LIMIT
    assert log.full is not None
    assert str(REPLY_LIMIT) in log.full.message
    assert log.append([])


def test_tiny_frames_count_what_they_cost() -> None:
    room = Room(GIB)
    log = KeptLog(room)
    log.append([b"x"] * 1000)
    assert room.used == LOG_COST + 1000 * (1 + FRAME_COST)
    log.forget()
    assert room.used == 0


def test_when_all_logs_have_too_much_somebody_may_let_go_of_some() -> None:
    room = Room(2 * LOG_COST + 10 * (1000 + FRAME_COST))
    old, new = KeptLog(room), KeptLog(room)
    old.append([b"x" * 1000] * 9)
    asked = []

    def let_go() -> None:
        asked.append(room.used)
        old.forget()

    room.crowded = let_go
    assert not new.append([b"x" * 1000])
    assert not asked
    assert not new.append([b"x" * 1000])
    assert (len(asked), room.used, new.full) == (1, LOG_COST + 2 * (1000 + FRAME_COST), None)


def test_when_nobody_lets_go_of_any_it_is_full() -> None:
    room = Room(2 * LOG_COST + 10 * (1000 + FRAME_COST))
    old, new = KeptLog(room), KeptLog(room)
    old.append([b"x" * 1000] * 10)
    assert new.append([b"x" * 1000])
    assert new.full is not None
    assert "retention.max_bytes" in new.full.message
    assert old.full is None
    new.forget()
    assert not old.append([])


# ---- whatever the order of what happens

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(0, 3).map(lambda n: (0, 1, HIGH_WATER // 3, HIGH_WATER + 1)[n]), max_size=4)),
        st.tuples(st.just("join"), st.integers(0, 12)),
        st.tuples(st.just("take"), st.integers(0, 5)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(STEPS)
def test_row41_row43_each_reader_of_a_kept_log_gets_what_is_behind_its_cursor_in_order_and_once(steps: list[tuple[str, object]]) -> None:
    room = Room(1 << 40)
    log, written = KeptLog(room), list[bytes]()
    readers: list[tuple[Reader, int, list[bytes]]] = []

    def read(number: int) -> None:
        reader, _, read = readers[number]
        read += reader.take_frames()

    for step, what in steps:
        match step, what:
            case "append", list(sizes):
                frames = [b"%d:" % (len(written) + n) + b"x" * size for n, size in enumerate(sizes)]
                written += frames
                assert not log.append(frames)
            case "join", int(after) if after <= len(written):
                readers.append((log.reader(after), after, []))
            case "take", int(number) if number < len(readers) and not readers[number][0].left:
                read(number)
            case "leave", int(number) if number < len(readers):
                readers[number][0].leave()
    log.close()
    for number, (reader, after, got) in enumerate(readers):
        while not reader.over:
            assert log.has_more(reader)
            read(number)
        assert got == written[after : after + len(got)]
        assert reader.position == after + len(got)
        assert reader.left or len(got) == len(written) - after
    assert room.used == LOG_COST + sum(map(len, written)) + FRAME_COST * len(written)


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
