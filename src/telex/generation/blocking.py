"""A run in the caller's own thread, without an event loop: the same policy, attempts and log, pulled instead of pushed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2

from telex.config import Config, Target
from telex.core.errors import Failure
from telex.core.events import Event
from telex.core.messages import Request
from telex.generation.attempt import Attempt
from telex.generation.backend import LIST_SECONDS, Backend
from telex.generation.carrying import Carrier
from telex.generation.catalog import Catalog, Route
from telex.generation.log import Log
from telex.generation.run import CANCELLED, Run, Try
from telex.generation.traffic import Traffic
from telex.local.errors import LocalModelError
from telex.local.threaded import ThreadedModel
from telex.routing import policy
from telex.tokens.fit import exceed
from telex.upstream.address import Origin, render_request
from telex.upstream.blocking import Exchange, Transport, fetch
from telex.upstream.endpoint import Endpoint
from telex.upstream.timers import Timers

LINGER = 0.05
"""Seconds for the connection of a finished stream to end properly, so that it can be used again."""

EXCUSED = 0.05
"""Seconds that a reader may be away between two pulls before the clocks are told."""


class BlockingGeneration(Run):
    """One thread calls `open`, then `take` until it gives nothing, or `close`; any thread may `stop` it.

    What it reads, it reads because of these calls, so a slow reader fills the provider's window.
    """

    def __init__(
        self,
        id: str,
        request: Request,
        route: Route,
        backends: dict[str, Backend],
        traffic: Traffic,
        transport: httpx2.BaseTransport,
        local: ThreadedModel,
        on_end: Callable[[BlockingGeneration], None],
    ) -> None:
        self._timers = Timers()
        super().__init__(id, request, route, backends, traffic, self._timers, Log(), on_end)
        self._reader = self.log.reader()
        self._transport = transport
        self._local = local
        self._stopping = threading.Event()
        self._stopped = CANCELLED
        self._exchange: Exchange | Carrier | None = None
        self._attempt: Attempt | None = None
        self._away: float | None = None  # since when nobody pulls
        self.idle = threading.Event()  # no thread is in `open` or `take`
        self.idle.set()

    def open(self) -> None:
        """Return at the first content, or at the end if that comes first."""
        with self._pulling():
            self._follow()

    def take(self) -> list[Event]:
        """What has come since, as soon as there is something; nothing at the end."""
        with self._pulling():
            self._excuse()
            while not (events := self._reader.take_events()) and not self.ended:
                self._pull()
            if not events:
                self._release()
        return events

    @contextmanager
    def _pulling(self) -> Iterator[None]:
        self.idle.clear()
        try:
            yield
        except BaseException:
            self.close()
            raise
        finally:
            self._away = self._timers.time()
            self.idle.set()

    def stop(self, failure: Failure = CANCELLED) -> None:
        """End it now, unless it has ended: the provider's connection is closed, `failure` says why. From any thread."""
        if not self.ended:
            self._stopped = failure
            self._stopping.set()
            if (exchange := self._exchange) is not None:
                exchange.cut()

    def close(self) -> None:
        """The reader has had enough: what still runs is stopped."""
        self.stop()
        if self.ended and self.failure is None:
            self._release()
        elif self._exchange is not None:
            self._exchange.abort()
        self._end(self._stopped)

    def _follow(self) -> None:
        commands = self._policy(hedges=False)
        command, number, tried = next(commands), 0, None
        while not self._stopping.is_set():
            report = policy.Report(self._timers.time())
            match command:
                case policy.Start(number, target):
                    tried = self._begin(self.route.targets[target])
                case policy.Wait(None):  # for the one that was started: in this thread it runs while it is waited for
                    assert tried is not None
                    failure = self._ask(tried)
                    self._settle(tried, failure)
                    report = policy.Report(self._timers.time(), number, failure)
                case policy.Wait(until):
                    assert until is not None
                    self._stopping.wait(until - self._timers.time())
                    report = policy.Report(self._timers.time())
                case policy.Commit():
                    assert tried is not None
                    self._attempt = self._commit(tried)
                    self._look(self._attempt, tried)
                    return
                case policy.Fail(failure):
                    self._end(failure)
                    return
            command = commands.send(report)
        self._end(self._stopped)

    def _ask(self, tried: Try) -> Failure | None:
        """The verdict."""
        outgoing, target = self._address(tried), tried.target
        if isinstance(outgoing, Failure):
            return outgoing
        if (window := self._narrow(target)) is not None and (failure := exceed(self.request, target.model, window)) is not None:
            return failure
        endpoint = self._endpoint(target, outgoing.path)
        if isinstance(endpoint, Failure):
            return endpoint
        if (limited := self._take(tried)) is not None:
            return limited
        attempt = tried.attempt = self._make_attempt(target)
        request = render_request(endpoint.head, outgoing.body, outgoing.headers)
        self._exchange = exchange = self._make_exchange(attempt, target, endpoint.origin, request)
        while not attempt.verdict.done():
            if self._stopping.is_set():
                attempt.abort()
                exchange.abort()
                return CANCELLED
            exchange.pump()
        return self._in_time(attempt.verdict.result())

    def _make_exchange(self, attempt: Attempt, target: Target, origin: Origin, request: bytes) -> Exchange | Carrier:
        """What carries an attempt; it is sent with the first `pump`."""
        if self.route.key:
            resuming = self._make_resuming(attempt, target, origin, request)
            return Carrier(resuming, self._transport, self._timers, lambda: self._patience)
        exchange = Exchange(self._transport, origin, self._timers, self._patience)
        exchange.send(request, attempt, lambda: attempt.on_connected(exchange))
        return exchange

    def _endpoint(self, target: Target, path: str) -> Endpoint | Failure:
        backend = self._backends[target.provider]
        if not backend.provider.embedded:
            return backend.remote_endpoint(path)
        try:
            local = self._local.ready(lambda: 0.0 if self._stopping.is_set() else self._last_moment - self._timers.time())
        except LocalModelError as error:
            return Failure("overloaded", str(error))
        if local is not None:
            return backend.local_endpoint(path, local)
        if self._stopping.is_set():
            return self._stopped
        return self._not_ready(target)

    def _pull(self) -> None:
        assert self._exchange is not None
        assert self._attempt is not None
        assert self._chosen is not None
        if self._stopping.is_set():
            self._attempt.abort()
            self._exchange.abort()
            self._end(self._stopped)
        else:
            self._exchange.pump()
            self._look(self._attempt, self._chosen)

    def _look(self, attempt: Attempt, tried: Try) -> None:
        if attempt.ended.done():
            failure = attempt.ended.result()
            self._conclude(tried, failure)
            self._end(failure)

    def _excuse(self) -> None:
        """The clocks that wait for the provider stood still while nobody pulled."""
        away = self._timers.time() - self._away if self._away is not None else 0.0
        if away > EXCUSED and self._attempt is not None and not self.ended:
            self._attempt.excuse(away)

    def _release(self) -> None:
        """Hear the connection's end out, so that it can be used again."""
        if (exchange := self._exchange) is not None and not exchange.over:
            self._timers.call_later(LINGER, exchange.abort)
            while not exchange.over:
                exchange.pump()


class BlockingEngine:
    """What blocking generations share in one process, whatever their threads."""

    def __init__(
        self,
        config: Config,
        on_end: Callable[[BlockingGeneration], None] = lambda generation: None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Raises `ConfigError` if a provider's key is not where it should be."""
        self.catalog = Catalog(config)
        self.traffic = Traffic()
        self._on_end = on_end
        self._transport = transport or Transport()
        self._local = ThreadedModel()
        self._listing = threading.Lock()

    def find(self, model: str) -> Route | Failure:
        """The route of a model; providers are asked for their lists if they must be."""
        return self.catalog.known(model) or self.catalog.search(model, self._lists())

    def run(self, id: str, request: Request, route: Route) -> BlockingGeneration:
        """A generation over the targets of `route`, ready to `open`. `id`: from `new_id`."""
        return BlockingGeneration(id, request, route, self.catalog.backends, self.traffic, self._transport, self._local, self._on_end)

    @property
    def fetching(self) -> tuple[int, int] | None:
        """How many bytes of the embedded model's weights have come, and how many there are, while they are fetched."""
        return self._local.progress

    def _lists(self) -> dict[str, list[str] | Failure]:
        """What each provider lists, those asked that must be."""
        now, lists = Timers().time(), dict[str, list[str] | Failure]()
        with self._listing:
            for name, backend in self.catalog.backends.items():
                models = backend.listed(now)
                if models is None:
                    models = backend.take_list(fetch(self._transport, backend.list_endpoint(), LIST_SECONDS), now)
                lists[name] = models
        return lists

    def stop(self) -> None:
        """Close every connection, also those in use, and end the embedded model."""
        self._transport.close()
        self._local.stop()
