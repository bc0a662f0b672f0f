"""What the official SDKs need of a stream's frames, checked without them: they are checked against the SDKs themselves in tests/sdk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from telex.core import sse
from telex.dialects.openai_responses.decoder import LAST_EVENTS

Wire = dict[str, Any]


def check_shape(dialect: str, frames: Sequence[bytes]) -> None:
    """All of a stream, from its first frame to its end."""
    read = [frame for raw in frames for frame in sse.Decoder().feed(raw)]
    assert len(read) == len(frames), "one event is one frame"
    SHAPES[dialect](read)


def anthropic(frames: list[sse.Frame]) -> None:
    names, blocks, open = [frame.event for frame in frames], 0, False
    assert all(json.loads(frame.data)["type"] == frame.event for frame in frames)
    assert names[-1] in ("message_stop", "error")
    if names == ["error"]:
        return
    assert names[0] == "message_start"
    assert names.count("message_start") == 1
    assert names[-1] == "error" or names[-2:] == ["message_delta", "message_stop"]
    pieces, cut = "", names[-1] == "error" or json.loads(frames[-2].data)["delta"]["stop_reason"] == "max_tokens"
    for frame in frames:
        event = json.loads(frame.data)
        match frame.event:
            case "content_block_start":
                assert (event["index"], open) == (blocks, False)
                open, pieces, kind = True, "", event["content_block"]["type"]
            case "content_block_delta":
                assert (event["index"], open) == (blocks, True)
                pieces += event["delta"].get("partial_json", "")
            case "content_block_stop":
                assert (event["index"], open) == (blocks, True)
                open, blocks = False, blocks + 1
                assert cut or kind != "tool_use" or isinstance(json.loads(pieces or "{}"), dict)
    assert not open or names[-1] == "error"


def openai_responses(frames: list[sse.Frame]) -> None:
    events: list[Wire] = [json.loads(frame.data) for frame in frames]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [frame.event for frame in frames]
    assert names == [event["type"] for event in events]
    assert names[-1] in LAST_EVENTS
    assert sum(name in LAST_EVENTS for name in names) == 1
    if names[-1] == "response.failed":
        assert names[-2] == "error"
    if names != ["error", "response.failed"]:
        assert names[0] == "response.created"
    added: dict[int, str] = {}
    for event in events:
        if event["type"] == "response.output_item.added":
            assert event["output_index"] == len(added)
            assert event["item"]["id"] not in added.values()
            added[event["output_index"]] = event["item"]["id"]
        elif "item_id" in event:
            assert added[event["output_index"]] == event["item_id"]


def openai_chat(frames: list[sse.Frame]) -> None:
    *chunks, last = [frame.data for frame in frames]
    if last != sse.DONE:
        assert json.loads(last)["error"]["message"]
    roles, calls, finished = set[int](), dict[int, int](), set[int]()
    for chunk in map(json.loads, chunks):
        assert "error" not in chunk
        for choice in chunk["choices"]:
            index, delta = choice["index"], choice["delta"]
            assert index in roles or delta.get("role") == "assistant"
            assert index == 0 or index - 1 in roles
            roles.add(index)
            for call in delta.get("tool_calls") or ():
                if call["index"] == calls.get(index, 0):
                    assert (call.get("function") or call["custom"])["name"]
                    calls[index] = call["index"] + 1
                assert call["index"] < calls[index]
            if choice.get("finish_reason"):
                assert index not in finished
                finished.add(index)


def gemini(frames: list[sse.Frame]) -> None:
    *chunks, last = [json.loads(frame.data) for frame in frames]
    assert all("error" not in chunk for chunk in chunks)
    assert "error" in last or "promptFeedback" in last or any(candidate.get("finishReason") for candidate in last["candidates"])
    for chunk in chunks:
        assert all("parts" in candidate["content"] for candidate in chunk["candidates"])


SHAPES: dict[str, Callable[[list[sse.Frame]], None]] = {
    "anthropic": anthropic,
    "openai-responses": openai_responses,
    "openai-chat": openai_chat,
    "gemini": gemini,
}
