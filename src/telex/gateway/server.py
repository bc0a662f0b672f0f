"""The gateway as a process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import errno
import math
import resource
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import uvicorn

from telex.config import Config
from telex.core.errors import Failure, TelexError
from telex.gateway.app import Gateway
from telex.gateway.asgi import SHUTTING_DOWN
from telex.gateway.guard import Guard
from telex.generation.engine import Engine
from telex.generation.generation import Generation
from telex.stores.memory import MemoryStore
from telex.stores.opening import open_store

CLOSING = Failure("truncated", "Telex is shutting down, so the answer ends here.", code=SHUTTING_DOWN)
CLOSED = Failure("overloaded", "Telex is shutting down: ask again, and another may answer.", code=SHUTTING_DOWN, retry_after=1.0)

FILES = 10_240
"""Open files that a system without a limit of its own lets a process have: macOS says that it has none, and means these."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: it would close its listeners before readiness could say no."""

    on_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `TelexError` if the port is taken or may not be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # by its name asyncio knows what not to delay
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise TelexError(f"Port {port} of {host} is in use: stop what listens there, or choose another with --port.") from None
        raise TelexError(f"Port {port} of {host} can't be listened on: {error.strerror}.") from None
    return listener


def allow_files() -> None:
    """Let this process open as many files as it may: a stream takes two, and usual limits are 256 and 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Process:
    """One gateway on one listening socket, in the running event loop. `stopping` is set by the first call of `stop`."""

    def __init__(self, config: Config, listener: socket.socket) -> None:
        """Raises `ConfigError` if a provider's key is not where the configuration says, `StoreError` if the store can't be used."""
        self.config = config
        self.engine = Engine(config, self._end)
        self.store = open_store(config.store) if config.wants_keys else MemoryStore()
        self.gateway = Gateway(config, self.engine, self.store)
        self._drain = config.server.drain
        self._listener = listener
        settings = uvicorn.Config(
            self.gateway,
            http=Guard,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=2048,
            timeout_graceful_shutdown=math.ceil(self._drain) + 1,
        )
        self._server = Server(settings)
        self.stopping = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    async def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`. `on_ready` is called once requests are answered; the embedded model may still be loading then."""

        def ready() -> None:
            self.gateway.ready = True
            on_ready()

        self._server.on_ready = ready
        await self.engine.start()
        try:
            await self._server.serve(sockets=[self._listener])
            if self._draining is not None:  # for those that nobody waits for
                await self._draining
        finally:
            await self.engine.stop()
            self.store.close()

    def handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Refuse readiness, let open answers finish within `drain` seconds, then end. The second call ends them at once."""
        self.gateway.ready = False
        self.stopping.set()
        self.gateway.admission.clear(CLOSED)
        if self._draining is None:
            self._draining = asyncio.create_task(self._finish())
        else:
            self._end_running()

    async def _finish(self) -> None:
        end = asyncio.get_running_loop().time() + self._drain
        self._server.should_exit = True
        for generation in self.gateway.running:
            try:
                async with asyncio.timeout_at(end):
                    await generation.finished()
            except TimeoutError:
                break
        self._end_running()
        for generation in self.gateway.running:
            await generation.finished()

    def _end(self, generation: Generation) -> None:
        self.gateway.end(generation)

    def _end_running(self) -> None:
        for generation in self.gateway.running:
            generation.stop(CLOSING)
