"""Anthropic's recorded replies, read from the folder that TELEX_RECORDINGS names; they belong to others.

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
from telex.core.errors import Kind
from telex.core.events import Done, Event
from telex.core.fold import fold, unfold
from telex.core.messages import Part, Reply
from telex.dialects import anthropic
from telex.generation.output import Naming, StreamOutput

STREAMS = names("messages", whole=False)
BODIES = names("messages", whole=True)
COUNT = "anthropic/ruby_llm-count-tokens.json"
"""The answer to another question than for a message."""

each_stream = pytest.mark.parametrize("name", STREAMS)
each_body = pytest.mark.parametrize("name", [name for name in BODIES if name != COUNT])


def parts_of(reply: Reply) -> list[Part]:
    return [part for choice in reply.choices for part in choice.parts]


def check(reply: Reply, recording: Recording, alone: bool) -> None:
    """What the row says of a reply; `alone`: of this exchange and not of one among several in its file."""
    [choice] = reply.choices
    parts, features = parts_of(reply), recording.features
    assert reply.ending == "complete"
    assert choice.finish is not None
    assert choice.finish.raw in recording.finishes
    if not alone:
        return
    calls = [part for part in parts if part.kind == "tool_call"]
    assert bool(calls) == ("tool_call" in features)
    if choice.finish.reason != "length":
        assert all(isinstance(json.loads(part.text), dict) for part in calls)
    thoughts = [part for part in parts if part.kind == "reasoning"]
    assert any(part.text for part in thoughts) == ("thinking" in features)
    assert any(part.data for part in thoughts) == ("redacted_thinking" in features)
    if "thinking" in features:
        assert all(part.signature and part.dialect == "anthropic" for part in thoughts)
    assert any(part.citations for part in parts) == ("citations" in features)
    opaque = {part.tool for part in parts if part.kind == "opaque"}
    for feature, tool in (("server_tool", "_tool_"), ("compaction", "compaction"), ("fallback", "fallback")):
        if feature in features:
            assert any(tool in name for name in opaque) or (feature == "server_tool" and "compaction" in features)
    assert reply.usage is not None
    assert bool(reply.usage.reasoning) == ("reasoning_tokens" in features)
    assert bool(reply.usage.cache_write) == ("cache_write" in features)
    assert (choice.finish.reason == "refusal") == ("refusal" in features)


@each_stream
def test_a_stream_decodes_to_what_its_row_says(name: str) -> None:
    exchanges = load(name)
    for recording in exchanges:
        assert recording.ends
        check(recording.reply, recording, len(exchanges) == 1)


@each_body
def test_a_body_decodes_to_what_its_row_says(name: str) -> None:
    [recording] = load(name)
    if recording.failed:
        failure = anthropic.decode_error(recording.status, {}, recording.data, 0.0)
        assert json.loads(anthropic.encode_error(failure)) == {"type": "error", "error": json.loads(recording.data)["error"]}
        return
    reply = fold(anthropic.Decoder().whole(recording.data))
    check(reply, recording, alone=True)
    assert fold(anthropic.Decoder().whole(anthropic.encode_reply(reply))) == reply


@each_stream
def test_a_cut_stream_decodes_to_the_same(name: str) -> None:
    for recording in load(name):
        whole, data = recording.frames, recording.data
        for size in {1, 7, 1460, max(1, len(data) // CUTS)}:
            decoder = sse.Decoder()
            pieces = cut(data, list(range(size, len(data), size)))
            assert [*(frame for piece in pieces for frame in decoder.feed(piece)), *decoder.end()] == whole


@each_stream
def test_a_stream_that_breaks_off_is_truncated_and_keeps_what_came(name: str) -> None:
    for recording in load(name):
        data, text = recording.data, recording.reply.text
        for end in range(0, data.rindex(b'"message_stop"'), max(1, len(data) // CUTS)):
            part = replace(recording, data=data[:end]).reply
            assert text.startswith(part.text)
            assert part.ending == "truncated"


@each_stream
def test_what_repeats_reads_the_same_as_what_is_decoded(name: str) -> None:
    """Frames whose bytes are at hand may be read at a glance; without them each is decoded."""
    for recording in load(name):
        decoder = anthropic.Decoder()
        events = [event for frame in recording.frames for event in decoder.feed(sse.Frame(frame.data, frame.event))]
        assert [*events, *decoder.end()] == [event for frame in recording.events for event in frame]


@each_stream
def test_content_passes_byte_for_byte_in_the_same_dialect(name: str) -> None:
    for recording in load(name):
        output = StreamOutput(anthropic, True, True, Naming("gen_1", 7))
        for frame, events in zip(recording.frames, recording.events, strict=False):
            assert output.frame(frame.raw, events) == [frame.raw]
            if events and isinstance(events[-1], Done):
                break


@each_stream
def test_whole_is_the_fold_of_the_stream(name: str) -> None:
    """But for the white space that a model writes between its arguments, which no object keeps."""
    for recording in load(name):
        reply = recording.reply
        if all(objects(part) for part in parts_of(reply)):
            assert compact(fold(anthropic.Decoder().whole(anthropic.encode_reply(reply)))) == compact(reply)


@each_stream
def test_what_is_encoded_anew_reads_the_same(name: str) -> None:
    for recording in load(name):
        reply = recording.reply
        flows: list[list[Event]] = [list(unfold(reply)), [event for frame in recording.events for event in frame]]
        for events in flows:
            encoder = anthropic.Encoder()
            data = b"".join(frame for event in events for frame in encoder.feed(event))
            assert replace(recording, data=data).reply == reply


def objects(part: Part) -> bool:
    return part.kind != "tool_call" or anthropic_object(part.text)


def anthropic_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def compact(reply: Reply) -> Reply:
    [choice] = reply.choices
    parts = (replace(p, text=p.text and json.dumps(json.loads(p.text))) if is_json(p) else p for p in choice.parts)
    return replace(reply, choices=(replace(choice, parts=tuple(parts)),))


def is_json(part: Part) -> bool:
    return part.kind in ("tool_call", "opaque") and part.tool != "compaction"


class Seen(Struct, frozen=True):
    """What somebody saw who read the recording. `text`: its length and how it begins; `calls`: name and arguments; `opaque`: types;
    `cited`: the beginnings of what was cited; `extra`: names of fields of the reply."""

    text: tuple[int, str] = (0, "")
    reasoning: int = 0
    calls: list[tuple[str, Any]] = []
    opaque: list[str] = []
    cited: list[str] = []
    usage: tuple[int, int] = (0, 0)
    finish: str = "stop"
    extra: list[str] = []


SEEN: dict[str, list[Seen]] = {
    "anthropic/anthropic-sdk-python-basic_response.sse": [Seen((12, "Hello there!"), usage=(11, 6))],
    "anthropic/anthropic-sdk-python-compaction_response.sse": [Seen((12, "Hello there!"), opaque=["compaction"], usage=(30, 8))],
    "anthropic/anthropic-sdk-python-fallback_response.sse": [Seen((12, "Hello there!"), opaque=["fallback"], usage=(25, 8))],
    "anthropic/anthropic-sdk-python-stream-a-refusal.sse": [
        Seen((2, "Hi"), 212, usage=(28, 106), finish="refusal", extra=["stop_details"])
    ],
    "anthropic/anthropic-sdk-python-stream-a-toolrefusal.sse": [
        Seen(
            (54, "Here's a summary"),
            opaque=["server_tool_use", "web_search_tool_result"],
            usage=(28, 106),
            finish="refusal",
            extra=["stop_details"],
        )
    ],
    "anthropic/ruby_llm-citations-stream.sse": [Seen((72, "The Ruby programming"), cited=["The Ruby programming"], usage=(672, 39))],
    "anthropic/ruby_llm-web-search-stream.00.sse": [
        Seen(
            (73, ""),
            opaque=["server_tool_use", "web_search_tool_result"],
            cited=["The current stable version is 4.0.6. ", "Ruby 4.0.6 has been released.\n\n"],
            usage=(9447, 114),
        )
    ],
    "anthropic/anthropic-sdk-python-tool_use_response.sse": [
        Seen((48, "I'll check the current weather"), calls=[("get_weather", {"location": "Paris"})], usage=(377, 65), finish="tool_calls")
    ],
    "anthropic/simonw-llm-anthropic-thinking-display-tools.00.sse": [
        Seen((0, ""), 180, [("fixed_version", {})], usage=(598, 92), finish="tool_calls")
    ],
    "anthropic/simonw-llm-anthropic-prefill-stop-sequence.sse": [Seen((102, ""), usage=(16, 28), finish="stop_sequence")],
    "anthropic/dd-trace-py-stream-cache-write.sse": [Seen((438, ""), usage=(1049, 100), finish="length")],
    "anthropic/vercel-ai-anthropic-refusal.chunks.txt": [Seen(usage=(18, 5), finish="refusal", extra=["stop_details"])],
    "anthropic/vercel-ai-duplicate-message-start.chunks.txt": [Seen((13, "Hello, World!"), usage=(17, 227))],
}
"""Somebody's own reading of the files."""


@pytest.mark.parametrize("name", [name for name in SEEN if name in STREAMS])
def test_what_somebody_read(name: str) -> None:
    assert [seen(recording.reply, wanted) for recording, wanted in zip(load(name), SEEN[name], strict=True)] == SEEN[name]


def seen(reply: Reply, wanted: Seen) -> Seen:
    [choice] = reply.choices
    parts, usage = choice.parts, reply.usage
    citations = [citation for part in parts for citation in part.citations]
    quotes = [citation.quote for citation in citations]
    return Seen(
        (len(reply.text), reply.text[: len(wanted.text[1])]),
        sum(len(part.text) for part in parts if part.kind == "reasoning"),
        [(part.name, json.loads(part.text)) for part in parts if part.kind == "tool_call"],
        [part.tool for part in parts if part.kind == "opaque"],
        [quote[: len(cited)] for quote, cited in zip(quotes, wanted.cited, strict=True)],
        (usage.input, usage.output) if usage else (0, 0),
        choice.finish.reason if choice.finish else "",
        list(reply.extra),
    )


def test_parallel_calls_in_one_body() -> None:
    name = "anthropic/pydantic-ai-parallel-tools.00.json"
    if name in BODIES:
        reply = fold(anthropic.Decoder().whole(load(name)[0].data))
        text, *calls = reply.choices[0].parts
        assert (len(text.text), reply.usage and (reply.usage.input, reply.usage.output)) == (156, (423, 202))
        assert [json.loads(call.text) for call in calls] == [{"name": name} for name in ("Alice", "Bob", "Charlie", "Daisy")]
        assert all(call.name == "retrieve_entity_info" and call.id.startswith("toolu_") for call in calls)


def test_a_tool_call_that_a_limit_cut_off() -> None:
    name = "anthropic/anthropic-sdk-python-incomplete_partial_json_response.sse"
    if name in STREAMS:
        [text, call] = load(name)[0].reply.choices[0].parts
        assert (text.kind, call.name, call.text[:26]) == ("text", "make_file", '{"filename": "taxes.txt", ')


def test_a_program_that_calls_a_tool_again_and_again() -> None:
    """One exchange to start it, one for each call, whole in its `message_start`, and one for what it says."""
    name = "anthropic/vercel-ai-anthropic-programmatic-tool-calling.1.chunks.txt"
    if name in STREAMS:
        first, *calls, last = [recording.reply for recording in load(name)]
        assert len(calls) == 13
        players = [json.loads(part.text)["player"] for reply in [first, *calls] for part in parts_of(reply) if part.kind == "tool_call"]
        assert players == ["player1", "player2"] * 7
        assert all(reply.extra["container"]["id"] == first.extra["container"]["id"] for reply in calls)
        assert [part.kind for part in parts_of(last)] == ["opaque", "text"]


REFUSED: dict[str, tuple[Kind, str]] = {
    "anthropic/dd-trace-py-error.json": ("bad_request", "messages.0: Input does not match the expected shape."),
    "anthropic/ruby_llm-context-length-anthropic_claude-haiku-4-5.json": (
        "context_too_long",
        "prompt is too long: 3333404 tokens > 200000 maximum",
    ),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name in BODIES])
def test_which_error_somebody_read(name: str) -> None:
    [recording] = load(name)
    failure = anthropic.decode_error(recording.status, {}, recording.data, 0.0)
    assert (failure.kind, failure.message) == REFUSED[name]
