"""What is tried and when, by scripts: no clock, no coin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.routing.policy import BACKOFF, PATIENCE, Command, Commit, Fail, Rules, Start, Wait, decide

KINDS = st.sampled_from(list(CONSEQUENCES))


def failed(kind: Kind, retry_after: float | None = None) -> Failure:
    return Failure(kind, kind, retry_after=retry_after)


def run(
    targets: int, *outcomes: Failure | None, rules: Rules = Rules(), random: float = 1.0, takes: float = 1.0  # noqa: B008
) -> list[Command]:  # fmt: skip
    """The commands when attempts come to `outcomes` (the last one for all the rest), each after `takes` seconds."""
    now, left = 100.0, list(outcomes)
    policy = decide(targets, rules, now, lambda: random)
    commands = [next(policy)]
    while True:
        outcome = None
        match commands[-1]:
            case Start():
                now += takes
                outcome = left.pop(0) if len(left) > 1 else left[0]
            case Wait(until):
                now = max(now, until)
        try:
            commands.append(policy.send((outcome, now)))
        except StopIteration:
            return commands
        if isinstance(commands[-1], Fail):
            return commands


DOWN, LIMITED, BAD = failed("unreachable"), failed("rate_limited"), failed("bad_request")

SCRIPTS: dict[str, tuple[list[Command], list[Command]]] = {
    "content at once": (run(2, None), [Start(0), Commit()]),
    "the second try": (run(2, DOWN, None), [Start(0), Wait(101 + BACKOFF), Start(0), Commit()]),
    "the second target": (run(2, DOWN, DOWN, None), [Start(0), Wait(101 + BACKOFF), Start(0), Start(1), Commit()]),
    "all are down": (
        run(2, DOWN),
        [Start(0), Wait(101 + BACKOFF), Start(0), Start(1), Wait(103 + 2 * BACKOFF), Start(1), Fail(DOWN)],
    ),
    "no target": (run(0, None), [Fail(Failure("not_found", "This model has no target."))]),
    "no retries": (run(2, DOWN, rules=Rules(retries=0)), [Start(0), Start(1), Fail(DOWN)]),
    "pauses grow": (
        run(1, DOWN, rules=Rules(retries=3)),
        [Start(0), Wait(101 + BACKOFF), Start(0), Wait(102 + 3 * BACKOFF), Start(0), Wait(103 + 7 * BACKOFF), Start(0), Fail(DOWN)],
    ),
    "full jitter": (run(1, DOWN, None, random=0.0), [Start(0), Wait(101), Start(0), Commit()]),
    "what the provider asks for is obeyed": (run(1, failed("rate_limited", 2.0), None), [Start(0), Wait(103), Start(0), Commit()]),
    "zero means now": (run(1, failed("rate_limited", 0.0), None), [Start(0), Wait(101), Start(0), Commit()]),
    "too long a wait goes elsewhere": (run(2, failed("rate_limited", PATIENCE + 1), None), [Start(0), Start(1), Commit()]),
    "too long a wait is passed on": (run(1, failed("rate_limited", 60.0)), [Start(0), Fail(failed("rate_limited", 60.0))]),
    "a bad request is nobody's to mend": (run(2, BAD), [Start(0), Fail(BAD)]),
    "a spent quota goes elsewhere at once": (run(2, failed("quota_exhausted"), None), [Start(0), Start(1), Commit()]),
    "no wait beyond the end": (run(2, DOWN, None, rules=Rules(total=1.2)), [Start(0), Start(1), Commit()]),
    "nothing after the end": (run(2, DOWN, rules=Rules(total=1.0)), [Start(0), Fail(DOWN)]),
    "the last failure is told": (run(2, LIMITED, LIMITED, DOWN)[-1:], [Fail(DOWN)]),
}


@pytest.mark.parametrize(("commands", "expected"), SCRIPTS.values(), ids=SCRIPTS)
def test_scripts(commands: list[Command], expected: list[Command]) -> None:
    assert commands == expected


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_each_kind_follows_its_consequence(kind: Kind) -> None:
    consequence, starts = CONSEQUENCES[kind], [c for c in run(2, failed(kind)) if isinstance(c, Start)]
    assert starts.count(Start(0)) == (2 if consequence.again else 1)
    assert (Start(1) in starts) == consequence.elsewhere


FAILURES = st.builds(failed, KINDS, st.none() | st.floats(0, 20))


@given(data=st.data(), targets=st.integers(0, 4), retries=st.integers(0, 5), total=st.floats(0.1, 30))
def test_promises(data: st.DataObject, targets: int, retries: int, total: float) -> None:
    """Whatever fails and however late drivers wake."""
    now = 100.0
    policy = decide(targets, Rules(retries, total), now, lambda: data.draw(st.floats(0, 1)))
    command, starts, asked = next(policy), list[int](), now
    last: Failure | None = None
    while True:
        outcome = None
        if isinstance(command, Start):
            assert now < 100.0 + total, "nothing starts behind the end"
            assert now >= asked, "a retry_after is obeyed"
            starts.append(command.target)
            now += data.draw(st.floats(0, 10))
            outcome = last = data.draw(st.none() | FAILURES)
            asked = now
        elif isinstance(command, Wait):
            assert last is not None
            assert last.consequence.again
            assert now <= command.until < 100.0 + total
            assert command.until - now <= PATIENCE
            if last.retry_after is not None:
                assert command.until == now + last.retry_after
            now = asked = command.until + data.draw(st.sampled_from([0.0, 0.0, 40.0]))
        else:
            break
        command = policy.send((outcome, now))
    if isinstance(command, Commit):
        assert last is None
        with pytest.raises(StopIteration):
            policy.send((None, now))
    else:
        assert command == Fail(last or Failure("not_found", "This model has no target."))
    assert starts == sorted(starts), "no target comes back"
    assert all(starts.count(target) <= retries + 1 for target in starts)
    assert starts == [] if not targets else starts[0] == 0
