"""Server-sent events: bytes in, frames out, and frames back to bytes.

The grammar is the one of the WHATWG (HTML, "Server-sent events", 9.2.6). Real providers leave it, so this decoder bends
where bending loses nothing:

- an event that the end of the stream cut off is delivered when its data is whole JSON or `[DONE]`;
- two `data:` lines that are JSON one by one but not together are two frames (somebody forgot the blank line);
- a line that starts a JSON object without any field name, or an `error:` line, is an error printed into the stream;
- data that is empty or only says that the server is alive is no frame; `[DONE]` may be quoted, padded or named.
"""

from __future__ import annotations

import re

from msgspec import Struct

from telex.core import json

LIMIT = 16 << 20
"""Bytes that one event may have: a whole reply or an inline image legitimately has megabytes."""

STRAY_LIMIT = 64 << 10
"""Bytes of JSON outside any field that are collected before giving up on it."""

STRAY_LINES = 1000
"""Lines of it."""

LINE_COST = 64
"""Bytes that a line counts beyond its own: what it costs to keep, so that many tiny lines are bounded as well."""

DONE = b"[DONE]"
ALIVE = frozenset({b"", b"ping", b": ping", b"keepalive", b"keep-alive", b"PROCESSING"})
BOM = b"\xef\xbb\xbf"
LF, CR = 0x0A, 0x0D
LINE_END = re.compile(rb"[\r\n]")


class FrameTooLong(ValueError):
    """One event was longer than the limit, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event of the stream is longer than {limit} bytes")


class Frame(Struct, frozen=True, gc=False):
    """One event. `raw` may be sent on: the bytes as they came, or a clean form where those held comments, ids or faults."""

    data: bytes
    event: str = ""
    raw: bytes = b""


class Decoder:
    """`feed` it bytes cut anywhere and get the frames that they complete; `end` gives what the end of the stream completes.

    `between`: it stands between two events, so what comes next begins one.
    Work is linear in the bytes and memory bounded by `limit`, beyond which `feed` raises `FrameTooLong`.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()  # a line that has not ended
        self._scanned = 0  # bytes of it known to hold no line end
        self._skip_lf = False  # the last byte was a CR: an LF now belongs to it
        self._started = False  # past the place where a byte order mark may be
        self.between = False
        self._fresh()

    def _fresh(self) -> None:
        self._lines: list[bytes] = []  # of the event that is open, comments left out
        self._size = 0
        self._eol = b"\n"
        self._stray: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._rest and self._started and b"\n" not in chunk and b"\r" not in chunk:  # a long line, still going on
            self._rest += chunk
            self._bound(len(self._rest))
            return []
        if b"\r" in chunk or len(chunk) > self._limit:
            return self._feed_lines(chunk)
        return self._feed_events(chunk) if self.between else self._feed_open(chunk)

    def _feed_open(self, chunk: bytes) -> list[Frame]:
        """Bytes that begin inside an event: it is read line by line, what follows it is not."""
        cut = chunk.find(b"\n\n") + 2
        if cut < 2 or not self._started:
            return self._feed_lines(chunk)
        frames = self._feed_lines(chunk[:cut])
        if rest := chunk[cut:]:
            frames += self._feed_events(rest) if self.between else self._feed_lines(rest)
        return frames

    def _feed_events(self, chunk: bytes) -> list[Frame]:
        """Bytes that begin with an event, whose lines end with LF."""
        if (frame := read_plain(chunk)) is not None:  # what nearly every read holds: one event
            return [frame]
        *pieces, rest = chunk.split(b"\n\n")
        frames: list[Frame] = []
        for piece in pieces:
            whole = piece + b"\n\n"
            if (frame := read_plain(whole)) is not None:
                frames.append(frame)
            else:
                frames += self._feed_lines(whole)
        return frames + self._feed_lines(rest) if rest else frames

    def _feed_lines(self, chunk: bytes) -> list[Frame]:
        frames: list[Frame] = []
        rest = self._rest
        rest += chunk
        if not self._started:
            if len(rest) < len(BOM) and BOM.startswith(bytes(rest)):
                return frames
            self._started = True
            if rest.startswith(BOM):
                del rest[: len(BOM)]
        start, scan = 0, self._scanned
        while True:
            if self._skip_lf and start < len(rest):
                self._skip_lf = False
                if rest[start] == LF:
                    start += 1
                    scan = max(scan, start)
                    if self._lines:
                        self._eol = b"\r\n"
            if (end := LINE_END.search(rest, scan)) is None:
                break
            self._line(bytes(rest[start : end.start()]), frames)
            start = scan = end.end()
            if rest[end.start()] == CR:
                self._skip_lf = True
                if len(self._lines) == 1:
                    self._eol = b"\r"
        del rest[:start]
        self._scanned = len(rest)
        self._bound(len(rest))
        self.between = not (rest or self._lines or self._stray or self._skip_lf)
        return frames

    def _bound(self, more: int) -> None:
        if self._size + more > self._limit:
            raise FrameTooLong(self._limit)

    def _line(self, line: bytes, frames: list[Frame]) -> None:
        self._bound(len(line))
        if not line:
            self._dispatch(frames)
        elif line.startswith(b":"):
            return
        elif (line.startswith((b"{", b"[{")) and not self._lines) or (self._stray and not line.startswith(b"data:")):
            self._stray_line(line, frames)
        else:
            self._lines.append(line)
            self._size += len(line) + LINE_COST

    def _stray_line(self, line: bytes, frames: list[Frame]) -> None:
        """JSON without a field name: collect it until it is whole."""
        self._stray.append(line)
        self._size += len(line) + 1
        if self._size > STRAY_LIMIT or len(self._stray) > STRAY_LINES:
            self._fresh()
        elif (len(self._stray) == 1 or line.startswith((b"}", b"]"))) and is_json(data := b"\n".join(self._stray)):
            self._fresh()
            frames.append(reframe(data, ""))

    def _dispatch(self, frames: list[Frame], *, cut: bool = False) -> None:
        lines, eol = self._lines, self._eol
        self._fresh()
        event, data, clean = "", list[bytes](), True
        for line in lines:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode("utf-8", "replace")
            elif name == b"error" and value.startswith(b"{"):
                data, clean = [b'{"error":' + value + b"}"], False
            else:
                clean = False  # ids and the like are not for those who did not ask
        if not data:
            return
        whole = data[0] if len(data) == 1 else b"\n".join(data)
        if cut and not (is_json(whole) or whole.strip() == DONE):
            return
        if len(data) > 1 and not is_json(whole) and all(is_json(d) or d.strip() == DONE for d in data):
            frames += [reframe(DONE, "") if d.strip() == DONE else reframe(d, event) for d in data]
        elif whole.strip(b' \t"') == DONE:
            frames.append(Frame(DONE, "", b"data: [DONE]\n\n"))
        elif whole.strip() not in ALIVE:
            frames.append(Frame(whole, event, eol.join([*lines, b"", b""])) if clean else reframe(whole, event))

    def end(self) -> list[Frame]:
        """The frames that were whole but for their last line ends."""
        frames: list[Frame] = []
        if self._rest:
            line = bytes(self._rest)
            self._rest.clear()
            self._line(line, frames)
        self._dispatch(frames, cut=True)
        return frames


def read_plain(raw: bytes) -> Frame | None:
    """The frame of bytes that are nothing but one event of the usual form: a line of JSON, perhaps behind a line with its name."""
    if not raw.endswith(b"}\n\n"):
        return None
    if raw.startswith(b"data: "):
        return Frame(raw[6:-2], "", raw) if raw.find(b"\n") == len(raw) - 2 else None
    if raw.startswith(b"event: "):
        name = raw.find(b"\n")
        if raw.startswith(b"\ndata: ", name) and raw.find(b"\n", name + 7) == len(raw) - 2:
            return Frame(raw[name + 7 : -2], raw[7:name].decode("utf-8", "replace"), raw)
    return None


def is_json(data: bytes) -> bool:
    try:
        json.decode(data)
    except json.Malformed:
        return False
    return True


def reframe(data: bytes, event: str) -> Frame:
    return Frame(data, event, encode(data, event))


def encode(data: bytes, event: str = "") -> bytes:
    """One event as bytes: LF only, a space behind each colon, a blank line at the end.

    Line ends of any kind inside `data` split it into lines, so data cannot become a field; an event's name must have none (`ValueError`).
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    if not event:
        return b"data: %b\n\n" % data
    name = event.encode()
    if b"\n" in name or b"\r" in name:
        raise ValueError("the name of an event must be one line")
    return b"event: %b\ndata: %b\n\n" % (name, data)
