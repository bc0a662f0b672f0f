"""What to try and when to stop: a generator that commands and is told what came of it.

It never waits, draws or connects, so a test needs no clock and every driver shares every rule. A command is yielded, its outcome
and the time are sent back. Nothing is tried again after the first content; before it, once more at a target, then at the next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from msgspec import Struct

from telex.core.errors import Failure

BACKOFF = 0.25
"""Seconds of the first pause between two tries at one target; full jitter shortens it."""

PATIENCE = 5.0
"""Seconds that a `retry_after` may ask for; what wants more is passed on to who asked."""


class Rules(Struct, frozen=True):
    """`retries`: of one target. `total`: seconds for everything."""

    retries: int = 1
    total: float = 600.0


class Start(Struct, frozen=True):
    """Try target number `target`, and say whether its first content came (`None`) or what failed."""

    target: int


class Wait(Struct, frozen=True):
    """Do nothing until this time, in seconds of the clock that is sent back."""

    until: float


class Commit(Struct, frozen=True):
    """The attempt that was started last is the one: whatever comes now is the generation's."""


class Fail(Struct, frozen=True):
    failure: Failure


Command = Start | Wait | Commit | Fail
Outcome = tuple[Failure | None, float]
Policy = Generator[Command, Outcome, None]


def decide(targets: int, rules: Rules, now: float, random: Callable[[], float]) -> Policy:
    """The commands for one generation over `targets` targets in their order. `random` gives numbers from 0 to 1."""
    end = now + rules.total
    failure = Failure("not_found", "This model has no target.")
    for target in range(targets):
        for attempt in range(rules.retries + 1):
            outcome, now = yield Start(target)
            if outcome is None:
                yield Commit()
                return
            failure = outcome
            pause = failure.retry_after if failure.retry_after is not None else BACKOFF * 2**attempt * random()
            if not failure.consequence.again or attempt == rules.retries or pause > PATIENCE or now + pause >= end:
                break
            _, now = yield Wait(now + pause)
            if now >= end:  # woken late
                break
        if not failure.consequence.elsewhere or now >= end:
            break
    yield Fail(failure)
