"""Replies of Anthropic Messages, read and written, streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Choice, Citation, Fields, Finish, Part, Reply, Usage
from telex.dialects import anthropic
from telex.dialects.quirks import Quirks

START: Fields = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}},
}
STOP: Fields = {"type": "message_stop"}
END: list[Fields] = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}, STOP]


def read(*frames: Fields | bytes, quirks: Quirks | None = None, named: bool = True) -> list[Event]:
    """The events of frames, and of the end behind them."""
    decoder, cutter = anthropic.Decoder(quirks or Quirks()), sse.Decoder()
    data = [f if isinstance(f, bytes) else sse.encode(json.dumps(f).encode(), f.get("type", "") if named else "") for f in frames]
    events = [event for frame in cutter.feed(b"".join(data)) for event in decoder.feed(frame)]
    return [*events, *decoder.end()]


def said(*frames: Fields | bytes, **options: Any) -> Reply:
    return fold(read(START, *frames, *END, **options))


def block(index: int, block: Fields, *deltas: Fields, ends: bool = True) -> list[Fields]:
    frames = [{"type": "content_block_start", "index": index, "content_block": block}]
    frames += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [*frames, {"type": "content_block_stop", "index": index}] if ends else frames


def text(*pieces: str) -> list[Fields]:
    return [{"type": "text_delta", "text": piece} for piece in pieces]


def input(*pieces: str) -> list[Fields]:
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def parts(*frames: Fields) -> tuple[Part, ...]:
    reply = said(*frames)
    assert reply.failure is None, reply.failure
    return reply.choices[0].parts


def whole(**fields: Any) -> Reply:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn", **fields}
    return fold(anthropic.Decoder().whole(json.dumps(message).encode()))


USE: Fields = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
TEXT: Fields = {"type": "text", "text": ""}


# ---- read


def test_a_stream_event_by_event() -> None:
    events = read(START, {"type": "ping"}, *block(0, TEXT, *text("Hel", "lo")), *END)
    assert events == [
        Usage(5, 1),
        Start("msg_1", "m", dialect="anthropic"),
        PartStart(0, 0, "text"),
        PartDelta(0, 0, "Hel"),
        PartDelta(0, 0, "lo"),
        PartEnd(0, 0),
        Usage(5, 9),
        Finish(0, "stop", "end_turn"),
        Done(),
    ]
    assert read(START, *block(0, TEXT, *text("Hel", "lo")), *END, named=False) == events  # the data says what it is


def test_the_words_for_the_end() -> None:
    for word, reason in (
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "context_full"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("compaction", "compaction"),
        ("steeped", "stop"),
    ):
        finish = whole(stop_reason=word, stop_sequence="END").choices[0].finish
        assert finish == Finish(0, reason, word, "END")  # type: ignore[arg-type]
    for word in ("tool_use", "end_turn", "steeped"):
        assert whole(content=[USE], stop_reason=word).choices[0].finish == Finish(0, "tool_calls", word)


def test_tool_calls_with_and_without_arguments() -> None:
    called = Part("tool_call", '{"a": 1}', "toolu_1", "f", "function")
    assert parts(*block(0, USE, *input("", '{"a"', ": 1}"))) == (called,)
    for frames in (block(0, USE), block(0, USE, *input("")), block(0, {"type": "tool_use", "id": "toolu_1", "name": "f"})):
        assert parts(*frames) == (replace(called, text="{}"),)
    assert parts(*block(0, {**USE, "input": {"a": 1}})) == (replace(called, text='{"a":1}'),)  # some relays say it at once
    assert parts(*block(0, {**USE, "input": {"b": 2}}, *input('{"a": 1}'))) == (called,)
    [more] = parts(*block(0, {**USE, "caller": {"type": "direct"}, "toolset_name": None}))
    assert (more.dialect, more.extra) == ("anthropic", {"caller": {"type": "direct"}})


def test_calls_may_interleave_and_stay_unended() -> None:
    first, second = block(0, USE, *input('{"a"', ":1}"), ends=False), block(1, {**USE, "id": "b"}, *input("{", "}"), ends=False)
    mixed = [frame for pair in zip(first, second, strict=True) for frame in pair]
    assert [part.text for part in parts(*mixed)] == ['{"a":1}', "{}"]
    assert most_open(read(START, *mixed, *END)) == 0


def most_open(events: list[Event]) -> int:
    return sum((type(event) is PartStart) - (type(event) is PartEnd) for event in events)


def test_thinking_signed_shown_or_not() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    thought: list[Fields] = [{"type": "thinking_delta", "thinking": "Hm"}, {"type": "thinking_delta", "thinking": "."}]
    signatures: list[Fields] = [{"type": "signature_delta", "signature": one} for one in ("E", "Er==")]
    assert parts(*block(0, thinking, *thought, *signatures)) == (Part("reasoning", "Hm.", signature="Er==", dialect="anthropic"),)
    assert parts(*block(0, thinking, signatures[1])) == (Part("reasoning", signature="Er==", dialect="anthropic"),)
    assert parts(*block(0, thinking, *thought)) == (Part("reasoning", "Hm."),)
    redacted = {"type": "redacted_thinking", "data": "Eq=="}
    assert parts(*block(0, redacted)) == (Part("reasoning", data="Eq==", dialect="anthropic"),)


def test_what_is_cited_is_known_at_the_end_of_its_block() -> None:
    cited = {"type": "web_search_result_location", "url": "https://a", "title": "T", "cited_text": "q", "encrypted_index": "E"}
    deltas = [{"type": "citations_delta", "citation": cited}, *text("é😀")]
    events = read(START, *block(0, TEXT, *text("x😀", "y")), *block(1, TEXT, *deltas), *block(2, {**TEXT, "citations": []}), *END)
    citation = Citation("https://a", "T", 3, 5, "q", "anthropic", cited)
    assert events[events.index(PartStart(0, 1, "text")) :][:4] == [
        PartStart(0, 1, "text"),
        PartDelta(0, 1, "é😀"),
        Cite(0, 1, citation),
        PartEnd(0, 1),
    ]
    at_once = whole(content=[{"type": "text", "text": "x😀y"}, {"type": "text", "text": "é😀", "citations": [cited]}])
    assert at_once.choices[0].parts[1].citations == (citation,)


def test_text_that_repeats_its_frame_is_measured_too() -> None:
    """Such a frame is read without being decoded, by the decoder or by its owner."""
    frames = [sse.encode(json.dumps(frame).encode(), frame["type"]) for frame in [START, *block(0, TEXT, *text("ab", "cd", "ef", "gé"))]]
    decoder, cutter = anthropic.Decoder(), sse.Decoder()
    [*opening, third, fourth, stop] = [frame for data in frames for frame in cutter.feed(data)]
    for frame in opening:
        decoder.feed(frame)
    assert decoder.glance(third.raw) == PartDelta(0, 0, "ef")
    assert decoder.feed(fourth) == [PartDelta(0, 0, "gé")]
    decoder.feed(stop)
    assert decoder.glance(fourth.raw) is None  # its block has ended
    cited = block(1, {**TEXT, "text": "x", "citations": [{"type": "char_location"}]})
    events = [event for frame in cited for event in decoder.feed(sse.Frame(json.dumps(frame).encode()))]
    [cite] = [event for event in events if isinstance(event, Cite)]
    assert (cite.citation.start, cite.citation.end) == (8, 9)


def test_nothing_is_read_behind_the_end() -> None:
    decoder = anthropic.Decoder()
    frames = [
        sse.Frame(json.dumps(f).encode(), "", json.dumps(f).encode()) for f in [START, *block(0, TEXT, *text("ab", "cd"), ends=False)]
    ]
    for frame in frames:
        decoder.feed(frame)
    assert decoder.glance(frames[-1].raw) is not None
    assert [type(event) for event in decoder.end()] == [Failure]
    assert decoder.ended
    assert decoder.glance(frames[-1].raw) is None
    assert decoder.feed(frames[-1]) == decoder.end() == []


def test_what_only_anthropic_understands() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}
    compacted: Fields = {"type": "compaction_delta", "content": "Before.", "encrypted_content": "E"}
    future = {"type": "hologram", "x": None}
    frames = [*block(0, search, *input('{"q":', "1}")), *block(1, found), *block(2, {"type": "compaction", "content": None}, compacted)]
    assert parts(*frames, *block(3, future, {"type": "hologram_delta", "x": 1})) == (
        Part("opaque", '{"q":1}', tool="server_tool_use", dialect="anthropic", extra=search),
        Part("opaque", tool="web_search_tool_result", dialect="anthropic", extra=found),
        Part("opaque", "Before.", tool="compaction", dialect="anthropic", extra={"type": "compaction", "encrypted_content": "E"}),
        Part("opaque", tool="hologram", dialect="anthropic", extra=future),
    )


def test_usage_is_a_total_that_grows() -> None:
    start = {
        "input_tokens": 5,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 2,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    grown = {
        "input_tokens": 50,
        "output_tokens": 9,
        "cache_read_input_tokens": None,
        "output_tokens_details": {"thinking_tokens": 4, "x": 1},
    }
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {**grown, "server_tool_use": {"web_search_requests": 1}},
    }
    message = {**START["message"], "usage": start}
    reply = fold(read({"type": "message_start", "message": message}, {"type": "message_delta", "usage": {"output_tokens": 7}}, delta, STOP))
    extra = {"service_tier": "standard", "server_tool_use": {"web_search_requests": 1}, "output_tokens_details": {"x": 1}}
    assert reply.usage == Usage(55, 9, 3, 2, 4, extra)
    odd = whole(usage={"input_tokens": "7", "output_tokens": -1, "cache_read_input_tokens": None, "output_tokens_details": None})
    assert odd.usage == Usage(7)
    assert whole(usage=None).usage is None


def test_fields_without_a_word() -> None:
    container, details = {"id": "c"}, {"type": "refusal", "category": "cyber"}
    message = {**START["message"], "container": container, "diagnostics": None}
    delta: Fields = {"stop_reason": "refusal", "stop_details": details, "container": container}
    frames = [
        {"type": "message_start", "message": message},
        {"type": "message_delta", "delta": delta, "context_management": {"x": 1}},
        STOP,
    ]
    events = read(*frames)
    assert [event for event in events if isinstance(event, Extra)] == [
        Extra(-1, {"container": container}),
        Extra(-1, {"stop_details": details}),
        Extra(-1, {"context_management": {"x": 1}}),
    ]
    assert whole(stop_details=details, container=container).extra == {"stop_details": details, "container": container}


def test_a_start_that_is_said_again_says_nothing() -> None:
    again = {"type": "message_start", "message": {**START["message"], "id": "msg_2", "content": [{"type": "text", "text": "x"}]}}
    reply = said(START, *block(0, TEXT, text("a")[0], ends=False), again, *block(0, TEXT, text("b")[0])[1:])
    assert (reply.id, reply.text) == ("msg_1", "ab")


def test_a_start_may_hold_whole_blocks_and_the_end() -> None:
    message = {**START["message"], "content": [{**USE, "input": {"a": 1}}], "stop_reason": "tool_use"}
    reply = fold(read({"type": "message_start", "message": message}, STOP))
    assert reply.choices == (Choice(0, (Part("tool_call", '{"a":1}', "toolu_1", "f", "function"),), Finish(0, "tool_calls", "tool_use")),)
    assert reply.failure is None


def test_what_relays_leave_out_or_add() -> None:
    assert fold(read(START, *block(0, TEXT, *text("a")), b"data: [DONE]\n\n", STOP)).choices[0].finish == Finish(0, "stop")
    assert fold(read(*block(0, {"type": "text"}, *text("a")), *END)).text == "a"
    assert fold(read(START, *block(0, USE, ends=False), STOP)).choices[0].finish == Finish(0, "tool_calls")
    assert said({"type": "message_delta", "delta": {"stop_reason": "refusal"}}).choices[0].finish == Finish(0, "refusal", "refusal")
    assert (
        said(b"event: ping\ndata: {}\n\n", b'event: future\ndata: {"x":1}\n\n', {"type": "content_block_stop", "index": 9}).failure is None
    )


ENDINGS: list[tuple[list[Fields], str]] = [
    ([], "truncated"),
    ([START], "truncated"),
    ([START, *block(0, TEXT, *text("a"))], "truncated"),
    ([START, END[0]], "truncated"),
    ([START, STOP], "truncated"),
    ([START, *END], "complete"),
]


@pytest.mark.parametrize(("frames", "ending"), ENDINGS)
def test_only_its_terminator_ends_a_stream(frames: list[Fields], ending: str) -> None:
    assert fold(read(*frames)).ending == ending


def test_a_row_may_say_that_there_is_no_terminator() -> None:
    assert fold(read(START, END[0], quirks=Quirks(no_done=True))).failure is None
    assert fold(read(START, *block(0, TEXT, *text("a")), quirks=Quirks(no_done=True))).ending == "truncated"


BROKEN: list[Fields | bytes] = [
    b"data: {\n\n",
    b"data: 7\n\n",
    {"type": "message_start"},
    {"type": "content_block_start", "index": 0, "content_block": "x"},
    {"type": "content_block_start", "index": 0, "content_block": {}},
    {"type": "content_block_start", "index": "0", "content_block": TEXT},
    {"type": "content_block_start", "content_block": TEXT},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "input": "x"}},
    {"type": "content_block_delta", "index": 1, "delta": text("x")[0]},
    {"type": "content_block_delta", "delta": text("x")[0]},
    {"type": "content_block_delta", "index": 7, "delta": None},
    {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": 1}},
    {"type": "content_block_delta", "index": 7, "delta": input("{")[0]},
    {"type": "content_block_delta", "index": 7, "delta": {"type": "thinking_delta", "thinking": "x"}},
    {"type": "content_block_stop"},
]


@pytest.mark.parametrize("frame", BROKEN, ids=str)
def test_what_is_malformed(frame: Fields | bytes) -> None:
    start = [START] if not (isinstance(frame, dict) and frame["type"] == "message_start") else []
    failure = fold(read(*start, *(block(7, TEXT, ends=False) if start else []), frame, *END)).failure
    assert failure is not None
    assert failure.kind == "malformed"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"content":7}', b'{"content":[7]}', b'{"input_tokens":43}', b'{"content":[{}]}']
)
def test_what_is_no_reply(body: bytes) -> None:
    [*_, failure] = anthropic.Decoder().whole(body)
    assert isinstance(failure, Failure)
    assert failure.kind == "malformed"


def test_a_reply_of_nothing_is_no_success() -> None:
    assert whole(stop_reason=None).ending == "truncated"
    assert whole(stop_reason="refusal").ending == "complete"
