"""Nothing that a provider or a client says becomes an event of its own in a stream that Telex writes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core import sse
from telex.core.errors import Failure
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Finish, Part, Reply
from telex.dialects import DIALECTS

each_dialect = pytest.mark.parametrize("name", DIALECTS)

MARKS = ["\n", "\r", "\r\n", "\n\n", "\r\r", "\u2028", "\u2029", "\x85", "\x0b", "\0", "\ufeff", '"', "\\", "}", "]", ":", " ", "x"]
FIELDS = ["data: [DONE]", 'data: {"error":{}}', "event: error", "event: message_stop", "id: 1", "retry: 0", ": comment", "[DONE]"]
hostile = st.lists(st.sampled_from([*MARKS, *FIELDS]), min_size=1, max_size=6).map("".join)

EVENT = re.compile(rb"(?:event: ([a-z_.]+)(?:\r\n|\r|\n))?data: ([^\r\n]+)(?:\r\n\r\n|\r\r|\n\n)")


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    parts = (
        Part("reasoning", draw(hostile), id=draw(hostile), dialect="anthropic"),
        Part("text", draw(hostile)),
        Part("tool_call", json.dumps({draw(hostile): draw(hostile)}), draw(hostile), draw(hostile), "function"),
    )
    choice = Choice(0, parts, Finish(0, "tool_calls", draw(hostile), draw(hostile)))
    return Reply(draw(hostile), draw(hostile), 1, (choice,))


failures = st.builds(lambda words: Failure("upstream_error", words, param=words, type=words, code=words), hostile)


def check(frame: bytes) -> None:
    """One event, in the plainest form, whose data is one JSON or the terminator."""
    found = EVENT.fullmatch(frame)
    assert found, frame
    assert found[2] == sse.DONE or isinstance(json.loads(found[2]), dict)


@each_dialect
@given(reply=replies(), failure=failures, id=hostile)
def test_sse_each_event_is_one(name: str, reply: Reply, failure: Failure, id: str) -> None:
    events = list(unfold(reply))
    for last in (events[-1], failure):
        encoder = DIALECTS[name].Encoder(True, id)
        for event in (*events[:-1], last):
            for frame in encoder.feed(event):
                check(frame)


@each_dialect
@given(reply=replies())
def test_sse_what_was_said_is_read_again(name: str, reply: Reply) -> None:
    encoder, cutter, decoder = DIALECTS[name].Encoder(), sse.Decoder(), DIALECTS[name].Decoder()
    data = b"".join(frame for event in unfold(reply) for frame in encoder.feed(event))
    got = fold([*(event for frame in [*cutter.feed(data), *cutter.end()] for event in decoder.feed(frame)), *decoder.end()])
    [said], [wrote] = got.choices, reply.choices
    assert got.failure is None
    assert [part.text for part in said.parts if part.kind == "text"] == [part.text for part in wrote.parts if part.kind == "text"]
    calls = [(json.loads(part.text), part.name) for part in said.parts if part.kind == "tool_call"]
    assert calls == [(json.loads(part.text), part.name) for part in wrote.parts if part.kind == "tool_call"]
