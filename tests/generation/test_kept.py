"""The log that is kept: any number of readers, who come and go, and a bound to all that is kept."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from telex.core.errors import Failure
from telex.generation.kept import ENTRY_COST, LOG_COST, WORK, KeptLog, KeptReader, Room
from telex.generation.log import HIGH_WATER, REPLY_LIMIT

from .listening import read_all
from .plainly import PLAINLY, Plainly

GIB = 1 << 30


def kept() -> KeptLog:
    return KeptLog(Room(GIB))


async def test_nobody_pauses_its_writer() -> None:
    log = kept()
    log.join(PLAINLY)
    assert not log.append([b"x" * 100 * HIGH_WATER])
    assert log.full is None


async def test_row34_a_reader_is_not_given_more_at_once_than_may_wait_for_it() -> None:
    log = kept()
    entries = [bytes([n]) * (HIGH_WATER // 4) for n in range(64)]
    log.append(entries)
    reader, read = log.join(PLAINLY), list[list[bytes]]()
    while taken := reader.read():
        read.append(taken)
    assert [frame for taken in read for frame in taken] == entries
    assert max(sum(map(len, taken)) for taken in read) <= 2 * HIGH_WATER


async def test_a_frame_that_is_longer_than_that_is_given_whole() -> None:
    log = kept()
    log.append([b"x" * 10 * HIGH_WATER, b"y"])
    reader = log.join(PLAINLY)
    assert (len(reader.take()), reader.take()) == (10 * HIGH_WATER, b"y")


async def test_what_is_said_at_the_end_comes_once_and_behind_everything() -> None:
    log = kept()
    early = log.join(Plainly(b"end"))
    log.append([b"a", b"b"])
    assert early.take() == b"ab"
    log.close()
    late = log.join(Plainly(b"end"), 1)
    assert (early.over, early.take(), early.over, early.take(), early.position) == (False, b"end", True, b"", 3)
    assert (late.take(), late.over, late.position) == (b"bend", True, 3)


def test_so_it_does_of_a_reply_that_is_too_long_for_one_read() -> None:
    log, pieces = kept(), [b"%d:" % n + b"x" * HIGH_WATER for n in range(5)]
    log.append(pieces)
    log.close()
    assert read_all(log.join(Plainly(b"end"), 1)) == [*pieces[1:], b"end"]


def test_a_cursor_beyond_the_end_gets_the_ending() -> None:
    log = kept()
    log.append([b"a", b"b"])
    beyond, behind, at = (log.join(PLAINLY, after) for after in (9, 3, 2))
    assert [reader.take() for reader in (beyond, behind, at)] == [b"", b"", b""]
    log.append([b"c", b"end"])
    assert [reader.take() for reader in (beyond, behind, at)] == [b"", b"end", b"cend"]
    log.close()
    assert (beyond.take(), beyond.over, beyond.position) == (b"end", True, 4)
    assert [(reader.take(), reader.over) for reader in (behind, at)] == [(b"", True)] * 2
    assert [log.join(PLAINLY, after).take() for after in (4, 5)] == [b"", b"end"]


def test_a_cursor_of_a_log_without_any_entry_is_over_at_its_end() -> None:
    log = kept()
    reader = log.join(PLAINLY, 7)
    log.close()
    assert (reader.take(), reader.over, reader.position) == (b"", True, 0)


async def test_who_has_most_of_it_lets_others_have_their_turn_on_the_way() -> None:
    log = kept()
    entries = [b"%d:" % n + b"x" * (WORK // 10) for n in range(100)]
    log.append(entries)
    log.close()
    reader, turns, others = log.join(PLAINLY, 99), 0, 0
    ticking = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal others
        others += 1
        ticking.call_soon(tick)

    tick()
    while not (taken := reader.read()):
        turns += 1
        assert not reader.over
        await reader.wait()
    assert taken == entries[99:]
    assert turns == 9
    assert others >= turns, "each wait gave the loop a turn"


# ---- how much is kept


def test_row28_beyond_the_limit_it_is_full_and_says_so() -> None:
    log = kept()
    block = b"x" * (1 << 20)
    while not log.append([block]):
        assert log.full is None
    assert log.full is not None
    assert str(REPLY_LIMIT) in log.full.message
    assert log.append([])


def test_what_would_fill_it_is_not_kept_so_that_nothing_stands_behind_the_failure() -> None:
    """The terminator of a reply that is too long must not make it look complete."""
    room = Room(LOG_COST + 10_000)
    log = KeptLog(room)
    reader = log.join(PLAINLY)
    assert not log.append([b"x" * 5000])
    used = room.used
    assert log.append([b"x" * 10_000, b"the end"])
    assert log.append([b"more"])
    assert room.used == used
    assert reader.read() == [b"x" * 5000]


def test_tiny_entries_count_what_they_cost() -> None:
    room = Room(GIB)
    log = KeptLog(room)
    log.append([b"x"] * 1000)
    assert room.used == LOG_COST + 1000 * (1 + ENTRY_COST)
    log.retire()
    assert (room.used, log.entries) == (0, [])


def test_a_room_without_room_makes_it_full() -> None:
    room = Room(2 * LOG_COST + 10 * (1000 + ENTRY_COST))
    old, new = KeptLog(room), KeptLog(room)
    assert not old.append([b"x" * 1000] * 10)
    assert new.append([b"x" * 1000])
    assert new.full is not None
    assert "retention.max_bytes" in new.full.message
    assert old.full is None
    old.retire()
    assert not KeptLog(room).append([b"x" * 1000])


def test_what_is_retired_is_there_for_those_who_still_read_it() -> None:
    room = Room(GIB)
    log = KeptLog(room)
    log.append([b"a", b"b"])
    log.close()
    one, two = log.join(PLAINLY), log.join(PLAINLY)
    log.retire()
    one.leave()
    assert room.used > 0
    assert two.take() == b"ab"
    two.leave()
    assert (room.used, log.entries) == (0, [])


def test_whoever_wants_to_know_is_told_of_what_came_and_of_the_end() -> None:
    log, told = kept(), list[tuple[int, bool]]()
    log.written = lambda: told.append((len(log.entries), log.closed))
    log.append([b"a", b"b"])
    log.append([])
    log.close(Failure("truncated", "It broke."))
    assert told == [(2, False), (2, True)]
    assert log.failure == Failure("truncated", "It broke.")


# ---- whatever the order of what happens

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from([0, 1, HIGH_WATER // 3, HIGH_WATER + 1]), max_size=4)),
        st.tuples(st.just("join"), st.integers(0, 12)),
        st.tuples(st.just("take"), st.integers(0, 5)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(STEPS)
def test_row41_row43_each_reader_gets_what_is_behind_its_cursor_in_order_and_once(steps: list[tuple[str, object]]) -> None:
    room = Room(1 << 40)
    log, written = KeptLog(room), list[bytes]()
    readers: list[tuple[KeptReader, int, list[bytes]]] = []
    for step, what in steps:
        match step, what:
            case "append", list(sizes):
                entries = [b"%d:" % (len(written) + n) + b"x" * size for n, size in enumerate(sizes)]
                written += entries
                assert not log.append(entries)
            case "join", int(after) if after <= len(written):
                readers.append((log.join(PLAINLY, after), after, []))
            case "take", int(number) if number < len(readers) and not readers[number][0].left:
                readers[number][2].extend(readers[number][0].read())
            case "leave", int(number) if number < len(readers):
                readers[number][0].leave()
    log.close()
    for reader, after, got in readers:
        while not reader.over:
            assert reader.has_more
            got += reader.read()
        assert got == written[after : after + len(got)]
        assert reader.position == after + len(got)
        assert reader.left or len(got) == len(written) - after
    assert room.used == LOG_COST + sum(map(len, written)) + ENTRY_COST * len(written)
