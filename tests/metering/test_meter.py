"""Time and tokens, read off events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Progress, Start
from telex.core.messages import Finish, Message, Part, Request, Usage
from telex.metering.meter import Meter, Timing, quantile

REQUEST = Request(
    model="m", messages=(Message("user", (Part("text", "x" * 9), Part("image", url="https://x"))), Message("user", (Part("text", "y"),)))
)
OPEN = PartStart(0, 0, "text")


def text(words: str) -> PartDelta:
    return PartDelta(0, 0, words)


def fed(*frames: tuple[float, list[Event]]) -> Meter:
    meter = Meter(REQUEST, 10.0)
    for now, events in frames:
        meter.feed(events, now)
    return meter


def test_timing() -> None:
    meter = Meter(REQUEST, 10.0)
    meter.connected(10.5)
    meter.feed([Start("i", "m"), OPEN], 11.0)  # a role is no content
    meter.feed([Progress(1, 2), Extra(0, {"a": 1})], 11.5)
    meter.feed([text("a")], 12.0)
    meter.feed([text("b"), text("c")], 12.5)  # one frame, one gap
    meter.feed([text("d")], 14.5)
    meter.feed([PartEnd(0, 0), Finish(0, "stop"), Usage(1, 2), Done()], 15.0)
    meter.end(16.0)
    assert meter.timing(99.0) == Timing(2.0, 0.5, 2.0, 6.0, 0.5)
    assert list(meter.gaps) == [0.5, 2.0]


def test_as_far_as_it_has_come() -> None:
    assert fed().timing(13.0) == Timing(None, None, None, 3.0, None)
    assert fed((12.0, [OPEN, text("a")])).timing(13.0) == Timing(2.0, None, None, 3.0, None)


@pytest.mark.parametrize(("event", "content"), [
    (text("a"), True), (PartStart(0, 0, "tool_call"), True), (PartDelta(0, 0, "", "AAAA"), True),
    (PartDelta(0, 0, "", "", "signature"), False),
    (PartDelta(0, 0), False), (OPEN, False), (Usage(1), False), (Finish(0, "stop"), False),
])  # fmt: skip
def test_what_counts_as_the_first_content(event: Event, content: bool) -> None:
    assert (fed((12.0, [event])).timing(13.0).ttft is not None) == content


TOKENS: list[tuple[list[Event], bool, tuple[Usage | None, str]]] = [
    ([text("abc"), Usage(7, 3)], True, (Usage(7, 3), "final")),
    ([Usage(7, 1), text("abc"), Usage(7, 3)], True, (Usage(7, 3), "final")),
    ([text("abc"), Usage(7, 3)], False, (Usage(7, 3), "partial")),
    ([text("abcde"), text("f")], True, (Usage(3, 2), "estimated")),
    ([text("abcde")], False, (Usage(3, 2), "estimated")),
    ([], False, (None, "missing")),
    ([], True, (Usage(3, 0), "estimated")),
]


@pytest.mark.parametrize(("events", "complete", "expected"), TOKENS)
def test_tokens(events: list[Event], complete: bool, expected: tuple[Usage | None, str]) -> None:
    assert fed((11.0, [OPEN, *events])).tokens(complete) == expected


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([], 0.5, None), ([1.0], 0.5, 1.0), ([1.0], 0.95, 1.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([float(n) for n in range(1, 21)], 0.95, 19.0), ([float(n) for n in range(1, 101)], 0.95, 95.0),
    ],
)  # fmt: skip
def test_quantiles_are_of_the_nearest_rank(values: list[float], q: float, expected: float | None) -> None:
    assert quantile(values, q) == expected


@given(values=st.lists(st.floats(0, 100), min_size=1, max_size=50).map(sorted), q=st.floats(0.01, 1))
def test_a_quantile_is_a_value_and_no_fewer_are_below_it(values: list[float], q: float) -> None:
    value = quantile(values, q)
    assert value in values
    assert sum(v <= value for v in values) >= q * len(values) - 1e-9
