"""The two roads between a stream and a whole reply, and the events they are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import any_replies
from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Progress, Start, is_content
from telex.core.fold import UNENDED, fold, merge, unfold
from telex.core.messages import Choice, Fields, Finish, Part, Reply, Usage


@given(reply=any_replies())
def test_the_fold_of_what_was_unfolded_is_the_reply(reply: Reply) -> None:
    assert fold(unfold(reply)) == reply


@given(reply=any_replies(), data=st.data())
def test_deltas_may_be_cut_anywhere(reply: Reply, data: st.DataObject) -> None:
    events: list[Event] = []
    for event in unfold(reply):
        if isinstance(event, PartDelta) and event.text:
            at = data.draw(st.integers(0, len(event.text)))
            events += [PartDelta(event.choice, event.index, event.text[:at]), Progress(1, 2)]
            event = PartDelta(event.choice, event.index, event.text[at:], event.data, event.signature)
        events.append(event)
    assert fold(events) == reply


@given(reply=any_replies(), data=st.data())
def test_what_was_cut_short_is_truncated_or_failed_but_never_complete(reply: Reply, data: st.DataObject) -> None:
    events = list(unfold(reply))
    part = fold(events[: data.draw(st.integers(0, len(events) - 1))])
    assert part.failure == UNENDED
    assert part.ending == "truncated"
    assert reply.text.startswith(part.text)


@given(reply=any_replies())
def test_unfolding_keeps_the_grammar(reply: Reply) -> None:
    events = list(unfold(reply))
    assert isinstance(events[0], Start)
    assert [isinstance(event, Done | Failure) for event in events] == [False] * (len(events) - 1) + [True]
    opened = [(e.choice, e.index) for e in events if isinstance(e, PartStart)]
    assert len(set(opened)) == len(opened)
    assert opened == [(e.choice, e.index) for e in events if isinstance(e, PartEnd)]


def test_choices_and_open_parts_may_interleave() -> None:
    events: list[Event] = [
        Start("id", "m", 1),
        PartStart(1, 0, "text"),
        PartStart(0, 1, "tool_call", "b", "g", "function"),
        PartStart(0, 0, "tool_call", "a", "f", "function"),
        PartDelta(0, 1, "{"),
        PartDelta(1, 0, "B"),
        PartDelta(0, 0, "1"),
        PartDelta(0, 1, "}"),
        Finish(1, "length", "length"),
        Finish(0, "tool_calls", "tool_calls"),
        Done(),
    ]
    first = Choice(0, (Part("tool_call", "1", "a", "f", "function"), Part("tool_call", "{}", "b", "g", "function")), events[-2])  # type: ignore[arg-type]
    assert fold(events) == Reply("id", "m", 1, (first, Choice(1, (Part("text", "B"),), Finish(1, "length", "length"))))


def test_usage_is_a_snapshot_and_a_signature_replaces() -> None:
    start, delta = PartStart(0, 0, "reasoning"), PartDelta(0, 0, "", "", "old")
    reply = fold([start, delta, Usage(9, 9), PartDelta(0, 0, "x", "", "new"), Usage(1, 2), Done()])
    assert reply.usage == Usage(1, 2)
    assert reply.choices[0].parts == (Part("reasoning", "x", signature="new"),)


def test_halves_of_a_pair_meet() -> None:
    assert fold([PartStart(0, 0, "text"), PartDelta(0, 0, "\ud83d"), PartDelta(0, 0, "\ude00"), Done()]).text == "😀"


def test_a_delta_without_a_start_is_a_bug_of_the_decoder() -> None:
    with pytest.raises(KeyError):
        fold([PartDelta(0, 0, "x")])


MERGES: list[tuple[Fields, Fields, Fields]] = [
    ({}, {"a": 1}, {"a": 1}),
    ({"a": 1}, {"a": 2}, {"a": 2}),
    ({"a": 1}, {"a": None}, {"a": 1}),
    ({}, {"a": None}, {"a": None}),
    ({"a": None}, {"a": 1}, {"a": 1}),
    ({"a": [1]}, {"a": [2, 3]}, {"a": [1, 2, 3]}),
    ({"a": [1]}, {"a": []}, {"a": [1]}),
    ({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2], "d": 3}}, {"a": {"b": 1, "c": [1, 2], "d": 3}}),
    ({"a": 1}, {"a": [2]}, {"a": [2]}),
    ({"a": [1]}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ({"a": {"b": 1}}, {"a": "c"}, {"a": "c"}),
    ({"a": "x"}, {"a": "y"}, {"a": "y"}),
]


@pytest.mark.parametrize(("into", "fields", "expected"), MERGES)
def test_merging_fields(into: Fields, fields: Fields, expected: Fields) -> None:
    merge(into, fields)
    assert into == expected


def test_merging_takes_copies() -> None:
    fields: Fields = {"a": {"b": [1]}}
    into: Fields = {}
    merge(into, fields)
    merge(into, fields)
    assert fields == {"a": {"b": [1]}}
    assert into == {"a": {"b": [1, 1]}}


CONTENT: list[tuple[Event, bool]] = [
    (PartDelta(0, 0, "x"), True),
    (PartDelta(0, 0, "", "AAAA"), True),
    (PartDelta(0, 0, "", "", "signature"), False),
    (PartDelta(0, 0), False),
    (PartStart(0, 0, "tool_call"), True),
    (PartStart(0, 0, "text"), False),
    (PartStart(0, 0, "reasoning"), False),
    (Extra(0, {"a": 1}), False),
    (Progress(1, 2), False),
    (Usage(1), False),
    (Finish(0, "stop"), False),
    (Start("", ""), False),
    (Done(), False),
    (Failure("internal", ""), False),
]


@pytest.mark.parametrize(("event", "content"), CONTENT, ids=[repr(event) for event, _ in CONTENT])
def test_what_commits(event: Event, content: bool) -> None:
    assert is_content(event) is content


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_every_kind_has_a_consequence(kind: Kind) -> None:
    consequence = CONSEQUENCES[kind]
    assert 400 <= consequence.status < 600
    assert consequence.ending != "complete"
    assert consequence.elsewhere or not consequence.again
    assert Failure(kind, "x").ending == consequence.ending


def test_the_status_of_a_failure_is_the_providers_only_for_what_the_caller_must_mend() -> None:
    assert Failure("bad_request", "x", status=422).http_status == 422
    assert Failure("bad_request", "x", status=200).http_status == 400
    assert Failure("bad_request", "x").http_status == 400
    assert Failure("upstream_error", "x", status=418).http_status == 502
    assert Failure("rate_limited", "x", status=503).http_status == 429
