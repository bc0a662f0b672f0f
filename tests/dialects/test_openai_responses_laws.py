"""What holds of every reply in Responses, its own and those of other dialects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from strategies import any_replies, base64, cut, extras, failures, logprobs, names, tokens, words
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Finish, Part, Reason, Reply, Usage
from telex.dialects.openai_responses import Decoder, Encoder, encode_reply
from telex.dialects.openai_responses.parts import to_citation
from wire_responses import CREATED, NEWS, OWN, Wire, encode, read, whole, wire


@st.composite
def own_parts(draw: st.DrawFn) -> list[Part]:
    """The parts of a reply, as a provider of this dialect says them: item by item."""
    several: list[Part] = []
    item: Wire
    for number in range(draw(st.integers(0, 4))):
        match draw(st.sampled_from(["message", "reasoning", "call", "custom", "search", "picture", "foreign"])):
            case "message":
                several += draw(own_message(f"msg_{number}", sum(len(p.text) for p in several if p.kind == "text")))
            case "reasoning":
                several += draw(own_reasoning(f"rs_{number}"))
            case "call":
                arguments, item = draw(st.sampled_from(["", "{}", '{"q":"é\\n"}'])), {"id": f"fc_{number}"}
                several.append(Part("tool_call", arguments, f"call_{number}", draw(names), "function", dialect=OWN, extra=item))
            case "custom":
                several.append(Part("tool_call", draw(words), f"call_{number}", "sh", "custom", dialect=OWN, extra={"id": f"ctc_{number}"}))
            case "search":
                item = {"type": "web_search_call", "id": f"ws_{number}", **draw(extras)}
                several.append(Part("opaque", tool="web_search_call", dialect=OWN, extra=item))
            case "picture":
                item = {"id": f"ig_{number}", "output_format": "png"}
                several.append(Part("image", data=draw(base64), media_type="image/png", dialect=OWN, extra=item))
            case _:
                several.append(Part("opaque", draw(st.just("") | words), tool="t", dialect="anthropic", extra=draw(extras)))
    return several


@st.composite
def own_message(draw: st.DrawFn, id: str, offset: int) -> list[Part]:
    item: Wire = {"id": id, **draw(st.sampled_from([{}, {"phase": "commentary"}]))}
    several: list[Part] = []
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.just("") | words)
        if draw(st.booleans()):
            several.append(Part("refusal", text, dialect=OWN, extra=item))
            continue
        sources = draw(
            st.lists(st.builds(lambda url, a: {**NEWS, "url": url, "start_index": a, "end_index": a + 1}, words, tokens), max_size=2)
        )
        several.append(Part("text", text, citations=tuple(to_citation(s, offset) for s in sources), dialect=OWN, extra=item))
        offset += len(text)
    return several


@st.composite
def own_reasoning(draw: st.DrawFn, id: str) -> list[Part]:
    shown: Wire = {"dialect": OWN, "extra": {"type": "reasoning_text"}}
    several = [Part("reasoning", text, id) for text in draw(st.lists(words, max_size=2))]
    several += [Part("reasoning", text, id, **shown) for text in draw(st.lists(words, max_size=2))]
    several = several or [Part("reasoning", id=id)]
    signs: list[Wire] = [{}, {"data": "E", "dialect": OWN}, {"signature": "S", "dialect": "anthropic"}]
    signed = draw(st.sampled_from(signs))
    if signed and not several[-1].extra:
        final = several.pop()
        several.append(Part("reasoning", final.text, id, **signed))
    return several


ENDED: list[tuple[Reason, str]] = [
    ("length", "max_output_tokens"),
    ("content_filter", "content_filter"),
    ("stop", "steered"),
    ("stop", "incomplete"),
]


@st.composite
def own_replies(draw: st.DrawFn) -> Reply:
    several = draw(own_parts())
    natural: tuple[Reason, str] = ("tool_calls" if any(p.kind == "tool_call" for p in several) else "stop", "completed")
    reason, raw = draw(st.sampled_from([natural, *ENDED]))
    said_kinds = {part.kind for part in several}
    choice = Choice(
        0,
        tuple(several),
        Finish(0, reason, raw),
        draw(logprobs) if "text" in said_kinds else (),
        draw(logprobs) if "refusal" in said_kinds else (),
    )
    usage = draw(st.none() | st.builds(lambda i, o, c, w, r: Usage(i + c + w, o + r, c, w, r), tokens, tokens, tokens, tokens, tokens))
    return Reply("resp_1", "m", 5, (choice,), usage, dialect=OWN, extra=meaning(draw(extras)))


def meaning(fields: Wire) -> Wire:
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def streamed(reply: Reply) -> bytes:
    encoder = Encoder()
    return b"".join(frame for e in unfold(reply) for frame in encoder.feed(e))


@given(reply=own_replies())
def test_what_is_said_is_read_again(reply: Reply) -> None:
    assert fold(read(streamed(reply))) == reply
    assert whole(encode_reply(reply)) == reply


@given(reply=own_replies())
def test_the_last_event_is_the_sum_of_all(reply: Reply) -> None:
    datas = encode(unfold(reply))
    assert datas[-1]["response"] == json.loads(encode_reply(reply))
    assert fold(read(wire(CREATED, datas[-1]))) == reply


@given(reply=own_replies(), data=st.data())
def test_bytes_may_be_cut_anywhere(reply: Reply, data: st.DataObject) -> None:
    bytes_, frames, decoder = streamed(reply), sse.Decoder(), Decoder()
    places = sorted(data.draw(st.lists(st.integers(0, len(bytes_)), max_size=30)))
    events = [e for piece in cut(bytes_, places) for frame in frames.feed(piece) for e in decoder.feed(frame)]
    assert events == read(bytes_)


@given(reply=own_replies(), data=st.data())
def test_a_stream_cut_short_is_truncated_and_keeps_what_came(reply: Reply, data: st.DataObject) -> None:
    bytes_ = streamed(reply)
    part = fold(read(bytes_[: data.draw(st.integers(0, len(bytes_) - 3))]))
    assert part.ending == "truncated"
    assert reply.text.startswith(part.text)


@given(reply=own_replies(), failure=failures)
def test_a_failure_is_the_last_word(reply: Reply, failure: Failure) -> None:
    encoder = Encoder()
    events = [e for e in unfold(reply) if not isinstance(e, Done | Finish)]
    got = fold(read(b"".join(frame for e in [*events, failure, Done()] for frame in encoder.feed(e))))
    assert got.ending == "failed"
    heard = [part.text for choice in got.choices for part in choice.parts if part.text]
    assert heard == [part.text for part in reply.choices[0].parts if part.text]


@given(reply=any_replies())
def test_whatever_another_dialect_said_streams_as_it_stands_whole(reply: Reply) -> None:
    if reply.failure is None:
        assert fold(read(streamed(reply))) == whole(encode_reply(reply))


@given(reply=own_replies(), data=st.data())
def test_nothing_in_the_place_of_anything_breaks_the_decoder(reply: Reply, data: st.DataObject) -> None:
    """A value of the wrong type at any depth of any event."""
    odd: Any = data.draw(st.sampled_from([None, True, -1, 1e300, "", "x", [], [[]], {}, {"a": []}]))
    datas = encode(unfold(reply))
    spoiled = data.draw(st.sampled_from(datas))
    places = list(paths(spoiled))
    *before, name = data.draw(st.sampled_from(places))
    inner: Any = spoiled
    for step in before:
        inner = inner[step]
    inner[name] = odd
    events = read(wire(*datas))
    assert isinstance(events[-1], Done | Failure)
    assert sum(isinstance(e, Done | Failure) for e in events) == 1
    fold(events)
    assert isinstance(Decoder().whole(json.dumps(datas[-1].get("response")).encode())[-1], Done | Failure)


def paths(value: Any) -> Iterable[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield (name,)
        yield from ((name, *path) for path in paths(inner))
