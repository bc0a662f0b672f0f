"""What is known of each target from the attempts at it: whether it is out, until when, and how soon it speaks.

Out is what failed some times in a row, or asked to be left alone for a while. When its time is over, one attempt at a time looks whether
it is back. A client that leaves says nothing about a target. Times are arguments, in seconds of one monotonic clock.
"""

from __future__ import annotations

from typing import Protocol

from telex.core.errors import Failure, Kind

FAILURES = 5
"""Failures in a row that put a target out."""

OUT_SECONDS = 5.0
"""Seconds of the first time out; each that follows is twice as long."""

OUT_LIMIT = 120.0
"""Seconds that a target is out at most, whatever it asks for: limits are lifted early, and keys replaced."""

BELIEVED = 30.0
"""Seconds for which a measured speed is believed."""

NEWEST = 0.3
"""The weight of the newest measurement in the moving average."""

ROWS = 1000
"""How many rows are kept: the names of models may come from clients."""

WHOLE_PROVIDER: frozenset[Kind] = frozenset({"unreachable", "tls", "upstream_denied"})
"""What one model's failure says of all models of its provider: the way to it, or the key, is broken."""

AT_ONCE: frozenset[Kind] = frozenset({"upstream_denied", "quota_exhausted"})
"""What is not over by the next attempt."""


class Named(Protocol):
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...


class Row:
    """`failures`: in a row. `spells`: times out in a row. `ttft`: seconds, a moving average. `running`: attempts."""

    __slots__ = ("failures", "measured", "running", "spells", "ttft", "until", "why")

    def __init__(self) -> None:
        self.failures = self.spells = self.running = 0
        self.until = 0.0
        self.why = ""
        self.ttft: float | None = None
        self.measured = float("-inf")

    def waiting(self, now: float) -> float:
        """Seconds until it may be asked; while one attempt looks whether it is back, it is out for the others."""
        left = self.until - now
        return left if left > 0 else OUT_SECONDS if self.spells and self.running else 0.0

    def fail(self, failure: Failure, now: float) -> None:
        self.failures += 1
        asked = failure.retry_after if failure.ending == "rate_limited" else None
        if asked is not None or self.spells or self.failures >= FAILURES or failure.kind in AT_ONCE:
            seconds = OUT_SECONDS * 2 ** min(self.spells, 10) if asked is None else asked
            self.until = max(self.until, now + min(seconds, OUT_LIMIT))
            self.spells += 1
            self.why = failure.kind

    def measure(self, ttft: float, now: float) -> None:
        known = self.ttft if now - self.measured < BELIEVED else None
        self.ttft = ttft if known is None else known + NEWEST * (ttft - known)
        self.measured = now

    def speed(self, now: float) -> float:
        """Seconds to the first content, as far as that is known: what isn't goes first to be measured, but by one attempt at a time."""
        if self.ttft is not None and (now - self.measured < BELIEVED or self.running):
            return self.ttft
        return float("inf") if self.running else 0.0


class Slot:
    """One attempt's place at its target, from `Health.begin` until `end`, whatever ends it."""

    __slots__ = ("_rows",)

    def __init__(self, rows: tuple[Row, Row]) -> None:
        self._rows: tuple[Row, Row] | None = rows

    def commit(self, ttft: float | None, now: float) -> None:
        """The first content came, `ttft` seconds after it was asked for; None where that is not how fast it speaks. It is back, but what
        broke off before may break off again: only a good end makes the failures forgotten."""
        if self._rows is not None:
            for row in self._rows:
                row.spells = 0
            if ttft is not None:
                self._rows[0].measure(ttft, now)

    def end(self, failure: Failure | None, now: float) -> None:
        """It is over: well, or with a failure that may speak against the target. Only the first call counts."""
        if (rows := self._rows) is None:
            return
        self._rows = None
        target, provider = rows
        target.running -= 1
        provider.running -= 1
        if failure is None:
            target.failures = provider.failures = 0
        elif failure.kind in WHOLE_PROVIDER:
            provider.fail(failure, now)
        elif failure.consequence.against:
            target.fail(failure, now)


class Health:
    """The table, one for all requests of a process. A row is of a target, or of a whole provider."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def begin(self, target: Named) -> Slot:
        rows = self._make(f"{target.provider}/{target.model}"), self._make(target.provider)
        for row in rows:
            row.running += 1
        return Slot(rows)

    def waiting(self, target: Named, now: float) -> float:
        """Seconds that a target is out for; 0 if it may be asked."""
        return max((row.waiting(now) for row in self._of(target)), default=0.0)

    def why(self, target: Named, now: float) -> str:
        """The kind of the failure that put it out; empty if it is not."""
        return next((row.why for row in self._of(target) if row.waiting(now)), "")

    def speed(self, target: Named, now: float) -> float:
        """Seconds to its first content, as `Row.speed`."""
        row = self._rows.get(f"{target.provider}/{target.model}")
        return row.speed(now) if row else 0.0

    @property
    def running(self) -> int:
        """Attempts that have not ended."""
        return sum(row.running for name, row in self._rows.items() if "/" in name)

    def _of(self, target: Named) -> list[Row]:
        names = f"{target.provider}/{target.model}", target.provider
        return [row for name in names if (row := self._rows.get(name)) is not None]

    def _make(self, name: str) -> Row:
        if (row := self._rows.get(name)) is None:
            if len(self._rows) >= ROWS:
                self._rows = {name: row for name, row in self._rows.items() if row.running or row.spells}
            row = self._rows[name] = Row()
        return row
