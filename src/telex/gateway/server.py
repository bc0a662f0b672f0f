"""The gateway as a process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import uvicorn
from msgspec.structs import replace

from telex.config import Config, ConfigError
from telex.core.errors import Failure, TelexError
from telex.gateway.app import Gateway
from telex.gateway.asgi import SHUTTING_DOWN
from telex.gateway.guard import Guard
from telex.gateway.saving import Saving
from telex.generation.engine import Engine
from telex.generation.generation import Generation
from telex.stores.opening import open_store
from telex.telemetry.logs import log

CLOSING = Failure("truncated", "Telex is shutting down, so the answer ends here.", code=SHUTTING_DOWN)

LAST_SECONDS = 1.0
"""Seconds in which a client may still read what was said to it at the very end."""

FIXED = ("store", "retention", "admin")
"""Of a configuration: what can't change while a process runs;"""

FIXED_SERVER = ("host", "port", "access", "concurrent", "queue", "queue_seconds", "memory")
"""and of its table `server`."""

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


def keep_fixed(config: Config, running: Config) -> list[str]:
    """Let `config` say what can't change as the `running` one does, and return the names of what would have changed."""
    changed = [name for name in FIXED if getattr(config, name) != getattr(running, name)]
    changed += [f"server.{name}" for name in FIXED_SERVER if getattr(config.server, name) != getattr(running.server, name)]
    for name in FIXED:
        setattr(config, name, getattr(running, name))
    config.server = replace(config.server, **{name: getattr(running.server, name) for name in FIXED_SERVER})
    return changed


class Process:
    """One gateway on one listening socket, in the running event loop. `stopping` is set by the first call of `stop`."""

    def __init__(self, config: Config, listener: socket.socket) -> None:
        """Raises `ConfigError` if a provider's key is not where the configuration says, `StoreError` if the store can't be used."""
        self.config = config
        self.engine = Engine(config, self._end)
        self.store = open_store(config.store)
        try:
            self.store.claim()
        except BaseException:
            self.store.close()
            raise
        self.gateway = Gateway(config, self.engine, self.store)
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
        )
        self._server = Server(settings)
        self.stopping = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None

    async def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`. `on_ready` is called once requests are answered; the embedded model may still be loading then."""

        def ready() -> None:
            self.gateway.ready = not self.gateway.draining
            on_ready()

        self._server.on_ready = ready
        saving = Saving(self.engine.traffic, self.store.counters, asyncio.get_running_loop().time)
        await saving.load()
        await self.engine.start()
        await self.gateway.start()
        now_and_then = asyncio.create_task(saving.go_on())
        try:
            await self._server.serve(sockets=[self._listener])
            if self._draining is not None:  # for those that nobody waits for
                await self._draining
        finally:
            now_and_then.cancel()
            await self.engine.stop()
            await self.gateway.close()
            await saving.save()
            self.store.close()

    def handle_signals(self, load: Callable[[], Config]) -> None:
        """`load` reads the configuration again."""

        def reload() -> None:
            self._reloading = loop.create_task(self.reload(load))

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, reload)

    async def reload(self, load: Callable[[], Config]) -> None:
        """Answer new requests as the configuration says now; those that run go on under the old one, and so does everything if the new
        one can't be used. The log says which."""
        try:
            config = load()
            changed = keep_fixed(config, self.config)
            await self.gateway.use(config)
        except ConfigError as error:
            log.error("reload", refused=str(error))
            return
        self.config = config
        log.info("reload", providers=list(config.providers), models=list(config.models), needs_restart=changed)

    def stop(self) -> None:
        """Take no more work, let open answers finish within `drain` seconds, then end. The second call ends them at once.

        The port stays open meanwhile: whoever spreads requests over several processes learns from `/readyz`, not from a connection that
        is refused, that this one takes none, and who did not hear of it yet is told to come back.
        """
        self.gateway.drain()
        self.stopping.set()
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        else:
            self._end_running()

    async def _drain(self) -> None:
        asyncio.get_running_loop().call_later(self.config.server.drain, self._end_running)
        for generation in self.gateway.running:
            await generation.finished()
        self._server.should_exit = True

    def _end(self, generation: Generation) -> None:
        self.gateway.end(generation)

    def _end_running(self) -> None:
        for generation in self.gateway.running:
            generation.stop(CLOSING)
        self._server.should_exit = True
        asyncio.get_running_loop().call_later(LAST_SECONDS, self._cut)

    def _cut(self) -> None:
        """Leave those who do not read."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._server.force_exit = True
