"""A client that is nothing but a socket, so that what an upstream does to one can be seen as it is."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import closing
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from telex.testing import Play, ScriptedUpstream

PATH = "/v1/chat/completions"
PATIENT = 30.0
End = Literal["complete", "eof", "reset"]


class Seen(NamedTuple):
    """An answer as it came over the wire; `end` is how the body ended, `body` what came of it, unchunked."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: End


class RawClient:
    """Times in seconds. Reading to the end needs a script that ends."""

    def __init__(self, port: int, rcvbuf: int = 0, timeout: float = PATIENT) -> None:
        self.socket = socket.socket()
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.settimeout(timeout)
        self._buffer = b""
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def ask(self, stream: bool = True, path: str = PATH, **fields: Any) -> Self:
        body = json.dumps({"model": "any", "messages": [], "stream": stream, **fields}).encode()
        self.send(f"POST {path} HTTP/1.1\r\nhost: any\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        return self

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def more(self) -> bytes:
        """What comes next; empty at the end."""
        return self.socket.recv(1 << 16)

    def until(self, mark: bytes) -> bytes:
        """All up to `mark`, which must come."""
        while mark not in self._buffer:
            data = self.more()
            assert data, f"the stream ended before {mark!r}: {self._buffer!r}"
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(mark)
        return found + mark

    def is_silent(self, seconds: float = 0.05) -> bool:
        """Whether the connection is open and nothing comes. A slow machine can only make it true."""
        self.socket.settimeout(seconds)
        try:
            return not self._buffer and self.more() is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENT)

    def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    def rest(self) -> tuple[bytes, End]:
        """Everything until the connection ends, and how it did."""
        try:
            while data := self.more():
                self._buffer += data
        except ConnectionResetError:
            return self._buffer, "reset"
        return self._buffer, "eof"

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def answer(self) -> Seen:
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            return Seen(status, headers, *self._chunks())
        if "content-length" not in headers:
            return Seen(status, headers, *self.rest())
        length = int(headers["content-length"])
        try:
            while len(self._buffer) < length and (data := self.more()):
                self._buffer += data
        except ConnectionResetError:
            return Seen(status, headers, self._buffer, "reset")
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Seen(status, headers, body, "complete" if len(body) == length else "eof")

    def _chunks(self) -> tuple[bytes, End]:
        body = b""
        try:
            while size := int(self.until(b"\r\n"), 16):
                while len(self._buffer) < size + 2:
                    if not (data := self.more()):
                        return body + self._buffer[:size], "eof"
                    self._buffer += data
                body, self._buffer = body + self._buffer[:size], self._buffer[size + 2 :]
            self.until(b"\r\n")
        except ConnectionResetError:
            return body, "reset"
        except AssertionError:
            return body, "eof"
        return body, "complete"


def play(script: Play, stream: bool = True, path: str = PATH, **fields: Any) -> Seen:
    """What a client sees of one play, from an upstream of its own."""
    with ScriptedUpstream(script) as upstream, closing((client := RawClient(upstream.port)).socket):
        return client.ask(stream, path, **fields).answer()
