"""The limits of keys, models and targets, and what is used of them: several are taken together, or none.

Tokens are taken before anybody knows how many there will be, by estimate, and set right at the end. Times are arguments, in seconds of
one monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from telex.limits.window import Entry, Window

AGAIN = 1.0
"""Seconds after which one may ask again where another request must end first: nobody knows when it will."""

ROWS = 1000
"""How many rows are kept that nobody needs any more: names come and go."""

Which = Literal["rpm", "tpm", "concurrent"]

WORDS: dict[Which, str] = {"rpm": "requests a minute", "tpm": "tokens a minute", "concurrent": "requests at once"}


class Limits(Struct, frozen=True):
    """At most so many requests and tokens in any sixty seconds, and requests at once. None: as many as come."""

    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self != UNLIMITED


UNLIMITED = Limits()


class Holder(Struct, frozen=True):
    """Whose limits they are. `id`: where others may have had that name before."""

    kind: Literal["key", "model", "target"]
    name: str
    limits: Limits = UNLIMITED
    id: str = ""

    def __str__(self) -> str:
        return f"the {self.kind} '{self.name}'"


class Need(Struct, frozen=True):
    """Tokens of one request: those that it asks for, and how many more there may be, of which a limit need not have room for all."""

    asked: int = 0
    perhaps: int = 0

    def within(self, limit: int) -> int:
        return max(self.asked, min(self.asked + self.perhaps, limit))


class Refusal(Struct, frozen=True):
    """`amount`: what was asked for of `limit`. `wait`: seconds until it fits, None if it never will."""

    holder: Holder
    which: Which
    limit: int
    amount: int
    wait: float | None

    def __str__(self) -> str:
        """A sentence for who asked."""
        has = f"{self.holder} has the limit {self.which} = {self.limit} ({WORDS[self.which]})"
        if self.wait is None:
            return f"This request needs {self.amount} tokens, and {has}: it will never fit. Shorten the prompt or max_tokens."
        return f"Not now: {has}, and this request fits in {math.ceil(self.wait)} s."


class Quota(Struct, frozen=True):
    """What is left of a limit. `more_in`: seconds until more of it is, None if nobody knows."""

    which: Which
    limit: int
    left: int
    more_in: float | None


class Count(Struct, frozen=True):
    """So much was taken of a holder's limit `at` that time, as it is saved."""

    kind: str
    name: str
    which: Literal["rpm", "tpm"]
    amount: int
    at: float


class Row:
    """What is used of one holder's limits."""

    __slots__ = ("requests", "running", "tokens")

    def __init__(self) -> None:
        self.requests = Window()
        self.tokens = Window()
        self.running = 0

    def refusals(self, holder: Holder, need: Need, now: float) -> Iterable[Refusal]:
        limits = holder.limits
        if limits.concurrent is not None and self.running >= limits.concurrent:
            yield Refusal(holder, "concurrent", limits.concurrent, 1, AGAIN)
        if limits.rpm is not None and (wait := self.requests.wait(1, limits.rpm, now)) != 0:
            yield Refusal(holder, "rpm", limits.rpm, 1, wait)
        if limits.tpm is not None:
            amount = need.within(limits.tpm)
            if (wait := self.tokens.wait(amount, limits.tpm, now)) != 0:
                yield Refusal(holder, "tpm", limits.tpm, amount, wait)

    def quotas(self, limits: Limits, now: float) -> Iterable[Quota]:
        if limits.rpm is not None:
            yield Quota("rpm", limits.rpm, max(0, limits.rpm - self.requests.used(now)), self.requests.more_in(now))
        if limits.tpm is not None:
            yield Quota("tpm", limits.tpm, max(0, limits.tpm - self.tokens.used(now)), self.tokens.more_in(now))
        if limits.concurrent is not None:
            yield Quota("concurrent", limits.concurrent, max(0, limits.concurrent - self.running), None)

    @property
    def windows(self) -> tuple[tuple[Literal["rpm", "tpm"], Window], ...]:
        return ("rpm", self.requests), ("tpm", self.tokens)

    def is_idle(self, now: float) -> bool:
        return not (self.running or self.requests.used(now) or self.tokens.used(now))


class Share:
    """What one request has of one row."""

    __slots__ = ("_request", "_row", "_tokens")

    def __init__(self, row: Row, limits: Limits, need: Need, now: float) -> None:
        row.running += 1
        self._row = row
        self._request = row.requests.take(1, now) if limits.rpm is not None else None
        self._tokens: tuple[Entry, int] | None = None
        if limits.tpm is not None:
            amount = need.within(limits.tpm)
            self._tokens = row.tokens.take(amount, now), amount

    def end(self, tokens: int, now: float) -> None:
        """What was too much of the tokens is given back; what was too little counts from now on."""
        self._row.running -= 1
        if self._tokens is not None:
            entry, taken = self._tokens
            if tokens <= taken:
                self._row.tokens.give_back(entry, taken - tokens)
            else:
                self._row.tokens.take(tokens - taken, now)

    def cancel(self) -> None:
        self._row.running -= 1
        if self._request is not None:
            self._row.requests.give_back(self._request, 1)
        if self._tokens is not None:
            self._row.tokens.give_back(*self._tokens)


class Lease:
    """One request's part of several limits, until `end` or `cancel`, whatever ends it. Only the first of all calls counts."""

    __slots__ = ("_shares",)

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares

    def end(self, tokens: int, now: float) -> None:
        """It reached a provider, and so many tokens were used."""
        shares, self._shares = self._shares, ()
        for share in shares:
            share.end(tokens, now)

    def cancel(self) -> None:
        """It never reached a provider: all of it is given back."""
        shares, self._shares = self._shares, ()
        for share in shares:
            share.cancel()


class Table:
    """One for all requests of a process. A row is of a key, a model or a target that has limits."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    @property
    def running(self) -> int:
        """Shares that have not been given back."""
        return sum(row.running for row in self._rows.values())

    def take(self, holders: Iterable[Holder], need: Need, now: float) -> Lease | Refusal:
        """All of it, or the refusal that is longest in the way."""
        rows = [(self._make(holder, now), holder) for holder in holders if holder.limits]
        refusals = [refusal for row, holder in rows for refusal in row.refusals(holder, need, now)]
        if refusals:
            return max(refusals, key=lambda refusal: math.inf if refusal.wait is None else refusal.wait)
        return Lease([Share(row, holder.limits, need, now) for row, holder in rows])

    def quotas(self, holders: Iterable[Holder], now: float) -> list[Quota]:
        """What is left of each kind of limit, at the holder that has least of it."""
        least: dict[Which, Quota] = {}
        for holder in holders:
            if holder.limits:
                for quota in self._make(holder, now).quotas(holder.limits, now):
                    known = least.get(quota.which)
                    if known is None or quota.left < known.left:
                        least[quota.which] = quota
        return list(least.values())

    def dump(self, now: float) -> list[Count]:
        """What counts now, in the order of its times for each limit."""
        return [
            Count(kind, name, which, amount, at)
            for (kind, name), row in self._rows.items()
            for which, window in row.windows
            for at, amount in window.dump(now)
        ]

    def restore(self, counts: Iterable[Count]) -> None:
        """Begin with what was dumped, before anything is taken."""
        for count in counts:
            row = self._rows.setdefault((count.kind, count.name), Row())
            dict(row.windows)[count.which].take(count.amount, count.at)

    def _make(self, holder: Holder, now: float) -> Row:
        key = holder.kind, holder.id or holder.name
        if (row := self._rows.get(key)) is None:
            if len(self._rows) >= ROWS:
                self._rows = {key: row for key, row in self._rows.items() if not row.is_idle(now)}
            row = self._rows[key] = Row()
        return row
