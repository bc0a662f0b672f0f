"""What a reader gets of a frame and its events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core import sse
from telex.core.errors import Failure
from telex.dialects import DIALECTS
from telex.generation.output import Naming, SourceOutput, StreamOutput, WholeOutput

CHAT = DIALECTS["openai-chat"]
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"finish_reason": finish, "delta": delta, "index": 0}]
    return b"data: " + json.dumps({"choices": choices, "id": "x", "created": 5, "model": "m", **more}).encode() + b"\n\n"


HI, STOP = chunk({"content": "Hi"}), chunk({}, "stop")
USAGE = chunk(None, usage={"prompt_tokens": 3, "completion_tokens": 1})


def read(output: StreamOutput | WholeOutput | SourceOutput, *frames: bytes) -> list[list[bytes]]:
    """What each frame becomes."""
    decoder, splitter = CHAT.Decoder(), sse.Decoder()
    return [output.frame(frame.raw, decoder.feed(frame)) for raw in frames for frame in splitter.feed(raw)]


def stream(verbatim: bool = True, include_usage: bool = False) -> StreamOutput:
    return StreamOutput(CHAT, verbatim, include_usage, Naming("gen_1", 9))


def test_frames_pass_as_they_are() -> None:
    assert read(stream(), HI, STOP, DONE) == [[HI], [STOP], [DONE]]


@pytest.mark.parametrize("asked", [False, True])
def test_usage_is_for_those_who_asked(asked: bool) -> None:
    assert read(stream(include_usage=asked), HI, STOP, USAGE, DONE)[2] == ([USAGE] if asked else [])


def test_progress_is_for_nobody() -> None:
    assert read(stream(include_usage=True), chunk(None, prompt_progress={"processed": 1, "total": 2}), HI) == [[], [HI]]


def test_errors_are_left_to_who_ends_the_stream() -> None:
    assert read(stream(), HI, b'data: {"error":{"message":"It broke."}}\n\n') == [[HI], []]
    assert read(stream(verbatim=False), HI, b'data: {"error":{"message":"It broke."}}\n\n')[1] == []


@pytest.mark.parametrize("asked", [False, True])
def test_encoded_anew_the_reply_is_the_same(asked: bool) -> None:
    frames = [frame for out in read(stream(False, asked), HI, STOP, USAGE, DONE) for frame in out]
    assert HI not in frames
    assert frames[-1] == DONE
    decoded = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
    assert "".join(c["delta"].get("content", "") for d in decoded for c in d["choices"]) == "Hi"
    assert [d["usage"]["prompt_tokens"] for d in decoded if d.get("usage")] == ([3] if asked else [])


def test_a_whole_reply_as_a_stream() -> None:
    body = b'{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
    frames = stream().body(body, CHAT.Decoder().whole(body))
    assert frames[-1] == DONE
    assert any(b'"Hi"' in frame for frame in frames)


def test_whole_says_nothing_until_the_end() -> None:
    *before, [reply] = read(WholeOutput(CHAT, True, Naming("gen_1", 7)), HI, STOP, USAGE, DONE)
    assert before == [[], [], []]
    assert json.loads(reply)["choices"][0]["message"]["content"] == "Hi"
    assert json.loads(reply)["usage"]["completion_tokens"] == 1


def test_whole_says_nothing_of_what_did_not_complete() -> None:
    assert read(WholeOutput(CHAT, True, Naming("gen_1", 7)), HI, b'data: {"error":"It broke."}\n\n') == [[], []]


@pytest.mark.parametrize("verbatim", [False, True])
def test_a_whole_reply_passes_as_it_is_in_one_dialect(verbatim: bool) -> None:
    body = b'{"id": "x",  "choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
    [reply] = WholeOutput(CHAT, verbatim, Naming("gen_1", 7)).body(body, CHAT.Decoder().whole(body))
    assert (reply == body) == verbatim
    assert json.loads(reply)["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.parametrize("follows", [False, True])
def test_for_a_log_that_is_kept_it_is_what_the_provider_sent(follows: bool) -> None:
    """Errors too are frames of his; what they mean is said by whoever reads, at the end."""
    output, error = SourceOutput(follows), b'data: {"error":"It broke."}\n\n'
    assert (read(output, HI, USAGE, error), output.follows) == ([[HI], [USAGE], [error]], follows)
    assert (output.frame(b"", CHAT.Decoder().end()), output.fail(Failure("truncated", "It broke."))) == ([], [])
    assert output.body(b"{}", []) == [b"{}"]
