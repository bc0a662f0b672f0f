"""How a stream of frames is cut for the client: server-sent events as they are, or the elements of one JSON array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from telex.core import sse


class Framing(Protocol):
    """Frames as server-sent events in, bytes for the client out; `end` closes what is open."""

    content_type: bytes

    def feed(self, data: bytes) -> bytes: ...
    def keep_alive(self, usual: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    def error(self, body: bytes) -> bytes:
        """The body of an error that comes instead of a stream."""
        ...


class Events:
    """Server-sent events."""

    content_type = b"text/event-stream; charset=utf-8"

    def feed(self, data: bytes) -> bytes:
        return data

    def keep_alive(self, usual: bytes) -> bytes:
        return usual

    def end(self) -> bytes:
        return b""

    def error(self, body: bytes) -> bytes:
        return body


class JsonArray:
    """One JSON array, an element a frame, cut as Google cuts it: a line with a comma between two elements."""

    content_type = b"application/json; charset=utf-8"

    def __init__(self) -> None:
        self._frames = sse.Decoder()
        self._before = b"["

    def feed(self, data: bytes) -> bytes:
        return b"".join(self._element(frame.data) for frame in self._frames.feed(data))

    def _element(self, data: bytes) -> bytes:
        before, self._before = self._before, b",\r\n"
        return before + data + b"\n"

    def keep_alive(self, usual: bytes) -> bytes:
        return b"\n"

    def end(self) -> bytes:
        return b"[]" if self._before == b"[" else b"]"

    def error(self, body: bytes) -> bytes:
        return b"[%b]" % body


FRAMINGS: dict[str, Callable[[], Framing]] = {"sse": Events, "json-array": JsonArray}
