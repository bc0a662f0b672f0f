"""Server-sent events: the grammar of the WHATWG, the places where Telex leaves it on purpose, bounds, and the way back."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import cut
from telex.core import sse
from telex.core.sse import Decoder, Frame, FrameTooLong


def frames(*chunks: bytes, limit: int = sse.LIMIT) -> list[Frame]:
    decoder = Decoder(limit)
    return [*(frame for chunk in chunks for frame in decoder.feed(chunk)), *decoder.end()]


def read(*chunks: bytes) -> list[tuple[str, bytes]]:
    return [(frame.event, frame.data) for frame in frames(*chunks)]


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


GRAMMAR = {
    "one line": (b"data: a\n\n", [("", b"a")]),
    "no space behind the colon": (b"data:a\n\n", [("", b"a")]),
    "only one space is taken": (b"data:  a\n\n", [("", b" a")]),
    "a tab is no space": (b"data:\ta\n\n", [("", b"\ta")]),
    "colons in the value": (b"data: a: b:c\n\n", [("", b"a: b:c")]),
    "several lines": (b"data: a\ndata: b\ndata: c\n\n", [("", b"a\nb\nc")]),
    "an empty line of data": (b"data: a\ndata:\ndata: b\n\n", [("", b"a\n\nb")]),
    "data without a colon": (b"data: a\ndata\n\n", [("", b"a\n")]),
    "a field that begins with data": (b"database: a\n\n", []),
    "names are case-sensitive": (b"Data: a\n\nEVENT: b\ndata: c\n\n", [("", b"c")]),
    "names are not stripped": (b" data: a\n\ndata : b\n\n", []),
    "an event has a name": (b"event: delta\ndata: a\n\n", [("delta", b"a")]),
    "the name may come last": (b"data: a\nevent: delta\n\n", [("delta", b"a")]),
    "the last name wins": (b"event: a\nevent: b\ndata: c\n\n", [("b", b"c")]),
    "an empty name is none": (b"event: a\nevent:\ndata: c\n\n", [("", b"c")]),
    "a name without data is forgotten": (b"event: a\n\ndata: b\n\n", [("", b"b")]),
    "comments": (b": hello\ndata: a\n:\n: data: no\ndata: b\n\n:\n\n", [("", b"a\nb")]),
    "ids": (b"id: 1\ndata: a\n\nid\ndata: b\n\nid: x\x00y\ndata: c\n\n", [("", b"a"), ("", b"b"), ("", b"c")]),
    "retry": (b"retry: 100\n\nretry: soon\ndata: a\n\n", [("", b"a")]),
    "unknown fields": (b"foo: 1\ndata: a\nbar\n\n", [("", b"a")]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [("", b"a"), ("", b"b")]),
    "LF": (b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), ("", b"b")]),
    "CRLF": (b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [("x", b"a"), ("", b"b")]),
    "CR": (b"event: x\rdata: a\r\rdata: b\r\r", [("x", b"a"), ("", b"b")]),
    "mixed line ends": (b"event: x\rdata: a\ndata: b\r\n\rdata: c\n\r\n", [("x", b"a\nb"), ("", b"c")]),
    "LF CR is two line ends": (b"data: a\n\rdata: b\n\r", [("", b"a"), ("", b"b")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
    "only one byte order mark": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", b"b")]),
    "only in the beginning": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("", b"a")]),
    "U+2028, U+2029, NEL, VT and FF end no line": (
        "data: a\u2028b\u2029c\u0085d\ve\ff\n\n".encode(),
        [("", "a\u2028b\u2029c\u0085d\ve\ff".encode())],
    ),
    "NUL is a character": (b"data: a\x00b\n\n", [("", b"a\x00b")]),
    "bytes that are no UTF-8 stay": (b"data: \xff\n\n", [("", b"\xff")]),
    "an event that never ended": (b"data: a\n\ndata: b\n", [("", b"a")]),
    "a line that never ended": (b"data: a\n\ndata: b", [("", b"a")]),
    "nothing": (b"", []),
}

DEVIATIONS = {
    "9.2a whole JSON at the end": (b'data: {"a":1}\n', [("", b'{"a":1}')]),
    "9.2a whole JSON, not even a line end": (b'event: x\ndata: {"a":1}', [("x", b'{"a":1}')]),
    "9.2a JSON over two lines at the end": (b'data: {"a":\ndata: 1}', [("", b'{"a":\n1}')]),
    "9.2a half JSON at the end is nothing": (b'data: {"a":', []),
    "9.2a behind a byte order mark": (b"\xef\xbb\xbfdata: {}", [("", b"{}")]),
    "9.2a [DONE] at the end": (b"data: [DONE]", [("", b"[DONE]")]),
    "9.2a half a [DONE] at the end is nothing": (b"data: [DON", []),
    "9.2b a blank line was forgotten": (b'data: {"a":1}\ndata: {"b":2}\n\n', [("", b'{"a":1}'), ("", b'{"b":2}')]),
    "9.2b before [DONE]": (b'data: {"a":1}\ndata: [DONE]\n\n', [("", b'{"a":1}'), ("", b"[DONE]")]),
    "9.2b before [DONE] padded and named": (b'event: x\ndata: {"a":1}\ndata: [DONE] \n\n', [("x", b'{"a":1}'), ("", b"[DONE]")]),
    "9.2b but JSON over two lines is one": (b'data: {"a":\ndata: 1}\n\n', [("", b'{"a":\n1}')]),
    "9.2c an error without a field name": (b'data: 1\n\n{"error":{"code":503}}\n\n', [("", b"1"), ("", b'{"error":{"code":503}}')]),
    "9.2c over several lines": (b'{\n  "error": {\n    "code": 503\n  }\n}\n', [("", b'{\n  "error": {\n    "code": 503\n  }\n}')]),
    "9.2c in an array": (b'[{\n  "error": {}\n}\n]\n', [("", b'[{\n  "error": {}\n}\n]')]),
    "9.2c without its end is nothing": (b'{\n "error": {\n', []),
    "9.2c and data may follow": (b'{"error":1}\ndata: 2\n\n', [("", b'{"error":1}'), ("", b"2")]),
    "llama.cpp: an error field of its own": (b'error: {"code":500}\n\n', [("", b'{"error":{"code":500}}')]),
    "9.2d keep-alives as data": (
        b"data:\n\ndata: \n\ndata: ping\n\ndata: : ping\n\ndata: keepalive\n\ndata: keep-alive\n\ndata:   \n\n",
        [],
    ),
    "9.2d keep-alives of relays": (b"data: PROCESSING\n\ndata\n\n", []),
    "9.2e [DONE] padded": (b"data: [DONE]  \n\ndata:[DONE]\n\n", [("", b"[DONE]"), ("", b"[DONE]")]),
    "9.2e [DONE] quoted": (b'data: "[DONE]"\n\n', [("", b"[DONE]")]),
    "9.2e [DONE] on an event": (b"event: done\ndata: [DONE]\n\n", [("", b"[DONE]")]),
}


@pytest.mark.parametrize(("stream", "expected"), [*GRAMMAR.values(), *DEVIATIONS.values()], ids=[*GRAMMAR, *DEVIATIONS])
def test_vectors(stream: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert read(stream) == expected
    assert read(*bytewise(stream)) == expected
    assert read(b"", stream, b"") == expected


SENT_ON = {
    "as it came": (b"data:a\n\n", b"data:a\n\n"),
    "a name": (b"event: x\ndata: a\n\n", b"event: x\ndata: a\n\n"),
    "CRLF stays": (b"event: x\r\ndata: a\r\n\r\n", b"event: x\r\ndata: a\r\n\r\n"),
    "CR stays": (b"data: a\r\r", b"data: a\r\r"),
    "comments go": (b": x\ndata: a\n: y\n\n", b"data: a\n\n"),
    "ids go": (b"id: 7\nevent: x\ndata:a\n\n", b"event: x\ndata: a\n\n"),
    "retry goes": (b"retry: 7\ndata: a\n\n", b"data: a\n\n"),
    "a cut end is mended": (b'data: {"a":1}', b'data: {"a":1}\n\n'),
    "a byte order mark goes": (b"\xef\xbb\xbfdata: a\n\n", b"data: a\n\n"),
    "[DONE] is cleaned": (b'event: done\r\ndata: "[DONE]" \r\n\r\n', b"data: [DONE]\n\n"),
    "stray JSON becomes data": (b'{"error":\n1\n}\n', b'data: {"error":\ndata: 1\ndata: }\n\n'),
    "an error line becomes data": (b'error: {"a":1}\n\n', b'data: {"error":{"a":1}}\n\n'),
}


@pytest.mark.parametrize(("stream", "raw"), SENT_ON.values(), ids=SENT_ON)
def test_what_is_sent_on(stream: bytes, raw: bytes) -> None:
    [frame] = frames(stream)
    assert frame.raw == raw
    assert [frame.raw] == [again.raw for again in frames(frame.raw)]


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.one_of(
    st.sampled_from([
        b"", b"", b"", b"data: {}", b'data: {"a":1}', b"data:", b"data: x", b"data: [DONE]", b"event: e", b"id: 1", b": c",
        b"{", b"}", b"[{",
        b"]",
        b'{"error":1}', b'error: {"a":1}', b"data: ping", b"\xef\xbb\xbf", b"\xef", b'"a":1', b"data",
    ]),
    st.binary(max_size=6),
)  # fmt: skip
STREAMS = st.one_of(
    st.lists(st.tuples(LINES, LINE_ENDS), max_size=20).map(lambda lines: b"".join(line + end for line, end in lines)),
    st.lists(LINES, max_size=20).map(b"\n".join),
    st.lists(LINES, max_size=20).map(lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines)),
    st.binary(max_size=60),
)


@given(stream=STREAMS, data=st.data())
def test_any_cut_gives_the_same_frames_and_the_same_bytes_to_send_on(stream: bytes, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    assert frames(*cut(stream, places)) == frames(*bytewise(stream)) == frames(stream)


@given(stream=STREAMS)
def test_what_is_sent_on_reads_the_same(stream: bytes) -> None:
    for frame in frames(stream):
        assert [(again.event, again.data) for again in frames(frame.raw)] == [(frame.event, frame.data)]


@given(
    events=st.lists(
        st.tuples(st.sampled_from([b"", b"event: e\n"]), st.sampled_from([b"data: {}\n", b"data:[1]\n", b'data: {"a":\ndata: 1}\n'])),
        max_size=8,
    ),
    crlf=st.booleans(),
    data=st.data(),
)
def test_clean_streams_pass_byte_for_byte(events: list[tuple[bytes, bytes]], crlf: bool, data: st.DataObject) -> None:
    stream = b"".join(name + lines + b"\n" for name, lines in events)
    if crlf:
        stream = stream.replace(b"\n", b"\r\n")
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    assert b"".join(frame.raw for frame in frames(*cut(stream, places))) == stream


TOO_LONG = {
    "one line": [b"data: " + b"x" * 100 + b"\n\n"],
    "a line that never ends": [b"data: ", *[b"x" * 10] * 10],
    "many lines": [b"data: x\n"] * 20,
    "many lines at once": [b"data: x\n" * 20],
    "lines that mean nothing": [b"x\n"] * 60,
    "stray JSON": [b"{\n", *[b'"a":\n'] * 20],
}


@pytest.mark.parametrize("chunks", TOO_LONG.values(), ids=TOO_LONG)
def test_an_event_has_a_limit(chunks: list[bytes]) -> None:
    with pytest.raises(FrameTooLong, match="100 bytes"):
        frames(*chunks, limit=100)


def test_the_limit_is_of_one_event_and_not_of_the_stream() -> None:
    assert len(frames(b"data: x\n\n" * 1000, limit=100)) == 1000
    assert len(frames(*[b"data: x\n\n"] * 1000, limit=100)) == 1000
    assert frames(*[b": a comment\n"] * 1000, b"data: x\n\n", limit=100)[0].data == b"x"


def work(stream: bytes, step: int) -> int:
    """Python instructions' stand-in: how many lines of the decoder's module are run, which no slow machine changes."""
    count = 0

    def trace(frame: object, what: str, value: object) -> object:
        nonlocal count
        count += what == "line"
        return trace

    decoder = Decoder()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        for i in range(0, len(stream), step):
            decoder.feed(stream[i : i + step])
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 20000, b"data: {}\n\n" * 2000, b"\n" * 20000, b"{\n" + b"}\n" * 10000])
def test_work_is_linear_in_the_bytes(stream: bytes) -> None:
    half, whole = work(stream[: len(stream) // 2], 1), work(stream, 1)
    assert whole < half * 2.5 + 100


def test_a_long_line_in_single_bytes_is_no_quadratic_matter() -> None:
    size = 1 << 20
    decoder = Decoder()
    for piece in bytewise(b"data: " + b"x" * size):
        assert decoder.feed(piece) == []
    [frame] = decoder.feed(b"\n\n")
    assert len(frame.data) == size


def test_memory_does_not_grow_with_the_stream() -> None:
    decoder, event = Decoder(), b"data: " + b"x" * 1000 + b"\n\n"
    stray = b"{\n" + b'"a": 1,\n' * 5000 + b"\n"
    tracemalloc.start()
    try:
        for _ in range(2000):
            decoder.feed(event)
            decoder.feed(b": comment\n\nid: 1\n\n")
        for _ in range(20):
            decoder.feed(stray)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


NAMES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8)
DATA = st.one_of(
    st.binary(max_size=40), st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"event: e", b":", b"id: 1"])).map(b"".join)
)


@given(data=DATA, name=NAMES)
def test_the_encoder_cannot_be_made_to_inject(data: bytes, name: str) -> None:
    encoded = sse.encode(data, name)
    assert encoded.endswith(b"\n\n")
    assert encoded.count(b"\n\n") == 1
    assert b"\r" not in encoded
    lines = encoded[:-2].split(b"\n")
    assert [line for line in lines if not line.startswith(b"data: ")] == ([b"event: " + name.encode()] if name else [])
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert b"\n".join(line[6:] for line in lines if line.startswith(b"data: ")) == text


@given(value=st.binary(max_size=40).filter(lambda data: data.strip(b' \t\n\r"') not in {*sse.ALIVE, sse.DONE}), name=NAMES)
def test_what_is_encoded_is_read_again(value: bytes, name: str) -> None:
    """Prefixed, so that no line of it is JSON or a keep-alive by chance."""
    data = b"\n".join(b"=" + line for line in value.replace(b"\r", b"\n").split(b"\n"))
    assert read(sse.encode(data, name)) == [(name, data)]


@pytest.mark.parametrize("name", ["a\nb", "a\rdata: b", "\n", "\r\n"])
def test_names_with_line_ends_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        sse.encode(b"x", name)
