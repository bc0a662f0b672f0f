"""Replies of generateContent as its providers send them, streamed and whole: what they say, and what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Choice, Citation, Finish, Part, Reply, Token, Usage
from telex.dialects import gemini
from telex.dialects.gemini import NAME, Decoder

SIGNATURE = "EgVzdGF0ZQ=="


def chunk(*parts: Any, index: int = 0, finish: str = "", **fields: Any) -> dict[str, Any]:
    """A chunk of one candidate; `fields` are the candidate's."""
    said = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": index, **said, **fields}]}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"text": words, **more}


def call(**fields: Any) -> dict[str, Any]:
    return {"functionCall": fields}


def events(*chunks: Any, end: bool = True) -> list[Event]:
    decoder = Decoder()
    heard = [event for one in chunks for event in decoder.feed(sse.Frame(json.dumps(one).encode()))]
    return [*heard, *(decoder.end() if end else [])]


def read(*chunks: Any) -> Reply:
    return fold(events(*chunks))


def parts(*chunks: Any) -> tuple[Part, ...]:
    reply = read(*chunks, chunk(finish="STOP"))
    assert reply.failure is None, reply.failure
    return reply.choices[0].parts


# ---- streams


def test_events_come_as_they_are_known() -> None:
    head = {"modelVersion": "g", "responseId": "r"}
    usage = {"promptTokenCount": 2, "totalTokenCount": 2}
    assert events(
        {**chunk(text("Hel")), "usageMetadata": usage, **head},
        {**chunk(text("lo")), "usageMetadata": usage, **head},
        {**chunk(text(""), finish="STOP"), "usageMetadata": {"candidatesTokenCount": 3, "totalTokenCount": 5}, **head},
    ) == [
        Start("r", "g", 0, NAME),
        PartStart(0, 0, "text"),
        PartDelta(0, 0, "Hel"),
        Usage(2),
        PartDelta(0, 0, "lo"),
        Usage(2, 3),
        PartEnd(0, 0),
        Finish(0, "stop", "STOP"),
        Done(),
    ]


def test_a_reason_on_every_chunk_counts_only_at_the_end() -> None:
    reply = read(chunk(text("a"), finish="STOP"), chunk(text("b"), finish="STOP"), chunk(text("c"), finish="FAKE_ENUM"))
    assert (reply.text, reply.choices[0].finish) == ("abc", Finish(0, "stop", "FAKE_ENUM"))
    decoder = Decoder()
    finished = [decoder.finished]
    decoder.feed(sse.Frame(json.dumps(chunk(text("a"), finish="STOP")).encode()))
    assert [*finished, decoder.finished, decoder.ended] == [False, True, False]


def test_it_has_finished_when_every_candidate_has() -> None:
    both = events(chunk(text("a"), finish="STOP"), chunk(text("b"), index=1))
    assert fold(both).ending == "truncated"
    reply = read(chunk(text("a"), finish="STOP"), chunk(text("b"), index=1, finish="MAX_TOKENS"))
    assert [(choice.index, choice.finish) for choice in reply.choices] == [
        (0, Finish(0, "stop", "STOP")),
        (1, Finish(1, "length", "MAX_TOKENS")),
    ]


def test_a_stream_without_a_reason_is_truncated() -> None:
    unspecified = chunk(text("a"), finish="FINISH_REASON_UNSPECIFIED")
    streams: list[list[Any]] = [[], [chunk(text("a"))], [unspecified], [{"usageMetadata": {}}], [{}]]
    assert [read(*chunks).ending for chunks in streams] == ["truncated"] * len(streams)


def test_a_limit_that_left_no_room_for_words_is_a_complete_reply() -> None:
    reply = read({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]})
    assert (reply.ending, reply.choices) == ("complete", (Choice(0, (), Finish(0, "length", "MAX_TOKENS")),))


def test_a_blocked_prompt_is_a_whole_answer() -> None:
    feedback = {"blockReason": "SAFETY", "safetyRatings": []}
    reply = read({"promptFeedback": feedback, "modelVersion": "g"})
    assert (reply.ending, reply.choices) == ("complete", (Choice(0, (), Finish(0, "content_filter", "SAFETY")),))
    assert reply.extra == {"promptFeedback": feedback}
    assert json.loads(gemini.encode_reply(reply)) == {"promptFeedback": feedback, "modelVersion": "g", "responseId": ""}
    assert read({"promptFeedback": {"safetyRatings": [1]}}).ending == "truncated"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"), ("BLOCKLIST", "content_filter"), ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"), ("MODEL_ARMOR", "content_filter"), ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "broken_call"), ("UNEXPECTED_TOOL_CALL", "broken_call"), ("TOO_MANY_TOOL_CALLS", "broken_call"),
        ("MISSING_THOUGHT_SIGNATURE", "broken_call"), ("MALFORMED_RESPONSE", "broken_call"), ("CONTINUATION", "pause"),
        ("OTHER", "stop"), ("ESCALATION", "stop"),
    ],
)  # fmt: skip
def test_reasons(raw: str, reason: str) -> None:
    assert read(chunk(finish=raw)).choices[0].finish == Finish(0, reason, raw)  # type: ignore[arg-type]


def test_a_call_is_why_it_stopped() -> None:
    assert read(chunk(call(name="f"), finish="STOP")).choices[0].finish == Finish(0, "tool_calls", "STOP")
    assert read(chunk(call(name="f"), finish="MAX_TOKENS")).choices[0].finish == Finish(0, "length", "MAX_TOKENS")


# ---- parts


def test_neighbours_of_one_kind_are_one_part() -> None:
    assert parts(
        chunk(text("Hm, ", thought=True), text("well", thought=True), text("A")),
        chunk(text("B")),
        chunk(text("?", thought=True), text("C")),
    ) == (Part("reasoning", "Hm, well"), Part("text", "AB"), Part("reasoning", "?"), Part("text", "C"))


def test_a_signature_ends_the_part_that_it_signs() -> None:
    signed = {"thoughtSignature": SIGNATURE}
    assert parts(chunk(text("A")), chunk(text("B", **signed), text("C"))) == (
        Part("text", "AB", signature=SIGNATURE, dialect=NAME), Part("text", "C"),
    )  # fmt: skip
    assert parts(chunk(text("A")), chunk(text("", **signed))) == (Part("text", "A", signature=SIGNATURE, dialect=NAME),)
    assert parts(chunk(text("A", thought=True)), chunk(text("", **signed))) == (
        Part("reasoning", "A"), Part("text", signature=SIGNATURE, dialect=NAME),
    )  # fmt: skip
    assert parts(chunk({}, signed, {"text": None})) == (Part("text", signature=SIGNATURE, dialect=NAME),)


def test_calls_in_one_piece() -> None:
    assert parts(
        chunk(call(name="f", args={"b": 1, "a": "é"}) | {"thoughtSignature": SIGNATURE}, call(name="g")),
        chunk(call(id="x", name="h", args={})),
    ) == (
        Part("tool_call", '{"b":1,"a":"é"}', "call_0", "f", "function", signature=SIGNATURE, dialect=NAME),
        Part("tool_call", "{}", "call_1", "g", "function"),
        Part("tool_call", "{}", "x", "h", "function"),
    )


def test_calls_are_numbered_over_the_whole_reply() -> None:
    reply = read(chunk(call(name="f"), finish="STOP"), chunk(call(name="f"), index=1, finish="STOP"))
    assert [part.id for choice in reply.choices for part in choice.parts] == ["call_0", "call_1"]


def test_arguments_that_are_streamed_are_put_together() -> None:
    pieces: list[list[dict[str, Any]]] = [
        [{"jsonPath": "$.to[0].city", "stringValue": "Bos", "willContinue": True}],
        [{"jsonPath": "$.to[0].city", "stringValue": "ton"}, {"jsonPath": "$.to[0].days", "numberValue": 3}],
        [{"jsonPath": "$.to[1]['a.b']", "boolValue": False}, {"jsonPath": "$.to[1].c", "nullValue": "NULL_VALUE"}],
        [{"jsonPath": "$.note", "stringValue": "old"}, {"jsonPath": "$.note", "stringValue": "new"}],
    ]
    streamed = [chunk(call(partialArgs=piece, willContinue=True)) for piece in pieces]
    start = chunk(call(name="f", willContinue=True) | {"thoughtSignature": SIGNATURE})
    heard = events(start, end=False)
    assert heard[1:] == [PartStart(0, 0, "tool_call", "call_0", "f", "function")]
    arguments = '{"to":[{"city":"Boston","days":3},{"a.b":false,"c":null}],"note":"new"}'
    whole = Part("tool_call", arguments, "call_0", "f", "function", signature=SIGNATURE, dialect=NAME)
    assert parts(start, *streamed, chunk(call())) == (whole,)
    assert parts(start, *streamed) == (whole,)  # its last piece is missing
    assert parts(start, *streamed, chunk(call(name="g"))) == (whole, Part("tool_call", "{}", "call_1", "g", "function"))


@pytest.mark.parametrize("path", ["", "$", "x", "$.a[", "$.a[5]", "$[0]", "$.a..b", "$.s.x"])
def test_arguments_that_belong_nowhere(path: str) -> None:
    pieces = [{"jsonPath": "$.s", "stringValue": "x"}, {"jsonPath": path, "stringValue": "y"}]
    failure = read(chunk(call(name="f", willContinue=True)), chunk(call(partialArgs=pieces)), chunk(finish="STOP")).failure
    assert failure is not None
    assert failure.kind == "malformed"


def test_media_and_parts_that_only_google_understands() -> None:
    code, image = {"executableCode": {"code": "1"}, "thoughtSignature": SIGNATURE}, {"mimeType": "image/png", "data": "AA=="}
    assert parts(chunk(text("A"), code, {"inlineData": image}, {"fileData": {"fileUri": "https://x", "mimeType": "audio/wav"}})) == (
        Part("text", "A"),
        Part("opaque", tool="executableCode", dialect=NAME, extra=code),
        Part("image", data="AA==", media_type="image/png"),
        Part("audio", url="https://x", media_type="audio/wav"),
    )


def test_log_probabilities_and_what_else_a_candidate_says() -> None:
    first: dict[str, list[Any]] = {
        "chosenCandidates": [{"token": "A", "logProbability": -0.5, "tokenId": 7}],
        "topCandidates": [{"candidates": [{"token": "B"}]}],
    }
    second: dict[str, list[Any]] = {"chosenCandidates": [{"token": "C", "logProbability": -1}]}
    ratings = [{"category": "X", "probability": "LOW"}]
    [choice] = read(
        chunk(text("A"), logprobsResult=first, safetyRatings=[], avgLogprobs=-1.5),
        chunk(text("C"), logprobsResult=second, safetyRatings=ratings, finish="STOP", finishMessage="Done."),
    ).choices
    assert choice.logprobs == (Token("A", -0.5, top=(Token("B", 0.0),)), Token("C", -1.0))
    assert choice.extra == {
        "logprobsResult": {
            "chosenCandidates": [*first["chosenCandidates"], *second["chosenCandidates"]], "topCandidates": first["topCandidates"],
        },
        "safetyRatings": ratings, "avgLogprobs": -1.5, "finishMessage": "Done.",
    }  # fmt: skip


# ---- sources


def grounding(start: int, end: int, words: str, **segment: int) -> dict[str, Any]:
    supports = [{"segment": {"startIndex": start, "endIndex": end, "text": words, **segment}, "groundingChunkIndices": [0, 7]}]
    return {"groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}], "groundingSupports": supports}


def test_sources_are_counted_in_characters_and_kept_as_they_are() -> None:
    metadata = grounding(3, 7, "世!")
    sources = {"citationSources": [{"endIndex": 5, "uri": "https://y", "license": "MIT"}]}
    [choice] = read(
        chunk(text("é "), groundingMetadata={}),
        chunk(text("世!"), citationMetadata=sources),
        chunk(finish="STOP", groundingMetadata=metadata),
    ).choices
    [segment] = [support["segment"] for support in metadata["groundingSupports"]]
    web = {"segment": segment, "web": {"uri": "https://x", "title": "X"}}
    assert choice.parts[0].citations == (
        Citation("https://x", "X", 2, 4, dialect=NAME, fields=web),
        Citation("https://y", start=0, end=2, dialect=NAME, fields=sources["citationSources"][0]),
    )
    assert choice.extra == {"groundingMetadata": metadata, "citationMetadata": sources}


def test_a_passage_that_is_not_where_it_should_be_is_looked_for() -> None:
    for metadata, place in ((grounding(0, 2, "two", partIndex=1), (4, 7)), (grounding(0, 2, "three"), (0, 0))):
        [choice] = read(chunk(text("one two"), finish="STOP", groundingMetadata=metadata)).choices
        assert [(c.start, c.end) for c in choice.parts[0].citations] == [place]


def test_sources_stand_at_the_part_whose_words_they_are() -> None:
    code = {"executableCode": {"code": "1"}}
    metadata = grounding(0, 1, "A")
    [choice] = read(
        chunk(text("A"), groundingMetadata={}), chunk(code, text("B")), chunk(finish="STOP", groundingMetadata=metadata)
    ).choices
    assert [len(part.citations) for part in choice.parts] == [1, 0, 0]
    [choice] = read(chunk(text("A"), code, text("B")), chunk(finish="STOP", groundingMetadata=metadata)).choices
    assert [len(part.citations) for part in choice.parts] == [0, 0, 1]  # the part had been ended before anybody knew


# ---- usage and the rest of a reply


def test_usage_grows_field_by_field() -> None:
    first = {"promptTokenCount": "10", "cachedContentTokenCount": 4, "trafficType": "ON_DEMAND"}
    second = {"candidatesTokenCount": 3, "thoughtsTokenCount": 5, "promptTokenCount": None, "toolUsePromptTokenCount": 2}
    reply = read(chunk(text("A")) | {"usageMetadata": first}, chunk(finish="STOP") | {"usageMetadata": second})
    assert reply.usage == Usage(12, 8, 4, 0, 5, {"trafficType": "ON_DEMAND", "toolUsePromptTokenCount": 2})
    again = json.loads(gemini.encode_reply(reply))["usageMetadata"]
    assert again == {
        "promptTokenCount": 10, "candidatesTokenCount": 3, "totalTokenCount": 20, "thoughtsTokenCount": 5, "cachedContentTokenCount": 4,
        "trafficType": "ON_DEMAND", "toolUsePromptTokenCount": 2,
    }  # fmt: skip


def test_a_total_that_does_not_add_up_is_kept() -> None:
    wire = {"promptTokenCount": 1, "candidatesTokenCount": -5, "totalTokenCount": 9}
    assert read(chunk(finish="STOP") | {"usageMetadata": wire}).usage == Usage(1, 0, extra={"totalTokenCount": 9})


@pytest.mark.parametrize(
    ("time", "created", "extra"),
    [
        ("2026-03-21T18:11:55Z", 1774116715, {}),
        ("2026-03-21T18:11:55.919086Z", 1774116715, {"createTime": "2026-03-21T18:11:55.919086Z"}),
        ("yesterday", 0, {"createTime": "yesterday"}),
    ],
)
def test_when_it_was_made(time: str, created: int, extra: dict[str, Any]) -> None:
    reply = read(chunk(finish="STOP") | {"createTime": time})
    assert (reply.created, reply.extra) == (created, extra)
    assert json.loads(gemini.encode_reply(reply))["createTime"] == time


# ---- failures


def test_an_error_inside_a_stream() -> None:
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    decoder = Decoder()
    data = sse.encode(json.dumps(chunk(text("First "), finish="STOP")).encode()) + json.dumps(error, indent=2).encode()
    frames = sse.Decoder()
    heard = [event for frame in [*frames.feed(data), *frames.end()] for event in decoder.feed(frame)]
    assert heard[-1] == Failure("overloaded", "Overloaded.", status=503)
    assert decoder.ended
    assert decoder.feed(sse.Frame(json.dumps(chunk(text("x"))).encode())) == decoder.end() == []
    assert decoder.glance(b"x") is None
    assert events([error])[-1] == events(error)[-1] == heard[-1]


MALFORMED: list[Any] = [
    1, "x", [1], {"hello": 1}, {"candidates": 1}, {"candidates": [1]}, {"candidates": [{"content": 1}]},
    {"candidates": [{"content": {"parts": 1}}]}, chunk(1), chunk({"text": 1}), chunk({"text": "x", "thought": 1}),
    chunk({"text": "x", "thoughtSignature": 1}), chunk({"functionCall": 1}), chunk(call(name=1)), chunk(call(name="f", args=[])),
    chunk({"inlineData": {"mimeType": "image/png", "data": "?"}}), {**chunk(text("x")), "usageMetadata": []},
    {**chunk(text("x")), "responseId": 1},
]  # fmt: skip


@pytest.mark.parametrize("wire", MALFORMED)
def test_what_is_no_reply(wire: Any) -> None:
    failure = events(wire)[-1]
    assert isinstance(failure, Failure)
    assert failure.kind == "malformed"
    whole = Decoder().whole(json.dumps(wire).encode())[-1]
    assert whole == failure


@pytest.mark.parametrize("body", [b"", b"[", b'[{"candidates":[]}\n,\r\n', b"<html>", b"[" * 9999])
def test_what_is_not_even_json(body: bytes) -> None:
    [failure] = Decoder().whole(body)
    assert isinstance(failure, Failure)
    assert failure.kind == "malformed"


# ---- whole


def test_a_whole_reply_is_read_like_its_stream() -> None:
    body = {"candidates": [{"content": {"parts": [text("Hm", thought=True), text("A")]}, "finishReason": "STOP"}], "responseId": "r"}
    assert fold(Decoder().whole(json.dumps(body).encode())) == read(
        chunk(text("Hm", thought=True)) | {"responseId": "r"}, chunk(text("A"), finish="STOP")
    )


def test_an_array_is_the_chunks_of_a_stream() -> None:
    chunks = [chunk(text("A")), chunk(text("B"), finish="STOP")]
    assert fold(Decoder().whole(json.dumps(chunks).encode())) == read(*chunks)
    assert fold(Decoder().whole(json.dumps(chunks[:1]).encode())).ending == "truncated"


def test_a_whole_reply_that_says_something_needs_no_reason() -> None:
    assert fold(Decoder().whole(json.dumps(chunk(text("A"))).encode())).choices[0].finish == Finish(0, "stop")
    bodies: list[Any] = [{}, [], {"candidates": []}, chunk(), {"usageMetadata": {"promptTokenCount": 1}}]
    for body in bodies:
        assert fold(Decoder().whole(json.dumps(body).encode())).ending == "truncated"


# ---- frames that repeat


def test_a_frame_that_repeats_all_but_its_text_is_read_at_one_glance() -> None:
    decoder = Decoder()
    raws = [sse.encode(json.dumps(chunk(text(words), groundingMetadata={})).encode()) for words in ("one ", "two ", "three")]
    heard = [event for raw in raws[:2] for event in decoder.feed(sse.Frame(raw[6:-2], raw=raw))]
    assert heard[-1] == PartDelta(0, 0, "two ")
    assert decoder.glance(raws[2]) == PartDelta(0, 0, "three")
    last = chunk(finish="STOP", groundingMetadata=grounding(8, 13, "three"))
    heard += [*decoder.feed(sse.Frame(json.dumps(last).encode())), *decoder.end()]
    [choice] = fold([*heard[:4], PartDelta(0, 0, "three"), *heard[4:]]).choices
    assert [(c.start, c.end) for c in choice.parts[0].citations] == [(8, 13)]


def test_a_frame_that_says_more_of_the_sources_is_not_taken_for_a_repetition() -> None:
    decoder = Decoder()
    raw = sse.encode(json.dumps(chunk(text("x"), citationMetadata={"citationSources": [{"uri": "https://y"}]})).encode())
    heard = [event for _ in range(3) for event in decoder.feed(sse.Frame(raw[6:-2], raw=raw))]
    heard += decoder.feed(sse.Frame(json.dumps(chunk(finish="STOP")).encode())) + decoder.end()
    assert [type(event) for event in heard].count(Extra) == 1
    assert len(fold(heard).choices[0].parts[0].citations) == 3
