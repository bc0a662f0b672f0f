"""Real providers' recorded replies in this dialect, read from the folder that TELEX_RECORDINGS names; they belong to others.

Every recording is held to what its row in the MANIFEST says; those that somebody has read are held to what they say.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from conftest import recordings
from recorded import CUTS, TERMINATOR, load, names
from strategies import cut
from telex.core import sse
from telex.core.errors import Failure, Kind
from telex.core.events import Done, Extra, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Part, Reply, Usage
from telex.dialects import openai_chat
from telex.dialects.openai_chat.choice import REASONS
from telex.dialects.openai_chat.reply import REASONING
from telex.generation.output import Naming, StreamOutput

STREAMS = names("chat", whole=False)
BODIES = names("chat", whole=True)
each_stream = pytest.mark.parametrize("name", STREAMS)
each_body = pytest.mark.parametrize("name", BODIES)


def test_the_recordings_are_there() -> None:
    folder = recordings()
    if folder is None and not os.environ.get("CI"):
        pytest.skip("TELEX_RECORDINGS names no folder, so no recorded reply was read")
    assert folder is not None, "CI needs TELEX_RECORDINGS"
    assert folder.is_dir(), f"TELEX_RECORDINGS: there is no folder {folder}"
    assert STREAMS, f"TELEX_RECORDINGS: no recording of this dialect in {folder / 'MANIFEST.tsv'}"
    assert BODIES


@each_stream
def test_a_stream_decodes_to_what_its_row_says(name: str) -> None:
    for recording in load(name):
        reply, features = recording.reply, recording.features
        parts = [part for choice in reply.choices for part in choice.parts]
        if recording.failed:
            assert reply.ending in ("failed", "rate_limited")
        elif not recording.ends:
            assert reply.ending == "truncated"
        else:
            assert reply.ending == "complete"
            assert all(choice.finish for choice in reply.choices)
            if recording.finishes and len(load(name)) == 1:
                assert {choice.finish.raw for choice in reply.choices if choice.finish} <= recording.finishes | {""}
        if "tool_call" in features:
            calls = [part for part in parts if part.kind == "tool_call"]
            assert calls
            assert all(part.name for part in calls)
            if reply.ending == "complete" and not any(c.finish and c.finish.reason == "length" for c in reply.choices):
                assert all(isinstance(json.loads(part.text or "{}"), dict) for part in calls)
        if "thinking" in features:
            assert any(part.kind == "reasoning" or "<think" in part.text for part in parts)
        if "usage_final_chunk_empty_choices" in features or "reasoning_tokens" in features:
            assert reply.usage is not None
        if "cached_tokens" in features:
            assert any(one.reply.usage and one.reply.usage.cached for one in load(name))
        if "prompt_filter_results" in features:
            assert reply.extra["prompt_filter_results"]
        if "moderation" in features:
            assert reply.extra["moderation"]


@each_body
def test_a_body_decodes_to_what_its_row_says(name: str) -> None:
    [recording] = load(name)
    if recording.failed:
        failure = openai_chat.decode_error(recording.status or 400, {}, recording.data, 0.0)
        assert failure.message
        assert failure.kind != "internal"
        if "auth_error" in recording.features and recording.status == 401:
            assert failure.kind == "upstream_denied"
        if "context_length_or_429" in recording.features:
            assert failure.kind in ("context_too_long", "rate_limited", "quota_exhausted", "too_large")
        again = json.loads(openai_chat.encode_error(failure))["error"]
        assert again["message"] == failure.message
        return
    reply = fold(openai_chat.Decoder(recording.quirks).whole(recording.data))
    assert reply.ending == "complete"
    assert {choice.finish.raw for choice in reply.choices if choice.finish} - {""} == recording.finishes
    assert reply.choices[0].parts or recording.finishes
    assert fold(openai_chat.Decoder().whole(openai_chat.encode_reply(reply))) == in_one_piece(reply)


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
    for recording in load(name):
        data, text = recording.data, recording.reply.text
        for end in range(0, len(data) - len(b"[DONE]\n\n") - 4, max(1, len(data) // CUTS)):
            part = replace(recording, data=data[:end]).reply
            assert text.startswith(part.text)
            if not recording.quirks.no_done and not recording.failed:
                assert part.ending == "truncated"


@each_stream
@pytest.mark.parametrize("include_usage", [True, False])
def test_content_passes_byte_for_byte_in_the_same_dialect(name: str, include_usage: bool) -> None:
    """Not so pass, by name: usage and progress that the reader did not ask for, errors, the terminator, comments and ids, repaired rows."""
    for recording in load(name):
        if recording.quirks.repair:
            continue
        output = StreamOutput(openai_chat, True, include_usage, Naming("gen_1", 7))
        for frame, events in zip(recording.frames, recording.events, strict=False):
            passed = output.frame(frame.raw, events)
            last = events[-1] if events else None
            if isinstance(last, Done):
                assert passed == [TERMINATOR]
                break
            if isinstance(last, Failure):
                assert passed == []
                break
            bare = all(isinstance(e, Start | Usage) or (isinstance(e, Extra) and e.choice < 0) for e in events)
            if bare and not include_usage and any(isinstance(event, Usage) for event in events):
                assert passed == []
            else:
                assert passed == [frame.raw]
                assert frame.raw in recording.data or not recording.data.endswith(frame.data)


def test_the_exceptions_to_byte_for_byte() -> None:
    """Each by name, without any recording."""
    usage, content = b'{"id":"c","choices":[],"usage":{"prompt_tokens":1}}', b'{"id":"c","choices":[{"delta":{"content":"x"}}]}'
    progress = b'{"id":"c","choices":[],"prompt_progress":{"total":9,"processed":4}}'
    both = b'{"id":"c","choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":1}}'
    assert passed(content) == passed(content, include_usage=False) == [b"data:" + content + b"\n\n"]
    assert passed(usage) == [b"data:" + usage + b"\n\n"]
    assert passed(usage, include_usage=False) == []  # Telex asked for it, the reader did not
    assert passed(progress) == []
    assert passed(both, include_usage=False) == [b"data:" + both + b"\n\n"]  # it has content
    assert passed(b'{"error":{"message":"Boom."}}') == []  # said in the end, in the form that SDKs raise on
    assert passed(b"[DONE]") == []  # behind nothing: a truncation
    assert passed(content, verbatim=False) != [b"data:" + content + b"\n\n"]  # a row with a repair quirk
    assert passed(content, before=b": comment\nid: 7\n") == [b"data: " + content + b"\n\n"]


def passed(data: bytes, include_usage: bool = True, verbatim: bool = True, before: bytes = b"") -> list[bytes]:
    [frame] = sse.Decoder().feed(before + b"data:" + data + b"\n\n")
    return StreamOutput(openai_chat, verbatim, include_usage, Naming("gen_1", 7)).frame(frame.raw, openai_chat.Decoder().feed(frame))


@each_stream
def test_whole_is_the_fold_of_the_stream(name: str) -> None:
    for recording in load(name):
        reply = recording.reply
        if reply.failure is None:
            assert fold(openai_chat.Decoder().whole(openai_chat.encode_reply(reply))) == in_one_piece(reply)


@each_stream
def test_what_is_encoded_anew_reads_the_same(name: str) -> None:
    for recording in load(name):
        encoder, reply = openai_chat.Encoder(), recording.reply
        for events in (unfold(reply), [event for frame in recording.events for event in frame]):
            encoder = openai_chat.Encoder()
            data = b"".join(frame for event in events for frame in encoder.feed(event))
            again = replace(recording, provider="", data=data).reply
            assert again.failure is None if reply.failure is None else again.failure is not None
            if reply.failure is None:
                assert again == in_our_words(reply)
            else:
                assert again.choices == in_our_words(reply).choices


def in_our_words(reply: Reply) -> Reply:
    """Finish reasons that are none of this dialect's, and reasoning without a name, as the encoder writes them."""
    return replace(reply, choices=tuple(our_choice(choice) for choice in reply.choices))


def our_choice(choice: Choice) -> Choice:
    finish = choice.finish
    if finish is not None and finish.raw not in REASONS:
        finish = replace(finish, raw=finish.reason)
    parts = tuple(replace(part, name=part.name or REASONING) if part.kind == "reasoning" and part.text else part for part in choice.parts)
    return replace(choice, finish=finish, parts=parts)


def in_one_piece(reply: Reply) -> Reply:
    """Its parts as one message holds them: each kind of text once, in the order in which a message is read."""
    return in_our_words(replace(reply, choices=tuple(replace(choice, parts=merged(in_order(choice))) for choice in reply.choices)))


def in_order(choice: Choice) -> list[Part]:
    kinds = ["reasoning", "text", "refusal", "audio", "tool_call"]
    return sorted(choice.parts, key=lambda part: (kinds.index(part.kind), part.tool == "legacy"))


def merged(parts: list[Part]) -> tuple[Part, ...]:
    whole: list[Part] = []
    for part in parts:
        last = whole[-1] if whole else None
        flows = part.kind in ("reasoning", "text", "refusal") and not part.data
        if flows and last and (last.kind, last.name, last.signature) == (part.kind, part.name, ""):
            whole[-1] = replace(last, text=last.text + part.text)
        else:
            whole.append(part)
    return tuple(part for part in whole if part.text or part.data or part.kind in ("tool_call", "audio", "opaque"))


class Seen(Struct, frozen=True):
    """What somebody saw who read the recording. `text`: its length and how it begins; `calls`: name and arguments."""

    text: tuple[int, str] = (0, "")
    reasoning: int = 0
    calls: list[tuple[str, Any]] = []
    usage: tuple[int, int] | None = None
    finish: str = "stop"
    failure: Kind | None = None


PLACE = {"location": "San Francisco"}
SEEN: dict[str, list[Seen]] = {
    "alibaba/vercel-ai-alibaba-tool-call.chunks.txt": [Seen(calls=[("weather", PLACE)], usage=(295, 22), finish="tool_calls")],
    "azure/openllmetry-prompt-filter-stream-0.00.sse": [Seen((141, "Why did"))],
    "azure/ruby_llm-stream.sse": [Seen((8, "1, 2, 3."), usage=(7, 8))],
    "cerebras/vercel-ai-cererebras-structured-output-tools.1.chunks.txt": [
        Seen((0, ""), 423, [("nonUsefulTool", {})], (322, 104), "tool_calls"),
        Seen((18, '{"result'), 461, calls=[("nonUsefulTool", {})], usage=(433, 122), finish="tool_calls"),
    ],
    "deepseek/vercel-ai-deepseek-tool-call.chunks.txt": [Seen((0, ""), 191, [("weather", PLACE)], (339, 83), "tool_calls")],
    "gpustack/ruby_llm-stream.sse": [Seen((10, "\n\n1, 2"), 674, usage=(15, 171))],
    "groq/pydantic-ai-tool-use-failed-stream.00.sse": [Seen(reasoning=412, finish="", failure="bad_request")],
    "groq/pydantic-ai-web-search-stream.sse": [Seen((200, "The weather"), 6255, usage=(5003, 359))],
    "groq/vercel-ai-groq-tool-call.chunks.txt": [Seen(calls=[("weather", {})], usage=(210, 15), finish="tool_calls")],
    "mistral/vercel-ai-mistral-incremental-tool-call.chunks.txt": [
        Seen(calls=[("webSearchTool", {"query": "current Berlin weather"})], usage=(171, 14), finish="tool_calls")
    ],
    "mistral/vercel-ai-mistral-tool-call.chunks.txt": [Seen(calls=[("weather", PLACE)], usage=(124, 22), finish="tool_calls")],
    "openai-compatible/vercel-ai-anthropic-fallback-tool-call.sse": [
        Seen((11, "Reading it."), calls=[("read_file", {"path": "a.txt"})], finish="tool_calls")
    ],
    "openai/envoy-ai-gateway-chat-streaming-detailed-usage.sse": [Seen(usage=(12, 100), finish="length")],
    "openai/openllmetry-tools-stream.sse": [Seen(calls=[("get_current_weather", PLACE)], finish="tool_calls")],
    "openai/pydantic-ai-chat-moderation-stream.sse": [Seen((6, "Paris."), usage=(13, 11))],
    "openai/vercel-ai-azure-model-router.1.chunks.txt": [Seen((19, "Capital of"), usage=(15, 78))],
    "openrouter/pydantic-ai-stream-error.sse": [Seen(reasoning=42, usage=(43, 10), finish="length", failure="bad_request")],
    "openrouter/pydantic-ai-stream-reasoning.sse": [Seen((446, "I’m ChatGPT"), usage=(9, 104))],
    "openrouter/pydantic-ai-web-search-annotations-stream.sse": [Seen((90, "The URL"), usage=(2317, 53))],
    "openrouter/ruby_llm-reasoning-details-stream.00.sse": [
        Seen((0, ""), 211, [("reasoning_weather", {"city": "Berlin"})], (626, 106), "tool_calls")
    ],
    "openrouter/simonw-llm-tools-streaming-variant-a.00.sse": [Seen(calls=[("llm_version", {})], usage=(57, 17), finish="tool_calls")],
    "openrouter/simonw-llm-tools-streaming-variant-b.00.sse": [Seen(calls=[("llm_version", {})], usage=(57, 17), finish="tool_calls")],
    "perplexity/ruby_llm-stream-cumulative.sse": [Seen((5, "1 2 3"), usage=(8, 5))],
    "xai/vercel-ai-xai-tool-call.chunks.txt": [Seen((0, ""), 18, [("weather", PLACE)], (291, 222), "tool_calls")],
    "zai/pydantic-ai-thinking-stream.sse": [Seen((1, "4"), 2173, usage=(13, 564))],
}


@pytest.mark.parametrize("name", [name for name in SEEN if name in STREAMS])
def test_what_somebody_read(name: str) -> None:
    assert [seen(recording.reply, wanted) for recording, wanted in zip(load(name), SEEN[name], strict=True)] == SEEN[name]


def seen(reply: Reply, wanted: Seen) -> Seen:
    [choice] = reply.choices
    text, usage = reply.text, reply.usage
    reasoning = sum(len(part.text) for part in choice.parts if part.kind == "reasoning")
    calls = [(part.name, json.loads(part.text)) for part in choice.parts if part.kind == "tool_call"]
    return Seen(
        (len(text), text[: len(wanted.text[1])]),
        reasoning,
        calls,
        (usage.input, usage.output) if usage else None,
        choice.finish.reason if choice.finish else "",
        reply.failure.kind if reply.failure else None,
    )


REFUSED: dict[str, tuple[Kind, str]] = {
    "azure/ruby_llm-context-length-azure_grok-4-1-fast-non-reasoning.json": ("rate_limited", "RateLimitReached"),
    "deepseek/ruby_llm-auth-error-deepseek_deepseek-chat.json": ("upstream_denied", ""),
    "deepseek/ruby_llm-context-length-deepseek_deepseek-chat.json": ("context_too_long", "invalid_request_error"),
    "groq/pydantic-ai-tool-use-failed.00.json": ("bad_request", "tool_use_failed"),
    "ollama/ruby_llm-auth-error-ollama_cloud_gpt-oss_120b.json": ("upstream_denied", ""),
    "ollama/ruby_llm-context-length-ollama_cloud_gpt-oss_120b.json": ("context_too_long", ""),
    "openai/envoy-ai-gateway-chat-no-messages.json": ("bad_request", "empty_array"),
    "openai/envoy-ai-gateway-chat-unknown-model.json": ("not_found", "model_not_found"),
    "openai/vercel-ai-reasoning-model-legacy-parameter-error.json": ("bad_request", "unsupported_parameter"),
    "openrouter/pydantic-ai-errors-raised.00.json": ("rate_limited", "429"),
    "openrouter/ruby_llm-auth-error-openrouter_claude-haiku-4-5.json": ("upstream_denied", ""),
    "openrouter/ruby_llm-context-length-openrouter_claude-haiku-4-5.json": ("context_too_long", "400"),
    "perplexity/ruby_llm-auth-error-perplexity_sonar.json": ("upstream_denied", ""),
    "perplexity/ruby_llm-context-length-perplexity_sonar.json": ("context_too_long", "400"),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name in BODIES])
def test_which_error_somebody_read(name: str) -> None:
    [recording] = load(name)
    failure = openai_chat.decode_error(recording.status or 400, {}, recording.data, 0.0)
    assert (failure.kind, failure.code) == REFUSED[name]
