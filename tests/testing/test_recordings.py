"""Recordings come out byte for byte, as fast or as slowly as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from telex.testing import At, Head, Reset, ScriptedUpstream, Send, Stall, cut, pour, recording, say, write_timing
from telex.testing.script import cut_script

from .client import RawClient, play

HERE = Path(__file__).parent
SSE = HERE / "samples" / "odd.sse"


@pytest.mark.parametrize("options", [{}, {"gap": 0.001}, {"timing": [(0.0, 3), (0.01, 40), (0.02, 1)]}, {"timing": True, "speed": 10.0}])
def test_sse_is_played_byte_for_byte(options: dict[str, float]) -> None:
    seen = play(recording(SSE, **options))  # type: ignore[arg-type]
    assert (seen.body, seen.end) == (SSE.read_bytes(), "complete")
    assert seen.headers["content-type"].startswith("text/event-stream")


def test_chunks_are_framed_again_and_terminated(tmp_path: Path) -> None:
    (path := tmp_path / "a.chunks.txt").write_text('{"a":1}\n{"b":"ü"}\n')
    framed = 'data: {"a":1}\n\ndata: {"b":"ü"}\n\n'.encode()
    assert play(recording(path)).body == framed + b"data: [DONE]\n\n"
    assert play(recording(path, terminator=b"")).body == framed


def test_whole_replies_and_lines_are_played_as_they_are(tmp_path: Path) -> None:
    (whole := tmp_path / "a.json").write_bytes(b'\n\n{"a": 1}\n')
    (lines := tmp_path / "a.ndjson").write_bytes(b'{"a":1}\n{"done":true}')
    assert play(recording(whole)).body == whole.read_bytes()
    assert play(recording(whole)).headers["content-length"] == "11"
    assert play(recording(lines)).body == lines.read_bytes()
    whole.rename(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"a\.txt is no recording"):
        recording(tmp_path / "a.txt")


def test_status_and_headers_come_from_the_file_beside_it(tmp_path: Path) -> None:
    (path := tmp_path / "a.json").write_bytes(b"{}")
    meta = '{"status": 429, "headers": {"Retry-After": "7", "Transfer-Encoding": "chunked", "x-a": ["1", "2"]}}'
    (tmp_path / "a.json.meta.json").write_text(meta)
    script = recording(path)
    assert script[0] == Head(429, (("retry-after", "7"), ("x-a", "1"), ("x-a", "2")), "length")
    assert play(recording(path, status=503)).status == 503


def test_is_cut_anywhere_and_ends_as_asked() -> None:
    whole = SSE.read_bytes()
    for at in (1, 17, len(whole) - 1):
        assert play(recording(SSE, cut=at))[2:] == (whole[:at], "eof")
    assert play(recording(SSE, cut=40, then=(Reset(),)))[2:] == (whole[:40], "reset")
    assert play(recording(SSE, cut=40, then=()))[2:] == (whole[:40], "complete")


def test_any_play_is_cut() -> None:
    good = play(say("Hello", " world"))
    assert play(cut(say("Hello", " world"), 99))[2:] == (good.body[:99], "eof")
    assert play(cut(say("Hello"), 99), stream=False)[2:] == (play(say("Hello"), stream=False).body[:99], "eof")
    assert len(play(cut(pour(1 << 20), 1234)).body) == 1234
    assert cut_script((Head(), Send(b"abc"), Stall()), 3, ()) == (Head(), Send(b"abc"))
    assert cut_script((Head(), Send(b"abc")), 0, ()) == (Head(),)


def test_original_timing_is_kept(tmp_path: Path) -> None:
    (path := tmp_path / "a.sse").write_bytes(b"data: 1\n\ndata: 2\n\n")
    write_timing(path, [(0.05, 9), (0.1, 9)])
    assert recording(path, timing=True, speed=2)[1:] == (At(0.025), Send(b"data: 1\n\n"), At(0.05), Send(b"data: 2\n\n"))
    with ScriptedUpstream(recording(path, timing=True)) as upstream, RawClient(upstream.port) as client:
        client.ask().answer()
        [call] = upstream.wait_for(1)
        assert call.wait("last_byte") - call.wait("complete") >= 0.1


def test_a_bad_timing_file_is_said_with_its_line(tmp_path: Path) -> None:
    (path := tmp_path / "a.sse").write_bytes(b"data: 1\n\n")
    (tmp_path / "a.sse.timing").write_text("# seconds bytes\n0.1 5\n0.2\n")
    with pytest.raises(ValueError, match=r"a\.sse\.timing, line 3: expected seconds and a number of bytes"):
        recording(path, timing=True)
