"""Every recorded reply, encoded into each dialect, as that dialect's official SDK reads it: the same text, calls, reasons and usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from recorded import load, rows
from sdk.matrix.clients import CLIENTS
from sdk.matrix.speakers import Ask, Heard, Speaker
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Reply, Usage
from telex.dialects import DIALECTS
from telex.testing import ScriptedUpstream
from telex.testing.answers import stream, whole
from telex.testing.script import Send

ENDS = {
    "openai-chat": {"length": "length", "context_full": "length", "tool_calls": "tool_calls", "content_filter": "content_filter",
                    "refusal": "content_filter"},
    "openai-responses": {"length": "max_output_tokens", "context_full": "max_output_tokens", "content_filter": "content_filter",
                         "refusal": "content_filter"},
    "anthropic": {"length": "max_tokens", "context_full": "model_context_window_exceeded", "tool_calls": "tool_use",
                  "content_filter": "refusal", "refusal": "refusal", "stop_sequence": "stop_sequence", "pause": "pause_turn",
                  "compaction": "compaction"},
    "gemini": {"length": "MAX_TOKENS", "context_full": "MAX_TOKENS", "content_filter": "SAFETY", "refusal": "SAFETY",
               "broken_call": "MALFORMED_FUNCTION_CALL"},
}  # fmt: skip
"""What each SDK must say of a reason; of all others that it stopped."""

STOPPED = {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP"}


def complete(name: str) -> Iterator[Reply]:
    """The replies in a file that ended well."""
    for recording in load(name):
        if not recording.failed:
            events = recording.dialect.Decoder(recording.quirks).whole(recording.data) if name.endswith(".json") else ()
            reply = fold(events) if name.endswith(".json") else recording.reply
            if reply.failure is None and reply.choices:
                yield reply


NAMES = [row["file"] for row in rows() if any(complete(row["file"]))]


@pytest.fixture(scope="module")
def upstream() -> Any:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def speakers(upstream: ScriptedUpstream) -> dict[str, Speaker]:
    return {name: speaker(upstream.url.removesuffix("/v1")) for name, speaker in CLIENTS.items()}


@pytest.mark.filterwarnings("ignore:.* is not a valid")  # so Google's meets words that it does not know
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # and OpenAI's items
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_sdk_reads_every_recording(upstream: ScriptedUpstream, speakers: dict[str, Speaker], name: str, client: str) -> None:
    speaker, dialect = speakers[client], DIALECTS[client]
    arguments = speaker.arguments("m", Ask())
    for reply in complete(name):
        encoder = dialect.Encoder(id="gen_1", created=1)
        frames = [frame for event in unfold(reply) for frame in encoder.feed(event)]
        upstream.play(whole(dialect.encode_reply(reply)))
        check(speaker.whole_sync(arguments), reply, client)
        upstream.play(stream([Send(frame) for frame in frames]))
        check(speaker.stream_sync(arguments), reply, client)
        limited = reply.choices[0].finish is not None and reply.choices[0].finish.reason == "length"
        if client in ("anthropic", "openai-responses") or (client == "openai-chat" and not limited):  # it raises on those
            check(speaker.helper_sync(arguments), reply, client)


def check(heard: Heard, reply: Reply, client: str) -> None:
    choice, usage = reply.choices[0], reply.usage
    assert heard.text == said(choice, "text", "refusal")
    calls = [part for part in choice.parts if part.kind == "tool_call"]
    assert [name for name, _ in heard.calls] == [part.name for part in calls]
    whole_calls = [part.text.rstrip().endswith("}") or not part.text for part in calls]
    for (_, arguments), part, is_whole in zip(heard.calls, calls, whole_calls, strict=True):
        if is_whole:  # others are cut by a limit, and each SDK makes of them what it can
            assert arguments == (json.loads(part.text) if part.text else {})
    if heard.finish:  # a helper that raised for a filter says no more
        assert heard.reasoning == said(choice, "reasoning")
        assert heard.finish == reason(choice, client, reply.dialect)
        assert heard.usage == (tokens(usage, client) if usage else (0, 0, 0, 0))


def said(choice: Choice, *kinds: str) -> str:
    return "".join(part.text for part in choice.parts if part.kind in kinds)


def tokens(usage: Usage, client: str) -> tuple[int, int, int, int]:
    """Anthropic counts what is cached beside the rest, so that a provider's odd sums come out as sums."""
    input = max(usage.input, usage.cached + usage.cache_write) if client == "anthropic" else usage.input
    return input, usage.output, usage.cached, usage.reasoning


def reason(choice: Choice, client: str, dialect: str) -> str:
    assert choice.finish is not None
    if client == dialect == "gemini":
        return choice.finish.raw
    word = ENDS[client].get(choice.finish.reason, STOPPED[client])
    called = any(part.kind == "tool_call" for part in choice.parts)
    refused = any(part.kind == "refusal" for part in choice.parts)
    if client == "anthropic" and refused and not called:
        return "refusal"
    return word


ONE_EXCHANGE = [("anthropic/vercel-ai-anthropic-refusal.json", "anthropic/vercel-ai-anthropic-refusal.chunks.txt")]
"""Recordings of one exchange, whole and streamed; no other two are of the same."""


@pytest.mark.parametrize(("one", "other"), [pair for pair in ONE_EXCHANGE if {*pair} <= {*NAMES}])
def test_one_exchange_is_one_reply_streamed_or_whole(one: str, other: str) -> None:
    [whole], [streamed] = complete(one), complete(other)
    assert replace(whole, id="") == replace(streamed, id="")
