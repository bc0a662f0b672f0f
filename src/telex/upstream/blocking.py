"""Exchanges for a thread that has no event loop: it pulls, and what arrives is told to the same receivers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import httpcore2
import httpx2

from telex.core.errors import Failure
from telex.upstream.address import BadAddress, Origin, parse_url, render_request
from telex.upstream.connection import Channel, Receiver
from telex.upstream.endpoint import Endpoint
from telex.upstream.fetch import Answer, Collector
from telex.upstream.messages import failure_of, headers_of, to_request
from telex.upstream.pool import IDLE_SECONDS, tls_context
from telex.upstream.proxies import find_proxy, proxy_headers
from telex.upstream.timers import Timers
from telex.upstream.wire import Broken, GivenUp, Wires, turn_of


class Transport(httpx2.BaseTransport):
    """HTTP/1.1 connections, kept alive, through the proxies that the environment names. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[tuple[Origin | None, bool], httpcore2.ConnectionPool] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        assert isinstance(request.stream, httpx2.SyncByteStream)
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        wish = httpcore2.Request(request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions)
        response = self._pool(f"{url.scheme}://{url.netloc.decode()}").handle_request(wish)
        return httpx2.Response(response.status, headers=response.headers, stream=Body(response), extensions=response.extensions)

    def _pool(self, server: str) -> httpcore2.ConnectionPool:
        origin, _ = parse_url(server)
        try:
            proxy = find_proxy(origin)
        except BadAddress as error:
            raise Broken(Failure("unreachable", str(error))) from None
        with self._lock:
            key = (proxy, origin.secure)
            if (pool := self._pools.get(key)) is None:
                pool = self._pools[key] = make_pool(proxy, origin.secure)
            return pool

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()


class Body(httpx2.SyncByteStream):
    """An answer's body as it arrives."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def make_pool(proxy: Origin | None, secure: bool) -> httpcore2.ConnectionPool:
    via, context = None, tls_context() if secure else None
    if proxy is not None:
        headers = list(proxy_headers(proxy).items())
        via = httpcore2.Proxy(str(proxy), headers=headers, ssl_context=tls_context() if proxy.secure else None)
    return httpcore2.ConnectionPool(
        ssl_context=context, proxy=via, max_connections=None, keepalive_expiry=IDLE_SECONDS, network_backend=Wires()
    )


class Exchange(Channel):
    """One request and its answer. Its thread calls `pump` until it is `over`; another may `cut` it at any time."""

    def __init__(self, transport: httpx2.BaseTransport, origin: Origin, timers: Timers, connect: float) -> None:
        self.origin = str(origin)
        self.over = False
        self.ended = False
        self._transport = transport
        self._where = origin
        self._timers = timers
        self._connect = connect
        self._response: httpx2.Response | None = None
        self._pieces: Iterator[bytes] | None = None
        self._told = self._busy = self._cut = False
        self._lock = threading.Lock()  # around what `cut` looks at
        self._sock: socket.socket | None = None

    # what the owner does

    def send(self, request: bytes, receiver: Receiver, ready: Callable[[], None] = lambda: None) -> None:
        """The request goes out with the first `pump`; `ready` is called just before, when there is a connection."""
        self._request = to_request(request, self._where, self._connect)
        self._receiver = receiver
        self._ready: Callable[[], None] | None = ready

    def pump(self) -> None:
        """Wait for the head, for more of the body or for its end, and tell the receiver. Time limits that are over are told meanwhile."""
        self._busy = True
        try:
            with turn_of(self):
                data = self._head() if self._pieces is None else next(self._pieces, None)
        except GivenUp:
            self._close()
            return
        except (Broken, httpx2.TransportError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
            given_up = self.over or self._cut
            self._close()
            if not given_up:
                self._receiver.on_failure(self._failure_of(error))
            return
        finally:
            self._busy = False
        self._tell(data)

    def _head(self) -> bytes:
        """Nothing of the body yet."""
        if not isinstance(self._transport, Transport):  # whose connections nobody can look into
            self.connected()
        self._response = response = self._transport.handle_request(self._request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        self._pieces = iter(response.stream)
        if (stream := response.extensions.get("network_stream")) is not None and (sock := stream.get_extra_info("socket")) is not None:
            self.use(sock)
        return b""

    def _tell(self, data: bytes | None) -> None:
        try:
            if not self._told:
                self._told = True
                assert self._response is not None
                self._receiver.on_head(self._response.status_code, headers_of(self._response))
            elif data is None:
                self._close()
                self._receiver.on_end()
            else:
                self._receiver.on_data(data)
        except BaseException:
            self.abort()
            raise

    def pause(self) -> None:
        """Nothing arrives that was not asked for."""

    def resume(self) -> None:
        pass

    def abort(self) -> None:
        """Close at once; from a timer that is called while it waits, as soon as that returns."""
        self.over = True
        if not self._busy:
            self._close()

    def _close(self) -> None:
        self.over = True
        with self._lock:
            self._sock = None  # it is the pool's again: nobody may cut it
        if self._response is not None:
            self._response.close()

    # what another thread does

    def cut(self) -> None:
        """End the connection under whoever waits on it."""
        with self._lock:
            self._cut = True
            self._shut()

    def _shut(self) -> None:
        if self._sock is not None:
            try:
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # not that of a TLS socket, which another thread may be reading
            except OSError:
                pass

    # what its wire asks

    def use(self, sock: socket.socket) -> None:
        with self._lock:
            self._sock = sock
            if self._cut:
                self._shut()

    def patience(self) -> float | None:
        while (left := self._timers.left()) == 0.0:
            self._timers.run()
        if self._cut or self.over:
            raise GivenUp
        return left

    def connected(self) -> None:
        if (ready := self._ready) is not None:
            self._ready = None
            ready()

    def _failure_of(self, error: Exception) -> Failure:
        if isinstance(error, Broken):
            return error.failure
        if isinstance(error, httpcore2.RemoteProtocolError) and not self.ended:
            return Failure("malformed", f"What {self.origin} sent is not HTTP.")
        return failure_of(error, self.origin, self._told, self._connect)


def fetch(transport: httpx2.BaseTransport, endpoint: Endpoint, timeout: float) -> Answer | Failure:
    """The answer to a small request without a body, or why there is none within `timeout` seconds."""
    timers = Timers()
    collector = Collector(timers)
    exchange = Exchange(transport, endpoint.origin, timers, timeout)
    exchange.send(render_request(endpoint.head, b""), collector)
    timers.call_later(timeout, exchange.abort)
    while not exchange.over:
        exchange.pump()
    if not collector.answer.done():
        return Failure("timeout", f"{endpoint.origin} did not answer within {timeout:g} s.")
    answer: Answer | Failure = collector.answer.result()
    return answer
