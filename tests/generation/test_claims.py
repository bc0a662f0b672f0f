"""What a generation reserves, and what counts of it once it is over."""

from __future__ import annotations

from typing import Any

import pytest

from telex.config import Target
from telex.core.errors import Failure
from telex.core.events import PartDelta
from telex.core.messages import Message, Part, Request, Usage
from telex.generation.claims import OUTPUT, Claims
from telex.generation.traffic import Traffic
from telex.limits.table import Holder, Lease, Limits
from telex.metering.meter import Meter

KEY = Holder("key", "alice", Limits(rpm=10, tpm=10_000, concurrent=2))
TEXT = "What is it?!"  # three tokens, and one of the role


def request(text: str = TEXT, **fields: Any) -> Request:
    return Request(model="m", messages=(Message("user", (Part("text", text),)),), **fields)


class Case:
    """One generation of alice's, and what she has left of her limits."""

    def __init__(self, asked: Request, model: Limits | None = None) -> None:
        self.request = asked
        self.traffic = Traffic()
        self.claims = Claims(asked, Holder("model", "m", model or Limits()), self.traffic)

    def left(self, now: float = 0.0) -> dict[str, int]:
        return {quota.which: quota.left for quota in self.traffic.quotas([KEY], now)}

    def meter(self, *events: Any, reached: bool = True) -> Meter:
        meter = Meter(self.request, 0.0)
        if reached:
            meter.connected(0.0)
        meter.feed(events, 1.0)
        return meter


@pytest.mark.parametrize(
    ("asked", "reserved"),
    [
        (request(max_tokens=100), 104),
        (request(max_tokens=100, choices=3), 304),
        (request(), 4 + OUTPUT),
        (request(choices=2), 4 + 2 * OUTPUT),
        (request("這是什麼？", max_tokens=1), 1 + 5),
        (request("x" * 4 * 9_990), 10_000),
    ],
    ids=["said", "of each choice", "not said", "of each choice, not said", "ideographs", "as much as there is"],
)
def test_the_prompt_and_what_it_may_become_are_reserved(asked: Request, reserved: int) -> None:
    case = Case(asked)
    assert case.claims.admit(KEY, 0.0) is None
    assert case.left() == {"rpm": 9, "tpm": 10_000 - reserved, "concurrent": 1}


def test_what_never_fits_is_told_so() -> None:
    failure = Case(request(max_tokens=9_997)).claims.admit(KEY, 0.0)
    assert failure is not None
    assert (failure.kind, failure.ending, failure.retry_after) == ("limited", "rate_limited", None)
    assert "needs 10001 tokens" in failure.message


def test_owner_and_model_are_taken_together_or_not_at_all() -> None:
    case = Case(request(), Limits(concurrent=1))
    case.traffic.take([Holder("model", "m", Limits(concurrent=1))], case.claims._need, 0.0)
    failure = case.claims.admit(KEY, 0.0)
    assert failure is not None
    assert failure.message.startswith("Not now: the model 'm' has the limit concurrent = 1 (requests at once)")
    assert case.left() == {"rpm": 10, "tpm": 10_000, "concurrent": 2}
    case.claims.end(None, 0.0)
    assert case.left() == {"rpm": 10, "tpm": 10_000, "concurrent": 2}


def test_it_is_admitted_once() -> None:
    case = Case(request())
    assert [case.claims.admit(KEY, 0.0), case.claims.admit(None, 0.0)] == [None, None]
    assert case.left()["rpm"] == 9
    assert {quota.which for quota in case.claims.quotas(0.0)} == {"rpm", "tpm", "concurrent"}


def test_at_the_end_the_usage_counts() -> None:
    case = Case(request(max_tokens=5000))
    case.claims.admit(KEY, 0.0)
    for _ in range(2):
        case.claims.end(case.meter(Usage(7, 30)), 1.0)
    assert case.left(1.0) == {"rpm": 9, "tpm": 10_000 - 37, "concurrent": 2}


def test_of_what_broke_off_what_was_written_counts() -> None:
    case = Case(request(max_tokens=5000))
    case.claims.admit(KEY, 0.0)
    case.claims.end(case.meter(PartDelta(0, 0, "x" * 40)), 1.0)
    assert case.left(1.0)["tpm"] == 10_000 - 3 - 10


@pytest.mark.parametrize("reached", [True, False])
def test_an_attempt_that_came_to_nothing_counts_its_prompt_if_it_reached_a_provider(reached: bool) -> None:
    case = Case(request(max_tokens=5000))
    case.claims.admit(KEY, 0.0)
    case.claims.give_back(None, case.meter(reached=reached), 1.0)
    case.claims.end(None, 1.0)
    assert case.left(1.0) == {"rpm": 10 - reached, "tpm": 10_000 - 4 * reached, "concurrent": 2}


def test_a_target_has_limits_of_its_own() -> None:
    case, target = Case(request(max_tokens=5)), Target("up", "m", tpm=12)
    lease = case.claims.take(target, 0.0)
    assert isinstance(lease, Lease)
    refused = case.claims.take(target, 0.0)
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.retry_after, "the target 'up/m'" in refused.message) == ("limited", 60.0, True)
    case.claims.give_back(lease, None, 0.0)
    assert isinstance(case.claims.take(target, 0.0), Lease)
