"""What there was in the last minute, exactly: every amount is kept with its time, and forgotten when it is a minute old.

Times are arguments, in seconds of one monotonic clock. A step costs the same however much there was.
"""

from __future__ import annotations

import math
from collections import deque

SECONDS = 60.0
"""How long what was taken counts."""

MOST = 10_000
"""Entries that are kept one by one. Where there are more, those of the same six milliseconds become one, which lasts as long as the
youngest of them: memory is bounded, and never too much is let in."""


class Entry:
    """An amount that was taken, the last of it `at` that time. It is 0 once it no longer counts."""

    __slots__ = ("amount", "at", "began")

    def __init__(self, amount: int, at: float) -> None:
        self.amount = amount
        self.began = self.at = at


class Window:
    """At most `limit` in any sixty seconds, for whoever asks `wait` first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._total = 0

    def __len__(self) -> int:
        """How many entries are kept."""
        return len(self._entries)

    def used(self, now: float) -> int:
        """What counts now."""
        entries = self._entries
        while entries and entries[0].at + SECONDS <= now:
            entry = entries.popleft()
            self._total -= entry.amount
            entry.amount = 0
        return self._total

    def wait(self, amount: int, limit: int, now: float) -> float | None:
        """Seconds until so much more fits; 0 if it does, None if it never will."""
        missing = self.used(now) + amount - limit
        if missing <= 0:
            return 0.0
        if amount > limit:
            return None
        for entry in self._entries:
            missing -= entry.amount
            if missing <= 0:
                return entry.at + SECONDS - now
        raise AssertionError("the entries add up to what is used")

    def take(self, amount: int, now: float) -> Entry:
        """Count so much, fitting or not."""
        last = self._entries[-1] if self._entries else None
        now = now if last is None else max(now, last.at)  # threads may come a little late
        self._total += amount
        if last is not None and len(self._entries) >= MOST and now - last.began < SECONDS / MOST:
            last.amount += amount
            last.at = now
            return last
        entry = Entry(amount, now)
        self._entries.append(entry)
        return entry

    def give_back(self, entry: Entry, amount: int) -> None:
        """So much of an entry was not needed. What is forgotten already gives nothing back."""
        amount = min(amount, entry.amount)
        entry.amount -= amount
        self._total -= amount

    def dump(self, now: float) -> list[tuple[float, int]]:
        """(time, amount) of what counts now, that of one second as one amount of the youngest in it."""
        self.used(now)
        seconds: dict[int, tuple[float, int]] = {}
        for entry in self._entries:
            if entry.amount:
                _, amount = seconds.get(second := math.floor(entry.at), (0.0, 0))
                seconds[second] = entry.at, amount + entry.amount
        return list(seconds.values())

    def more_in(self, now: float) -> float:
        """Seconds until something that counts now is forgotten; 0 if nothing does."""
        self.used(now)
        return next((entry.at + SECONDS - now for entry in self._entries if entry.amount), 0.0)
