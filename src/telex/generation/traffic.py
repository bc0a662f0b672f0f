"""What the generations of one process learn from each other: the health of targets, what is left of the retry budget, and of limits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from threading import Lock

from telex.config import Target
from telex.core.errors import Failure
from telex.generation.catalog import Route
from telex.limits.table import Count, Holder, Lease, Need, Quota, Refusal, Table
from telex.routing.balance import Delivery, order
from telex.routing.budget import Budget
from telex.routing.health import Health, Slot


class Traffic:
    """From any thread: blocking generations each run in their caller's. Times are in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.health = Health()
        self.budget = Budget()
        self.limits = Table()
        self._lock = Lock()

    def plan(self, route: Route, delivery: Delivery, prefix: bytes, now: float) -> list[int]:
        """A request has come: the numbers of the targets in the order in which it tries them."""
        with self._lock:
            self.budget.deposit()
            return order(route.targets, delivery, route.balance, prefix, self.health, now, random.random)

    def spend(self, now: float) -> bool:
        """Whether there may be one more attempt than the first."""
        with self._lock:
            return self.budget.spend(now)

    def begin(self, target: Target) -> Slot:
        with self._lock:
            return self.health.begin(target)

    def commit(self, slot: Slot, ttft: float | None, now: float) -> None:
        with self._lock:
            slot.commit(ttft, now)

    def end(self, slot: Slot, failure: Failure | None, now: float) -> None:
        with self._lock:
            slot.end(failure, now)

    def take(self, holders: Sequence[Holder], need: Need, now: float) -> Lease | Refusal:
        with self._lock:
            return self.limits.take(holders, need, now)

    def give_back(self, lease: Lease, tokens: int | None, now: float) -> None:
        """`tokens`: that were used; None if no provider was reached. Only the first call counts."""
        with self._lock:
            if tokens is None:
                lease.cancel()
            else:
                lease.end(tokens, now)

    def dump(self, now: float) -> list[Count]:
        """What is used of all limits, to be restored by another process."""
        with self._lock:
            return self.limits.dump(now)

    def quotas(self, holders: Sequence[Holder], now: float) -> list[Quota]:
        with self._lock:
            return self.limits.quotas(holders, now)
