"""Replies of Responses: what providers make of the format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import PartDelta, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Citation, Finish, Part, Token, Usage
from telex.dialects.openai_responses import Decoder, encode_reply
from telex.dialects.seal import seal
from wire_responses import (
    CREATED,
    HELLO,
    IN,
    NEWS,
    OWN,
    SEARCH,
    SEARCHED,
    Wire,
    added,
    call,
    decode,
    done,
    event,
    last,
    message,
    parts,
    read,
    response,
    said,
    text_part,
    thought,
    whole,
    wire,
)

SUMMARY = {"type": "summary_text", "text": ""}
PICTURE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "output_format": "webp", "result": "AAAA", "size": "1x1"}
CALLED = Part("tool_call", '{"a":1}', "call_1", "f", "function", dialect=OWN, extra={"id": "fc_1"})

CONTENT: dict[str, tuple[list[Wire | str], list[Part]]] = {
    "by the book": (
        [added(message()), event("content_part.added", content_index=0, part=text_part()), said("Hel"), said("lo"),
         event("output_text.done", content_index=0, text="Hello"), event("content_part.done", content_index=0, part=text_part("Hello")),
         done(message(text_part("Hello")))],
        [HELLO],
    ),
    "no delta": ([added(message()), event("output_text.done", content_index=0, text="Hello"), done(message(text_part("Hello")))], [HELLO]),
    "some of it in deltas": ([added(message()), said("Hel"), done(message(text_part("Hello")))], [HELLO]),
    "whole when added": ([added(message(text_part("Hello")))], [HELLO]),
    "only done": ([done(message(text_part("Hello")))], [HELLO]),
    "only in the part that is done": ([added(message()), event("content_part.done", content_index=0, part=text_part("Hello"))], [HELLO]),
    "never announced": ([event("output_text.delta", item_id="msg_1", content_index=0, delta="Hello")], [HELLO]),
    "ids that change": (
        [added(message()), event("output_text.delta", item_id="x", content_index=0, delta="Hello"),
         done(message(text_part("Hello"), id="y")), last([message(text_part("Hello"), id="z")])],
        [HELLO],
    ),
    "words that differ in the end": ([added(message()), said("Hello"), done(message(text_part("Hello!!"), id="msg_1"))],
                                     [Part("text", "Hello!!", **IN)]),
    "other words in the end": ([added(message()), said("Hello"), done(message(text_part("Goodbye")))], [HELLO]),
    "deltas of nothing": ([added(message()), said("Hello"), event("output_text.delta", content_index=0, delta=None)], [HELLO]),
    "an empty text": ([added(message()), event("content_part.added", content_index=0, part=text_part()), done(message(text_part()))],
                      [Part("text", **IN)]),
    "two pieces": (
        [added(message()), said("Hel"), event("refusal.delta", content_index=1, delta="No."),
         event("refusal.done", content_index=1, refusal="No.")],
        [Part("text", "Hel", **IN), Part("refusal", "No.", **IN)],
    ),
    "a surrogate pair over two deltas": (
        [added(message()), r'{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"\ud83d"}',
         r'{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"\ude00"}', done(message(text_part("😀")))],
        [Part("text", "😀", **IN)],
    ),
    "a phase": ([added(message(phase="commentary")), said("Hello")],
                [Part("text", "Hello", dialect=OWN, extra={"id": "msg_1", "phase": "commentary"})]),
    "fields of the content": ([done(message({**text_part("Hello"), "spoken": True}))],
                              [Part("text", "Hello", dialect=OWN, extra={"id": "msg_1", "content": {"spoken": True}})]),
    "content without a word": (
        [done(message(text_part("Hello"), {"type": "hologram", "x": 1}))],
        [HELLO, Part("opaque", tool="hologram", dialect=OWN, extra={
            "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "hologram", "x": 1}]})],
    ),
    "a call": ([added(call()), event("function_call_arguments.delta", delta='{"a"'), event("function_call_arguments.delta", delta=":1}"),
                event("function_call_arguments.done", arguments='{"a":1}'), done(call('{"a":1}'))], [CALLED]),
    "a call without deltas": ([added(call()), done(call('{"a":1}'))], [CALLED]),
    "a call whose name comes late": ([added({**call(), "name": ""}), event("function_call_arguments.delta", delta='{"a"'),
                                      done(call('{"a":1}'))], [CALLED]),
    "arguments that are an object": ([done(call({"a": 1}))], [CALLED]),
    "no arguments": ([done(call())], [Part("tool_call", "", "call_1", "f", "function", dialect=OWN, extra={"id": "fc_1"})]),
    "a caller": ([done(call("{}", caller={"type": "direct"}))],
                 [Part("tool_call", "{}", "call_1", "f", "function", dialect=OWN, extra={"id": "fc_1", "caller": {"type": "direct"}})]),
    "parallel calls": (
        [added(call()), added(call(id="call_2", name="g"), 1), event("function_call_arguments.delta", 1, delta="{}"),
         event("function_call_arguments.delta", delta='{"a":1}'), done(call("{}", "call_2", "g"), 1), done(call('{"a":1}'))],
        [CALLED, Part("tool_call", "{}", "call_2", "g", "function", dialect=OWN, extra={"id": "fc_1"})],
    ),
    "a custom call": (
        [added({"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "sh", "input": ""}),
         event("custom_tool_call_input.delta", delta="ls"), event("custom_tool_call_input.done", input="ls")],
        [Part("tool_call", "ls", "c", "sh", "custom", dialect=OWN, extra={"id": "ctc_1"})],
    ),
    "reasoning": (
        [added(thought(encrypted_content="par")), event("reasoning_summary_part.added", summary_index=0, part=SUMMARY),
         event("reasoning_summary_text.delta", summary_index=0, delta="Hm"),
         event("reasoning_summary_text.done", summary_index=0, text="Hm"),
         event("reasoning_summary_text.delta", summary_index=1, delta="Ah"), done(thought("Hm", "Ah", encrypted_content="whole"))],
        [Part("reasoning", "Hm", "rs_1"), Part("reasoning", "Ah", "rs_1", data="whole", dialect=OWN)],
    ),
    "reasoning as it is": (
        [added(thought()), event("content_part.added", content_index=0, part={"type": "reasoning_text", "text": ""}),
         event("reasoning_text.delta", content_index=0, delta="Hm"), event("reasoning_text.done", content_index=0, text="Hm"),
         done(thought(content=[{"type": "reasoning_text", "text": "Hm"}]))],
        [Part("reasoning", "Hm", "rs_1", dialect=OWN, extra={"type": "reasoning_text"})],
    ),
    "reasoning as Open Responses calls it": (
        [added(thought()), event("reasoning.delta", content_index=0, delta="Hm"), event("reasoning.done", content_index=0, text="Hm")],
        [Part("reasoning", "Hm", "rs_1", dialect=OWN, extra={"type": "reasoning_text"})],
    ),
    "reasoning without words": ([added(thought()), done(thought())], [Part("reasoning", id="rs_1")]),
    "reasoning that is only encrypted": ([done(thought(encrypted_content="E"))], [Part("reasoning", id="rs_1", data="E", dialect=OWN)]),
    "reasoning that another dialect signed": ([done(thought("Hm", encrypted_content=seal("anthropic", "S")))],
                                              [Part("reasoning", "Hm", "rs_1", signature="S", dialect="anthropic")]),
    "reasoning that another dialect encrypted": ([done(thought(encrypted_content=seal("anthropic", "D", data=True)))],
                                                 [Part("reasoning", id="rs_1", data="D", dialect="anthropic")]),
    "a hosted tool": ([added({**SEARCH, "status": "in_progress"}), event("web_search_call.searching"), done(SEARCH)], [SEARCHED]),
    "a hosted tool that is whole when added": ([added(SEARCH)], [SEARCHED]),
    "a picture": (
        [done(PICTURE)],
        [Part("image", data="AAAA", media_type="image/webp", dialect=OWN, extra={"id": "ig_1", "output_format": "webp", "size": "1x1"})],
    ),
    "a picture that failed": ([done({"type": "image_generation_call", "id": "ig_1", "status": "failed", "result": None})],
                              [Part("opaque", tool="image_generation_call", dialect=OWN, extra={
                                  "type": "image_generation_call", "id": "ig_1", "status": "failed", "result": None})]),
    "a part of another provider": (
        [done({"type": "provider_part", "id": "pp_1", "dialect": "anthropic", "tool": "server_tool_use", "part": {"a": 1}, "text": "{}"})],
        [Part("opaque", "{}", tool="server_tool_use", dialect="anthropic", extra={"a": 1})],
    ),
    "unknown events": ([{"type": "response.new.thing", "x": 1}, {"type": "keepalive"}, "{}", event("output_item.added", 3, item=SEARCH)],
                       [SEARCHED]),
}  # fmt: skip


@pytest.mark.parametrize(("events", "expected"), CONTENT.values(), ids=CONTENT)
def test_content(events: list[Wire | str], expected: list[Part]) -> None:
    assert parts(*events) == expected


def test_what_only_the_last_event_holds() -> None:
    everything = [thought("Hm", encrypted_content="E"), message(text_part("Hello")), SEARCH, call('{"a":1}')]
    expected = [Part("reasoning", "Hm", "rs_1", data="E", dialect=OWN), HELLO, SEARCHED, CALLED]
    assert parts(end=last(everything)) == expected
    streamed = [added(message(), 1), said("Hello", 1), done(message(text_part("Hello")), 1)]
    reply = decode(*streamed, last(everything))
    assert sorted(part.kind for part in reply.choices[0].parts) == sorted(part.kind for part in expected)
    assert reply.text == "Hello"  # not twice


def test_a_gap_between_indexes_shifts_nothing() -> None:
    two = [message(text_part("one"), id="a"), message(text_part("two"), id="b")]
    events = [added(two[0], 0), said("one", 0), done(two[0], 0), added(message(id="b"), 2), said("two", 2), done(two[1], 2)]
    assert [part.text for part in parts(*events, end=last(two))] == ["one", "two"]


def test_an_item_that_was_not_done_is_done_in_the_end() -> None:
    assert parts(added(thought()), end=last([thought("Hm", encrypted_content="E")])) == [
        Part("reasoning", "Hm", "rs_1", data="E", dialect=OWN)
    ]


def test_indexes_of_parts_run() -> None:
    events = read(
        wire(CREATED, added(thought()), done(thought("a", "b")), done(message(text_part("c"), text_part("d")), 1), done(SEARCH, 2))
    )
    assert [e.index for e in events if isinstance(e, PartStart)] == list(range(5))


def test_the_head() -> None:
    assert read(wire(CREATED))[0] == Start("resp_1", "m", 5, OWN)
    assert read(wire({"type": "response.queued", "response": response()}, CREATED, last()))[0] == Start("resp_1", "m", 5, OWN)
    assert read(wire(said("Hello")))[0] == Start("", "", 0, OWN)  # no event before it said more


BARE: Wire = {"type": "url_citation", "url": "https://x/"}
FILE: Wire = {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 7}
SOURCES: dict[str, tuple[Wire, Citation]] = {
    "a page": (NEWS, Citation("https://x/", "X", 3, 5, dialect=OWN, fields=NEWS)),
    "no place": (BARE, Citation("https://x/", dialect=OWN, fields=BARE)),
    "a file": (FILE, Citation(title="a.pdf", dialect=OWN, fields=FILE)),
    "another dialect's": (
        {**NEWS, "quote": "said", "provider_citation": {"dialect": "anthropic", "cited_text": "said"}},
        Citation("https://x/", "X", 3, 5, "said", "anthropic", {"cited_text": "said"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES)
def test_sources_are_placed_in_the_whole_text(source: Wire, expected: Citation) -> None:
    """Those of a second piece begin to count where its text begins."""
    before = [added(message()), said("12"), said("4567", index=1)]
    told = event("output_text.annotation.added", content_index=1, annotation_index=0, annotation=source)
    whole = done(message(text_part("12"), text_part("4567", source)))
    for events in ([*before, told, whole], [*before, whole], [whole]):
        assert [part.citations for part in parts(*events)] == [(), (expected,)]


TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Yo", "logprob": -1, "bytes": None}]}


def test_log_probabilities_are_told_once() -> None:
    held = (Token("Hi", -0.5, (72, 105), (Token("Yo", -1.0),)),)
    delta = {**said("Hi"), "logprobs": [TOKEN]}
    whole = done(message({**text_part("Hi"), "logprobs": [TOKEN]}))
    for events in ([added(message()), delta, whole], [added(message()), said("Hi"), whole], [whole]):
        reply = decode(*events, last())
        assert reply.choices[0].logprobs == held


ENDINGS: list[tuple[Wire, Finish]] = [
    (last([message(text_part("Hello"))]), Finish(0, "stop", "completed")),
    (last([call("{}")]), Finish(0, "tool_calls", "completed")),
    (last(), Finish(0, "stop", "completed")),
    (last(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), Finish(0, "length", "max_output_tokens")),
    (last(status="incomplete", incomplete_details={"reason": "content_filter"}), Finish(0, "content_filter", "content_filter")),
    (last(status="incomplete", incomplete_details={"reason": "steered"}), Finish(0, "stop", "steered")),
    (last(status="incomplete"), Finish(0, "stop", "incomplete")),
    ({"type": "response.completed", "response": {"output": []}}, Finish(0, "stop", "completed")),
]


@pytest.mark.parametrize(("end", "finish"), ENDINGS)
def test_endings(end: Wire, finish: Finish) -> None:
    reply = decode(end)
    assert (reply.failure, reply.choices[0].finish) == (None, finish)
    assert fold(read(wire(CREATED, end, said("more"), "[DONE]"))) == reply  # what follows counts for nothing


def error(code: str, message: str = "Boom.") -> Wire:
    return {"code": code, "message": message}


CUT = Failure("truncated", "The provider's stream ended without its last event, such as response.completed.")
FAILURES: dict[str, tuple[list[Wire | str], Failure]] = {
    "nested": ([{"type": "error", "sequence_number": 3, "error": {"type": "tokens", "param": "input", **error("rate_limit_exceeded")}}],
               Failure("rate_limited", "Boom.", "input", "tokens", "rate_limit_exceeded")),
    "flat": ([{"type": "error", "param": None, **error("server_error")}], Failure("upstream_error", "Boom.", code="server_error")),
    "without a type": (['{"error":{"message":"Boom."}}'], Failure("upstream_error", "Boom.")),
    "vLLM": (['{"object":"error","message":"Boom.","code":400}'], Failure("bad_request", "Boom.", code="400", status=400)),
    "a failed response": ([last(status="failed", error=error("server_error"))], Failure("upstream_error", "Boom.", code="server_error")),
    "about what was asked": ([last(status="failed", error=error("invalid_prompt"))],
                             Failure("bad_request", "Boom.", code="invalid_prompt")),
    "too long": ([last(status="failed", error=error("context_length_exceeded"))],
                 Failure("context_too_long", "Boom.", code="context_length_exceeded")),
    "a key": ([{"type": "error", "error": error("invalid_api_key", "sk-secret")}],
              Failure("upstream_denied", "The provider refused the credentials that Telex is configured with.")),
    "failed without a word": ([last(status="failed", error=None)],
                              Failure("upstream_error", "The provider reported an error without saying which.")),
    "cancelled": ([last(status="cancelled")], Failure("cancelled", "The provider says that the response was cancelled.")),
    "[DONE] too early": (["[DONE]"], CUT),
    "nothing more": ([], CUT),
    "not ended": ([{"type": "response.completed", "response": response(status="queued")}],
                  Failure("truncated", "The provider's reply has not ended: its status is 'queued'.")),
    "no response": ([{"type": "response.completed"}],
                    Failure("malformed", "The provider's reply is not a response: its last event holds none.")),
    "a list": (["[1]"], Failure("malformed", "The provider's stream holds an event that is no object.")),
    "another call in the end": (
        [added(call()), event("function_call_arguments.delta", delta="{}"), done(call('{"a":1}'))],
        Failure("malformed", "The provider's reply is not a response: a call is not what was streamed of it."),
    ),
    "words behind their end": ([added(message()), said("a"), done(message(text_part("a"))), said("b")],
                               Failure("malformed", "The provider's reply is not a response: text goes on after its end.")),
    "text that is none": ([added(message()), event("output_text.delta", content_index=0, delta=5)],
                          Failure("malformed", "The provider's reply is not a response: text is not text.")),
    "words of a call that never came": (
        [added(message()), said("a"), event("function_call_arguments.delta", 7, delta="{}"), last([message(text_part("a"))])],
        Failure("malformed", "The provider's reply is not a response: a call has no name."),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("events", "failure"), FAILURES.values(), ids=FAILURES)
def test_failures(events: list[Wire | str], failure: Failure) -> None:
    assert decode(*events).failure == failure
    assert decode(*events, last([message(text_part("more"))])).failure == failure or not events  # the first word on it stands


def test_a_failed_response_keeps_its_words_and_its_bill() -> None:
    usage = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
    body = response([message(text_part("Hel"))], "failed", error=error("server_error"), usage=usage)
    for reply in (decode(last([message(text_part("Hel"))], "failed", error=error("server_error"), usage=usage)), whole(body)):
        assert (reply.text, reply.usage, reply.ending) == ("Hel", Usage(4, 2), "failed")


WHOLE_FAILURES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"<html>", "malformed"),
    "no object": ([], "malformed"),
    "no output": ({"object": "response.input_tokens", "input_tokens": 16}, "malformed"),
    "an error": ({"error": error("server_error")}, "upstream_error"),
    "queued": (response(status="queued"), "truncated"),
    "neither content nor status": ({"output": []}, "truncated"),
}


@pytest.mark.parametrize(("body", "kind"), WHOLE_FAILURES.values(), ids=WHOLE_FAILURES)
def test_bodies_that_are_no_whole_reply(body: Any, kind: str) -> None:
    reply = whole(body)
    assert reply.failure is not None
    assert reply.failure.kind == kind


def test_content_without_a_status_is_a_reply() -> None:
    reply = whole({"output": [message(text_part("Hello"))]})
    assert (reply.text, reply.choices[0].finish) == ("Hello", Finish(0, "stop"))


USAGES: list[tuple[Wire, Usage]] = [
    ({"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
      "output_tokens_details": {"reasoning_tokens": 3}}, Usage(9, 5, 4, 2, 3)),
    ({"input_tokens": "9", "output_tokens": None, "input_tokens_details": None}, Usage(9)),
    ({"input_tokens": -1, "output_tokens": 5, "output_tokens_details": 7}, Usage(0, 5)),
    ({"input_tokens": 9, "output_tokens": 5, "total_tokens": 17, "output_tokens_details": {"reasoning_tokens": 3}}, Usage(9, 8, 0, 0, 3)),
    ({"input_tokens": 9, "output_tokens": 5, "total_tokens": 20}, Usage(9, 5, extra={"total_tokens": 20})),
    ({"input_tokens": 9, "output_tokens": 5, "sources": 2, "input_tokens_details": {"cached_tokens": 4, "audio_tokens": 1}},
     Usage(9, 5, 4, extra={"sources": 2, "input_tokens_details": {"audio_tokens": 1}})),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "usage"), USAGES)
def test_usage(fields: Wire, usage: Usage) -> None:
    reply = decode(last(usage=fields))
    assert reply.usage == usage
    assert whole(encode_reply(reply)).usage == usage


def test_fields_without_a_word_stay_where_they_are() -> None:
    fields: Wire = {
        "service_tier": "flex",
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "tools": [{"type": "web_search"}],
        "top_p": 1.0,
        "prompt": None,
    }
    reply = decode(last(**fields))
    assert reply.extra == {"service_tier": "flex", "metadata": {"a": "b"}, "temperature": 0.5, "tools": [{"type": "web_search"}]}
    body = json.loads(encode_reply(reply))
    assert {name: body.get(name) for name in fields} == fields


def test_a_frame_that_repeats_but_for_its_text_is_part_of_the_text() -> None:
    """Some relays number no events. What is read without being decoded still counts for places and ends."""
    decoder, frames = Decoder(), sse.Decoder()
    head = [e for f in frames.feed(wire(CREATED, added(message()), said("o"), said("ne "))) for e in decoder.feed(f)]
    again = wire(said("two "))
    assert decoder.glance(again) == PartDelta(0, 0, "two ")
    tail = wire(said("end", index=1), event("output_text.annotation.added", content_index=1, annotation=NEWS), last())
    events = [e for f in frames.feed(tail) for e in decoder.feed(f)]
    reply = fold([*head, PartDelta(0, 0, "two "), *events])
    assert reply.text == "one two end"
    assert reply.choices[0].parts[1].citations[0].start == 9
    assert decoder.glance(again) is None  # it has ended


def numbered(words: str, number: int) -> Wire:
    return said(words) | {"sequence_number": number}


def test_a_frame_that_came_twice_by_its_number_is_heard_once() -> None:
    frames, decoder = sse.Decoder().feed(wire(CREATED, added(message()), *(numbered("ha", n) for n in (0, 0, 1, 1, 2, 2, 3)))), Decoder()
    repeated = []
    for frame in frames[2:]:
        decoder.feed(frame)
        repeated.append(decoder.repeated)
    assert repeated == [False, False, False, True, False, True, False]  # number 0 may be what a relay gives to all


def test_the_same_words_without_a_number_are_not_the_same_frame() -> None:
    assert decode(CREATED, added(message()), said("ha"), said("ha"), last([message(text_part("haha"))])).text == "haha"


def test_words_that_start_the_numbers_anew_are_heard() -> None:
    events = [CREATED, added(message()), *(numbered(words, n) for words, n in (("a", 1), ("b", 2), ("c", 1), ("d", 2)))]
    assert decode(*events, last([message(text_part("abcd"))])).text == "abcd"
