"""Answers that stop in their middle and wait: what is shown meanwhile was shown before the end."""

from __future__ import annotations

from telex.testing import Call, Head, Play, Script, Send, Stall, say
from telex.testing.script import resolve


def started(*texts: str) -> Play:
    """An answer that has begun, with a word of which nothing more comes until its client leaves."""

    def play(call: Call) -> Script:
        steps = resolve(say(*texts), call)
        ends = [number for number, step in enumerate(steps) if isinstance(step, Send) and texts[-1].encode() in step.data]
        return (*steps[: ends[-1] + 1], Stall())

    return play


def headed(play: Play, *headers: tuple[str, str]) -> Play:
    """The same with more headers."""

    def answer(call: Call) -> Script:
        head, *steps = resolve(play, call)
        assert isinstance(head, Head)
        return (Head(head.status, (*head.headers, *headers), head.framing), *steps)

    return answer
