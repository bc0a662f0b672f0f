"""Limits of several holders: taken together or not at all, corrected at the end, never leaked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from telex.limits.table import AGAIN, ROWS, Holder, Lease, Limits, Need, Refusal, Table
from telex.limits.window import SECONDS

KEY = Holder("key", "alice", Limits(rpm=2))
MODEL = Holder("model", "chat", Limits(tpm=100, concurrent=2))
FREE = Holder("target", "up/m")


def take(table: Table, *holders: Holder, tokens: int = 0, perhaps: int = 0, now: float = 0.0) -> Lease:
    lease = table.take(holders, Need(tokens, perhaps), now)
    assert isinstance(lease, Lease)
    return lease


def refuse(table: Table, *holders: Holder, tokens: int = 0, now: float = 0.0) -> Refusal:
    refusal = table.take(holders, Need(tokens), now)
    assert isinstance(refusal, Refusal)
    return refusal


def left(table: Table, *holders: Holder, now: float = 0.0) -> dict[str, int]:
    return {quota.which: quota.left for quota in table.quotas(holders, now)}


def test_several_are_taken_together() -> None:
    table = Table()
    take(table, KEY, MODEL, FREE, tokens=30)
    assert left(table, KEY, MODEL, FREE) == {"rpm": 1, "tpm": 70, "concurrent": 1}


def test_or_none_of_them() -> None:
    table = Table()
    take(table, KEY)
    take(table, KEY, now=1.0)
    refusal = refuse(table, MODEL, KEY, tokens=5, now=2.0)
    assert (refusal.holder, refusal.which, refusal.limit, refusal.wait) == (KEY, "rpm", 2, SECONDS - 2.0)
    assert str(refusal) == "Not now: the key 'alice' has the limit rpm = 2 (requests a minute), and this request fits in 58 s."
    assert left(table, MODEL, now=2.0) == {"tpm": 100, "concurrent": 2}


def test_the_refusal_is_the_one_that_is_longest_in_the_way() -> None:
    table = Table()
    take(table, MODEL, tokens=100)
    take(table, KEY, now=5.0)
    take(table, KEY, now=6.0)
    refusal = refuse(table, MODEL, KEY, tokens=1, now=10.0)
    assert (refusal.which, refusal.wait) == ("rpm", SECONDS - 5.0)


def test_who_runs_must_end_first() -> None:
    table = Table()
    lease = take(table, MODEL)
    take(table, MODEL)
    refusal = refuse(table, MODEL)
    assert (refusal.which, refusal.wait) == ("concurrent", AGAIN)
    lease.end(0, 1.0)
    take(table, MODEL, now=1.0)


def test_what_is_larger_than_the_limit_will_never_fit() -> None:
    refusal = refuse(Table(), MODEL, KEY, tokens=101)
    assert refusal.wait is None
    assert str(refusal).startswith("This request needs 101 tokens, and the model 'chat' has the limit tpm = 100 (tokens a minute)")


def test_what_there_may_be_besides_need_not_all_fit() -> None:
    table = Table()
    take(table, MODEL, tokens=40, perhaps=1000)
    assert left(table, MODEL)["tpm"] == 0


@pytest.mark.parametrize(("used", "remains"), [(10, 90), (0, 100), (40, 60), (75, 25), (120, 0)])
def test_tokens_are_set_right_at_the_end(used: int, remains: int) -> None:
    table = Table()
    lease = take(table, MODEL, tokens=40)
    lease.end(used, 1.0)
    assert left(table, MODEL, now=1.0) == {"tpm": remains, "concurrent": 2}


def test_what_was_too_little_counts_from_the_end_on() -> None:
    table = Table()
    take(table, MODEL, tokens=10).end(50, 100.0)
    assert [left(table, MODEL, now=now)["tpm"] for now in (100.0, 159.0, 160.0)] == [60, 60, 100]


def test_what_never_reached_a_provider_is_given_back() -> None:
    table = Table()
    take(table, KEY, MODEL, tokens=30).cancel()
    assert left(table, KEY, MODEL) == {"rpm": 2, "tpm": 100, "concurrent": 2}


ENDS: list[Callable[[Lease], object]] = [Lease.cancel, lambda lease: lease.end(7, 1.0)]


@given(st.lists(st.sampled_from(ENDS), min_size=1))
def test_only_the_first_end_counts(ends: list[Callable[[Lease], object]]) -> None:
    table = Table()
    lease = take(table, KEY, MODEL, tokens=30)
    for end in ends:
        end(lease)
    ended = ends[0] is not Lease.cancel
    assert left(table, KEY, MODEL) == {"rpm": 2 - ended, "tpm": 100 - 7 * ended, "concurrent": 2}
    assert table.running == 0


def test_the_least_that_is_left_is_told() -> None:
    table, wide = Table(), Holder("model", "m", Limits(rpm=100))
    take(table, KEY, wide)
    [quota] = table.quotas([wide, KEY, FREE], 20.0)
    assert (quota.which, quota.limit, quota.left, quota.more_in) == ("rpm", 2, 1, SECONDS - 20.0)


def test_a_limit_that_changes_holds_at_once() -> None:
    table = Table()
    take(table, KEY)
    narrow = Holder("key", "alice", Limits(rpm=1))
    assert refuse(table, narrow).limit == 1


def test_a_name_that_another_had_begins_anew() -> None:
    table = Table()
    take(table, Holder("key", "alice", Limits(rpm=1), "key_1"))
    take(table, Holder("key", "alice", Limits(rpm=1), "key_2"))
    assert refuse(table, Holder("key", "al", Limits(rpm=1), "key_1")).which == "rpm"


def test_rows_that_nobody_needs_are_forgotten() -> None:
    table = Table()
    lease = take(table, MODEL)
    for number in range(3 * ROWS):
        take(table, Holder("key", str(number), Limits(rpm=1)), now=number * SECONDS).end(0, number * SECONDS)
    assert len(table._rows) <= ROWS
    assert table.running > 0
    lease.cancel()


class Machine(RuleBasedStateMachine):
    """Whatever comes and however it ends: the limits hold at every moment, and nothing leaks."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.now = 0.0
        self.open: set[Any] = set()
        self.began: dict[Any, float] = {}

    @rule(seconds=st.sampled_from([0.0, 0.5, 20.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=leases, tokens=st.integers(0, 60), holders=st.sampled_from([(KEY,), (MODEL,), (KEY, MODEL), (FREE, MODEL)]))
    def take(self, tokens: int, holders: tuple[Holder, ...]) -> Lease | None:
        before = left(self.table, KEY, MODEL, now=self.now)
        lease = self.table.take(holders, Need(tokens), self.now)
        if isinstance(lease, Refusal):
            assert left(self.table, KEY, MODEL, now=self.now) == before, "all or nothing"
            return None
        self.open.add(lease)
        if KEY in holders:
            self.began[lease] = self.now
        return lease

    @rule(lease=leases, tokens=st.integers(0, 60))
    def end(self, lease: Lease | None, tokens: int) -> None:
        if lease is not None:
            lease.end(tokens, self.now)
            self.open.discard(lease)

    @rule(lease=leases)
    def cancel(self, lease: Lease | None) -> None:
        if lease is not None:
            lease.cancel()
            if lease in self.open:
                self.open.discard(lease)
                self.began.pop(lease, None)

    @invariant()
    def hold(self) -> None:
        assert left(self.table, KEY, MODEL, now=self.now)["rpm"] == 2 - sum(at + SECONDS > self.now for at in self.began.values()) >= 0
        assert sum(1 for lease in self.open if any(share._row is self.table._make(MODEL, 0.0) for share in lease._shares)) <= 2

    def teardown(self) -> None:
        for lease in self.open:
            lease.cancel()
        assert self.table.running == 0
        assert all(row.is_idle(self.now + SECONDS) for row in self.table._rows.values())


TestMachine = Machine.TestCase
