"""Replies written as Anthropic Messages, and read again: those of its own, and those of other dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strategies import any_replies, base64, extras, json_values, names, tokens, words
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Progress, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Citation, Fields, Finish, Part, Reply, Token, Usage
from telex.dialects import anthropic
from telex.dialects.seal import seal


def frames(*events: Event, id: str = "") -> list[tuple[str, Fields]]:
    """The name and data of each frame."""
    encoder, cutter = anthropic.Encoder(id=id), sse.Decoder()
    data = b"".join(frame for event in events for frame in encoder.feed(event))
    return [(frame.event, json.loads(frame.data)) for frame in cutter.feed(data)]


def reread(events: list[Event]) -> Reply:
    encoder, cutter, decoder = anthropic.Encoder(), sse.Decoder(), anthropic.Decoder()
    data = b"".join(frame for event in events for frame in encoder.feed(event))
    return fold([*(event for frame in cutter.feed(data) for event in decoder.feed(frame)), *decoder.end()])


def reread_whole(reply: Reply) -> Reply:
    return fold(anthropic.Decoder().whole(anthropic.encode_reply(reply)))


def reply(*parts: Part, reason: str = "stop", raw: str = "", dialect: str = "gemini", **fields: Any) -> Reply:
    choice = Choice(0, parts, Finish(0, reason, raw), **fields)  # type: ignore[arg-type]
    return Reply("r", "m", 0, (choice,), Usage(1, 2), dialect=dialect)


def content(*parts: Part, dialect: str = "gemini") -> list[Fields]:
    return json.loads(anthropic.encode_reply(reply(*parts, dialect=dialect)))["content"]  # type: ignore[no-any-return]


def stop(reply: Reply) -> Fields:
    """What is said at the end: the same in a stream as in a whole reply."""
    whole = json.loads(anthropic.encode_reply(reply))
    [delta] = [data for name, data in frames(*unfold(reply)) if name == "message_delta"]
    streamed = {**delta, **delta["delta"]}
    rest = {name: value for name, value in whole.items() if name not in ("id", "type", "role", "model", "content", "usage")}
    assert {name: value for name, value in streamed.items() if name not in ("type", "delta", "usage")} == rest
    return rest


# ---- of its own


texts = st.builds(lambda text, extra: part_with("text", text, extra), words, extras)
calls = st.builds(
    lambda id, name, input, extra: replace(part_with("tool_call", json.dumps(input, separators=(",", ":"), ensure_ascii=False), extra),
                                           id=id, name=name, tool="function"),
    names, names, st.dictionaries(names, json_values, max_size=2), extras,
)  # fmt: skip
foreign = st.sampled_from(["gemini", "openai-responses", "openai-chat"])
thoughts = st.one_of(
    words.map(lambda text: Part("reasoning", text)),
    st.builds(lambda text, s: Part("reasoning", text, signature=s, dialect="anthropic"), st.just("") | words, base64),
    st.builds(lambda text, s, d: Part("reasoning", text, signature=s, dialect=d), st.just("") | words, base64, foreign),
    st.builds(lambda text, data, d: Part("reasoning", text, data=data, dialect=d), st.just("") | words, base64, foreign),
    base64.map(lambda data: Part("reasoning", data=data, dialect="anthropic")),
)
media = st.one_of(
    base64.map(lambda data: Part("image", data=data, media_type="image/png")),
    st.just(Part("image", url="https://a/b.png")),
    base64.map(lambda data: Part("file", name="a.pdf", data=data, media_type="application/pdf")),
    st.builds(lambda id, text, data: Part("audio", text, id, data=data, media_type="audio/wav"), names, words, base64),
)
opaques = st.one_of(
    json_values.map(lambda value: own_opaque("web_search_tool_result", {"content": value})),
    st.dictionaries(names, json_values, max_size=2).map(
        lambda input: replace(
            own_opaque("server_tool_use", {"input": {}}), text=json.dumps(input, separators=(",", ":"), ensure_ascii=False)
        )
    ),
    st.builds(lambda: own_opaque("compaction", {})),
    words.map(lambda text: replace(own_opaque("compaction", {"encrypted_content": "E"}), text=text)),
    st.builds(
        lambda d, tool, extra, text: Part("opaque", text, tool=tool, dialect=d, extra=extra), foreign, names, extras, st.just("") | words
    ),
)


def part_with(kind: Any, text: str, extra: Fields) -> Part:
    extra = {name: value for name, value in extra.items() if value is not None}
    return Part(kind, text, dialect="anthropic", extra=extra) if extra else Part(kind, text)


def own_opaque(tool: str, fields: Fields) -> Part:
    return Part("opaque", tool=tool, dialect="anthropic", extra={"type": tool, **fields})


@st.composite
def messages(draw: st.DrawFn) -> Reply:
    """Every reply that this dialect can say, as it reads it."""
    parts = list(draw(st.lists(st.one_of(texts, calls, thoughts, media, opaques), max_size=5)))
    length = 0
    for place, part in enumerate(parts):
        if part.kind == "text":
            end = length + len(part.text)
            parts[place] = replace(part, citations=tuple(draw(st.lists(citations(length, end), max_size=2))))
            length = end
    called = any(part.kind == "tool_call" for part in parts)
    word, reason = ("tool_use", "tool_calls") if called else draw(st.sampled_from([("end_turn", "stop"), ("pause_turn", "pause")]))
    usage = draw(
        st.builds(lambda i, c, w, o, r, e: Usage(i + c + w, o + r, c, w, r, e), tokens, tokens, tokens, tokens, tokens, meaningful)
    )
    finish = Finish(0, reason, word, draw(st.just("") | words))  # type: ignore[arg-type]
    return Reply("msg_1", "m", 0, (Choice(0, tuple(parts), finish),), usage, dialect="anthropic", extra=draw(meaningful))


meaningful = extras.map(lambda extra: {name: value for name, value in extra.items() if value not in (None, {}, [])})


def citations(start: int, end: int) -> st.SearchStrategy[Citation]:
    own = st.builds(
        lambda url, title, quote: Citation(
            url, title, start, end, quote, "anthropic", {"type": "x", "url": url, "title": title, "cited_text": quote}
        ),
        words, words, words,
    )  # fmt: skip
    return own | st.builds(Citation, words, words, st.integers(0, 9), st.integers(1, 9), words, foreign, extras)


@given(reply=messages())
def test_what_it_says_of_itself_is_read_again(reply: Reply) -> None:
    assert reread(list(unfold(reply))) == reply
    assert reread_whole(reply) == reply


@given(reply=any_replies())
def test_no_reply_breaks_the_encoder(reply: Reply) -> None:
    """Whatever it holds, a stream keeps the order that SDKs need and a whole reply says the same."""
    events = list(unfold(reply))
    named = frames(*events)
    assert all(name == data["type"] for name, data in named)
    assert named[0][0] == "message_start"
    assert named[-1][0] == ("error" if reply.failure else "message_stop")
    check_blocks(named)
    if reply.failure is None:
        streamed, whole = reread(events), reread_whole(reply)
        assert streamed.usage == whole.usage
        assert list(map(without_json, parts_of(streamed))) == list(map(without_json, parts_of(whole)))


def without_json(part: Part) -> Part:
    """What was no JSON object is wrapped in a whole reply."""
    return replace(part, text="", extra={}) if part.kind in ("tool_call", "opaque") else part


def parts_of(reply: Reply) -> list[Part]:
    return [part for choice in reply.choices for part in choice.parts]


def check_blocks(named: list[tuple[str, Fields]]) -> None:
    """Blocks one after another, numbered from 0 without a hole."""
    opened, count = False, 0
    for name, data in named:
        if name == "content_block_start":
            assert not opened
            assert data["index"] == count
            opened = True
        elif name == "content_block_delta":
            assert opened
            assert data["index"] == count
        elif name == "content_block_stop":
            assert opened
            assert data["index"] == count
            opened, count = False, count + 1
        elif name != "error":
            assert not opened


def test_a_stream_frame_by_frame() -> None:
    events: list[Event] = [
        Usage(5),
        Start("", "m"),
        PartStart(0, 0, "text"),
        PartDelta(0, 0, "Hi"),
        Progress(1, 2),
        PartEnd(0, 0),
        Finish(0, "stop"),
        Usage(5, 2),
    ]
    usage = {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
    message: Fields = {
        "id": "gen_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    assert frames(*events, Done(), id="gen_1") == [
        ("message_start", {"type": "message_start", "message": {**message, "usage": usage}}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": delta, "usage": {**usage, "output_tokens": 2}}),
        ("message_stop", {"type": "message_stop"}),
    ]


def test_what_is_known_at_the_start_stands_there() -> None:
    events: list[Event] = [
        Extra(-1, {"diagnostics": {"x": 1}}),
        Usage(5, 1),
        Start("i", "m", dialect="anthropic"),
        Extra(-1, {"container": {"id": "c"}}),
    ]
    named = frames(*events, Extra(-1, {"context_management": {}}), Finish(0, "stop", "end_turn"), Done())
    assert named[0][1]["message"]["diagnostics"] == {"x": 1}
    assert named[0][1]["message"]["usage"]["input_tokens"] == 5
    assert named[1][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None, "container": {"id": "c"}}
    assert named[1][1]["context_management"] == {}


def test_fields_whose_names_mean_something_here_change_nothing() -> None:
    extra = {"kind": 1, "delta": 2, "usage": 3, "type": 4, "message": 5}
    whole = replace(reply(Part("text", "a"), dialect="anthropic", raw="end_turn"), extra=extra)
    for again in (reread(list(unfold(whole))), reread_whole(whole), reread([Extra(-1, extra), *unfold(replace(whole, extra={}))])):
        assert (again.text, again.usage, again.failure) == ("a", Usage(1, 2), None)


def test_text_is_said_at_once_and_so_are_thoughts_and_arguments() -> None:
    for kind, delta in (
        ("text", "text_delta"),
        ("refusal", "text_delta"),
        ("reasoning", "thinking_delta"),
        ("tool_call", "input_json_delta"),
    ):
        encoder = anthropic.Encoder()
        encoder.feed(Start("i", "m"))
        encoder.feed(PartStart(0, 0, kind))  # type: ignore[arg-type]
        assert delta.encode() in b"".join(encoder.feed(PartDelta(0, 0, "{")))


# ---- of others

STOPS: list[tuple[Reply, str, str]] = [
    (reply(raw="STOP"), "end_turn", "STOP"),
    (reply(reason="stop_sequence", raw="stop"), "stop_sequence", "stop"),
    (reply(reason="length", raw="MAX_TOKENS"), "max_tokens", "MAX_TOKENS"),
    (reply(reason="context_full"), "model_context_window_exceeded", ""),
    (reply(reason="content_filter", raw="SAFETY"), "refusal", "SAFETY"),
    (reply(reason="refusal", raw="refusal"), "refusal", ""),
    (reply(reason="pause", raw="CONTINUATION"), "pause_turn", "CONTINUATION"),
    (reply(reason="broken_call", raw="MALFORMED_FUNCTION_CALL"), "end_turn", "MALFORMED_FUNCTION_CALL"),
    (reply(reason="compaction"), "compaction", ""),
    (reply(Part("tool_call", "{}", "a", "f"), reason="tool_calls", raw="tool_calls"), "tool_use", "tool_calls"),
    (reply(Part("tool_call", "{}", "a", "f"), raw="STOP"), "tool_use", "STOP"),
    (reply(Part("refusal", "No."), raw="stop"), "refusal", "stop"),
    (reply(Part("refusal", "No."), reason="content_filter", raw="content_filter"), "refusal", "content_filter"),
    (reply(raw="end_turn", dialect="anthropic"), "end_turn", ""),
    (reply(raw="steeped", dialect="anthropic"), "steeped", ""),
    (reply(raw="stop", dialect=""), "end_turn", "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "word", "native"), STOPS)
def test_why_it_stopped(reply: Reply, word: str, native: str) -> None:
    fields = stop(reply)
    assert (fields["stop_reason"], fields.get("native_finish_reason", "")) == (word, native)


def test_the_sequence_that_was_met() -> None:
    whole = replace(reply(), choices=(Choice(0, (), Finish(0, "stop_sequence", "stop", "END")),))
    assert stop(whole)["stop_sequence"] == "END"


def test_fields_of_other_dialects_stand_apart() -> None:
    """Those of the reply, of its choice, of its usage, and log probabilities, which have no place here."""
    logprobs = (Token("a", -0.5, (97,), (Token("b", -1.0),)),)
    whole = reply(Part("text", "a"), logprobs=logprobs, extra={"safetyRatings": [1]})
    whole = replace(whole, extra={"modelStatus": "x"}, usage=Usage(9, 5, 3, 1, 2, {"trafficType": "T"}))
    told = {"text": [{"text": "a", "logprob": -0.5, "bytes": [97], "top": [{"text": "b", "logprob": -1.0}]}], "refusal": []}
    assert stop(whole)["provider_fields"] == {"modelStatus": "x", "safetyRatings": [1], "logprobs": told}
    usage = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 3,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
        "provider_fields": {"trafficType": "T"},
    }
    assert json.loads(anthropic.encode_reply(whole))["usage"] == usage
    assert frames(*unfold(whole))[-2][1]["usage"] == usage
    own = replace(whole, dialect="anthropic", choices=(Choice(0, (), Finish(0, "stop", "end_turn"), logprobs),))
    assert stop(own) == {"stop_reason": "end_turn", "stop_sequence": None, "modelStatus": "x", "provider_fields": {"logprobs": told}}
    assert (
        frames(Start("i", "m"), Logprobs(0, logprobs), Logprobs(0, logprobs), Done())[-2][1]["provider_fields"]["logprobs"]["text"]
        == told["text"] * 2
    )


def test_what_others_signed_or_encrypted() -> None:
    call = Part("tool_call", "{}", "a", "f", "function", signature="Cs", dialect="gemini")
    sealed, encrypted = seal("gemini", "Cs"), seal("openai-responses", "gA", data=True)
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    cases: list[tuple[Part, list[Fields]]] = [
        (Part("reasoning", "Hm."), [{"type": "thinking", "thinking": "Hm.", "signature": "gemini:"}]),
        (Part("reasoning", "Hm.", signature="Cs"), [{"type": "thinking", "thinking": "Hm.", "signature": sealed}]),
        (Part("reasoning", data="gA", dialect="openai-responses"), [{"type": "redacted_thinking", "data": encrypted}]),
        (
            Part("reasoning", "Hm.", data="gA", dialect="openai-responses"),
            [{"type": "thinking", "thinking": "Hm.", "signature": encrypted}],
        ),
        (Part("text", "Hi", signature="Cs"), [{"type": "text", "text": "Hi"}, {"type": "redacted_thinking", "data": sealed}]),
        (call, [use, {"type": "redacted_thinking", "data": sealed}]),
    ]
    for part, blocks in cases:
        assert content(part) == blocks
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": blocks}]}
        request = anthropic.decode_request(json.dumps(body).encode())
        assert not isinstance(request, Failure)
        [back] = request.messages[1].parts
        assert back == replace(part, dialect=part.dialect or "gemini")
        check_blocks(frames(*unfold(reply(part))))


def test_sources_of_other_dialects_bring_the_original_along() -> None:
    fields = {"startIndex": 1, "uri": "https://a"}
    citation = Citation("https://a", "T", 2, 4, "q", "gemini", fields)
    [block] = content(Part("text", "Hello", citations=(citation,)))
    original = {"provider_citation": {"dialect": "gemini", **fields}}
    assert block["citations"] == [
        {
            "type": "web_search_result_location",
            "url": "https://a",
            "title": "T",
            "cited_text": "q",
            "encrypted_index": "",
            "start_index": 2,
            "end_index": 4,
            **original,
        }
    ]
    whole = reply(Part("text", "Hello", citations=(citation,)))
    assert parts_of(reread_whole(whole)) == parts_of(reread(list(unfold(whole)))) == parts_of(whole)


def test_parts_that_have_no_block_here() -> None:
    part = Part("opaque", "{}", tool="executableCode", dialect="gemini", extra={"executableCode": {"code": "1"}})
    carried = {"type": "provider_part", "dialect": "gemini", "tool": "executableCode", "part": part.extra, "text": "{}"}
    assert content(part) == [carried]
    assert content(Part("audio", "Hm.", "a", data="AAAA")) == [
        {"type": "provider_part", "dialect": "", "tool": "audio", "part": {"id": "a", "transcript": "Hm.", "data": "AAAA"}}
    ]
    starts = [data for name, data in frames(*unfold(reply(part))) if name.startswith("content_block")]
    assert [data["type"] for data in starts] == ["content_block_start", "content_block_stop"]
    assert starts[0]["content_block"] == carried


def test_parallel_calls_are_put_one_behind_the_other() -> None:
    events: list[Event] = [
        Start("i", "m"),
        PartStart(0, 0, "tool_call", "a", "f"),
        PartDelta(0, 0, "{"),
        PartStart(0, 1, "tool_call", "b", "g"),
    ]
    events += [PartDelta(0, 1, "{"), PartDelta(0, 0, "}"), PartDelta(0, 1, "}"), Finish(0, "tool_calls"), Usage(1), Done()]
    check_blocks(frames(*events))
    assert [(part.id, part.text) for part in parts_of(reread(events))] == [("a", "{}"), ("b", "{}")]


def test_arguments_that_are_no_object() -> None:
    """A whole reply wraps them; a stream has said them before that is known, unless they are free text."""
    cut = reply(Part("tool_call", '{"cut', "a", "f", "function"), reason="length")
    assert json.loads(anthropic.encode_reply(cut))["content"][0]["input"] == {"INVALID_JSON": '{"cut'}
    assert parts_of(reread(list(unfold(cut))))[0].text == '{"cut'
    custom = reply(Part("tool_call", "SELECT 1", "a", "f", "custom"), reason="tool_calls")
    assert parts_of(reread(list(unfold(custom))))[0].text == '{"INVALID_JSON":"SELECT 1"}'


def test_only_one_choice_can_be_said() -> None:
    several = replace(
        reply(Part("text", "a")), choices=(reply(Part("text", "a")).choices[0], Choice(1, (Part("text", "b"),), Finish(1, "length")))
    )
    assert reread(list(unfold(several))).text == reread_whole(several).text == "a"
    assert stop(several)["stop_reason"] == "end_turn"


def test_a_failure_is_an_error_that_sdks_raise_and_the_last_word() -> None:
    failure = Failure("overloaded", "Busy.")
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}, "request_id": "gen_1"}
    assert frames(failure, Done(), id="gen_1") == [("error", error)]
    events: list[Event] = [
        Start("i", "m"),
        PartStart(0, 0, "tool_call", "a", "f"),
        PartStart(0, 1, "text"),
        PartDelta(0, 1, "Hi"),
        failure,
        Done(),
    ]
    named = frames(*events, id="gen_1")
    check_blocks(named)
    assert named[-1] == ("error", error)
    assert json.loads(anthropic.encode_reply(Reply("i", "m", failure=failure)))["error"] == error["error"]


def test_no_event_is_said_of_a_part_that_is_not_open() -> None:
    assert frames(Start("i", "m"), PartDelta(0, 0, "x"), Cite(0, 0, Citation()), PartEnd(0, 0))[1:] == []
