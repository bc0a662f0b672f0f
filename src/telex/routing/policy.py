"""What to try and when to stop: a generator that commands and is told what came of it.

It never waits, draws or connects, so a test needs no clock and every driver shares every rule. A command is yielded, a report of what
came of it is sent back. Nothing is tried again after the first content; before it, once more at a target, then at the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from itertools import count
from math import inf

from msgspec import Struct

from telex.core.errors import Failure

BACKOFF = 0.25
"""Seconds of the first pause between two tries at one target; full jitter shortens it."""

PATIENCE = 5.0
"""Seconds that a `retry_after` may ask for; what wants more is passed on to who asked."""


class Rules(Struct, frozen=True):
    """`retries`: of one target. `total`: seconds for everything. `hedge`: seconds without content after which a second target is asked too,
    and the one that is first stays; None for never."""

    retries: int = 1
    total: float = 600.0
    hedge: float | None = None


class Start(Struct, frozen=True):
    """Begin this attempt at target number `target`. It goes on by itself."""

    attempt: int
    target: int


class Wait(Struct, frozen=True):
    """Report the next verdict of an attempt that runs, or this time (in seconds of the clock of the reports) if it comes first."""

    until: float | None = None


class Cancel(Struct, frozen=True):
    """Give up this attempt, which runs; nothing more is reported of it."""

    attempt: int


class Commit(Struct, frozen=True):
    """This attempt is the one: whatever comes of it now is the generation's."""

    attempt: int


class Fail(Struct, frozen=True):
    failure: Failure


class Report(Struct, frozen=True):
    """What a command came to. `attempt`: whose verdict it is, if it is one: its first content came (`failure` is None), or why not."""

    now: float
    attempt: int | None = None
    failure: Failure | None = None


Command = Start | Wait | Cancel | Commit | Fail
Policy = Generator[Command, Report, None]
Spend = Callable[[float], bool]
"""Whether there may be one more attempt now: the first of a request is not asked for."""


def decide(targets: Sequence[int], rules: Rules, spend: Spend, now: float, random: Callable[[], float]) -> Policy:
    """The commands for one generation over `targets` in their order. `random` gives numbers from 0 to 1."""
    end, left, numbers = now + rules.total, deque(targets), count()
    told: Failure | None = None
    while left:
        target = left.popleft()
        for tries in range(rules.retries + 1):
            others = len(left)
            failure, now = yield from ask(target, left, rules, spend, now, end, numbers)
            if failure is None:
                return
            pause = failure.retry_after if failure.retry_after is not None else BACKOFF * 2**tries * random()
            hedged = len(left) < others  # two have failed, and both are behind us
            if hedged or not failure.consequence.again or tries == rules.retries:
                break
            if pause > PATIENCE or now + pause >= end or not spend(now):
                break
            now = (yield Wait(now + pause)).now
            if now >= end:  # woken late
                break
        assert failure is not None
        told = failure if told is None else choose(told, failure)
        if not left or not failure.consequence.elsewhere or now >= end:
            break
        if failure.consequence.against and not spend(now):  # a request that does not fit here is nobody's trouble
            break
    yield Fail(told or Failure("not_found", "This model has no target."))


def choose(known: Failure, new: Failure) -> Failure:
    """Which of two targets' failures is told: the last that came of a call or, where limits allow none, the one of the limit that is over
    first."""
    if new.kind != "limited":
        return new
    if known.kind != "limited":
        return known
    return min(known, new, key=lambda failure: inf if failure.retry_after is None else failure.retry_after)


def ask(
    target: int, others: deque[int], rules: Rules, spend: Spend, now: float, end: float, numbers: count[int]
) -> Generator[Command, Report, tuple[Failure | None, float]]:
    """Try one target, and hedge: if it is silent for too long, the next of `others` beside it. None once one of them is committed, else
    the failure that counts: the last."""
    first = next(numbers)
    running = {first}
    yield Start(first, target)
    hedge_at = now + rules.hedge if rules.hedge is not None and others and now + rules.hedge < end else None
    while True:
        report = yield Wait(hedge_at)
        if report.attempt is None:
            hedge_at = None
            if spend(report.now):
                second = next(numbers)
                running.add(second)
                yield Start(second, others.popleft())
            continue
        running.discard(report.attempt)
        if report.failure is None:
            for loser in running:
                yield Cancel(loser)
            yield Commit(report.attempt)
            return None, report.now
        hedge_at = None  # what failed is followed by the rules for failures
        if not running:
            return report.failure, report.now


def refuse(failure: Failure) -> Policy:
    """The commands where nothing is to be tried."""
    yield Fail(failure)
