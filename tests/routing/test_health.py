"""The table of health: what puts a target out, for how long, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.routing.balance import Candidate
from telex.routing.health import BELIEVED, FAILURES, OUT_LIMIT, OUT_SECONDS, ROWS, Health

A, B, OTHER = Candidate("one", "a"), Candidate("one", "b"), Candidate("two", "a")
NOW = 1000.0


def failed(kind: Kind = "upstream_error", retry_after: float | None = None) -> Failure:
    return Failure(kind, kind, retry_after=retry_after)


def fail(health: Health, target: Candidate = A, times: int = 1, now: float = NOW, failure: Failure | None = None) -> None:
    for _ in range(times):
        health.begin(target).end(failure or failed(), now)


def succeed(health: Health, target: Candidate = A, now: float = NOW, ttft: float | None = 0.1) -> None:
    slot = health.begin(target)
    slot.commit(ttft, now)
    slot.end(None, now)


def test_some_failures_in_a_row_put_it_out_and_only_it() -> None:
    health = Health()
    fail(health, times=FAILURES - 1)
    assert health.waiting(A, NOW) == 0
    fail(health)
    assert (health.waiting(A, NOW), health.why(A, NOW)) == (OUT_SECONDS, "upstream_error")
    assert (health.waiting(A, NOW + OUT_SECONDS), health.waiting(B, NOW), health.waiting(OTHER, NOW)) == (0, 0, 0)


def test_a_success_between_makes_the_failures_forgotten() -> None:
    health = Health()
    fail(health, times=FAILURES - 1)
    succeed(health)
    fail(health, times=FAILURES - 1)
    assert health.waiting(A, NOW) == 0


def test_what_begins_well_and_breaks_off_each_time_is_out_too() -> None:
    health = Health()
    for _ in range(FAILURES):
        slot = health.begin(A)
        slot.commit(0.1, NOW)
        slot.end(failed("truncated"), NOW)
    assert health.waiting(A, NOW) == OUT_SECONDS


def test_when_its_time_is_over_one_attempt_at_a_time_looks() -> None:
    health = Health()
    fail(health, times=FAILURES)
    later = NOW + OUT_SECONDS
    looking = health.begin(A)
    assert health.waiting(A, later) > 0
    looking.end(failed(), later)
    assert health.waiting(A, later) == 2 * OUT_SECONDS, "twice as long"
    again = health.begin(A)
    again.commit(0.1, later + 2 * OUT_SECONDS)
    assert health.waiting(A, later + 2 * OUT_SECONDS) == 0, "it speaks: it is back"


def test_nobody_is_out_for_ever() -> None:
    health, now = Health(), NOW
    for _ in range(50):
        fail(health, times=FAILURES, now=now)
        now += health.waiting(A, now)
    assert health.waiting(A, now) == 0
    fail(health, now=now)
    assert health.waiting(A, now) == OUT_LIMIT


@pytest.mark.parametrize(("asked", "out"), [(7.0, 7.0), (3600.0, OUT_LIMIT), (0.0, 0.0)])
def test_what_asks_to_be_left_alone_is_left_alone(asked: float, out: float) -> None:
    health = Health()
    fail(health, failure=failed("rate_limited", asked))
    assert health.waiting(A, NOW) == out


def test_a_success_that_was_on_its_way_does_not_end_a_rest_that_was_asked_for() -> None:
    health = Health()
    slot = health.begin(A)
    fail(health, failure=failed("rate_limited", 7.0))
    slot.commit(0.1, NOW)
    slot.end(None, NOW)
    assert health.waiting(A, NOW) == 7.0


@pytest.mark.parametrize("kind", ["unreachable", "tls", "upstream_denied"])
def test_a_broken_way_or_key_is_the_whole_providers(kind: Kind) -> None:
    health = Health()
    fail(health, times=1 if kind == "upstream_denied" else FAILURES, failure=failed(kind))
    assert health.waiting(A, NOW) == health.waiting(B, NOW) == OUT_SECONDS
    assert health.waiting(OTHER, NOW) == 0, "row 69: for that key only"


@pytest.mark.parametrize("kind", [kind for kind, consequence in CONSEQUENCES.items() if not consequence.against])
def test_what_is_not_its_fault_is_not_held_against_it(kind: Kind) -> None:
    health = Health()
    fail(health, times=100, failure=failed(kind))
    assert (health.waiting(A, NOW), health.running) == (0, 0)


def test_leaving_clients_are_not_among_its_faults() -> None:
    assert not CONSEQUENCES["cancelled"].against
    assert not CONSEQUENCES["bad_request"].against


def test_only_the_first_end_counts() -> None:
    health = Health()
    slot = health.begin(A)
    for _ in range(FAILURES):
        slot.end(failed(), NOW)
    assert (health.running, health.waiting(A, NOW)) == (0, 0)


def test_speed_is_measured_and_forgotten() -> None:
    health = Health()
    assert health.speed(A, NOW) == 0, "unknown: it is to be measured"
    measuring = health.begin(A)
    assert health.speed(A, NOW) == float("inf"), "by one attempt at a time"
    measuring.commit(1.0, NOW)
    measuring.end(None, NOW)
    assert health.speed(A, NOW) == 1.0
    succeed(health, ttft=2.0)
    assert health.speed(A, NOW) == pytest.approx(1.3)
    assert health.speed(A, NOW + BELIEVED) == 0
    succeed(health, ttft=None)
    assert health.speed(A, NOW) == pytest.approx(1.3), "a whole reply says nothing about it"


def test_names_that_clients_made_up_take_no_memory() -> None:
    health = Health()
    fail(health, OTHER, times=FAILURES)
    for number in range(3 * ROWS):
        succeed(health, Candidate("one", str(number)))
    assert len(health._rows) <= ROWS
    assert health.waiting(OTHER, NOW) == OUT_SECONDS, "what is out is remembered"


FAILURE = st.none() | st.builds(failed, st.sampled_from(list(CONSEQUENCES)), st.none() | st.floats(0, 1000))


@given(st.lists(st.tuples(st.sampled_from([A, B, OTHER]), FAILURE, st.floats(0, 200), st.booleans()), max_size=60))
def test_no_slot_leaks_and_nobody_waits_longer_than_the_limit(steps: list[tuple[Candidate, Failure | None, float, bool]]) -> None:
    health, now, open_slots = Health(), NOW, []
    for target, failure, seconds, at_once in steps:
        slot = health.begin(target)
        if at_once:
            slot.end(failure, now)
        else:
            open_slots.append((slot, failure))
        now += seconds
        assert health.running == len(open_slots)
        assert all(health.waiting(each, now) <= OUT_LIMIT for each in (A, B, OTHER))
    for slot, failure in open_slots:
        slot.end(failure, now)
    assert health.running == 0
    assert all(health.waiting(each, now + OUT_LIMIT) == 0 for each in (A, B, OTHER))
