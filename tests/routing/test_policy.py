"""What is tried and when, by scripts: no clock, no coin."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.routing.policy import BACKOFF, PATIENCE, Cancel, Command, Commit, Fail, Policy, Report, Rules, Start, Wait, decide, refuse

KINDS = st.sampled_from(list(CONSEQUENCES))


def failed(kind: Kind, retry_after: float | None = None) -> Failure:
    return Failure(kind, kind, retry_after=retry_after)


class World:
    """What a policy lives in: each attempt has its outcome and takes its seconds, in the order of their start."""

    def __init__(self, outcomes: list[Failure | None], takes: list[float]) -> None:
        self.now = 100.0
        self.outcomes = outcomes
        self.takes = takes
        self.running: dict[int, tuple[float, Failure | None]] = {}
        self.commands: list[Command] = []

    def follow(self, policy: Policy) -> list[Command]:
        command = next(policy)
        while True:
            self.commands.append(command)
            try:
                command = policy.send(self.report(command))
            except StopIteration:
                return self.commands

    def report(self, command: Command) -> Report:
        match command:
            case Start(attempt):
                outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
                takes = self.takes.pop(0) if len(self.takes) > 1 else self.takes[0]
                self.running[attempt] = self.now + takes, outcome
            case Cancel(attempt):
                del self.running[attempt]
            case Wait(until):
                due, attempt = min(((due, attempt) for attempt, (due, _) in self.running.items()), default=(math.inf, -1))
                if until is not None and until <= due:
                    self.now = max(self.now, until)
                    return Report(self.now)
                assert due < math.inf, "nothing to wait for"
                self.now = due
                return Report(due, attempt, self.running.pop(attempt)[1])
        return Report(self.now)


def run(
    targets: int,
    *outcomes: Failure | None,
    rules: Rules = Rules(),  # noqa: B008
    random: float = 1.0,
    takes: tuple[float, ...] = (1.0,),
    budget: int = 100,
) -> list[Command]:
    """The commands when attempts come to `outcomes` and take `takes` seconds (the last one for all the rest)."""
    left = budget

    def spend(now: float) -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    world = World(list(outcomes), list(takes))
    return world.follow(decide(range(targets), rules, spend, world.now, lambda: random))


def tries(*targets: int, end: Command | None = None) -> list[Command]:
    """One attempt after another, with no pause between."""
    commands = [command for attempt, target in enumerate(targets) for command in (Start(attempt, target), Wait())]
    return [*commands, end or Commit(len(targets) - 1)]


def paused(until: float, *targets: int, end: Command | None = None) -> list[Command]:
    """The same, with one pause behind the first attempt."""
    commands = tries(*targets, end=end)
    return [*commands[:2], Wait(until), *commands[2:]]


DOWN, LIMITED, BAD = failed("unreachable"), failed("rate_limited"), failed("bad_request")
FULL, SOON, NEVER = failed("limited", 3.0), failed("limited", 1.0), failed("limited")
HEDGED, ONCE = Rules(hedge=2.0), Rules(retries=0)

SCRIPTS: dict[str, tuple[list[Command], list[Command]]] = {
    "content at once": (run(2, None), tries(0)),
    "the second try": (run(2, DOWN, None), paused(101 + BACKOFF, 0, 0)),
    "the second target": (run(2, DOWN, DOWN, None), paused(101 + BACKOFF, 0, 0, 1)),
    "no target": (run(0, None), [Fail(Failure("not_found", "This model has no target."))]),
    "no retries": (run(2, DOWN, rules=Rules(retries=0)), tries(0, 1, end=Fail(DOWN))),
    "pauses grow": (
        [c for c in run(1, DOWN, rules=Rules(retries=3)) if isinstance(c, Wait) and c.until],
        [Wait(101 + BACKOFF), Wait(102 + 3 * BACKOFF), Wait(103 + 7 * BACKOFF)],
    ),
    "full jitter": (run(1, DOWN, None, random=0.0), paused(101, 0, 0)),
    "what the provider asks for is obeyed": (run(1, failed("rate_limited", 2.0), None), paused(103, 0, 0)),
    "zero means now": (run(1, failed("rate_limited", 0.0), None), paused(101, 0, 0)),
    "too long a wait goes elsewhere": (run(2, failed("rate_limited", PATIENCE + 1), None), tries(0, 1)),
    "too long a wait is passed on": (run(1, failed("rate_limited", 60.0)), tries(0, end=Fail(failed("rate_limited", 60.0)))),
    "a bad request is nobody's to mend": (run(2, BAD), tries(0, end=Fail(BAD))),
    "a spent quota goes elsewhere at once": (run(2, failed("quota_exhausted"), None), tries(0, 1)),
    "no wait beyond the end": (run(2, DOWN, None, rules=Rules(total=1.2)), tries(0, 1)),
    "nothing after the end": (run(2, DOWN, rules=Rules(total=1.0)), tries(0, end=Fail(DOWN))),
    "the last failure is told": (run(2, LIMITED, LIMITED, DOWN)[-1:], [Fail(DOWN)]),
    "no second try beyond the budget": (run(1, DOWN, budget=0), tries(0, end=Fail(DOWN))),
    "no second target beyond the budget": (run(2, DOWN, budget=1), paused(101 + BACKOFF, 0, 0, end=Fail(DOWN))),
    "a limit of ours goes elsewhere at once, for nothing": (run(2, FULL, None, budget=0), tries(0, 1)),
    "a limit of ours is no reason to ask again": (run(1, FULL), tries(0, end=Fail(FULL))),
    "of limits the one that is over first is told": (run(3, FULL, SOON, NEVER)[-1:], [Fail(SOON)]),
    "what came of a call is told before a limit": (run(2, FULL, DOWN, rules=ONCE)[-1:], [Fail(DOWN)]),
    "and behind one": (run(2, DOWN, FULL, rules=ONCE)[-1:], [Fail(DOWN)]),
    "to go where it fits costs nothing": (run(2, failed("context_too_long"), None, budget=0), tries(0, 1)),
    "a hedge is first": (
        run(2, None, None, rules=HEDGED, takes=(9.0, 1.0)),
        [Start(0, 0), Wait(102), Start(1, 1), Wait(), Cancel(0), Commit(1)],
    ),
    "a hedge is second": (
        run(2, None, None, rules=HEDGED, takes=(2.5, 1.0)),
        [Start(0, 0), Wait(102), Start(1, 1), Wait(), Cancel(1), Commit(0)],
    ),
    "no hedge where content is soon": (run(2, None, rules=HEDGED), [Start(0, 0), Wait(102), Commit(0)]),
    "no hedge without another target": (run(1, None, rules=HEDGED, takes=(9.0,)), tries(0)),
    "no hedge beyond the budget": (run(2, None, rules=HEDGED, takes=(9.0,), budget=0), [Start(0, 0), Wait(102), Wait(), Commit(0)]),
    "no target comes back when a hedge has failed too": (
        run(3, DOWN, DOWN, None, rules=HEDGED, takes=(3.0, 3.0, 1.0)),
        [Start(0, 0), Wait(102), Start(1, 1), Wait(), Wait(), Start(2, 2), Wait(), Commit(2)],
    ),
    "the other goes on when one fails": (
        run(3, None, DOWN, rules=HEDGED, takes=(9.0, 1.0)),
        [Start(0, 0), Wait(102), Start(1, 1), Wait(), Wait(), Commit(0)],
    ),
    "behind a hedge that failed too comes the next target": (
        run(3, DOWN, DOWN, None, rules=Rules(hedge=2.0, retries=0), takes=(9.0, 1.0)),
        [Start(0, 0), Wait(102), Start(1, 1), Wait(), Wait(), Start(2, 2), Wait(), Commit(2)],
    ),
}


@pytest.mark.parametrize(("commands", "expected"), SCRIPTS.values(), ids=SCRIPTS)
def test_scripts(commands: list[Command], expected: list[Command]) -> None:
    assert commands == expected


def test_where_nothing_is_to_be_tried_it_fails_at_once() -> None:
    assert World([], []).follow(refuse(BAD)) == [Fail(BAD)]


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_each_kind_follows_its_consequence(kind: Kind) -> None:
    consequence, asked = CONSEQUENCES[kind], [c.target for c in run(2, failed(kind)) if isinstance(c, Start)]
    assert asked.count(0) == (2 if consequence.again else 1)
    assert (1 in asked) == consequence.elsewhere


FAILURES = st.builds(failed, KINDS, st.none() | st.floats(0, 20))


@given(
    outcomes=st.lists(st.none() | FAILURES, min_size=1),
    takes=st.lists(st.floats(0, 10), min_size=1),
    targets=st.integers(0, 4),
    retries=st.integers(0, 5),
    total=st.floats(0.1, 30),
    hedge=st.none() | st.floats(0.1, 5),
    budget=st.integers(0, 10),
)
def test_promises(
    outcomes: list[Failure | None], takes: list[float], targets: int, retries: int, total: float, hedge: float | None, budget: int
) -> None:
    """Whatever fails, and however long it takes."""
    commands = run(targets, *outcomes, rules=Rules(retries, total, hedge), takes=tuple(takes), budget=budget)
    starts = [c.target for c in commands if isinstance(c, Start)]
    assert starts == sorted(starts), "no target comes back"
    assert all(starts.count(target) <= retries + 1 for target in starts)
    free = sum(outcome is not None and not outcome.consequence.against for outcome in outcomes)
    assert free or len(starts) <= 1 + budget, "each but the first is paid for"
    assert bool(starts) == bool(targets)
    *_, last = commands
    assert isinstance(last, Commit | Fail)
    assert not any(isinstance(c, Commit | Fail) for c in commands[:-1]), "nothing is tried behind the decision"
    check_flight(commands)


def check_flight(commands: list[Command]) -> None:
    """Attempts are numbered as they start, and only one that was started is cancelled or committed. (What runs at once: `Watched`.)"""
    running = set[int]()
    started = 0
    for command in commands:
        match command:
            case Start(attempt):
                assert attempt == started
                started += 1
                running.add(attempt)
            case Cancel(attempt):
                running.remove(attempt)
            case Commit(attempt):
                assert attempt in running


class Watched(World):
    """Looks at what each command means for time."""

    def __init__(self, outcomes: list[Failure | None], takes: list[float], end: float, late: list[float]) -> None:
        super().__init__(outcomes, takes)
        self.end = end
        self.late = late
        self.last: Failure | None = None
        self.not_before = 0.0

    def report(self, command: Command) -> Report:
        if isinstance(command, Start):
            assert self.now < self.end, "nothing starts behind the end"
            assert len(self.running) < 2, "at most two are in flight"
        elif isinstance(command, Wait) and not self.running:
            assert command.until is not None
            assert self.last is not None
            assert self.last.consequence.again
            assert self.now <= command.until < self.end
            assert command.until - self.now <= PATIENCE
            assert self.last.retry_after is None or command.until == self.now + self.last.retry_after
        elif isinstance(command, Commit | Fail):
            assert not self.running, "no loser goes on"
        report = super().report(command)
        if report.attempt is not None:
            self.last = report.failure
        elif isinstance(command, Wait) and not self.running:
            self.now += self.late.pop() if self.late else 0.0
            report = Report(self.now)
        return report


@example([DOWN], [10.0], 0.1, 5.0, [])
@given(
    outcomes=st.lists(FAILURES, min_size=1),
    takes=st.lists(st.floats(0, 10), min_size=1),
    total=st.floats(0.1, 30),
    hedge=st.none() | st.floats(0.1, 5),
    late=st.lists(st.sampled_from([0.0, 40.0])),
)
def test_time(outcomes: list[Failure | None], takes: list[float], total: float, hedge: float | None, late: list[float]) -> None:
    """However late drivers wake."""
    world = Watched([*outcomes, None], takes, 100.0 + total, late)
    world.follow(decide(range(3), Rules(2, total, hedge), lambda now: True, 100.0, lambda: 0.5))
