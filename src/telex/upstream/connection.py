"""One connection to a provider: HTTP/1.1 over httptools, bytes pushed to a receiver as they arrive."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from telex.core.errors import Failure

HEAD_LIMIT = 64 << 10
"""Bytes that the head of an answer may have."""

READ = 24 << 10
"""Bytes that one read takes at most: for what it brought a pause comes too late, and a reader who stopped keeps it three times over."""


class Receiver(Protocol):
    """Who asked. After `on_end` or `on_failure` nothing more is said; any of these may call the connection's `abort`.

    `on_bug` gets what one of them raised.
    """

    def on_head(self, status: int, headers: dict[str, str]) -> None: ...
    def on_data(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...
    def on_failure(self, failure: Failure) -> None: ...
    def on_bug(self, bug: Exception) -> None: ...


class Flow(Protocol):
    """What arrives, as far as its receiver may hold it up: `pause` and `resume` it, `abort` to give it up."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def abort(self) -> None: ...


class Channel(Flow, Protocol):
    """What carries one exchange for its owner, whatever is beneath."""

    def send(self, request: bytes, receiver: Receiver) -> None: ...


class Connection(asyncio.BufferedProtocol):
    """At most one exchange at a time. `release` gets the connection back when its exchange ended so that another can follow. `room`: where
    the event loop puts what it reads; as it is handed on at once, all connections of a loop can share it.
    """

    def __init__(self, name: str, room: memoryview, release: Callable[[Connection], None], forget: Callable[[Connection], None]) -> None:
        self.closed = False
        self._name = name
        self._room = room
        self._release = release
        self._forget = forget
        self._receiver: Receiver | None = None
        self._paused = False

    # what the owner does

    def send(self, request: bytes, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._received = 0
        self._head_done = self._head_told = self._whole = self._overrun = self._reusable = False
        self._body: list[bytes] = []
        self._transport.write(request)

    def pause(self) -> None:
        """Stop reading, so that the provider's window fills."""
        if not self._paused and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once. A connection whose exchange was given up is never used again: what is left of the reply is unread."""
        self._receiver = None
        if not self.closed:
            self.closed = True
            self._transport.abort()

    # what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        if self._receiver is None:  # a server that talks out of turn
            self.abort()
            return
        self._received += nbytes
        try:
            self._parser.feed_data(self._room[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._whole:
                self._fail(Failure("malformed", f"What {self._name} sent is not HTTP."))
                return
            self._overrun = True  # the answer is whole: what stands behind it is no part of it
        if not self._head_done:
            if self._received > HEAD_LIMIT:
                self._fail(Failure("malformed", f"The head of the answer of {self._name} is longer than {HEAD_LIMIT} bytes."))
            return
        self._tell()

    def _tell(self) -> None:
        """Hand on what one read held, looking each time whether the receiver has had enough."""
        if (receiver := self._receiver) is None:
            return
        try:
            if not self._head_told:
                self._head_told = True
                receiver.on_head(self._parser.get_status_code(), self._headers)
            if self._body and self._receiver is not None:
                data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body.clear()
                receiver.on_data(data)
            if self._whole and self._receiver is not None:
                self._finish(receiver)
        except Exception as bug:
            self.abort()
            receiver.on_bug(bug)

    def _finish(self, receiver: Receiver) -> None:
        self._receiver = None
        self.resume()
        if self._reusable and not self._overrun:
            self._release(self)
        else:
            self.abort()
        receiver.on_end()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._forget(self)
        if self._receiver is None:
            return
        if not self._head_done:
            self._fail(Failure("unreachable", f"{self._name} closed the connection before it answered."))
        elif error is None and "content-length" not in self._headers and "transfer-encoding" not in self._headers:
            self._whole = True
            self._tell()
        else:
            self._fail(Failure("truncated", f"The connection to {self._name} broke in the middle of the reply."))

    def _fail(self, failure: Failure) -> None:
        receiver = self._receiver
        self.abort()
        if receiver is not None:
            try:
                receiver.on_failure(failure)
            except Exception as bug:
                receiver.on_bug(bug)

    # what the parser says

    def on_message_begin(self) -> None:
        if self._whole:
            self._overrun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._overrun:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # an interim answer: the real one follows
            self._headers = {}
        else:
            self._head_done = True
            self._reusable = self._parser.should_keep_alive()  # behind the message's end the parser no longer knows

    def on_body(self, data: bytes) -> None:
        if not self._overrun:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._head_done:
            self._whole = True
