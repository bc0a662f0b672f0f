"""What clients of generateContent are told, whatever dialect the reply came in, and that it reads as what was meant."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import any_replies, json_values, names, tokens, words
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartStart, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Citation, Fields, Finish, Part, Reason, Reply, Token, Usage
from telex.dialects.gemini import NAME, Decoder, Encoder, encode_reply
from telex.dialects.gemini.candidate import REASONS
from telex.dialects.gemini.signatures import envelope, read_signature, write_signatures
from telex.dialects.seal import seal

SIGNATURE = base64.b64encode(b"\x12\x05state").decode()


def frames(events: list[Event], **options: Any) -> list[bytes]:
    encoder = Encoder(**options)
    return [frame for event in events for frame in encoder.feed(event)]


def chunks(reply: Reply, **options: Any) -> list[Fields]:
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames(list(unfold(reply)), **options)]


def read(data: bytes) -> Reply:
    cutter, decoder = sse.Decoder(), Decoder()
    heard = [event for frame in [*cutter.feed(data), *cutter.end()] for event in decoder.feed(frame)]
    return fold([*heard, *decoder.end()])


def there_and_back(reply: Reply) -> Reply:
    streamed = read(b"".join(frames(list(unfold(reply)))))
    assert fold(Decoder().whole(encode_reply(reply))) == streamed
    return streamed


def say(*parts: Part, dialect: str = "anthropic", reason: Reason = "stop", raw: str = "end_turn", **choice: Any) -> Reply:
    return Reply("r", "m", 0, (Choice(0, parts, Finish(0, reason, raw), **choice),), dialect=dialect)


def wires(*parts: Part) -> list[Fields]:
    """How a whole reply holds these parts."""
    wire: list[Fields] = json.loads(encode_reply(say(*parts)))["candidates"][0]["content"]["parts"]
    return wire


# ---- streams


def test_a_stream_chunk_by_chunk() -> None:
    events: list[Event] = [
        Start("r", "m", 0, "openai-chat"),
        PartStart(0, 0, "reasoning"), PartDelta(0, 0, "Hm"), PartStart(0, 1, "text"), PartDelta(0, 1, "Hel"), PartDelta(0, 1, "lo"),
        PartStart(0, 2, "tool_call", "c1", "f", "function"), PartDelta(0, 2, '{"a":'), PartDelta(0, 2, "1}"),
        Finish(0, "tool_calls", "tool_calls"), Usage(7, 5, 2, 1, 3), Done(),
    ]  # fmt: skip
    said = frames(events)
    assert all(frame.startswith(b'data: {"candidates":[{"content":{"parts":[{') and frame.endswith(b"}\n\n") for frame in said)
    *most, last = [json.loads(frame[6:]) for frame in said]
    assert [chunk["candidates"][0]["content"] for chunk in most] == [
        {"parts": [part], "role": "model"}
        for part in (
            {"text": "Hm", "thought": True}, {"text": "Hel"}, {"text": "lo"}, {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
        )
    ]  # fmt: skip
    assert all((chunk["modelVersion"], chunk["responseId"]) == ("m", "r") for chunk in most)
    assert last == {
        "candidates": [
            {
                "content": {"parts": [{"text": ""}], "role": "model"},
                "index": 0,
                "finishReason": "STOP",
                "native_finish_reason": "tool_calls",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 12, "thoughtsTokenCount": 3,
            "cachedContentTokenCount": 2, "cacheWriteTokenCount": 1,
        },
        "modelVersion": "m",
        "responseId": "r",
    }  # fmt: skip


def test_what_the_upstream_did_not_say_is_said_for_it() -> None:
    [chunk] = chunks(Reply("", "m", 0, (Choice(0, (), Finish(0, "stop")),), Usage(1)), id="gen_1", created=1774116715, include_usage=False)
    assert (chunk["responseId"], chunk["createTime"]) == ("gen_1", "2026-03-21T18:11:55Z")
    assert "usageMetadata" not in chunk


def test_several_candidates_by_their_index() -> None:
    reply = Reply("r", "m", 0, (Choice(0, (Part("text", "a"),), Finish(0, "stop")), Choice(2, (Part("text", "b"),), Finish(2, "length"))))
    *most, last = chunks(reply)
    assert [chunk["candidates"][0]["index"] for chunk in most] == [0, 2]
    assert [(one["index"], one["finishReason"]) for one in last["candidates"]] == [(0, "STOP"), (2, "MAX_TOKENS")]


def test_a_failure_is_the_last_word() -> None:
    [frame] = frames([Failure("overloaded", "Busy.")])
    assert frame.startswith(b'data: {"error":{"code":503,')
    assert read(frame).failure == Failure("overloaded", "Busy.", status=503)
    assert encode_reply(Reply("r", "m", failure=Failure("overloaded", "Busy."))) == frame[6:-2]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "STOP"), ("stop_sequence", "STOP"), ("tool_calls", "STOP"), ("pause", "STOP"), ("compaction", "STOP"),
        ("length", "MAX_TOKENS"), ("context_full", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("refusal", "SAFETY"),
        ("broken_call", "MALFORMED_FUNCTION_CALL"),
    ],
)  # fmt: skip
def test_reasons_of_other_dialects(reason: Reason, word: str) -> None:
    [candidate] = json.loads(encode_reply(say(reason=reason, raw="theirs")))["candidates"]
    assert (candidate["finishReason"], candidate["native_finish_reason"]) == (word, "theirs")
    assert there_and_back(say(reason=reason, raw="theirs")).choices[0].extra == {"native_finish_reason": "theirs"}


@pytest.mark.parametrize("raw", ["RECITATION", "NEW_WORD"])
def test_googles_own_words_are_said_again(raw: str) -> None:
    own = say(reason=REASONS.get(raw, "stop"), raw=raw, dialect=NAME)
    assert json.loads(encode_reply(own))["candidates"][0]["finishReason"] == raw
    assert there_and_back(own) == own


def test_the_stop_sequence_that_was_met_comes_back() -> None:
    finish = Finish(0, "stop_sequence", "stop_sequence", "END")
    assert there_and_back(Reply("r", "m", 0, (Choice(0, (), finish),), dialect="anthropic")).choices[0].finish == Finish(
        0, "stop_sequence", "STOP", "END"
    )


# ---- parts of other dialects


def test_state_of_others_is_sealed_and_comes_back() -> None:
    parts = (
        Part("reasoning", "Hm", signature="Er+=", dialect="anthropic"),
        Part("reasoning", data="gAAA", dialect="openai-responses"),
        Part("tool_call", "{}", "c", "f", "function", signature="s", dialect="anthropic"),
        Part("text", "Well.", signature="t", dialect="anthropic"),
    )
    assert there_and_back(say(*parts)).choices[0].parts == parts
    [thought, encrypted, call, _] = wires(*parts)
    assert thought == {"text": "Hm", "thought": True, "thoughtSignature": envelope(seal("anthropic", "Er+="))}
    assert encrypted == {"text": "", "thought": True, "thoughtSignature": envelope("openai-responses/data:gAAA")}
    assert base64.b64decode(call["thoughtSignature"], validate=True) == b"anthropic:s"


def test_reasoning_that_is_signed_and_encrypted_loses_neither() -> None:
    whole = there_and_back(say(Part("reasoning", "Hm", data="gAAA", signature="s", dialect="anthropic"))).choices[0].parts
    assert [(part.text, part.signature, part.data) for part in whole] == [("Hm", "s", ""), ("", "", "gAAA")]


@given(st.sampled_from(["anthropic", "openai-responses", "openai-chat", NAME]), words, st.booleans())
def test_any_state_comes_back(dialect: str, state: str, encrypted: bool) -> None:
    part = Part("reasoning", data=state if encrypted else "", signature="" if encrypted else state, dialect=dialect)
    [signature] = write_signatures(part)
    assert read_signature(signature) == (part.signature, part.data, dialect)


def test_parts_that_only_their_provider_understands() -> None:
    part = Part("opaque", '{"q":1}', tool="server_tool_use", dialect="anthropic", extra={"type": "server_tool_use", "id": "x"})
    assert there_and_back(say(part)).choices[0].parts == (part,)
    provider_part = {"dialect": "anthropic", "tool": "server_tool_use", "part": part.extra, "text": '{"q":1}'}
    assert wires(part) == [{"text": "", "partMetadata": {"provider_part": provider_part}}]


def test_refusals_and_media() -> None:
    parts = (
        Part("refusal", "No."), Part("image", data="AA==", media_type="image/png"), Part("image", url="https://x", media_type="image/png"),
        Part("audio", "Hello", "audio_1", data="AA=="), Part("audio", "A transcript"), Part("audio", data="A==="),
        Part("file", data="AA==", media_type="application/pdf", name="a.pdf"),
    )  # fmt: skip
    assert there_and_back(say(*parts)).choices[0].parts == parts
    assert wires(*parts)[0] == {"text": "No.", "partMetadata": {"refusal": True}}


def test_arguments_that_are_no_object() -> None:
    parts = tuple(Part("tool_call", text, "c", "f", "function") for text in ('{"cut', "[1]", "1"))
    assert [wire["functionCall"]["args"] for wire in wires(*parts)] == [{"INVALID_JSON": part.text} for part in parts]
    assert there_and_back(say(*parts)).choices[0].parts == parts


def test_fields_of_others_have_a_place_of_their_own() -> None:
    call = Part("tool_call", "{}", "c", "f", "function", dialect="anthropic", extra={"caller": {"type": "direct"}})
    reply = Reply(
        "r", "m", 0, (Choice(0, (call,), Finish(0, "tool_calls", "tool_use"), extra={"a": 1}),), Usage(1, 2, extra={"b": 2}), None,
        "anthropic", {"c": 3},
    )  # fmt: skip
    body = json.loads(encode_reply(reply))
    assert body["provider_fields"] == {"c": 3}
    assert body["usageMetadata"]["provider_fields"] == {"b": 2}
    assert body["candidates"][0]["provider_fields"] == {"a": 1}
    assert body["candidates"][0]["content"]["parts"][0]["partMetadata"] == {"provider_fields": {"caller": {"type": "direct"}}}
    assert there_and_back(reply).extra == {"provider_fields": {"c": 3}}


def test_log_probabilities_of_others() -> None:
    logprobs = (Token("A", -0.5, (65,), (Token("B", -1.0),)), Token("C", 0.0))
    reply = there_and_back(say(Part("text", "AC"), logprobs=logprobs))
    assert reply.choices[0].logprobs == (Token("A", -0.5, top=(Token("B", -1.0),)), Token("C", 0.0))


def test_sources_of_others_are_counted_in_bytes_and_come_back() -> None:
    theirs = Citation("https://x", "X", 2, 3, "words", "anthropic", {"type": "web_search_result_location", "encrypted_index": "E"})
    parts = (Part("text", "é 世", citations=(theirs,)),)
    reply = say(*parts)
    [source] = json.loads(encode_reply(reply))["candidates"][0]["citationMetadata"]["citationSources"]
    assert source == {
        "startIndex": 3, "endIndex": 6, "uri": "https://x", "title": "X", "quote": "words",
        "provider_citation": {"dialect": "anthropic", "type": "web_search_result_location", "encrypted_index": "E"},
    }  # fmt: skip
    again = there_and_back(reply).choices[0]
    assert (again.parts, "citationMetadata" in again.extra) == (parts, False)
    assert there_and_back(there_and_back(reply)).choices[0].parts == parts


def test_googles_own_sources_are_not_said_twice() -> None:
    metadata = {"citationSources": [{"startIndex": 0, "endIndex": 1, "uri": "https://x"}]}
    [citation] = [Citation("https://x", start=0, end=1, dialect=NAME, fields=metadata["citationSources"][0])]
    own = say(Part("text", "AB", citations=(citation,)), dialect=NAME, raw="STOP", extra={"citationMetadata": metadata})
    assert there_and_back(own) == own
    carried = say(Part("text", "AB", citations=(citation,)))
    assert json.loads(encode_reply(carried))["candidates"][0]["citationMetadata"] == metadata
    segment = Citation("https://x", start=0, end=1, dialect=NAME, fields={"segment": {"endIndex": 1}, "web": {"uri": "https://x"}})
    assert there_and_back(say(Part("text", "AB", citations=(segment,)))).choices[0].parts[0].citations == (segment,)


# ---- laws

own_metadata = st.dictionaries(names.map("x_{}".format), json_values.filter(lambda value: value not in (None, {}, [])), max_size=2)
signatures = st.just("") | st.binary(min_size=1, max_size=9).map(lambda state: base64.b64encode(b"\x12" + state).decode())


def whole_part(kind: str, said: str, signature: str, extra: Fields) -> Part:
    dialect = NAME if signature or extra else ""
    match kind:
        case "tool_call":
            return Part("tool_call", json.dumps({said: 1}, separators=(",", ":"), ensure_ascii=False), "c", said, "function",
                        signature=signature, dialect=dialect, extra=extra)  # fmt: skip
        case "opaque":
            return Part("opaque", tool="executableCode", dialect=NAME, extra={"executableCode": {"code": said}, **extra})
        case "image":
            return Part("image", data="AA==", media_type="image/png", signature=signature, dialect=dialect, extra=extra)
    return Part(kind, said, signature=signature, dialect=dialect, extra=extra)  # type: ignore[arg-type]


def merge(parts: list[Part]) -> tuple[Part, ...]:
    """Without neighbours that the dialect does not tell apart."""
    whole: list[Part] = []
    for part in parts:
        if not whole or whole[-1].signature or (whole[-1].kind, whole[-1].extra) != (part.kind, part.extra) or part.kind in OTHERS:
            whole.append(part)
    return tuple(whole)


OTHERS = ("tool_call", "opaque", "image")
own_parts = st.builds(whole_part, st.sampled_from(["text", "reasoning", "refusal", *OTHERS]), words, signatures, st.just({}) | own_metadata)


@st.composite
def own_replies(draw: st.DrawFn) -> Reply:
    """All that the dialect can say in its own words."""
    several: list[Choice] = []
    for index in range(draw(st.integers(1, 2))):
        parts = merge(draw(st.lists(own_parts, max_size=4)))
        called = any(part.kind == "tool_call" for part in parts)
        reason, raw = draw(st.sampled_from([("stop", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY")]))
        finish = Finish(index, "tool_calls" if called and reason == "stop" else reason, raw)  # type: ignore[arg-type]
        several.append(Choice(index, parts, finish, extra=draw(own_metadata)))
    usage = draw(st.none() | st.builds(lambda i, o, c, r, e: Usage(i + c, o + r, c, 0, r, e), tokens, tokens, tokens, tokens, own_metadata))
    return Reply("r", "m", draw(st.sampled_from([0, 1774116715])), tuple(several), usage, None, NAME, draw(own_metadata))


@given(own_replies())
def test_all_that_the_dialect_can_say_is_read_again(reply: Reply) -> None:
    assert there_and_back(reply) == reply


@given(any_replies())
def test_any_reply_is_said_in_frames_that_the_sdk_can_bear(reply: Reply) -> None:
    for frame in frames(list(unfold(reply))):
        assert frame.startswith(b"data: {")
        assert frame.endswith(b"}\n\n")
        assert b"\n" not in frame[:-2]
        chunk = json.loads(frame[6:])
        assert all(one["content"]["parts"] for one in chunk.get("candidates", ()))
    json.loads(encode_reply(reply))


@given(any_replies())
def test_any_reply_keeps_its_words_and_its_calls(reply: Reply) -> None:
    again = read(b"".join(frames(list(unfold(reply)))))
    meant = {choice.index: choice for choice in reply.choices}
    assert {choice.index for choice in again.choices} <= meant.keys()
    for choice in again.choices:
        for kind in ("text", "reasoning", "refusal"):
            said = "".join(part.text for part in meant[choice.index].parts if part.kind == kind)
            assert "".join(part.text for part in choice.parts if part.kind == kind) == said
        calls = [part.name for part in meant[choice.index].parts if part.kind == "tool_call"]
        assert [part.name for part in choice.parts if part.kind == "tool_call"] == calls
