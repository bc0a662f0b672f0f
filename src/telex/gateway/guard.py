"""Time limits around uvicorn's protocol: for a head that never ends, and for a client that no longer reads."""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 10.0
"""Seconds in which the head of a request must be here."""

TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

HEAD_LIMIT = 64 << 10
"""Bytes that it may have."""

STALL_SECONDS = 30.0
"""Seconds that a client may take without reading anything of what waits for it."""


class Protocol(HttpToolsProtocol):
    """`receiving`: a request's head is here, its body not yet whole."""

    receiving = False

    def on_headers_complete(self) -> None:
        self.receiving = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.receiving = False
        super().on_message_complete()


class Guard(asyncio.Protocol):
    """Stands between the transport and uvicorn, hands everything on, and aborts the connection when a limit is over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._inner = Protocol(*args, **kwargs)
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._stall: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._expect_head()
        self._inner.connection_made(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._head is None and not self._answering():
            self._expect_head()
        refused = self._inner.receiving  # the rest of a body that was answered already: it is only let pass
        self._inner.data_received(data)
        if self._head is None:
            return
        if self._answering():
            self._head.cancel()
            self._head = None
            return
        self._head_bytes = 0 if refused or self._inner.receiving else self._head_bytes + len(data)
        if self._head_bytes > HEAD_LIMIT:
            self._transport.abort()

    def _answering(self) -> bool:
        """Whether a request's head is here and its answer is not yet complete."""
        cycle: RequestResponseCycle | None = self._inner.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head = self._loop.call_later(HEAD_SECONDS, self._too_late)

    def _too_late(self) -> None:
        if self._head_bytes:
            self._transport.write(TOO_LATE)
        self._transport.close()

    def pause_writing(self) -> None:
        self._unread = self._waiting()
        self._stall = self._loop.call_later(STALL_SECONDS, self._look)
        self._inner.pause_writing()

    def _look(self) -> None:
        unread = self._waiting()
        if unread >= self._unread:
            self._transport.abort()
        else:
            self._unread = unread
            self._stall = self._loop.call_later(STALL_SECONDS, self._look)

    def _waiting(self) -> int:
        """Bytes that the client has not taken: ours, and the kernel's (where it tells), which alone may be megabytes."""
        count = array.array("i", [0])
        try:
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, count)
        except OSError:
            pass
        return self._transport.get_write_buffer_size() + count[0]

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._inner.resume_writing()

    def eof_received(self) -> bool | None:
        self._inner.eof_received()
        return None

    def connection_lost(self, error: Exception | None) -> None:
        for timer in (self._head, self._stall):
            if timer is not None:
                timer.cancel()
        self._inner.connection_lost(error)
