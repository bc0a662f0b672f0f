"""Each fault does on the wire what its row says."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from telex.core.sse import Decoder
from telex.testing import FAULTS, ScriptedUpstream

from .client import PATH, RawClient, Seen, play

DONE = b"data: [DONE]\n\n"
EVERY = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def fault(id: str, stream: bool = True, path: str = PATH, **options: Any) -> Seen:
    return play(FAULTS[id](**options), stream, path)


def data(body: bytes) -> list[bytes]:
    return [frame.data for frame in Decoder().feed(body)]


def test_the_table_has_every_row_that_an_upstream_can_cause() -> None:
    assert {f.row for f in FAULTS.values()} == {*range(1, 31)} - {2, 4}
    assert all(id == f"row{f.row:02}-{f.name}" for id, f in FAULTS.items())


def test_row01_refuses() -> None:
    with ScriptedUpstream(FAULTS["row01-refuses"]()) as upstream, pytest.raises(ConnectionRefusedError):
        RawClient(upstream.port)


def test_row03_connect_hangs() -> None:
    with ScriptedUpstream(FAULTS["row03-connect-hangs"]()) as upstream, pytest.raises(TimeoutError):
        RawClient(upstream.port, timeout=0.1)


@EVERY
def test_row05_headers_never_come(stream: bool) -> None:
    with ScriptedUpstream(FAULTS["row05-headers-never-come"]()) as upstream, RawClient(upstream.port) as client:
        client.ask(stream)
        upstream.wait_for(1)
        assert client.is_silent()


@EVERY
@pytest.mark.parametrize(
    ("id", "status"),
    [("row08-500-before-body", 500), ("row08-502-before-body", 502), ("row08-503-before-body", 503), ("row09-529-overloaded", 529)]
    + [(f"row10-{status}", status) for status in (400, 401, 403, 404, 422)],
)
def test_rows_8_to_10_answer_with_a_status_and_an_error(id: str, status: int, stream: bool) -> None:
    seen = fault(id, stream)
    assert (seen.status, seen.end, seen.headers["content-type"]) == (status, "complete", "application/json")
    assert set(json.loads(seen.body)["error"]) == {"message", "type", "param", "code"}


def test_rows_6_and_7_rate_limit() -> None:
    hinted, bare = fault("row06-429-with-retry-after", retry_after=2.5), fault("row07-429-without-retry-after")
    assert (hinted.status, hinted.headers["retry-after"]) == (429, "2.5")
    assert (bare.status, "retry-after" in bare.headers) == (429, False)


def test_row11_context_too_long() -> None:
    seen = fault("row11-context-too-long")
    assert (seen.status, json.loads(seen.body)["error"]["code"]) == (400, "context_length_exceeded")


@EVERY
def test_row12_200_and_then_an_error_first(stream: bool) -> None:
    seen = fault("row12-error-first", stream)
    first = data(seen.body)[0] if stream else seen.body
    assert (seen.status, "message" in json.loads(first)["error"]) == (200, True)


@pytest.mark.parametrize(("id", "ended"), [("row13-error-mid-stream", False), ("row13-error-mid-stream-then-terminator", True)])
def test_row13_error_mid_stream(id: str, ended: bool) -> None:
    body = fault(id, after=2).body
    frames = data(body)
    assert b'"One"' in frames[1]
    assert "error" in json.loads(frames[2])
    assert body.endswith(DONE) == ended
    assert "error" in json.loads(fault(id, stream=False).body)


@pytest.mark.parametrize(
    ("id", "end", "fragment"),
    [
        ("row14-eof-without-terminator", "complete", False),
        ("row14-fin-without-terminator", "eof", False),
        ("row15-reset-mid-stream", "reset", False),
        ("row16-eof-inside-event", "complete", True),
        ("row16-fin-inside-event", "eof", True),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 4])
def test_rows_14_to_16_end_early(id: str, end: str, fragment: bool, after: int) -> None:
    seen = fault(id, after=after)
    assert (seen.end, len(data(seen.body)), seen.body.endswith(b"\n\n")) == (end, after, after > 0 and not fragment)
    broken = fault(id, stream=False)
    assert broken.end == end
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.body)


@EVERY
def test_row17_all_is_said_but_the_connection_stays_open(stream: bool) -> None:
    with ScriptedUpstream(FAULTS["row17-terminator-but-open"]()) as upstream, RawClient(upstream.port) as client:
        client.ask(stream)
        if stream:
            client.until(DONE + b"\r\n")
        else:
            assert client.answer().end == "complete"
        assert client.is_silent()
        [call] = upstream.wait_for(1)
        client.socket.close()
        call.wait("left_at")


def test_row18_data_after_the_terminator() -> None:
    body = fault("row18-data-after-terminator").body
    assert body.partition(DONE)[2].startswith(b"data: {")
    with ScriptedUpstream(FAULTS["row18-data-after-terminator"]()) as upstream, RawClient(upstream.port) as client:
        assert json.loads(client.ask(stream=False).answer().body)
        assert client.rest() == (b"{}", "eof")


@EVERY
def test_row19_malformed_json(stream: bool) -> None:
    seen = fault("row19-malformed-event", stream)
    with pytest.raises(json.JSONDecodeError):
        json.loads(data(seen.body)[3] if stream else seen.body)
    assert seen.end == "complete"
    assert seen.body.endswith(DONE) or not stream


@EVERY
def test_row20_invalid_utf8(stream: bool) -> None:
    with pytest.raises(UnicodeDecodeError):
        fault("row20-invalid-utf8", stream).body.decode()


@EVERY
def test_row20_split_code_points(stream: bool) -> None:
    with ScriptedUpstream(FAULTS["row20-split-code-point"]()) as upstream, RawClient(upstream.port) as client:
        client.ask(stream).head()
        body = b""
        while size := int(client.until(b"\r\n"), 16):
            assert size == 1
            body += client.until(b"\r\n")[:-2] or client.until(b"\r\n")[:-1]
        assert "Grüße" in body.decode()
        assert "\N{GRINNING FACE}" in body.decode()


INDEXES = {
    "/v1/chat/completions": (b'"tool_calls":[{"index":', b"0"),
    "/v1/responses": (b'"output_index":', b"1"),
    "/v1/messages": (b'"index":', b"1"),
}
"""Where each dialect has the index of a call's block, and which one is right."""


@pytest.mark.parametrize("path", INDEXES)
def test_row21_one_frame_is_for_another_block_or_none(path: str) -> None:
    before, index = INDEXES[path]
    good, other = (data(fault("row21-block-index-out-of-order", path=path, index=i).body) for i in (index, b"7"))
    [wrong] = [(one, another) for one, another in zip(good, other, strict=True) if one != another]
    assert wrong[0].replace(before + index, before + b"7") == wrong[1]
    missing = data(fault("row21-block-index-missing", path=path).body)
    [gone] = [(one, another) for one, another in zip(good, missing, strict=True) if one != another]
    assert (b"Oslo" in gone[1], before + index in gone[0], before in gone[1]) == (True, True, False)


def test_row22_duplicated_event() -> None:
    frames = data(fault("row22-duplicated-event").body)
    assert len(frames) == len(set(frames)) + 1
    assert frames[3] == frames[4]


@EVERY
def test_row23_html_with_status_200(stream: bool) -> None:
    seen = fault("row23-html-200", stream)
    assert (seen.status, seen.headers["content-type"], seen.body[:9]) == (200, "text/html", b"<!doctype")


@EVERY
def test_row24_an_empty_answer(stream: bool) -> None:
    seen = fault("row24-empty-answer", stream)
    assert b'finish_reason":"' not in seen.body
    assert seen.body.endswith(DONE) or not stream


@EVERY
def test_row25_stalls_in_the_middle(stream: bool) -> None:
    with ScriptedUpstream(FAULTS["row25-stall-mid-stream"](after=2)) as upstream, RawClient(upstream.port) as client:
        client.ask(stream).until(b'"One"' if stream else b"chat.completion")
        if stream:
            client.until(b"\n\n\r\n")
        [call] = upstream.wait_for(1)
        assert client.is_silent() or not stream
        assert (call.finished, call.left_at) == (None, None)


@EVERY
def test_row26_only_keep_alives(stream: bool) -> None:
    with ScriptedUpstream(FAULTS["row26-only-keep-alives"](gap=0.001)) as upstream, RawClient(upstream.port) as client:
        client.ask(stream).head()
        for _ in range(20):
            client.until(b": keep-alive\n\n" if stream else b"1\r\n\n")
        assert upstream.calls[0].finished is None


@EVERY
def test_row27_a_slow_first_token(stream: bool) -> None:
    with ScriptedUpstream(FAULTS["row27-slow-first-token"](seconds=0.05, head=0.05)) as upstream, RawClient(upstream.port) as client:
        client.ask(stream).answer()
        [call] = upstream.wait_for(1)
        complete, last = call.complete, call.wait("finished")
        assert complete is not None
        assert last - complete >= 0.1


@EVERY
def test_row28_a_giant_event(stream: bool) -> None:
    seen = fault("row28-giant-event", stream, size=1 << 20)
    assert max(map(len, data(seen.body) if stream else [seen.body])) > 1 << 20


@EVERY
def test_row29_gzip_that_nobody_asked_for(stream: bool) -> None:
    seen = fault("row29-gzip-unasked", stream, size=1 << 20)
    assert seen.headers["content-encoding"] == "gzip"
    assert len(seen.body) < 1 << 14
    assert len(gzip.decompress(seen.body)) > 1 << 20


def test_row30_redirect() -> None:
    seen = fault("row30-redirect", location="http://192.0.2.7/")
    assert (seen.status, seen.headers["location"]) == (307, "http://192.0.2.7/")
