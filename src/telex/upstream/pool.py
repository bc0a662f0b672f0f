"""The connections that are open: kept alive, given out one exchange at a time, opened where none is idle."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import deque
from typing import Protocol, cast

import certifi

from telex.core.errors import Failure
from telex.upstream.address import BadAddress, Origin
from telex.upstream.connection import READ, Channel, Connection
from telex.upstream.proxies import Tunnel, find_proxy

IDLE_SECONDS = 30.0
"""How long an unused connection is kept: shorter than servers usually do, so that they rarely close one under a request."""


def tls_context() -> ssl.SSLContext:
    """Certificates are always verified, against those of the system and of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Connections(Protocol):
    """Where channels come from: `take` one that is there, or `open` one within `timeout` seconds."""

    def take(self, origin: Origin) -> Channel | None: ...
    async def open(self, origin: Origin, timeout: float) -> Channel | Failure: ...
    def close(self) -> None: ...


class Pool:
    """Connections by origin. Belongs to one event loop."""

    def __init__(self) -> None:
        self._idle: dict[Origin, deque[tuple[float, Connection]]] = {}
        self._open: set[Connection] = set()
        self._room = memoryview(bytearray(READ))
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """An idle connection, the one used last: the others may then grow old and close."""
        idle = self._idle.get(origin)
        now = asyncio.get_running_loop().time()
        while idle:
            since, connection = idle.pop()
            if not connection.closed and now - since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def open(self, origin: Origin, timeout: float) -> Connection | Failure:
        """A new connection, or why there is none within `timeout` seconds."""

        try:
            async with asyncio.timeout(timeout):
                opened = await self._connect(origin)
        except TimeoutError:
            return Failure("timeout", f"Connecting to {origin} took longer than {timeout:g} s (timeouts.connect).", code="connect")
        except ssl.SSLCertVerificationError as error:
            return Failure("tls", f"The certificate of {origin} can't be trusted: {error.verify_message}.")
        except ssl.SSLError as error:
            return Failure("tls", f"No TLS connection to {origin}: {error.reason}.")
        except (socket.gaierror, UnicodeError):  # the latter for names that can't even be asked for
            return Failure("unreachable", f"The name of {origin} can't be resolved.")
        except BadAddress as error:
            return Failure("unreachable", str(error))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # that says nothing of the provider
                return Failure("busy", "Telex has as many open files as it may. Come back in a moment.", retry_after=1.0)
            reason = os.strerror(error.errno) if error.errno else error  # asyncio's own words for it are no sentence
            return Failure("unreachable", f"{origin} can't be reached: {reason}.")
        if isinstance(opened, Connection):
            self._open.add(opened)
        return opened

    async def _connect(self, origin: Origin) -> Connection | Failure:
        def make() -> Connection:
            return Connection(str(origin), self._room, lambda connection: self._release(origin, connection), self._open.discard)

        proxy = find_proxy(origin)
        if proxy is not None and origin.secure:
            return await self._open_tunnel(proxy, origin, make())
        via = proxy or origin
        secure = self._context() if via.secure else None
        _, connection = await asyncio.get_running_loop().create_connection(make, via.host, via.port, ssl=secure)
        return connection

    async def _open_tunnel(self, proxy: Origin, origin: Origin, connection: Connection) -> Connection | Failure:
        loop = asyncio.get_running_loop()
        plain, tunnel = await loop.create_connection(
            lambda: Tunnel(proxy, origin), proxy.host, proxy.port, ssl=self._context() if proxy.secure else None
        )
        try:
            if (failure := await tunnel.opened) is not None:
                plain.abort()
                return failure
            secure = await loop.start_tls(plain, connection, self._context(), server_hostname=origin.host)
        except BaseException:
            plain.abort()
            raise
        connection.connection_made(cast(asyncio.Transport, secure))
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context()
        return self._tls

    def _release(self, origin: Origin, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        now = asyncio.get_running_loop().time()
        idle = self._idle.setdefault(origin, deque())
        while idle and (idle[0][1].closed or now - idle[0][0] > IDLE_SECONDS):
            idle.popleft()[1].abort()
        idle.append((now, connection))

    def close(self) -> None:
        """Close every connection, also those in use."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
