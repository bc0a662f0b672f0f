"""Attempts beyond the first: a fifth of the requests, and ten a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telex.routing.budget import PER_SECOND, REQUESTS, SAVED, Budget


def spent(budget: Budget, now: float, times: int = 1000) -> int:
    return sum(budget.spend(now) for _ in range(times))


def test_without_requests_there_are_ten_a_second() -> None:
    budget = Budget()
    assert [spent(budget, 100.0), spent(budget, 100.5), spent(budget, 101.5), spent(budget, 200.0)] == [10, 5, 10, 10]


def test_a_fifth_of_the_requests_is_saved_up_to_a_limit() -> None:
    budget = Budget()
    for _ in range(50):
        budget.deposit()
    assert spent(budget, 100.0) == PER_SECOND + 50 / REQUESTS
    for _ in range(10_000):
        budget.deposit()
    assert spent(budget, 100.0, 5000) == SAVED


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 20), st.integers(0, 20)), max_size=50))
def test_never_more_than_promised(steps: list[tuple[float, int, int]]) -> None:
    """Steps: seconds that pass, requests that come, attempts that are wanted."""
    budget, now, requests, granted = Budget(), 100.0, 0, 0
    for seconds, coming, wanted in steps:
        now += seconds
        for _ in range(coming):
            budget.deposit()
        requests += coming
        granted += spent(budget, now, wanted)
        assert granted <= requests / REQUESTS + PER_SECOND * (now - 100.0) + PER_SECOND + 1e-6


def test_a_clock_that_stands_or_goes_back_grants_nothing() -> None:
    budget = Budget()
    spent(budget, 100.0)
    assert (spent(budget, 100.0), spent(budget, 99.0)) == (0, 0)
