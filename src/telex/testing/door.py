"""The upstream's port: open, refusing, or leaving those who knock to wait for ever. It can change while connections are open.

It accepts for itself: a connection that `asyncio.Server` has just accepted when it is closed is never served, and never closed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Literal

State = Literal["open", "refuse", "hang"]

FILL = 0.1
"""Seconds after which a connect that did not succeed on the loopback says that the backlog is full."""


class Door:
    """Binds at once, so that the port is known (and a busy one is an `OSError` for the caller)."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self.port, self._tls = host, port, tls
        self._open = False
        self._greetings: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._bind()

    def _bind(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._socket.bind((self._host, self.port))
            except OSError:
                self.close()
                raise
            self.port = self._socket.getsockname()[1]
        return self._socket

    def turn(self, state: State, connect: Callable[[], asyncio.BaseProtocol]) -> None:
        """A bound socket that does not listen is what refuses."""
        if self._open or self._fillers:
            self.close()
        bound = self._bind()
        if state == "open":
            bound.setblocking(False)
            bound.listen(1024)
            asyncio.get_running_loop().add_reader(bound, self._accept, bound, connect)
            self._open = True
        elif state == "hang":
            bound.listen(0)
            self._fill()

    def _accept(self, bound: socket.socket, connect: Callable[[], asyncio.BaseProtocol]) -> None:
        try:
            peer, _ = bound.accept()
        except OSError:  # gone already
            return
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it only where a socket names its protocol
        greeting = asyncio.get_running_loop().create_task(self._greet(peer, connect))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)

    async def _greet(self, peer: socket.socket, connect: Callable[[], asyncio.BaseProtocol]) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(connect, peer, ssl=self._tls)
        except OSError:  # the handshake failed
            peer.close()

    def _fill(self) -> None:
        for _ in range(16):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._fillers.append(filler)
            filler.settimeout(FILL)
            try:
                filler.connect((self._host, self.port))
            except TimeoutError:
                return
        raise OSError("this system's listen backlog cannot be filled")

    def close(self) -> None:
        if self._socket is not None:
            if self._open:
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        for filler in self._fillers:
            filler.close()
        self._open, self._socket, self._fillers = False, None, []

    async def shut(self) -> None:
        """For good: also for those whose handshake goes on."""
        self.close()
        await asyncio.sleep(0)
        for greeting in self._greetings:
            greeting.cancel()
        await asyncio.gather(*self._greetings, return_exceptions=True)
