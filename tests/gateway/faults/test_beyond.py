"""What a row of the fault matrix says beyond its table."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from gateway.speech import ALIVE
from telex.core import sse
from telex.core.errors import Failure, Kind
from telex.testing import FAULTS, Beat, Call, Close, Play, Send, render, say, status
from telex.testing.answers import stream, words

from .conftest import Rig, each_client, each_delivery, each_pair, each_upstream
from .rows import Complete, Cut, check_words


def begun(call: Call, *pieces: str) -> list[bytes]:
    """The frames of a stream up to the end of these pieces."""
    good = render(words(call, *pieces), call)
    return [frame for frames in good.frames[: 2 + len(pieces)] for frame in frames]


# ---- before the body


@each_delivery
@each_client
async def test_row06_waits_as_long_as_it_is_asked_to(client: str, stream: bool, rig: Rig) -> None:
    seen = await rig.run(client, client, stream, FAULTS["row06-429-with-retry-after"](retry_after=0.2), say("Good"))
    first, second = seen.calls
    assert second.accepted - (first.complete or 0) >= 0.2
    Complete("Good", calls=2).check(seen)


@each_delivery
@each_upstream
@each_client
@pytest.mark.parametrize("id", ["row08-500-before-body", "row10-401", "row12-error-first", "row23-html-200"])
async def test_what_was_retried_here_is_not_to_be_retried_by_sdks(id: str, client: str, up: str, stream: bool, rig: Rig) -> None:
    seen = await rig.run(client, up, stream, FAULTS[id]())
    assert seen.answer.headers["x-should-retry"] == "false"


@each_delivery
@each_upstream
@each_client
async def test_row10_an_answer_to_our_key_does_not_show_it(client: str, up: str, stream: bool, rig: Rig) -> None:
    said = "Incorrect API key provided: sk-secret."
    errors: dict[str, dict[str, Any]] = {
        "anthropic": {"type": "error", "error": {"type": "authentication_error", "message": said}},
        "gemini": {"error": {"code": 401, "message": said, "status": "UNAUTHENTICATED"}},
    }
    openai = {"error": {"message": said, "type": "invalid_request_error", "code": "invalid_api_key"}}
    seen = await rig.run(client, up, stream, status(401, errors.get(up, openai)))
    assert (seen.answer.status, b"sk-secret" in seen.answer.body) == (502, False)


@each_delivery
@each_upstream
async def test_row23_does_not_echo_the_page(up: str, stream: bool, rig: Rig) -> None:
    seen = await rig.run("openai-chat", up, stream, FAULTS["row23-html-200"]())
    assert b"nginx" not in seen.answer.body


@each_delivery
async def test_an_end_of_time_ends_everything(stream: bool, rig: Rig) -> None:
    seen = await rig.run("openai-chat", "openai-chat", stream, FAULTS["row05-headers-never-come"](), limit="total")
    assert (seen.answer.status, seen.answer.error["code"], len(seen.calls)) == (504, "total", 1)


# ---- errors inside


BROKE: dict[Kind, tuple[int, str]] = {
    "rate_limited": (429, "rate_limit_exceeded"),
    "overloaded": (503, "server_is_overloaded"),
    "upstream_error": (502, "upstream_error"),
}


@each_upstream
@each_client
@pytest.mark.parametrize("kind", BROKE)
async def test_row13_says_what_went_wrong(kind: Kind, client: str, up: str, rig: Rig) -> None:
    """A limit or an overload that comes late keeps its name, and the code of its HTTP status where the dialect has that in the stream."""
    seen = await rig.run(client, up, True, FAULTS["row13-error-mid-stream"](failure=Failure(kind, "It broke.")))
    heard = seen.told
    assert (heard.text, heard.finishes, heard.done, heard.broken) == ("One two", [], False, True)
    [error] = heard.errors
    check_words(client, error, *BROKE[kind])
    assert error["message"] == "It broke."


@each_upstream
async def test_row13_in_one_write_with_the_content_keeps_it(up: str, rig: Rig) -> None:
    def play(call: Call) -> Play:
        broke = render([Failure("upstream_error", "It broke.")], call)
        return stream([Send(b"".join([*begun(call, "Hi"), *broke.flat]))])

    Cut("upstream_error", "Hi").check(await rig.run("openai-chat", up, True, play))


@each_upstream
async def test_row16_a_terminator_that_lacks_only_its_line_ends_is_one(up: str, rig: Rig) -> None:
    def play(call: Call) -> Play:
        return stream([Send(b"".join(render(words(call, "Hi"), call).flat).rstrip())])

    Complete("Hi").check(await rig.run("openai-chat", up, True, play))


@pytest.mark.parametrize("extra", [b"{}", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"], ids=["body", "answer"])
async def test_row18_data_in_one_write_with_the_end_of_a_whole_reply_is_ignored(extra: bytes, rig: Rig) -> None:
    def play(call: Call) -> Play:
        body = render(words(call, "Hi"), call).body
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        return Send(head + body + extra), Close()

    Complete("Hi").check(await rig.run("openai-chat", "openai-chat", False, play))
    Complete("Good").check(await rig.run("openai-chat", "openai-chat", False, say("Good")))


# ---- time


@each_upstream
async def test_row17_closes_the_upstream(up: str, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.generation.attempt.FINISHED_SECONDS", 0.05)
    monkeypatch.setattr("telex.generation.attempt.LINGER", 0.05)
    seen = await rig.run("openai-chat", up, True, FAULTS["row17-terminator-but-open"]())
    await seen.calls[0].until("left_at")


@each_delivery
@each_upstream
async def test_row25_closes_the_upstream(up: str, stream: bool, rig: Rig) -> None:
    seen = await rig.run("openai-chat", up, stream, FAULTS["row25-stall-mid-stream"](), limit="idle" if stream else "total")
    await seen.calls[0].until("left_at")


def empty(call: Call) -> bytes:
    """A frame that says nothing, as each dialect's providers send them."""
    events: dict[str, tuple[str, dict[str, Any]]] = {
        "openai-chat": ("", {"choices": [{"index": 0, "delta": {"content": ""}}]}),
        "openai-responses": ("response.in_progress", {}),
        "anthropic": ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": ""}}),
        "gemini": ("", {"candidates": [{"content": {"parts": [{"text": ""}]}}]}),
    }
    name, event = events[call.dialect.NAME]
    return sse.encode(json.dumps(event | ({"type": name} if name else {})).encode(), name)


@each_pair
@pytest.mark.parametrize("nothing", ["keep-alives", "empty frames"])
async def test_row26_behind_content_they_do_not_count_as_content(nothing: str, client: str, up: str, rig: Rig) -> None:
    def play(call: Call) -> Play:
        beat = call.dialect.KEEP_ALIVE if nothing == "keep-alives" else empty(call)
        return stream([*map(Send, begun(call, "One")), Beat(beat, 0.02)])

    seen = await rig.run(client, up, True, play, limit="content_idle")
    Cut("content_idle", "One", 504).check(seen)
    await seen.calls[0].until("left_at")


@each_upstream
async def test_row26_before_content_empty_frames_do_not_count_as_content(up: str, rig: Rig) -> None:
    def play(call: Call) -> Play:
        return stream([*map(Send, begun(call)), Beat(empty(call), 0.02)])

    seen = await rig.run("openai-chat", up, True, play, limit="first_content")
    assert (seen.answer.status, seen.answer.error["code"], len(seen.calls)) == (504, "first_content", 2)


@pytest.fixture
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come often."""
    monkeypatch.setattr("telex.gateway.deliver.KEEP_ALIVE_SECONDS", 0.03)


@pytest.mark.usefixtures("lively")
@each_pair
async def test_row27_behind_the_gate_there_are_signs_of_life_until_the_first_token(client: str, up: str, rig: Rig) -> None:
    seen = await rig.run(client, up, True, FAULTS["row27-slow-first-token"](seconds=0.3), limit="gate")
    assert seen.answer.body.startswith(ALIVE[client] * 2)
    Complete().check(seen)


@pytest.mark.usefixtures("lively")
@each_pair
async def test_row27_signs_of_life_do_not_make_the_provider_look_alive(client: str, up: str, rig: Rig) -> None:
    """Neither its keep-alives nor ours move the limit of the first content; behind the gate the error comes in the stream."""
    seen = await rig.run(client, up, True, FAULTS["row26-only-keep-alives"](gap=0.02), limit="gate-first_content")
    assert seen.answer.body.startswith(ALIVE[client])
    heard = seen.told
    assert (seen.answer.status, heard.text, heard.finishes, heard.done, heard.broken) == (200, "", [], False, True)
    check_words(client, heard.errors[0], 504, "first_content")
    assert (len(seen.calls), seen.line["ending"]) == (2, "failed")


@pytest.mark.usefixtures("lively")
@each_pair
async def test_our_signs_of_life_do_not_move_the_limit_behind_content(client: str, up: str, rig: Rig) -> None:
    def play(call: Call) -> Play:
        return stream([*map(Send, begun(call, "One")), Beat(call.dialect.KEEP_ALIVE, 0.02)])

    seen = await rig.run(client, up, True, play, limit="content_idle")
    Cut("content_idle", "One", 504).check(seen)
    assert ALIVE[client] in seen.answer.body


# ---- sizes


async def test_row28_a_first_frame_of_megabytes_is_legitimate(rig: Rig) -> None:
    Complete("x" * (3 << 20)).check(await rig.run("openai-chat", "openai-chat", True, say("x" * (3 << 20))))


async def test_row28_a_giant_event_behind_content_is_an_error(rig: Rig) -> None:
    Cut("upstream_malformed", "One").check(await rig.run("openai-chat", "openai-chat", True, say("One", "x" * (17 << 20))))


@each_upstream
async def test_row29_identity_is_asked_for(up: str, rig: Rig) -> None:
    seen = await rig.run("openai-chat", up, True, say("Good"))
    assert seen.calls[0].headers["accept-encoding"] == "identity"


async def test_row29_nothing_is_unpacked(rig: Rig) -> None:
    body = gzip.compress(json.dumps({"error": {"message": "packed"}}).encode())
    seen = await rig.run("openai-chat", "openai-chat", False, status(500, body, (("content-encoding", "gzip"),)))
    assert (seen.answer.status, b"packed" in seen.answer.body) == (502, False)
