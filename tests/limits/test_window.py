"""Never more than the limit in any sixty seconds, and never less than there could be."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from telex.limits.window import MOST, SECONDS, Window

PAUSES = st.sampled_from([0.0, 0.001, 1.0, 7.5, 29.0, 60.0, 61.0])


@given(st.integers(1, 9), st.lists(st.tuples(PAUSES, st.integers(1, 4)), max_size=60))
def test_never_more_and_never_less_than_fits(limit: int, asked: list[tuple[float, int]]) -> None:
    window, taken, now = Window(), list[tuple[float, int]](), 0.0
    for pause, amount in asked:
        now += pause
        counts = sum(each for at, each in taken if at + SECONDS > now)
        assert window.used(now) == counts <= limit
        wait = window.wait(amount, limit, now)
        if wait == 0:
            assert counts + amount <= limit
            window.take(amount, now)
            taken.append((now, amount))
        elif wait is None:
            assert amount > limit
        else:
            assert sum(each for at, each in taken if at + SECONDS > now + wait + 1e-6) + amount <= limit, "then it fits"
            assert sum(each for at, each in taken if at + SECONDS > now + wait - 1e-6) + amount > limit, "and not sooner"


def test_what_is_given_back_can_be_taken() -> None:
    window = Window()
    entry = window.take(8, 0.0)
    assert window.wait(5, 10, 1.0) == SECONDS - 1.0
    window.give_back(entry, 3)
    assert window.wait(5, 10, 1.0) == 0.0


def test_what_is_forgotten_gives_nothing_back() -> None:
    window = Window()
    entry = window.take(8, 0.0)
    window.take(2, SECONDS)
    assert window.used(SECONDS) == 2
    window.give_back(entry, 8)
    assert window.used(SECONDS) == 2


def test_more_in() -> None:
    window = Window()
    assert window.more_in(5.0) == 0.0
    window.give_back(window.take(1, 5.0), 1)
    window.take(1, 10.0)
    assert window.more_in(15.0) == SECONDS - 5.0


def test_a_clock_that_comes_late_counts_from_the_last_time() -> None:
    window = Window()
    window.take(1, 10.0)
    window.take(1, 9.0)
    assert [window.used(SECONDS + 9.5), window.used(SECONDS + 10.0)] == [2, 0]


@given(st.floats(0.0001, 0.02))
def test_many_entries_are_bounded_and_still_never_too_many(gap: float) -> None:
    """As many in a minute as are kept one by one, and then as many again in a moment."""
    window, now, limit = Window(), 0.0, 4 * MOST
    for _ in range(MOST):
        window.take(1, 0.0)
    taken: list[float] = []
    while now < 1.0:
        assert window.wait(1, limit, now) == 0
        window.take(1, now)
        taken.append(now)
        now += gap
    assert len(window) <= 2 * MOST + 1
    for late in (SECONDS + 0.3, SECONDS + 0.9):
        exact = sum(at + SECONDS > late for at in taken)
        assert exact <= window.used(late) <= exact + SECONDS / MOST / gap + 1, "too careful by some milliseconds, never too generous"


def test_ten_thousand_a_minute_cost_microseconds_each() -> None:
    window, rounds = Window(), 100_000
    began = time.perf_counter()
    for number in range(rounds):
        now = number * (SECONDS / 10_000 + 1e-9)
        assert window.wait(1, 10_000, now) == 0
        window.take(1, now)
    assert len(window) <= MOST
    assert time.perf_counter() - began < rounds * 100e-6


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 5)), max_size=30))
def test_what_is_restored_lets_in_no_more_than_what_was_dumped(steps: list[tuple[float, int]]) -> None:
    window, restored, now = Window(), Window(), 1000.0
    for seconds, amount in steps:
        now += seconds
        window.take(amount, now)
    for at, amount in window.dump(now):
        restored.take(amount, at)
    assert restored.used(now) == window.used(now)
    for later in (now + seconds for seconds in (0.0, 1.5, 30.0, 59.0)):
        assert restored.used(later) >= window.used(later)
    assert restored.used(now + SECONDS) == 0
