"""The laws that every dialect keeps, alone and with every other. A new dialect is tested by being in the table."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strategies import cut, failures, replies
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Reply
from telex.dialects import DIALECTS

each_dialect = pytest.mark.parametrize("name", DIALECTS)
each_pair = pytest.mark.parametrize(("source", "target"), list(permutations(DIALECTS, 2)))
some = st.data()


def frames(name: str, events: list[Event]) -> list[bytes]:
    encoder = DIALECTS[name].Encoder()
    return [frame for event in events for frame in encoder.feed(event)]


def stream(name: str, reply: Reply) -> bytes:
    return b"".join(frames(name, list(unfold(reply))))


def read(name: str, chunks: list[bytes]) -> list[Event]:
    cutter, decoder = sse.Decoder(), DIALECTS[name].Decoder()
    events = [event for chunk in chunks for frame in cutter.feed(chunk) for event in decoder.feed(frame)]
    return [*events, *(event for frame in cutter.end() for event in decoder.feed(frame)), *decoder.end()]


def unnamed(choice: Choice) -> Choice:
    """Without the ids that some dialects give to every part."""
    parts = (replace(part, dialect="", extra={}) if part.extra.keys() == {"id"} else part for part in choice.parts)
    return replace(choice, parts=tuple(replace(part, id="") if part.kind == "reasoning" else part for part in parts))


# ---- alone


@each_dialect
@given(data=some)
def test_what_is_streamed_is_read_again(name: str, data: st.DataObject) -> None:
    reply = data.draw(replies(name))
    got = fold(read(name, [stream(name, reply)]))
    assert replace(got, choices=()) == replace(reply, choices=())
    assert [unnamed(choice) for choice in got.choices] == [unnamed(choice) for choice in reply.choices]


@each_dialect
@given(data=some)
def test_whole_is_the_fold_of_the_stream(name: str, data: st.DataObject) -> None:
    reply = data.draw(replies(name))
    assert fold(DIALECTS[name].Decoder().whole(DIALECTS[name].encode_reply(reply))) == fold(read(name, [stream(name, reply)]))


@each_dialect
@given(data=some)
def test_bytes_may_be_cut_anywhere(name: str, data: st.DataObject) -> None:
    wire = stream(name, data.draw(replies(name)))
    places = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=30)))
    assert read(name, cut(wire, places)) == read(name, [wire])


@each_dialect
@given(data=some)
def test_a_stream_cut_short_is_truncated_and_what_came_is_kept(name: str, data: st.DataObject) -> None:
    reply = data.draw(replies(name))
    *most, last = frames(name, list(unfold(reply)))
    wire = b"".join(most) + last.rstrip()[:-1]
    part = fold(read(name, [wire[: data.draw(st.integers(0, len(wire)))]]))
    assert part.ending == "truncated"
    whole = {choice.index: text_of(choice) for choice in reply.choices}
    assert all(whole[choice.index].startswith(text_of(choice)) for choice in part.choices)


def text_of(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if part.kind == "text")


@each_dialect
@given(data=some, failure=failures)
def test_a_failure_inside_a_stream_is_the_last_word(name: str, data: st.DataObject, failure: Failure) -> None:
    reply = data.draw(replies(name))
    events = [event for event in unfold(reply) if not isinstance(event, Done)]
    got = fold(read(name, [b"".join(frames(name, [*events, failure, Done()]))]))
    assert got.failure is not None
    assert (got.failure.kind, got.failure.message) == (failure.kind, failure.message)
    parts = [unnamed(choice).parts for choice in got.choices if choice.parts]
    assert parts == [choice.parts for choice in reply.choices if choice.parts]


@each_dialect
@given(body=st.binary(max_size=200))
def test_no_bytes_break_a_decoder(name: str, body: bytes) -> None:
    dialect = DIALECTS[name]
    assert isinstance(read(name, [body])[-1], Failure)
    assert isinstance(dialect.Decoder().whole(body)[-1], Failure)
    assert isinstance(dialect.decode_error(500, {}, body, 0.0), Failure)
    assert isinstance(dialect.decode_request(body), Failure)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@each_dialect
@given(value=json_values)
def test_no_json_breaks_a_decoder(name: str, value: Any) -> None:
    dialect, body = DIALECTS[name], json.dumps(value).encode()
    assert isinstance(read(name, [sse.encode(body)])[-1], Failure)
    assert isinstance(dialect.Decoder().whole(body)[-1], Done | Failure)
    assert isinstance(dialect.decode_error(400, {}, body, 0.0), Failure)
    assert isinstance(dialect.decode_request(body), Failure)


@each_dialect
@given(data=some)
def test_no_value_in_the_place_of_another_breaks_a_decoder(name: str, data: st.DataObject) -> None:
    """Good frames in which one value, somewhere, is another."""
    wire = frames(name, list(unfold(data.draw(replies(name)))))
    spoilt = b"".join(spoil(frame, data) if data.draw(st.booleans()) else frame for frame in wire)
    assert isinstance(read(name, [spoilt])[-1], Done | Failure)
    body = spoil(DIALECTS[name].encode_reply(data.draw(replies(name))), data)
    assert isinstance(DIALECTS[name].Decoder().whole(body)[-1], Done | Failure)


def spoil(frame: bytes, data: st.DataObject) -> bytes:
    """One value of the JSON in a frame (or in a body) replaced."""
    start = frame.find(b"{")
    if start < 0:
        return frame
    value = json.loads(frame[start:])
    inner = value
    while True:
        keys: list[Any] = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys:
            return frame
        key = data.draw(st.sampled_from(keys))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
            inner[key] = data.draw(json_values)
            return frame[:start] + json.dumps(value).encode() + b"\n\n"
        inner = inner[key]


# ---- with every other


def meaning(reply: Reply) -> Any:
    """What a reply says, whatever the dialect: nothing of this may change on the way into another."""
    return [choice_meaning(choice) for choice in reply.choices], usage_meaning(reply), reply.model, reply.ending


def choice_meaning(choice: Choice) -> Any:
    said = {
        kind: "".join(part.text for part in choice.parts if part.kind in kinds)
        for kind, kinds in (("text", ("text", "refusal")), ("reasoning", ("reasoning",)))
    }
    calls = [(part.name, part.id, json.loads(part.text)) for part in choice.parts if part.kind == "tool_call"]
    refused = any(part.kind == "refusal" for part in choice.parts)
    reason = choice.finish.reason if choice.finish else None
    filtered = refused or reason in ("content_filter", "refusal")
    return said, calls, "filtered" if filtered and not calls else reason


def usage_meaning(reply: Reply) -> Any:
    """Totals, and what they include; nothing said is nothing spent."""
    usage = reply.usage
    return (usage.input, usage.output, usage.cached, usage.cache_write, usage.reasoning) if usage else (0, 0, 0, 0, 0)


def carried(source: str, target: str, reply: Reply) -> bool:
    """Whether the target can say it at all: one choice, and arguments that are an object."""
    calls = [part for choice in reply.choices for part in choice.parts if part.kind == "tool_call"]
    objects = all(part.text.endswith("}") for part in calls)
    return objects and (len(reply.choices) == 1 or "choices" in DIALECTS[target].FIELDS)


@each_pair
@given(data=some)
def test_a_stream_says_the_same_in_another_dialect(source: str, target: str, data: st.DataObject) -> None:
    reply = data.draw(replies(source).filter(lambda reply: carried(source, target, reply)))
    events = spelled(read(source, [stream(source, reply)]))
    assert meaning(fold(read(target, [b"".join(frames(target, events))]))) == meaning(reply)


@each_pair
@given(data=some)
def test_a_whole_reply_says_the_same_in_another_dialect(source: str, target: str, data: st.DataObject) -> None:
    reply = data.draw(replies(source).filter(lambda reply: carried(source, target, reply)))
    whole = fold(DIALECTS[source].Decoder().whole(DIALECTS[source].encode_reply(reply)))
    assert meaning(fold(DIALECTS[target].Decoder().whole(DIALECTS[target].encode_reply(whole)))) == meaning(reply)


@each_pair
@given(data=some)
def test_complete_is_the_fold_of_the_stream_in_another_dialect_too(source: str, target: str, data: st.DataObject) -> None:
    reply = data.draw(replies(source).filter(lambda reply: carried(source, target, reply)))
    events = read(source, [stream(source, reply)])
    whole = DIALECTS[target].Decoder().whole(DIALECTS[target].encode_reply(fold(events)))
    assert meaning(fold(whole)) == meaning(fold(read(target, [b"".join(frames(target, events))])))


@each_pair
@given(data=some)
def test_there_and_back_again(source: str, target: str, data: st.DataObject) -> None:
    reply = data.draw(replies(source).filter(lambda reply: carried(source, target, reply)))
    there = read(target, [b"".join(frames(target, list(unfold(reply))))])
    assert meaning(fold(read(source, [b"".join(frames(source, there))]))) == meaning(reply)


def spelled(events: list[Event]) -> list[Event]:
    """A delta for each character, so that there is something to put together again."""
    spelt: list[Event] = []
    for event in events:
        if isinstance(event, PartDelta) and event.text:
            spelt += [PartDelta(event.choice, event.index, character) for character in event.text]
        else:
            spelt.append(event)
    return spelt
