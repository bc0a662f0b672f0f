"""How many attempts there may be beyond the first of each request, so that a provider in trouble is not given more of it."""

from __future__ import annotations

REQUESTS = 5
"""How many requests pay for one further attempt (a fifth, as in Finagle's `RetryBudget`)."""

PER_SECOND = 10.0
"""Further attempts a second that are granted however few requests there are."""

SAVED = 100
"""Further attempts that a busy time may save up for a bad one."""


class Budget:
    """One for all requests of a process. Times are in seconds of one monotonic clock."""

    def __init__(self, per_second: float = PER_SECOND) -> None:
        self._saved = 0  # requests
        self._per_second = per_second
        self._limit = self._reserve = max(1.0, per_second)
        self._filled: float | None = None

    def deposit(self) -> None:
        """A request has come."""
        self._saved = min(SAVED * REQUESTS, self._saved + 1)

    def spend(self, now: float) -> bool:
        """Take one further attempt, if there is one to take."""
        if self._filled is not None:
            self._reserve = min(self._limit, self._reserve + max(0.0, now - self._filled) * self._per_second)
        self._filled = now
        if self._reserve >= 1:
            self._reserve -= 1
        elif self._saved >= REQUESTS:
            self._saved -= REQUESTS
        else:
            return False
        return True
