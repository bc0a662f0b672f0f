"""Real providers' recorded replies of generateContent, read from the folder that TELEX_RECORDINGS names; they belong to others.

Every recording is held to what its row in the MANIFEST says; those that somebody has read are held to what they say.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from recorded import CUTS, Recording, load, names
from strategies import cut
from telex.core import sse
from telex.core.errors import Failure, Kind
from telex.core.fold import fold, unfold
from telex.core.messages import Part, Reply
from telex.dialects import gemini
from telex.generation.output import Naming, StreamOutput

API = "generateContent"
STREAMS, BODIES = names(API, whole=False), names(API, whole=True)
COUNTED = "google/ruby_llm-count-tokens.00.json"
"""The answer to another question."""

CUT_OFF = "vertex/firebase-testdata-vertexai-streaming-failure-empty-content.sse"
"""A stream that says nothing, not even why it ended."""

each_stream = pytest.mark.parametrize("name", STREAMS)
each_body = pytest.mark.parametrize("name", [name for name in BODIES if name != COUNTED])


def check(reply: Reply, recording: Recording) -> None:
    """What a row says of a reply."""
    features, parts = recording.features, [part for choice in reply.choices for part in choice.parts]
    finishes = {choice.finish.raw for choice in reply.choices if choice.finish}
    assert reply.ending == ("truncated" if recording.name == CUT_OFF else "complete")
    assert finishes <= recording.finishes | {"SAFETY", ""}
    assert bool(finishes) == (recording.name != CUT_OFF)
    if "tool_call" in features:
        calls = [part for part in parts if part.kind == "tool_call"]
        assert calls
        assert all(part.name and part.id and isinstance(json.loads(part.text), dict) for part in calls)
        assert all(choice.finish.reason == "tool_calls" for choice in reply.choices if choice.finish)
    if "signature" in features:
        assert any(part.signature for part in parts)
    if "server_tool" in features:
        assert [part.tool for part in parts if part.kind == "opaque"] == ["executableCode", "codeExecutionResult"]
    if "thinking" in features:
        assert any(part.kind == "reasoning" for part in parts) or (reply.usage and reply.usage.reasoning)
    if "reasoning_tokens" in features:
        assert reply.usage is not None
        assert 0 < reply.usage.reasoning <= reply.usage.output
    if "cached_tokens" in features:
        assert reply.usage is not None
        assert 0 < reply.usage.cached <= reply.usage.input
    if "citations" in features:
        cited = [citation for part in parts for citation in part.citations]
        assert cited
        assert all(0 <= citation.start < citation.end <= len(reply.text) and citation.url for citation in cited)
    if "logprobs" in features:
        assert reply.choices[0].logprobs


@each_stream
def test_a_stream_decodes_to_what_its_row_says(name: str) -> None:
    for recording in load(name):
        if recording.failed:
            assert recording.reply.ending == "failed"
        else:
            check(recording.reply, recording)


@each_body
def test_a_body_decodes_to_what_its_row_says(name: str) -> None:
    [recording] = load(name)
    if recording.failed:
        failure = gemini.decode_error(recording.status or 400, {}, recording.data, 0.0)
        assert failure.message
        again = json.loads(gemini.encode_error(failure))["error"]
        assert again["message"] == failure.message
        return
    reply = fold(gemini.Decoder().whole(recording.data))
    check(reply, recording)
    assert fold(gemini.Decoder().whole(gemini.encode_reply(reply))) == reply
    data = b"".join(frame for encoder in [gemini.Encoder()] for event in unfold(reply) for frame in encoder.feed(event))
    assert replace(recording, data=data).reply == reply


def test_a_count_of_tokens_is_no_reply() -> None:
    for recording in load(COUNTED) if COUNTED in BODIES else ():
        [failure] = gemini.Decoder().whole(recording.data)
        assert isinstance(failure, Failure)
        assert failure.kind == "malformed"


@each_stream
def test_a_cut_stream_decodes_to_the_same(name: str) -> None:
    for recording in load(name):
        whole, data = recording.frames, recording.data
        for size in {1, 2, 7, 1460, max(1, len(data) // CUTS)}:
            decoder = sse.Decoder()
            pieces = cut(data, list(range(size, len(data), size)))
            assert [*(frame for piece in pieces for frame in decoder.feed(piece)), *decoder.end()] == whole


@each_stream
def test_a_stream_that_breaks_off_is_truncated_and_keeps_what_came(name: str) -> None:
    """But for the oldest, whose chunks all say why the stream has ended."""
    for recording in load(name):
        data, text = recording.data, recording.reply.text
        first = next((i for i, events in enumerate(recording.frames) if b'"finishReason"' in events.data), len(recording.frames))
        for end in range(0, len(data) - 8, max(1, len(data) // CUTS)):
            part = replace(recording, data=data[:end])
            assert text.startswith(part.reply.text)
            if len(part.frames) <= first and not recording.failed and b"blockReason" not in data:
                assert part.reply.ending == "truncated"


@each_stream
def test_chunks_pass_byte_for_byte_in_the_same_dialect(name: str) -> None:
    for recording in load(name):
        output = StreamOutput(gemini, True, True, Naming("gen_1", 7))
        for frame, events in zip(recording.frames, recording.events, strict=False):
            failed = bool(events) and isinstance(events[-1], Failure)
            assert output.frame(frame.raw, events) == ([] if failed else [frame.raw])


@each_stream
def test_what_is_encoded_anew_reads_the_same(name: str) -> None:
    for recording in load(name):
        reply = recording.reply
        for events in (list(unfold(reply)), [event for frame in recording.events for event in frame]):
            encoder = gemini.Encoder()
            again = replace(recording, data=b"".join(frame for event in events for frame in encoder.feed(event))).reply
            if reply.failure is None:
                assert again == reply
            else:
                assert (again.failure is not None, again.text) == (True, reply.text)
        if reply.failure is None:
            assert fold(gemini.Decoder().whole(gemini.encode_reply(reply))) == reply


class Seen(Struct, frozen=True):
    """What somebody saw who read the recording. `text`: its length and how it begins; `calls`: name and arguments; `cited`: the words
    that have a source, of the first of them."""

    text: tuple[int, str] = (0, "")
    reasoning: int = 0
    calls: list[tuple[str, Any]] = []
    usage: tuple[int, int, int] | None = None
    finish: str = "stop"
    cited: tuple[int, str] = (0, "")
    failure: Kind | None = None


G, V = "google/firebase-testdata-googleai-", "vertex/firebase-testdata-vertexai-"
ITEMS = [
    {"action": "add", "description": "Fresh red apple", "itemid": "apple_001", "price": 0.5},
    {"action": "add", "description": "Ripe yellow banana", "itemid": "banana_001", "price": 0.3},
]
SEEN: dict[str, Seen] = {
    f"{G}streaming-failure-image-rejected.sse": Seen(finish="", failure="bad_request"),
    f"{G}streaming-failure-prompt-blocked-safety.sse": Seen(finish="content_filter"),
    f"{G}streaming-success-citations.sse": Seen(
        (6711, "Okay, let's"), usage=(15, 1381, 0), cited=(1, "is a fundamental theory in physics")
    ),
    f"{G}streaming-success-code-execution.sse": Seen((228, "To find"), usage=(264, 221, 95)),
    f"{G}streaming-success-finish-message.sse": Seen((12, "Hello world!")),
    f"{G}streaming-success-url-context.sse": Seen((361, "\nThe Google"), usage=(1057, 120, 39), cited=(3, "The Google homepage primarily")),
    f"{G}streaming-success-thinking-function-call-thought-summary-signature.sse": Seen(
        reasoning=765, calls=[("now", {})], usage=(38, 174, 168), finish="tool_calls"
    ),
    f"{G}unary-failure-finish-reason-safety.json": Seen((38, "Safety error"), usage=(7, 20, 0), finish="content_filter"),
    f"{G}unary-success-google-search-grounding.json": Seen(
        (182, "The current"), usage=(8, 60, 0), cited=(3, "The current weather in London")
    ),
    "google/pydantic-ai-max-tokens-empty.json": Seen(usage=(15, 2, 2), finish="length"),
    "google/pydantic-ai-web-search-stream.00.sse": Seen((926, "### Weather"), usage=(119, 653, 412), cited=(9, "As of Tuesday afternoon")),
    "google/simonw-llm-gemini-tools-json-array-stream.00.json": Seen(
        calls=[("multiply", {"y": 3, "x": 5})], usage=(60, 48, 32), finish="tool_calls"
    ),
    "google/simonw-llm-gemini-tools-json-array-stream.01.json": Seen((16, "5 times 3 is 15."), usage=(121, 9, 0)),
    "google/vercel-ai-google-stream-no-args-tool-call.chunks.txt": Seen(
        reasoning=320,
        calls=[("read_theme", {}), ("read_screen", {"id": "A"}), ("read_screen", {"id": "B"}), ("read_screen", {"id": "C"})],
        usage=(249, 241, 183),
        finish="tool_calls",
    ),
    "google/vercel-ai-google-stream-tool-call-arguments.chunks.txt": Seen(
        calls=[("getWeather", {"location": "Boston"}), ("getWeather", {"location": "San Francisco"})],
        usage=(26, 155, 132),
        finish="tool_calls",
    ),
    "google/vercel-ai-google-stream-tool-call-array-arguments-missing-terminal-function-call.chunks.txt": Seen(
        calls=[("writeItems", {"operations": ITEMS})], usage=(54, 195, 121), finish="tool_calls"
    ),
    f"{V}streaming-failure-empty-content.sse": Seen(finish="", failure="truncated"),
    f"{V}streaming-failure-error-mid-stream.sse": Seen((13, "First Second "), finish="", failure="upstream_error"),
    f"{V}streaming-failure-unknown-finish-enum.sse": Seen((3285, "**Cats:**")),
    f"{V}streaming-success-utf8.sse": Seen((225, "秋风瑟瑟，叶落纷纷")),
    f"{V}unary-success-function-call-parallel-calls.json": Seen(
        calls=[("sum", {"y": 1, "x": 2}), ("sum", {"y": 3, "x": 4}), ("sum", {"y": 5, "x": 6})], finish="tool_calls"
    ),
    f"{V}unary-success-implicit-caching.json": Seen((60, "Red Riding Hood"), usage=(12013, 88, 73)),
    f"{V}unary-success-partial-usage-metadata.json": Seen((40, "Mountain View"), usage=(6, 0, 0)),
    "vertex/pydantic-ai-vertex-flex-stream.sse": Seen((2, "OK"), usage=(5, 101, 100)),
    "vertex/pydantic-ai-vertex-logprobs.json": Seen((5, "Hello"), usage=(6, 24, 23)),
}


@pytest.mark.parametrize("name", [name for name in SEEN if name in (*STREAMS, *BODIES)])
def test_what_somebody_read(name: str) -> None:
    [recording] = load(name)
    reply = recording.reply if name in STREAMS else fold(gemini.Decoder().whole(recording.data))
    assert seen(reply, SEEN[name]) == SEEN[name]


def seen(reply: Reply, wanted: Seen) -> Seen:
    parts: tuple[Part, ...] = reply.choices[0].parts if reply.choices else ()
    finish, usage = reply.choices[0].finish if reply.choices else None, reply.usage
    cited = [citation for part in parts for citation in part.citations]
    words = reply.text[cited[0].start : cited[0].end] if cited else ""
    return Seen(
        (len(reply.text), reply.text[: len(wanted.text[1])]),
        sum(len(part.text) for part in parts if part.kind == "reasoning"),
        [(part.name, json.loads(part.text)) for part in parts if part.kind == "tool_call"],
        (usage.input, usage.output, usage.reasoning) if usage else None,
        finish.reason if finish else "",
        (len(cited), words[: len(wanted.cited[1])]),
        reply.failure.kind if reply.failure else None,
    )


REFUSED: dict[str, tuple[Kind, str]] = {
    f"{G}unary-failure-unknown-model.json": ("not_found", ""),
    "google/ruby_llm-auth-error-gemini_gemini-2_5-flash.json": ("upstream_denied", ""),
    f"{V}unary-failure-iam-permission-denied.json": ("permission_denied", "IAM_PERMISSION_DENIED"),
    f"{V}unary-failure-quota-exceeded.json": ("rate_limited", "RATE_LIMIT_EXCEEDED"),
    "vertex/ruby_llm-context-length-vertexai_gemini-2_5-flash.01.json": ("context_too_long", ""),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name in BODIES])
def test_which_error_somebody_read(name: str) -> None:
    [recording] = load(name)
    failure = gemini.decode_error(recording.status or 400, {}, recording.data, 0.0)
    assert (failure.kind, failure.code) == REFUSED[name]
