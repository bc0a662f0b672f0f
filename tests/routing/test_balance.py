"""The order of a model's targets: tiers, weights, speed, prefixes, and what is out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.errors import Failure
from telex.routing.balance import Balance, Candidate, Delivery, order
from telex.routing.health import FAILURES, Health

NOW = 1000.0
ONE, TWO, THREE = Candidate("p", "1"), Candidate("p", "2"), Candidate("p", "3")


def sort(
    targets: Sequence[Candidate],
    balance: Balance = "weighted",
    delivery: Delivery = "stream",
    prefix: bytes = b"",
    health: Health | None = None,
    coin: random.Random | None = None,
) -> list[int]:
    return order(targets, delivery, balance, prefix, health or Health(), NOW, (coin or random.Random(1)).random)


def put_out(health: Health, target: Candidate, seconds: float | None = None) -> None:
    failure = Failure("rate_limited", "", retry_after=seconds) if seconds else Failure("upstream_error", "")
    for _ in range(1 if seconds else FAILURES):
        health.begin(target).end(failure, NOW)


@pytest.mark.parametrize("balance", ["weighted", "least-latency", "prefix"])
def test_lower_tiers_come_first(balance: Balance) -> None:
    targets = [Candidate("p", "c", 3), Candidate("p", "a", 1), Candidate("p", "b", 2)]
    assert sort(targets, balance) == [1, 2, 0]


@pytest.mark.parametrize("balance", ["weighted", "least-latency", "prefix"])
def test_what_is_out_comes_last_and_the_soonest_back_first(balance: Balance) -> None:
    targets, health = [ONE, TWO, Candidate("q", "far", 9)], Health()
    put_out(health, ONE, 60.0)
    put_out(health, TWO, 30.0)
    assert sort(targets, balance, health=health) == [2, 1, 0]


def test_only_those_for_the_delivery() -> None:
    here, there = Candidate("p", "1", deliveries=("stream",)), Candidate("p", "2", deliveries=("background", "batch"))
    assert sort([here, there]) == [0]
    assert sort([here, there], delivery="batch") == [1]
    assert sort([here, there], delivery="complete") == []
    assert sort([here, there, THREE], delivery="complete") == [2]


def test_weights_are_shares() -> None:
    targets, coin = [Candidate("p", "1", weight=3), Candidate("p", "2"), Candidate("p", "3", weight=0.001)], random.Random(7)
    firsts = Counter(sort(targets, coin=coin)[0] for _ in range(4000))
    assert 2800 < firsts[0] < 3200
    assert 800 < firsts[1] < 1200
    assert firsts[2] < 40


def test_the_soonest_to_speak_comes_first() -> None:
    health = Health()
    for target, ttft in ((ONE, 0.9), (TWO, 0.2), (THREE, 0.5)):
        slot = health.begin(target)
        slot.commit(ttft, NOW)
        slot.end(None, NOW)
    assert sort([ONE, TWO, THREE], "least-latency", health=health) == [1, 2, 0]
    unknown = Candidate("p", "4")
    assert sort([ONE, TWO, unknown], "least-latency", health=health)[0] == 2, "it is to be measured"
    measuring = health.begin(unknown)
    assert sort([ONE, TWO, unknown], "least-latency", health=health) == [1, 0, 2], "by one at a time"
    measuring.end(None, NOW)


PREFIXES = st.lists(st.binary(max_size=20), min_size=1, max_size=20, unique=True)


@given(PREFIXES)
def test_a_prefix_has_its_target_whatever_the_coin_and_whoever_else_leaves(prefixes: list[bytes]) -> None:
    targets = [ONE, TWO, THREE]
    for prefix in prefixes:
        whole = sort(targets, "prefix", prefix=prefix, coin=random.Random(prefix))
        assert whole == sort(targets, "prefix", prefix=prefix)
        for gone in range(3):
            rest = [n for n in range(3) if n != gone]
            left = sort([targets[n] for n in rest], "prefix", prefix=prefix)
            assert [rest[n] for n in left] == [n for n in whole if n != gone], "only those of the one that left go elsewhere"


def test_prefixes_are_shared_out_by_weight() -> None:
    targets = [Candidate("p", "1", weight=3), Candidate("p", "2")]
    firsts = Counter(sort(targets, "prefix", prefix=str(n).encode())[0] for n in range(4000))
    assert 2800 < firsts[0] < 3200
