"""One connection of the scripted upstream: requests in, scripts out, and an eye on the client all the time.

Reading is never paused, so a FIN or RST is seen at once, whatever the script is doing: it is stamped, and the script cancelled.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from typing import cast

import httptools

from telex.testing.call import Call, Headers, Journal
from telex.testing.player import Player
from telex.testing.script import Script

LINUX_SIOCOUTQNSD = 0x894B
"""ioctl: bytes in the send queue that were not sent even once."""

DELIVERY = 1.0
"""Seconds that a reset waits for the client's machine to take what was sent before it."""


class Connection(asyncio.Protocol):
    """The socket: `choose` gives the script for a complete call, `peers` holds it while it is open."""

    def __init__(self, journal: Journal, choose: Callable[[Call], Script], peers: set[Connection]) -> None:
        self._journal = journal
        self._choose = choose
        self._peers = peers
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        self._open: list[Call] = []  # calls that have not ended
        self._room = asyncio.Event()  # set while all that was written is in the kernel
        self._room.set()
        self._kept = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=1, low=0)  # asyncio's TLS never resumes with 0
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._peers.add(self)
        self.gone = asyncio.Event()
        with self._journal.change():
            self._journal.accepted += 1
            self._journal.open += 1
            number = self._journal.accepted
        self._requests = RequestReader(self, self._journal, number)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        try:
            self._requests.feed(data)
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self._transport.close()

    def eof_received(self) -> None:
        self._left()
        self._transport.abort()  # what it did not read yet, it will never want

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        with self._journal.change():
            self._journal.open -= 1
        self._peers.discard(self)
        self.gone.set()

    def _left(self) -> None:
        self._task.cancel()
        for call in self._open:
            call.stamp("left_at")
        self._open.clear()

    def stop(self) -> None:
        """The upstream goes: nobody left, but nothing more is played."""
        self._task.cancel()
        self._open.clear()
        self._transport.abort()

    def begun(self, call: Call) -> None:
        self._open.append(call)
        with self._journal.change():
            self._journal.of(call).append(call)
        if call.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def requested(self, call: Call, *, keep: bool) -> None:
        self._kept = keep
        self._calls.put_nowait(call)

    async def _serve(self) -> None:
        try:
            while True:
                call = await self._calls.get()
                again = await Player(self, call, self._choose(call)).play()
                self._open.remove(call)
                if not (again and self._kept):
                    self._transport.close()
                    return
        except Exception as error:
            self._journal.fail(error)
            self._transport.abort()

    # ---- the wire, as the player sees it

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def write(self, data: bytes | memoryview) -> None:
        self._transport.write(data)

    async def drain(self) -> None:
        """Until the kernel has all that was written; without a pause when it has."""
        await self._room.wait()
        if self._transport.is_closing():  # the write found the client gone: `connection_lost` comes next, and cancels
            await asyncio.Event().wait()

    async def delivered(self) -> None:
        deadline = time.monotonic() + DELIVERY
        while self._queued(LINUX_SIOCOUTQNSD) and time.monotonic() < deadline:  # noqa: ASYNC110 (the kernel has no event for it)
            await asyncio.sleep(0.001)

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def unsent(self) -> int:
        return self._transport.get_write_buffer_size() + self._queued(termios.TIOCOUTQ)

    def _queued(self, request: int) -> int:
        if not sys.platform.startswith("linux"):
            return 0
        count = array.array("i", [0])
        try:
            fcntl.ioctl(self._socket.fileno(), request, count)
        except (OSError, ValueError):  # closed meanwhile
            return 0
        return count[0]


class RequestReader:
    """Makes calls of bytes: the callbacks of httptools' parser."""

    def __init__(self, connection: Connection, journal: Journal, number: int) -> None:
        self._connection = connection
        self._journal = journal
        self._number = number
        self._accepted: float | None = time.monotonic()  # of the first call
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._call = Call(self._journal, self._number, self._accepted or time.monotonic(), self._connection.unsent)
        self._accepted = None
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._call.method = self._parser.get_method().decode("latin-1")
        self._call.path = self._url.decode("latin-1")
        self._call.headers = Headers(tuple(self._headers))
        self._connection.begun(self._call)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._call.body = b"".join(self._body)
        self._call.stamp("complete")
        self._connection.requested(self._call, keep=self._parser.should_keep_alive())
