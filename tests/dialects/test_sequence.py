"""Parts that are open at once, put one after another."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import json_values, words
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Citation, Finish, Usage
from telex.dialects.sequence import Arguments, Sequencer


def call(index: int, choice: int = 0) -> PartStart:
    return PartStart(choice, index, "tool_call", f"c{index}", "f", "function")


def sequenced(events: list[Event]) -> list[Event]:
    sequencer = Sequencer()
    return [one for event in events for one in sequencer.feed(event)]


def most_open(events: list[Event]) -> int:
    """How many parts of one choice were open at once; each delta must be of an open one."""
    opened: set[tuple[int, int]] = set()
    most = 0
    for event in events:
        match event:
            case PartStart():
                opened.add((event.choice, event.index))
            case PartDelta() | Cite():
                assert (event.choice, event.index) in opened
            case PartEnd():
                opened.remove((event.choice, event.index))
        most = max([most, *(sum(c == choice for c, _ in opened) for choice, _ in opened)])
    assert not opened
    return most


def test_the_open_part_flows_and_others_wait() -> None:
    sequencer = Sequencer()
    assert sequencer.feed(call(0)) == [call(0)]
    assert sequencer.feed(PartDelta(0, 0, '{"a":')) == [PartDelta(0, 0, '{"a":')]
    assert sequencer.feed(call(1)) == []
    assert sequencer.feed(PartDelta(0, 1, '{"b"')) == []
    assert sequencer.feed(PartDelta(0, 0, "1}")) == [PartDelta(0, 0, "1}"), PartEnd(0, 0), call(1), PartDelta(0, 1, '{"b"')]
    assert sequencer.feed(PartDelta(0, 1, ":2}")) == [PartDelta(0, 1, ":2}")]
    assert sequencer.feed(PartEnd(0, 0)) == []
    assert sequencer.feed(PartEnd(0, 1)) == [PartEnd(0, 1)]


def test_white_space_behind_whole_arguments_is_let_go() -> None:
    events: list[Event] = [call(0), PartDelta(0, 0, "{}"), call(1), PartDelta(0, 0, " \n"), PartEnd(0, 0), PartEnd(0, 1)]
    assert sequenced(events) == [call(0), PartDelta(0, 0, "{}"), PartEnd(0, 0), call(1), PartEnd(0, 1)]


def test_free_text_is_never_taken_for_arguments() -> None:
    custom = PartStart(0, 0, "tool_call", "c", "f", "custom")
    events: list[Event] = [custom, PartDelta(0, 0, "{}"), call(1), PartDelta(0, 0, " and more"), PartEnd(0, 0), PartEnd(0, 1)]
    assert sequenced(events) == [custom, PartDelta(0, 0, "{}"), PartDelta(0, 0, " and more"), PartEnd(0, 0), call(1), PartEnd(0, 1)]


def test_text_is_not_closed_by_what_looks_like_arguments() -> None:
    text = PartStart(0, 0, "text")
    events: list[Event] = [text, PartDelta(0, 0, "{}"), call(1), PartDelta(0, 0, "!"), PartEnd(0, 0), PartEnd(0, 1)]
    assert sequenced(events)[-3:] == [PartEnd(0, 0), call(1), PartEnd(0, 1)]


@pytest.mark.parametrize("last", [Finish(0, "stop"), Done(), Failure("truncated", "Cut.")])
def test_the_end_of_all_ends_all(last: Event) -> None:
    """What came is said, also of a call that was cut."""
    events: list[Event] = [call(0), PartDelta(0, 0, '{"a'), call(1), PartDelta(0, 1, '{"b'), call(2), last]
    closed = [call(0), PartDelta(0, 0, '{"a'), PartEnd(0, 0), call(1), PartDelta(0, 1, '{"b'), PartEnd(0, 1), call(2), PartEnd(0, 2)]
    assert sequenced(events) == [*closed, last]


def test_a_finish_ends_its_own_choice_only() -> None:
    events: list[Event] = [call(0), call(0, choice=1), Finish(1, "stop")]
    assert sequenced(events) == [call(0), call(0, choice=1), PartEnd(1, 0), Finish(1, "stop")]


def test_what_is_about_no_part_passes_at_once() -> None:
    others: list[Event] = [Start("i", "m"), Usage(1), Extra(0, {"a": 1})]
    assert sequenced(others) == others


@given(value=st.dictionaries(words, json_values, max_size=3), data=st.data())
def test_arguments_are_whole_at_their_last_bracket_and_not_before(value: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    arguments = Arguments()
    for character in text:
        assert not arguments.whole
        arguments.feed(character)
    assert arguments.whole
    arguments.feed(" \n")
    assert arguments.whole


@pytest.mark.parametrize("text", ["[]", '"a"', "{]", "12", "{'a':1}", "}", ""])
def test_what_is_no_object_is_never_whole(text: str) -> None:
    arguments = Arguments()
    arguments.feed(text)
    assert not arguments.whole


@st.composite
def interleaved(draw: st.DrawFn) -> list[Event]:
    """Parts of two choices in any legal order: each in its own, mixed with the others'."""
    flows: list[list[Event]] = []
    for choice in range(draw(st.integers(1, 2))):
        for index in range(draw(st.integers(0, 4))):
            kind = draw(st.sampled_from(["text", "tool_call", "reasoning"]))
            if kind == "tool_call":
                text = json.dumps(draw(st.dictionaries(words, json_values, max_size=2)))
                flow: list[Event] = [call(index, choice)]
            else:
                text = draw(words)
                flow = [PartStart(choice, index, kind)]  # type: ignore[arg-type]
            flow += [PartDelta(choice, index, piece) for piece in pieces(draw, text)]
            if kind == "text" and draw(st.booleans()):
                flow.append(Cite(choice, index, Citation("u")))
            flows.append([*flow, PartEnd(choice, index)])
    events: list[Event] = [Start("i", "m")]
    while flows := [flow for flow in flows if flow]:
        events.append(draw(st.sampled_from(flows)).pop(0))
    return [*events, Finish(0, "stop"), Finish(1, "stop"), Done()]


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    size = draw(st.integers(1, 5))
    return [text[i : i + size] for i in range(0, len(text), size)]


@given(events=interleaved())
def test_nothing_is_lost_and_one_part_is_open_at_a_time(events: list[Event]) -> None:
    again = sequenced(events)
    assert fold(again) == fold(events)
    assert most_open(again) <= 1


@given(events=interleaved(), data=st.data())
def test_nothing_that_came_is_lost_when_it_fails(events: list[Event], data: st.DataObject) -> None:
    cut = [*events[: data.draw(st.integers(1, len(events) - 3))], Failure("truncated", "Cut.")]
    assert fold(sequenced(cut)) == fold(cut)
    assert most_open(sequenced(cut)) <= 1
