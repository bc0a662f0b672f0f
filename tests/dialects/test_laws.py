"""The laws that every dialect keeps. A new dialect is tested by being in the table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import cut, failures, replies
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event
from telex.core.fold import fold, unfold
from telex.core.messages import Reply
from telex.dialects import DIALECTS, Dialect

each_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))


def stream(dialect: Dialect, reply: Reply) -> bytes:
    encoder = dialect.Encoder()
    return b"".join(frame for event in unfold(reply) for frame in encoder.feed(event))


def read(dialect: Dialect, chunks: list[bytes]) -> list[Event]:
    frames, decoder = sse.Decoder(), dialect.Decoder()
    events = [event for chunk in chunks for frame in frames.feed(chunk) for event in decoder.feed(frame)]
    return [*events, *(event for frame in frames.end() for event in decoder.feed(frame)), *decoder.end()]


@each_dialect
@given(reply=replies())
def test_what_is_streamed_is_read_again(dialect: Dialect, reply: Reply) -> None:
    assert fold(read(dialect, [stream(dialect, reply)])) == reply


@each_dialect
@given(reply=replies())
def test_whole_is_the_fold_of_the_stream(dialect: Dialect, reply: Reply) -> None:
    whole = fold(dialect.Decoder().whole(dialect.encode_reply(reply)))
    assert whole == fold(read(dialect, [stream(dialect, reply)]))


@each_dialect
@given(reply=replies(), data=st.data())
def test_bytes_may_be_cut_anywhere(dialect: Dialect, reply: Reply, data: st.DataObject) -> None:
    wire = stream(dialect, reply)
    places = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=30)))
    assert read(dialect, cut(wire, places)) == read(dialect, [wire])


@each_dialect
@given(reply=replies(), data=st.data())
def test_a_stream_cut_short_is_truncated_and_what_came_is_kept(dialect: Dialect, reply: Reply, data: st.DataObject) -> None:
    wire = stream(dialect, reply)
    end = data.draw(st.integers(0, len(wire) - len(b"data: [DONE]")))
    part = fold(read(dialect, [wire[:end]]))
    assert part.ending == "truncated"
    assert reply.text.startswith(part.text)


@each_dialect
@given(reply=replies(), failure=failures)
def test_a_failure_inside_a_stream_is_the_last_word(dialect: Dialect, reply: Reply, failure: Failure) -> None:
    encoder = dialect.Encoder()
    events = [event for event in unfold(reply) if not isinstance(event, Done)]
    wire = b"".join(frame for event in [*events, failure, Done()] for frame in encoder.feed(event))
    got = fold(read(dialect, [wire]))
    assert got.failure == failure
    assert got.choices == reply.choices


@each_dialect
@given(body=st.binary(max_size=200))
def test_no_bytes_break_a_decoder(dialect: Dialect, body: bytes) -> None:
    assert isinstance(read(dialect, [body])[-1], Failure)
    assert isinstance(dialect.Decoder().whole(body)[-1], Failure)
    assert isinstance(dialect.decode_error(500, {}, body, 0.0), Failure)
    assert isinstance(dialect.decode_request(body), Failure)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
