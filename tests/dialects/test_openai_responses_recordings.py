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
from recorded import CUTS, LAST, Recording, load, names
from strategies import cut
from telex.core import sse
from telex.core.errors import Failure, Kind
from telex.core.events import Event
from telex.core.fold import fold, unfold
from telex.core.messages import Part, Reply
from telex.dialects import openai_responses
from telex.generation.output import Naming, StreamOutput

STREAMS = names("responses", whole=False)
BODIES = names("responses", whole=True)
each_stream = pytest.mark.parametrize("name", STREAMS)
each_body = pytest.mark.parametrize("name", BODIES)

NO_REPLIES: dict[str, Kind] = {
    "openai/pydantic-ai-responses-background-poll.00.json": "truncated",
    "openai/pydantic-ai-responses-background-poll.01.json": "truncated",
    "openai/pydantic-ai-responses-input-tokens.json": "malformed",
}
"""Bodies that are no whole reply: of responses that run in the background, and a count of tokens."""


def test_the_recordings_are_there() -> None:
    if recordings() is None and not os.environ.get("CI"):
        pytest.skip("TELEX_RECORDINGS names no folder, so no recorded reply was read")
    assert len(STREAMS) > 15
    assert len(BODIES) > 5


@each_stream
def test_a_stream_decodes_to_what_its_row_says(name: str) -> None:
    several = load(name)
    for recording in several:
        assert recording.ends
        assert recording.reply.ending == "complete"
        assert recording.reply.choices[0].finish
    parts = [part for recording in several for choice in recording.reply.choices for part in choice.parts]
    usages = [recording.reply.usage for recording in several if recording.reply.usage]
    features = several[0].features
    if "tool_call" in features:
        calls = [part for part in parts if part.kind == "tool_call"]
        assert calls
        assert all(part.name and part.id and isinstance(json.loads(part.text), dict) for part in calls)
    if "thinking" in features:
        assert any(part.kind == "reasoning" for part in parts)
    if "signature" in features:
        assert any(part.data or part.extra.get("encrypted_content") for part in parts)
    if "citations" in features:
        assert any(part.citations for part in parts)
    if "server_tool" in features:
        assert any(part.kind == "opaque" for part in parts)
    if "reasoning_tokens" in features:
        assert any(usage.reasoning for usage in usages)
    if "cached_tokens" in features:
        assert any(usage.cached for usage in usages)


@each_body
def test_a_body_decodes_to_what_its_row_says(name: str) -> None:
    [recording] = load(name)
    if recording.failed:
        failure = openai_responses.decode_error(recording.status or 429, {}, recording.data, 0.0)
        assert failure.message
        if recording.status == 401:
            assert failure.kind == "upstream_denied"
        assert json.loads(openai_responses.encode_error(failure))["error"]["message"] == failure.message
        return
    reply = fold(openai_responses.Decoder().whole(recording.data))
    if name in NO_REPLIES:
        assert reply.failure is not None
        assert reply.failure.kind == NO_REPLIES[name]
        return
    assert reply.ending == "complete"
    assert reply.choices[0].parts
    again = json.loads(openai_responses.encode_reply(reply))
    assert {field: again.get(field) for field in json.loads(recording.data)} == json.loads(recording.data)


@each_stream
def test_a_cut_stream_decodes_to_the_same(name: str) -> None:
    for recording in load(name):
        whole, data = recording.frames, recording.data
        for size in {3, 1460, max(1, len(data) // CUTS)}:
            decoder = sse.Decoder()
            pieces = cut(data, list(range(size, len(data), size)))
            assert [*(frame for piece in pieces for frame in decoder.feed(piece)), *decoder.end()] == whole


@each_stream
def test_a_stream_that_breaks_off_is_truncated_and_keeps_what_came(name: str) -> None:
    for recording in load(name):
        data, text = recording.data, recording.reply.text
        for end in range(0, len(data) - 3, max(1, len(data) // CUTS)):
            part = replace(recording, data=data[:end]).reply
            assert part.ending == "truncated"
            assert text.startswith(part.text)


@each_stream
def test_frames_pass_byte_for_byte_in_the_same_dialect(name: str) -> None:
    for recording in load(name):
        output = StreamOutput(openai_responses, True, True, Naming("gen_1", 7))
        for frame, events in zip(recording.frames, recording.events, strict=False):
            assert not any(isinstance(event, Failure) for event in events)
            assert output.frame(frame.raw, events) == [frame.raw]
            assert frame.raw in recording.data


@each_stream
def test_whole_is_the_fold_of_the_stream(name: str) -> None:
    for recording in load(name):
        assert fold(openai_responses.Decoder().whole(openai_responses.encode_reply(recording.reply))) == recording.reply


@each_stream
def test_what_is_encoded_anew_reads_the_same(name: str) -> None:
    for recording in load(name):
        for events in (list(unfold(recording.reply)), [event for frame in recording.events for event in frame]):
            assert replace(recording, data=encoded(events)).reply == recording.reply


def encoded(events: list[Event]) -> bytes:
    encoder = openai_responses.Encoder()
    return b"".join(frame for event in events for frame in encoder.feed(event))


ODD = {
    "openai/vercel-ai-openai-shell-container.1.chunks.txt": "its words in the end are not those that were streamed",
    "openai/vercel-ai-github-copilot-id-rotation.1.chunks.txt": "its items have other ids in the end",
    "openai/vercel-ai-programmatic-tool-calling.1.chunks.txt": "its call is 'in_progress' in the end",
}
"""What can't be told again as it came, and why."""


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in ODD])
def test_the_last_response_is_encoded_as_it_came(name: str) -> None:
    """All of it: items with their ids, phases and sources, usage, and what the vocabulary has no word for."""
    for recording in load(name):
        came = json.loads(recording.frames[-1].data)
        assert came["type"] in LAST["responses"]
        again = json.loads(openai_responses.encode_reply(recording.reply))
        assert stated({field: again.get(field) for field in came["response"]}) == stated(came["response"])


def stated(response: dict[str, Any]) -> dict[str, Any]:
    """A response without what differs from event to event, or says nothing: what is encrypted (anew each time), and of reasoning
    its state and content that is none."""
    items = [{k: v for k, v in item.items() if k != "encrypted_content"} for item in response["output"]]
    thoughts = ({k: v for k, v in item.items() if k != "status" and v != []} for item in items if item["type"] == "reasoning")
    return {**response, "output": [next(thoughts) if item["type"] == "reasoning" else item for item in items]}


class Seen(Struct, frozen=True):
    """What somebody saw who read the recording. `text`: its length and how it begins; `kinds`: its parts; `calls`: name and arguments."""

    text: tuple[int, str] = (0, "")
    kinds: str = "text"
    calls: list[tuple[str, Any]] = []
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)
    sources: int = 0


SEEN: dict[str, list[Seen]] = {
    "azure/vercel-ai-azure-reasoning-encrypted-content.1.chunks.txt": [
        Seen(kinds="reasoning tool_call", calls=[("calculator", {"a": 12, "b": 7, "op": "add"})], usage=(137, 28, 0, 0)),
        Seen(kinds="tool_call", calls=[("calculator", {"a": 19, "b": 3, "op": "multiply"})], usage=(237, 26, 0, 0)),
        Seen(kinds="tool_call", calls=[("calculator", {"a": 57, "b": 10, "op": "multiply"})], usage=(276, 26, 0, 0)),
        Seen((28, "The final"), usage=(315, 12, 0, 0)),
    ],
    "azure/vercel-ai-azure-tool-call.1.chunks.txt": [
        Seen(kinds="tool_call", calls=[("weather", {"location": "San Francisco"})], usage=(45, 24, 0, 0))
    ],
    "deepseek/ruby_llm-responses-stream-reasoning.sse": [Seen((1, "4"), "reasoning text", usage=(95, 14, 0, 12))],
    "openai/pydantic-ai-responses-background-starting-after.01.sse": [Seen((15, "2 + 2"), usage=(15, 9, 0, 0))],
    "openai/vercel-ai-github-copilot-id-rotation.1.chunks.txt": [Seen((138, "There are **3**"), "reasoning text", usage=(19, 105, 0, 44))],
    "openai/vercel-ai-openai-code-interpreter-tool.1.chunks.txt": [
        Seen((596, "Here’s a simulation"), "reasoning opaque reasoning opaque reasoning opaque reasoning text",
             usage=(6047, 1623, 2944, 1408), sources=1)
    ],
    "openai/vercel-ai-openai-compaction.1.chunks.txt": [Seen((3483, "### Testing"), "text opaque", usage=(51097, 2505, 49792, 0))],
    "openai/vercel-ai-openai-file-search-tool.1.chunks.txt": [
        Seen((383, "According to"), "reasoning opaque reasoning text", usage=(3737, 621, 2304, 512), sources=2)
    ],
    "openai/vercel-ai-openai-phase.1.chunks.txt": [Seen((153 + 1485, "Got it"), "text text", usage=(7112, 463, 3072, 64))],
    "openai/vercel-ai-openai-mcp-tool-approval.2.chunks.txt": [
        Seen((470, "I wasn’t able"), "opaque reasoning text", usage=(553, 371, 0, 256))
    ],
    "openai/vercel-ai-programmatic-tool-calling.1.chunks.txt": [
        Seen(kinds="reasoning opaque tool_call", calls=[("getInventory", {"sku": "sku_123"})], usage=(631, 87, 0, 37))
    ],
    "xai/vercel-ai-xai-web-search-tool.1.chunks.txt": [Seen((1228, "xAI is"), "opaque text", usage=(1875, 695, 1578, 397), sources=5)],
    "openai/simonw-llm-responses-interleaved-reasoning.00.json": [
        Seen(kinds="reasoning tool_call", calls=[("db_lookup", {"key": "start"})], usage=(88, 65, 0, 45))
    ],
    "openai/vercel-ai-openai-web-search-tool.1.json": [
        Seen((3042, ""), "reasoning opaque reasoning opaque reasoning opaque reasoning text", usage=(19681, 3773, 3712, 3136), sources=10)
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SEEN if name in STREAMS + BODIES])
def test_what_somebody_read(name: str) -> None:
    assert [seen(read(recording), wanted) for recording, wanted in zip(load(name), SEEN[name], strict=True)] == SEEN[name]


def read(recording: Recording) -> Reply:
    if recording.name.endswith(".json"):
        return fold(openai_responses.Decoder().whole(recording.data))
    return recording.reply


def seen(reply: Reply, wanted: Seen) -> Seen:
    [choice] = reply.choices
    usage = reply.usage
    assert usage is not None
    calls = [(part.name, json.loads(part.text)) for part in choice.parts if part.kind == "tool_call"]
    return Seen(
        (len(reply.text), reply.text[: len(wanted.text[1])]),
        " ".join(part.kind for part in choice.parts),
        calls,
        (usage.input, usage.output, usage.cached, usage.reasoning),
        sum(len(part.citations) for part in choice.parts),
    )


def parts_of(name: str) -> tuple[Part, ...]:
    return read(load(name)[0]).choices[0].parts


@pytest.mark.skipif(not STREAMS, reason="no recordings")
def test_what_somebody_read_more_closely() -> None:
    phase = parts_of("openai/vercel-ai-openai-phase.1.chunks.txt")
    assert [part.extra["phase"] for part in phase] == ["commentary", "final_answer"]
    [thought, *_] = parts_of("azure/vercel-ai-azure-reasoning-encrypted-content.1.chunks.txt")
    assert thought.data.startswith("gAAAAABpPB8lj5jD")  # what came when the item was done, not when it was added
    *_, text = parts_of("openai/vercel-ai-openai-web-search-tool.1.json")
    source = text.citations[0]
    assert (source.start, source.end, source.title) == (426, 517, "Why OpenAI declared a code red for ChatGPT | The Verge")
    assert source.url.startswith("https://www.theverge.com/")
    *_, text = parts_of("openai/vercel-ai-openai-code-interpreter-tool.1.chunks.txt")
    file = text.citations[0]
    assert text.text[file.start : file.end].endswith("roll2dice_sums_10000.csv")
    assert (file.url, file.title, file.fields["type"]) == ("", "roll2dice_sums_10000.csv", "container_file_citation")


REFUSED: dict[str, tuple[Kind, str]] = {
    "openai/ruby_llm-auth-error-openai_gpt-5-nano.json": ("upstream_denied", ""),
    "openai/ruby_llm-context-length-openai_gpt-5-nano.json": ("context_too_long", "context_length_exceeded"),
    "openai/vercel-ai-openai-error.1.json": ("quota_exhausted", "insufficient_quota"),
    "xai/ruby_llm-auth-error-xai_grok-4-1-fast-non-reasoning.json": ("bad_request", "invalid-argument"),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name in BODIES])
def test_which_error_somebody_read(name: str) -> None:
    [recording] = load(name)
    failure = openai_responses.decode_error(recording.status or 429, {}, recording.data, 0.0)
    assert (failure.kind, failure.code) == REFUSED[name]
