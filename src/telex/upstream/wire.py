"""Sockets for a thread that blocks: each wait ends when a time limit is over, or when another thread gives the exchange up."""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from errno import EINPROGRESS
from typing import Any, Protocol

import httpcore2

from telex.core.errors import Failure

GLANCE = 0.05
"""Seconds between two looks, while connecting, whether the exchange was given up."""


class GivenUp(Exception):
    """Nobody wants the answer any more."""


class Broken(Exception):
    """The connection can't be had, or is no more: `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Turn(Protocol):
    """Whose exchange this thread drives. `use`: from now on it waits on this socket, if on any. `patience`: seconds that it may wait now,
    None without a limit; raises `GivenUp`. `connected`: what it sends now is the request. `origin`: whom it speaks to.
    """

    origin: str
    ended: bool
    """The server has closed the connection."""

    def use(self, sock: socket.socket) -> None: ...
    def patience(self) -> float | None: ...
    def connected(self) -> None: ...


_here = threading.local()


@contextmanager
def turn_of(turn: Turn) -> Iterator[None]:
    """Inside, what this thread does on any wire is done for `turn`."""
    _here.turn = turn
    try:
        yield
    finally:
        del _here.turn


def whose() -> Turn:
    turn: Turn = _here.turn
    return turn


class Wires(httpcore2.NetworkBackend):
    """Opens wires."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Wire:
        """`timeout` holds for all addresses together. Raises `Broken`."""
        turn, end = whose(), time.monotonic() + (timeout or 0.0)
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):  # the latter for names that can't even be asked for
            raise Broken(Failure("unreachable", f"The name of {turn.origin} can't be resolved.")) from None
        reason = ""
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                connect(sock, address, end, turn)
            except OSError as error:
                sock.close()
                reason = error.strerror or str(error)
            except BaseException:
                sock.close()
                raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return Wire(sock)
            if time.monotonic() >= end:
                raise Broken(too_slow(turn.origin, timeout))
        raise Broken(Failure("unreachable", f"{turn.origin} can't be reached: {reason}."))


def connect(sock: socket.socket, address: Any, end: float, turn: Turn) -> None:
    """Raises `OSError` where there is no way, or none until `end`."""
    turn.use(sock)
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == EINPROGRESS:
        with selectors.PollSelector() as selector:
            selector.register(sock, selectors.EVENT_WRITE)
            while not selector.select(max(0.0, min(GLANCE, end - time.monotonic()))):
                turn.patience()
                if time.monotonic() >= end:
                    raise OSError("it took too long")
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def too_slow(origin: str, timeout: float | None) -> Failure:
    return Failure("timeout", f"Connecting to {origin} took longer than {timeout:g} s (timeouts.connect).", code="connect")


class Wire(httpcore2.NetworkStream):
    """One connected socket, perhaps with TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        turn = whose()
        try:
            data: bytes = self._wait(turn, lambda: self._sock.recv(max_bytes))
        except OSError as error:
            turn.ended = True
            raise httpcore2.ReadError(str(error)) from None
        turn.ended = not data
        turn.patience()  # what another thread has cut reads as closed
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        turn, view = whose(), memoryview(buffer)
        turn.use(self._sock)
        turn.connected()
        while view:
            try:
                view = view[self._wait(turn, lambda rest=view: self._sock.send(rest)) :]  # type: ignore[misc]
            except OSError as error:  # what the server said before it closed can still be read
                raise httpcore2.WriteError(str(error)) from None

    def _wait(self, turn: Turn, act: Callable[[], Any]) -> Any:
        turn.use(self._sock)
        while True:
            self._sock.settimeout(turn.patience())
            try:
                return act()
            except TimeoutError:
                continue

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None) -> Wire:
        turn = whose()
        try:
            self._sock.settimeout(timeout)
            sock = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError:
            failure = too_slow(turn.origin, timeout)
        except ssl.SSLCertVerificationError as error:
            failure = Failure("tls", f"The certificate of {turn.origin} can't be trusted: {error.verify_message}.")
        except ssl.SSLError as error:
            failure = Failure("tls", f"No TLS connection to {turn.origin}: {error.reason}.")
        except OSError as error:
            failure = Failure("unreachable", f"{turn.origin} can't be reached: {error.strerror or error}.")
        else:
            turn.use(sock)
            return Wire(sock)
        self.close()
        turn.patience()
        raise Broken(failure)

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "socket":
                return self._sock
            case "ssl_object":
                return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
            case "is_readable":
                return readable(self._sock)
        return None


def readable(sock: socket.socket) -> bool:
    """Whether there is something to read, if only the end."""
    if sock.fileno() < 0:
        return True
    with selectors.PollSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
