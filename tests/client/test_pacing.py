"""Text for screens, by a clock that only the test turns: bursts come as even pieces, nothing is lost or late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import recordings
from telex.client.pacing import paced, paced_async
from telex.testing.recordings import read_timing

Arrivals = list[tuple[float, str]]
"""Texts and when they arrive, in seconds."""


class Source:
    """What has arrived by now comes at once; if nothing has, the clock is turned to when something will."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.now = 0.0
        self._arrivals = arrivals

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.now += seconds

    def __iter__(self) -> Iterator[str]:
        at = 0
        while at < len(self._arrivals):
            self.now = max(self.now, self._arrivals[at][0])
            text = ""
            while at < len(self._arrivals) and self._arrivals[at][0] <= self.now:
                text += self._arrivals[at][1]
                at += 1
            yield text

    async def __aiter__(self) -> AsyncIterator[str]:
        for text in self:
            yield text


def seen(arrivals: Arrivals, seconds: float) -> Arrivals:
    """The pieces that a screen shows, and when."""
    source = Source(arrivals)
    return [(source.now, piece) for piece in paced(source, seconds, lambda: source.now, source.sleep)]


def check(arrivals: Arrivals, seconds: float) -> Arrivals:
    shown = seen(arrivals, seconds)
    assert "".join(piece for _, piece in shown) == "".join(text for _, text in arrivals)
    due = [(at + seconds, end) for (at, _), end in zip(arrivals, accumulate(len(text) for _, text in arrivals), strict=True)]
    ends = list(accumulate(len(piece) for _, piece in shown))
    for deadline, end in due:  # each character is there before it is due
        at = next((when for (when, _), shown_end in zip(shown, ends, strict=True) if shown_end >= end), None)
        assert at is None or at <= deadline + 1e-9
    return shown


gaps = st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.02, 0.03, 0.2]), st.text(min_size=1, max_size=30)), min_size=1, max_size=30)


@given(gaps, st.sampled_from([0.05, 0.075, 0.1]))
def test_nothing_is_lost_and_nothing_late(gaps: Arrivals, seconds: float) -> None:
    times = accumulate(gap for gap, _ in gaps)
    check([(at, text) for at, (_, text) in zip(times, gaps, strict=True)], seconds)


def test_a_burst_becomes_even_pieces() -> None:
    shown = check([(0.0, "x" * 60)], 0.1)
    assert [len(piece) for _, piece in shown] == [20, 20, 20]
    assert [round(at, 4) for at, _ in shown] == [0.0, 0.0167, 0.0333]


def test_what_comes_evenly_is_not_held_back() -> None:
    arrivals = [(n * 0.03, "word ") for n in range(20)]
    shown = check(arrivals, 0.05)
    assert shown == [(at, text) for at, text in arrivals]


def test_a_slow_reader_is_not_kept_waiting() -> None:
    source = Source([(0.0, "x" * 60)])
    times = []
    for _ in paced(source, 0.1, lambda: source.now, source.sleep):
        times.append(source.now)
        source.now += 1.0  # drawing takes this long
    assert times == [0.0, 1.0, 2.0]


async def test_both_colours_are_one() -> None:
    arrivals = [(0.0, "x" * 60), (0.01, "y" * 31), (0.5, "z")]
    source = Source(arrivals)
    shown = [(source.now, piece) async for piece in paced_async(source, 0.1, lambda: source.now, source.sleep_async)]
    assert shown == seen(arrivals, 0.1)


def timed() -> list[Path]:
    folder = recordings()
    return sorted(folder.rglob("*.timing")) if folder else []


@pytest.mark.parametrize("file", timed() or [None], ids=lambda file: file.name if file else "synthetic")
def test_recorded_bursts(file: Path | None) -> None:
    """The gaps of a real provider, where its recording has them; else those of one that sends what it has five times a second."""
    if file is None:
        timing = [(n * 0.2 + k * 0.0005, 40) for n in range(20) for k in range(25)]
    else:
        timing = [(at, count) for at, count in read_timing(file) if count]
    shown = check([(at, "x" * max(1, count // 40)) for at, count in timing], 0.1)
    assert all(a <= b for (a, _), (b, _) in pairwise(shown))
