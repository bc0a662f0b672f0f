"""Replies of Chat Completions: what providers make of the format, and what Telex says in their place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import any_replies, replies
from telex.core import sse
from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Progress, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Finish, Part, Reply, Token, Usage
from telex.dialects.openai_chat import Decoder, Encoder, encode_reply
from telex.dialects.quirks import NO_QUIRKS, Quirks

DONE = "[DONE]"
Wire = dict[str, Any]


def chunk(delta: Wire | None = None, *, finish: str | None = None, index: int = 0, choice: Wire | None = None, **more: Any) -> Wire:
    body = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish, **(choice or {})}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [body], **more}


def decode(chunks: Iterable[Wire | str], quirks: Quirks = NO_QUIRKS) -> list[Event]:
    decoder = Decoder(quirks)
    datas = [(c if isinstance(c, str) else json.dumps(c)).encode() for c in chunks]
    return [*(event for data in datas for event in decoder.feed(sse.Frame(data))), *decoder.end()]


def read(*chunks: Wire | str, quirks: Quirks = NO_QUIRKS) -> Reply:
    return fold(decode([*chunks, DONE], quirks))


def parts(*chunks: Wire | str, quirks: Quirks = NO_QUIRKS) -> list[Part]:
    return list(read(*chunks, quirks=quirks).choices[0].parts)


def call(index: int | None = 0, id: str | None = None, name: str | None = None, arguments: Any = None) -> Wire:
    fields: Wire = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
    fields["function"] = {k: v for k, v in fields["function"].items() if v is not None}
    return {"tool_calls": [{k: v for k, v in fields.items() if v is not None}]}


def calls(*wires: Wire) -> Wire:
    return {"tool_calls": [one for wire in wires for one in wire["tool_calls"]]}


STOP = chunk(finish="stop")
CALLED = chunk(finish="tool_calls")
TEXT = Part("text", "Hello")


def function(id: str, name: str, arguments: str) -> Part:
    return Part("tool_call", arguments, id, name, "function")


CONTENT: dict[str, tuple[list[Wire | str], list[Part]]] = {
    "plain": ([chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP], [TEXT]),
    "the role is repeated": ([chunk({"role": "assistant", "content": "Hel"}), chunk({"role": "assistant", "content": "lo"}), STOP], [TEXT]),
    "no role, null content": ([chunk({"content": None}), chunk({"content": "Hello"}), STOP], [TEXT]),
    "content with the finish": ([chunk({"content": "Hello"}, finish="stop")], [TEXT]),
    "delta missing": ([chunk({"content": "Hello"}), {**STOP, "choices": [{"index": 0, "content_filter_offsets": {}}]}, STOP], [TEXT]),
    "delta null": ([chunk({"content": "Hello"}), {**STOP, "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}], [TEXT]),
    "finish twice": ([chunk({"content": "Hello"}), STOP, STOP], [TEXT]),
    "finish empty until the end": ([chunk({"content": "Hello"}, finish=""), STOP], [TEXT]),
    "an empty choice list": ([chunk({"content": "Hello"}), {"choices": []}, STOP], [TEXT]),
    "a surrogate pair over two deltas": (
        [r'{"choices":[{"delta":{"content":"\ud83d"}}]}', r'{"choices":[{"delta":{"content":"\ude00"}}]}', STOP], [Part("text", "😀")]
    ),
    "refusal": ([chunk({"refusal": "N"}), chunk({"refusal": "o."}), STOP], [Part("refusal", "No.")]),
    "an empty refusal": ([chunk({"refusal": "", "content": "Hello"}), STOP], [TEXT]),
    "reasoning_content": (
        [chunk({"reasoning_content": "2+"}), chunk({"reasoning_content": "2", "content": None}), chunk({"content": "Hello"}), STOP],
        [Part("reasoning", "2+2", name="reasoning_content"), TEXT],
    ),
    "reasoning": (
        [chunk({"reasoning": "2+2", "content": ""}), chunk({"content": "Hello"}), STOP], [Part("reasoning", "2+2", name="reasoning"), TEXT]
    ),
    "reasoning under both names": (
        [chunk({"reasoning": "2+2", "reasoning_content": "2+2"}), STOP], [Part("reasoning", "2+2", name="reasoning_content")]
    ),
    "reasoning that is said again where it is encrypted": (
        [
            chunk({"reasoning_content": "2+"}),
            chunk({"reasoning_content": "2"}),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "index": 0, "summary": "2+2", "data": "ENC"}]}),
            STOP,
        ],
        [Part("reasoning", "2+2", name="reasoning_content", data="ENC")],
    ),
    "reasoning that is encrypted behind other reasoning": (
        [chunk({"reasoning": "2+2"}), chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "ENC"}]}), STOP],
        [Part("reasoning", "2+2", name="reasoning"), Part("reasoning", data="ENC")],
    ),
    "content as pieces": (
        [
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2+"}]}]}),
            chunk({"content": [{"type": "thinking", "thinking": "2"}, {"type": "text", "text": "Hel"}]}),
            chunk({"content": "lo"}),
            STOP,
        ],
        [Part("reasoning", "2+2"), TEXT],
    ),
    "audio": (
        [
            chunk({"audio": {"id": "a1"}}),
            chunk({"audio": {"transcript": "be"}}),
            chunk({"audio": {"data": "AA", "transcript": "ep"}}),
            chunk({"audio": {"data": "BB"}}),
            STOP,
        ],
        [Part("audio", "beep", "a1", data="AABB")],
    ),
    "one call": (
        [chunk({"content": None, **call(0, "a", "f", "")}), chunk(call(0, arguments='{"x"')), chunk(call(0, arguments=":1}")), CALLED],
        [function("a", "f", '{"x":1}')],
    ),
    "a call in one delta": ([chunk(call(0, "a", "f", "{}"), finish="tool_calls")], [function("a", "f", "{}")]),
    "id and name are repeated": ([chunk(call(0, "a", "f", "")), chunk(call(0, "a", "f", "{}")), CALLED], [function("a", "f", "{}")]),
    "an empty name later": ([chunk(call(0, "a", "f", "")), chunk(call(0, "", "", "{}")), CALLED], [function("a", "f", "{}")]),
    "arguments null": ([chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": None}}]}), CALLED],
                       [function("a", "f", "")]),
    "arguments an object": ([chunk(call(0, "a", "f", {"x": 1})), CALLED], [function("a", "f", '{"x":1}')]),
    "the id comes first": ([chunk(call(0, "a")), chunk(call(0, None, "f", "{}")), CALLED], [function("a", "f", "{}")]),
    "parallel calls": (
        [chunk(call(0, "a", "f", "{}")), chunk(call(1, "b", "g", "")), chunk(call(1, arguments="{}")), CALLED],
        [function("a", "f", "{}"), function("b", "g", "{}")],
    ),
    "interleaved calls": (
        [chunk(calls(call(0, "a", "f", ""), call(1, "b", "g", ""))), chunk(call(1, arguments="2")), chunk(call(0, arguments="1")), CALLED],
        [function("a", "f", "1"), function("b", "g", "2")],
    ),
    "calls that begin at 1": ([chunk({"content": "Hello"}), chunk(call(1, "a", "f", "{}")), CALLED], [TEXT, function("a", "f", "{}")]),
    "calls without an index": (
        [chunk(calls(call(None, "a", "f", "1"), call(None, "b", "g", "2"))), CALLED], [function("a", "f", "1"), function("b", "g", "2")]
    ),
    "text after a call": (
        [chunk({"content": "Hel"}), chunk(call(0, "a", "f", "{}")), chunk({"content": "lo"}), CALLED],
        [Part("text", "Hel"), function("a", "f", "{}"), Part("text", "lo")],
    ),
    "a custom tool": (
        [
            chunk({"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": ""}}]}),
            chunk({"tool_calls": [{"index": 0, "custom": {"input": "x = 1"}}]}),
            CALLED,
        ],
        [Part("tool_call", "x = 1", "a", "f", "custom")],
    ),
    "a legacy call": (
        [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}}),
         chunk(finish="function_call")],
        [Part("tool_call", "{}", "", "f", "legacy")],
    ),
    "calls null and empty": ([chunk({"content": "Hel", "tool_calls": None}), chunk({"content": "lo", "tool_calls": []}), STOP], [TEXT]),
    "ids of chunks change": ([{**chunk({"content": "Hel"}), "id": "x"}, {**chunk({"content": "lo"}), "id": "y"}, STOP], [TEXT]),
    "Azure's first chunk": (
        [{"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"prompt_index": 0}]},
         chunk({"content": "Hello"}), STOP],
        [TEXT],
    ),
    "padding": ([chunk({"content": "Hello"}, obfuscation="xYz", p="abc"), STOP], [TEXT]),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "expected"), CONTENT.values(), ids=CONTENT)
def test_content(chunks: list[Wire | str], expected: list[Part]) -> None:
    reply = read(*chunks)
    assert list(reply.choices[0].parts) == expected
    assert (reply.ending, reply.id in ("c1", "x", "")) == ("complete", True)
    called = any(part.kind == "tool_call" for part in expected)
    finish = reply.choices[0].finish
    assert finish is not None
    assert finish.reason == ("tool_calls" if called else "stop")


@pytest.mark.parametrize("chunks", [chunks for chunks, _ in CONTENT.values()], ids=CONTENT)
def test_events_keep_the_grammar(chunks: list[Wire | str]) -> None:
    """Each part opens once and is closed; deltas are of open parts; one start first and one ending last."""
    opened: set[tuple[int, int]] = set()
    closed: set[tuple[int, int]] = set()
    events = decode([*chunks, DONE])
    assert [isinstance(event, Start) for event in events if not isinstance(event, Extra)] == [True] + [False] * (
        sum(not isinstance(event, Extra) for event in events) - 1
    )
    assert isinstance(events[-1], Done)
    for event in events:
        match event:
            case PartStart():
                assert (event.choice, event.index) not in opened
                assert event.index == len([key for key in opened if key[0] == event.choice])
                opened.add((event.choice, event.index))
            case PartDelta():
                assert (event.choice, event.index) in opened - closed
            case PartEnd():
                assert (event.choice, event.index) in opened - closed
                closed.add((event.choice, event.index))
    assert closed == opened


def test_calls_that_all_have_index_0_are_told_apart_by_their_ids() -> None:
    chunks = [chunk(call(0, "a", "f", '{"x"')), chunk(call(0, arguments=":1}")), chunk(call(0, "b", "g", "{}")), CALLED]
    assert parts(*chunks, quirks=Quirks(calls_by_id=True)) == [function("a", "f", '{"x":1}'), function("b", "g", "{}")]


def test_choices_interleave_and_finish_apart() -> None:
    reply = read(
        chunk({"content": "b"}, index=1),
        chunk({"content": "a"}),
        chunk(finish="length", index=1),
        chunk({"content": "A"}),
        chunk(finish="stop"),
    )
    first = Choice(0, (Part("text", "aA"),), Finish(0, "stop", "stop"))
    assert reply.choices == (first, Choice(1, (Part("text", "b"),), Finish(1, "length", "length")))


FINISHES = [
    ("stop", "stop"), ("length", "length"), ("model_length", "length"), ("content_filter", "content_filter"), ("tool_calls", "tool_calls"),
    ("eos", "stop"), ("end_turn", "stop"), ("insufficient_system_resource", "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), FINISHES)
def test_finish_reasons(raw: str, reason: str) -> None:
    assert read(chunk({"content": "x"}, finish=raw)).choices[0].finish == Finish(0, reason, raw)  # type: ignore[arg-type]


def test_stop_with_calls_means_calls_and_a_missing_reason_is_stop() -> None:
    assert read(chunk(call(0, "a", "f", "{}"), finish="stop")).choices[0].finish == Finish(0, "tool_calls", "stop")
    assert read(chunk(call(0, "a", "f", "{}"))).choices[0].finish == Finish(0, "tool_calls", "")
    assert read(chunk({"content": "x"})).choices[0].finish == Finish(0, "stop", "")


TOKENS = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
USAGES: dict[str, tuple[list[Wire], Usage | None]] = {
    "at the end": ([STOP, {"choices": [], "usage": TOKENS}], Usage(7, 3)),
    "with the finish": ([chunk({"content": "x"}, finish="stop", usage=TOKENS)], Usage(7, 3)),
    "null behind it": ([STOP, {"choices": [], "usage": TOKENS}, {"choices": [], "moderation": {"a": 1}, "usage": None}], Usage(7, 3)),
    "on every chunk": ([chunk({"content": "x"}, usage={"prompt_tokens": 7}), {**STOP, "usage": TOKENS}], Usage(7, 3)),
    "without choices": ([STOP, {"usage": TOKENS}], Usage(7, 3)),
    "in x_groq": ([chunk({"content": "x"}, x_groq={"id": "r"}), {**STOP, "x_groq": {"id": "r", "usage": TOKENS}}], Usage(7, 3)),
    "empty": ([{**STOP, "usage": {}}], None),
    "with details": (
        [{**STOP, "usage": {
            **TOKENS,
            "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2},
            "cost": 0.5,
        }}],
        Usage(7, 3, 5, 1, 2, {"cost": 0.5, "prompt_tokens_details": {"audio_tokens": 0}}),
    ),
    "details null": ([{**STOP, "usage": {**TOKENS, "prompt_tokens_details": None}}], Usage(7, 3)),
    "a total of its own": ([{**STOP, "usage": {**TOKENS, "total_tokens": 99}}], Usage(7, 3, extra={"total_tokens": 99})),
    "nonsense": ([{**STOP, "usage": {"prompt_tokens": -1, "completion_tokens": None}}], Usage()),
    "strings and floats": ([{**STOP, "usage": {"prompt_tokens": "7", "completion_tokens": 3.0}}], Usage(7, 3)),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "usage"), USAGES.values(), ids=USAGES)
def test_usage(chunks: list[Wire], usage: Usage | None) -> None:
    assert read(chunk({"content": "x"}), *chunks).usage == usage


def test_fields_without_a_word_of_their_own_are_kept() -> None:
    reply = read(
        chunk(
            {"content": "a", "annotations": [1]},
            citations=["u"],
            service_tier="default",
        ),
        chunk({"content": "b", "annotations": [2]}, citations=["u"]),
        {"choices": [], "moderation": {"flagged": False}},
        chunk(finish="stop", choice={"native_finish_reason": "STOP"}),
    )
    assert reply.extra == {"citations": ["u"], "service_tier": "default", "moderation": {"flagged": False}}
    assert reply.choices[0].extra == {
        "message": {"annotations": [1, 2]},
        "native_finish_reason": "STOP",
    }


def test_log_probabilities_are_read_as_they_come() -> None:
    tokens: list[Wire] = [
        {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}]},
        {"token": "b", "logprob": 0, "bytes": None, "top_logprobs": []},
    ]
    reply = read(
        chunk({"content": "a"}, choice={"logprobs": {"content": tokens[:1], "refusal": None}}),
        chunk({"content": "b"}, choice={"logprobs": {"content": tokens[1:], "refusal": tokens[1:]}}),
        chunk(finish="stop", choice={"logprobs": None}),
    )
    [choice] = reply.choices
    assert choice.logprobs == (Token("a", -0.5, (97,), (Token("b", -1),)), Token("b", 0))
    assert choice.refusal_logprobs == (Token("b", 0),)
    again = json.loads(encode_reply(reply))["choices"][0]["logprobs"]
    assert again == {"content": tokens, "refusal": tokens[1:]}


def test_progress_is_told_and_is_no_part_of_the_reply() -> None:
    events = decode([{**chunk(), "choices": [], "prompt_progress": {"total": 9, "processed": 4}}, chunk({"content": "x"}), STOP, DONE])
    assert [event for event in events if isinstance(event, Progress)] == [Progress(4, 9)]
    assert fold(events).extra == {}


FAILURES: dict[str, tuple[list[Wire | str], tuple[str, str]]] = {
    "an error object": ([{"error": {"message": "Boom.", "type": "server_error", "code": None}}], ("upstream_error", "Boom.")),
    "an error next to choices": ([chunk({"content": ""}, error={"code": 400, "message": "Boom."})], ("bad_request", "Boom.")),
    "an error as text": ([{"error": "Boom."}], ("upstream_error", "Boom.")),
    "an error that says nothing": ([{"error": True}], ("upstream_error", "The provider reported an error without saying which.")),
    "vLLM's error object": ([{"object": "error", "message": "Boom.", "type": "BadRequestError", "code": 400}], ("bad_request", "Boom.")),
    "overloaded": ([{"error": {"message": "Boom.", "code": "server_is_overloaded"}}], ("overloaded", "Boom.")),
    "a rate limit": ([{"error": {"message": "Boom.", "code": 429}}], ("rate_limited", "Boom.")),
    "a context that is too long": ([{"error": {"message": "Boom.", "code": "context_length_exceeded"}}], ("context_too_long", "Boom.")),
    "no JSON": (["{oops"], ("malformed", "")),
    "no object": (["[1]"], ("malformed", "")),
    "no choices": ([{"id": "x"}], ("malformed", "")),
    "choices null": ([{"id": "x", "choices": None}], ("malformed", "")),
    "a choice that is none": ([{"choices": [1]}], ("malformed", "")),
    "a delta that is none": ([{"choices": [{"delta": "x"}]}], ("malformed", "")),
    "content that is none": ([chunk({"content": 5})], ("malformed", "")),
    "calls that are none": ([chunk({"tool_calls": "x"})], ("malformed", "")),
    "calls that are none, in a list": ([chunk({"tool_calls": ["x"]})], ("malformed", "")),
    "a function that is none": ([chunk({"tool_calls": [{"index": 0, "function": "x"}]})], ("malformed", "")),
    "arguments of a call that never began": ([chunk(calls(call(3, arguments='"x"}')))], ("malformed", "has no name")),
    "the end, without the terminator": ([], ("truncated", "")),
}


@pytest.mark.parametrize(("chunks", "expected"), FAILURES.values(), ids=FAILURES)
def test_failures_inside_a_stream(chunks: list[Wire | str], expected: tuple[str, str]) -> None:
    kind, message = expected
    events = decode([chunk({"content": "Hel"}), *chunks])
    reply = fold(events)
    assert reply.failure is not None
    assert (reply.failure.kind, reply.text) == (kind, "Hel")
    assert message in reply.failure.message
    assert reply.failure.message.endswith(".")
    decoder = Decoder()
    for c in [chunk({"content": "Hel"}), *chunks]:
        decoder.feed(sse.Frame((c if isinstance(c, str) else json.dumps(c)).encode()))
    decoder.end()
    assert decoder.ended
    assert decoder.feed(sse.Frame(json.dumps(chunk({"content": "lo"})).encode())) == []
    assert decoder.feed(sse.Frame(sse.DONE)) == []
    assert decoder.end() == []


def test_an_error_that_is_null_is_none() -> None:
    assert read(chunk({"content": "x"}, error=None), STOP).ending == "complete"


def test_an_error_line_of_llama_cpp_is_an_error() -> None:
    [frame] = sse.Decoder().feed(b'error: {"code":500,"message":"Boom.","type":"server_error"}\n\n')
    [failure] = Decoder().feed(frame)
    assert (failure.kind, failure.message) == ("upstream_error", "Boom.")  # type: ignore[union-attr]


@pytest.mark.parametrize("chunks", [[], [chunk({"role": "assistant", "content": ""})], [{"choices": [], "usage": TOKENS}]])
def test_a_terminator_behind_nothing_is_no_success(chunks: list[Wire | str]) -> None:
    assert read(*chunks).ending == "truncated"


@pytest.mark.parametrize(
    ("chunks", "quirks", "ending"),
    [
        ([chunk({"content": "x"}), STOP], Quirks(no_done=True), "complete"),
        ([chunk({"content": "x"}), STOP], NO_QUIRKS, "truncated"),
        ([chunk({"content": "x"})], Quirks(no_done=True), "truncated"),
        ([chunk({"content": "x"}, index=1), STOP], Quirks(no_done=True), "truncated"),
        ([], Quirks(no_done=True), "truncated"),
        ([chunk({"content": "x"}), STOP, DONE], Quirks(no_done=True), "complete"),
    ],
)
def test_an_end_without_a_terminator(chunks: list[Wire | str], quirks: Quirks, ending: str) -> None:
    assert fold(decode(chunks, quirks)).ending == ending


# whole replies


def whole(message: Wire, finish: str | None = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more.pop("choice", {})}
    body = {"id": "c1", "object": "chat.completion", "created": 5, "model": "m", "choices": [choice], **more}
    return fold(Decoder().whole(json.dumps(body).encode()))


WHOLE: dict[str, tuple[Wire, list[Part]]] = {
    "text": ({"content": "Hello", "refusal": None, "annotations": []}, [TEXT]),
    "empty": ({"content": ""}, []),
    "null": ({"content": None, "tool_calls": None}, []),
    "pieces": ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2"}]}, {"type": "text", "text": "Hello"}]},
               [Part("reasoning", "2"), TEXT]),
    "reasoning": ({"content": "Hello", "reasoning": "2"}, [Part("reasoning", "2", name="reasoning"), TEXT]),
    "refusal": ({"content": None, "refusal": "No."}, [Part("refusal", "No.")]),
    "calls": (
        {"content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}},
        ]},
        [function("a", "f", "{}"), Part("tool_call", "x", "b", "g", "custom")],
    ),
    "calls that all say index 0": (
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}},
                        {"index": 0, "function": {"name": "g", "arguments": {}}}]},
        [function("", "f", "{}"), function("", "g", "")],
    ),
    "a legacy call": ({"function_call": {"name": "f", "arguments": "{}"}}, [Part("tool_call", "{}", "", "f", "legacy")]),
    "audio": ({"audio": {"id": "a", "data": "AA", "transcript": "beep"}}, [Part("audio", "beep", "a", data="AA")]),
}  # fmt: skip


@pytest.mark.parametrize(("message", "expected"), WHOLE.values(), ids=WHOLE)
def test_whole_replies(message: Wire, expected: list[Part]) -> None:
    reply = whole(message, usage=TOKENS, service_tier="default", choice={"logprobs": None})
    assert list(reply.choices[0].parts) == expected
    assert (reply.id, reply.model, reply.created, reply.usage, reply.ending) == ("c1", "m", 5, Usage(7, 3), "complete")
    assert reply.extra == {"service_tier": "default"}


def test_blank_lines_before_a_whole_reply_are_skipped() -> None:
    body = b"\n\n\n" + encode_reply(Reply("c1", "m", 5, (Choice(0, (TEXT,), Finish(0, "stop", "stop")),)))
    assert fold(Decoder().whole(body)).text == "Hello"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "malformed"), (b"<html>", "malformed"), (b"[]", "malformed"), (b"{}", "malformed"), (b'{"choices":[]}', "truncated"),
        (b'{"choices":[{"message":{}}]}', "truncated"), (b'{"choices":[{"message":5}]}', "malformed"),
        (b'{"error":{"message":"Boom."}}', "upstream_error"), (b'{"object":"error","message":"Boom.","code":503}', "overloaded"),
    ],
)  # fmt: skip
def test_whole_replies_that_are_none(body: bytes, kind: str) -> None:
    failure = fold(Decoder().whole(body)).failure
    assert failure is not None
    assert failure.kind == kind


# the way back


def encode(events: Iterable[Event], **options: Any) -> list[Any]:
    encoder = Encoder(**options)
    frames = [frame for event in events for frame in encoder.feed(event)]
    decoded = [frame for raw in frames for frame in sse.Decoder().feed(raw)]
    assert [frame.raw for frame in decoded] == frames  # each is one clean event
    return [DONE if frame.data == sse.DONE else json.loads(frame.data) for frame in decoded]


@given(reply=replies(), include_usage=st.booleans())
def test_frames_have_the_shape_that_the_sdk_needs(reply: Reply, include_usage: bool) -> None:
    chunks = encode(unfold(reply), include_usage=include_usage)
    assert chunks[-1] == DONE
    body = chunks[:-1]
    assert {(c["id"], c["object"], c["created"], c["model"]) for c in body} == {("gen-1", "chat.completion.chunk", 1700000000, "model-1")}
    assert all(("usage" in c) == include_usage for c in body)
    if include_usage and reply.usage:
        assert (body[-1]["choices"], body[-1]["usage"]["prompt_tokens"]) == ([], reply.usage.input)
        body = body[:-1]
    assert all(c.get("usage") is None for c in body)
    choices = [c["choices"][0] for c in body]
    assert all(len(c["choices"]) == 1 and isinstance(c["choices"][0]["delta"], dict) for c in body)
    for index in range(len(reply.choices)):
        own = [choice for choice in choices if choice["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert not any("role" in choice["delta"] for choice in own[1:])
        assert [choice["finish_reason"] is None for choice in own] == [True] * (len(own) - 1) + [False]
        assert own[-1]["delta"] == {}
        said = [one for choice in own for one in choice["delta"].get("tool_calls", [])]
        opened = [one["index"] for one in said if "id" in one]
        assert opened == sorted({one["index"] for one in said}) == list(range(len(opened)))
        assert all("name" not in one["function"] and "type" not in one for one in said if "id" not in one)
    assert [choice["index"] for choice in choices if "role" in choice["delta"]] == list(range(len(reply.choices)))


@given(reply=any_replies(), include_usage=st.booleans())
def test_any_reply_can_be_said(reply: Reply, include_usage: bool) -> None:
    """Whatever else the vocabulary holds makes clean frames and one body, and never raises."""
    encode(unfold(reply), include_usage=include_usage)
    json.loads(encode_reply(reply))


@pytest.mark.parametrize("number", [1, 2, 100, 10**9])
def test_a_choice_that_comes_first_waits_for_those_before_it(number: int) -> None:
    events: list[Event] = [PartStart(number, 0, "text"), PartDelta(number, 0, "b"), Finish(number, "stop"), Done()]
    assert [c["choices"][0]["index"] for c in encode(events)[:-1]] == [*range(min(number, 128)), number, number, number]


def test_what_the_upstream_did_not_say_stands_in() -> None:
    [first, *_] = encode([Start("", "m"), Done()], id="gen_1", created=7)
    assert (first["id"], first["created"]) == ("gen_1", 7)


def test_usage_comes_only_when_it_was_asked_for() -> None:
    events: list[Event] = [Start("c1", "m", 5), Finish(0, "stop", "stop"), Usage(7, 3, 5, 1, 2, {"cost": 0.5}), Done()]
    assert all("usage" not in c for c in encode(events, include_usage=False)[:-1])
    assert encode(events)[-2]["usage"] == {
        **TOKENS,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "cost": 0.5,
    }


def test_fields_of_the_reply_are_sent_even_if_they_come_last() -> None:
    events: list[Event] = [Start("c1", "m", 5), Finish(0, "stop", "stop"), Extra(-1, {"citations": ["u"]}), Done()]
    assert encode(events, include_usage=False)[-2]["citations"] == ["u"]


@pytest.mark.parametrize(("tool", "word"), [("legacy", "function_call"), ("custom", "tool_calls"), ("function", "tool_calls")])
def test_rare_calls_come_back(tool: str, word: str) -> None:
    one = Part("tool_call", "{}", "" if tool == "legacy" else "a", "f", tool)
    reply = Reply("c1", "m", 5, (Choice(0, (one,), Finish(0, "tool_calls", word)),), dialect="openai-chat")
    assert fold(Decoder().whole(encode_reply(reply))) == reply
    assert fold(decode(c if isinstance(c, str) else json.dumps(c) for c in encode(unfold(reply)))) == reply


def test_text_between_other_parts_is_one_string_in_a_whole_reply() -> None:
    said = (Part("text", "Hel"), function("a", "f", "{}"), Part("text", "lo"), Part("reasoning", "2"), Part("reasoning", "+2"))
    message = json.loads(encode_reply(Reply("c1", "m", 5, (Choice(0, said, Finish(0, "tool_calls")),))))["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"], len(message["tool_calls"])) == ("Hello", "2+2", 1)
