"""A run in an event loop: attempts until one commits, its frames in the log, a named end, a line in the books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from telex.config import OnDisconnect
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects.translate import Outgoing
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.carrying import carry
from telex.generation.catalog import Route
from telex.generation.kept import KeptLog
from telex.generation.log import Log, Reader
from telex.generation.reading import Reads
from telex.generation.run import CANCELLED, Run, Try
from telex.generation.traffic import Traffic
from telex.routing import policy
from telex.tokens.fit import exceed
from telex.upstream.address import render_request
from telex.upstream.endpoint import Endpoint
from telex.upstream.pool import Connections
from telex.upstream.timers import Promise

OnEnd = Callable[["Generation"], None]


class Generation(Run):
    """Runs once, from `start`, in a task of its own. `on_disconnect`: what becomes of it when its last reader has left."""

    def __init__(
        self,
        id: str,
        request: Request,
        route: Route,
        backends: dict[str, Backend],
        traffic: Traffic,
        pool: Connections,
        log: Log,
        on_disconnect: OnDisconnect,
        on_end: OnEnd,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(id, request, route, backends, traffic, self._loop, log, on_end)
        self.on_disconnect = on_disconnect
        self._leaving: asyncio.TimerHandle | None = None  # nobody reads, and it waits whether somebody comes back
        self._pool = pool
        self._running: dict[int, tuple[Try, asyncio.Task[Failure | None]]] = {}
        self._waiter = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._carrying: asyncio.Task[None] | None = None  # of an attempt that resumes
        self._stopped = CANCELLED

    def start(self) -> None:
        """Begin, unless it was stopped before."""
        if self.ended:
            return
        if self.background:
            self._began = self._loop.time()  # its time limits did not run while it waited
        self._task = self._loop.create_task(self._run())
        self.log.wake()  # there may be readers since before
        self._task.add_done_callback(lambda task: self._end(self._stopped))  # for one that was stopped before it ran

    @property
    def begun(self) -> bool:
        return self._task is not None

    def stop(self, failure: Failure = CANCELLED) -> None:
        """End it now, unless it has ended: the provider's connection is closed, `failure` says why. One that has not begun never will."""
        if self._leaving is not None:
            self._leaving.cancel()
        if self._task is None:
            self._end(failure)
        elif not self._task.done():
            self._stopped = failure
            if self._chosen is not None and self._chosen.attempt is not None and not self._chosen.attempt.ended.done():
                self._chosen.attempt.abort()  # at once: what comes before the task knows must not be a second end
            self._task.cancel()

    def join(self, reading: Reads | None = None, after: int = 0) -> Reader:
        """One who reads from now on. A log that is kept has any number, each with a `reading` of its own, and so many frames of it already;
        another has one."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        return self.log.join(reading or self.reading, after) if isinstance(self.log, KeptLog) else self.log.reader()

    def leave(self, reader: Reader) -> None:
        """`reader` has gone."""
        reader.leave()
        if self.ended or self.log.readers or self._leaving is not None:
            return
        if self.on_disconnect == "cancel":
            self.stop()
        elif self.on_disconnect == "hold":
            self._leaving = self._loop.call_later(self.route.hold, self.stop)

    async def opened(self, reader: Reader) -> None:
        """Return at the first content, or when there is nothing for `reader` any more."""
        while not self.committed and not self.ended and not reader.left:
            await reader.wait()

    async def finished(self) -> None:
        """Return at the end."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._carrying is not None:
            await asyncio.wait([self._carrying])

    async def _run(self) -> None:
        try:
            self._end(await self._follow())
        except asyncio.CancelledError:
            self._end(self._stopped)
        except Exception as bug:
            self.bug = bug
            self._end(Failure("internal", "Telex made a mistake; its log has the details."))

    async def _follow(self) -> Failure | None:
        commands = self._policy(hedges=True)
        command = next(commands)
        try:
            while True:
                report = policy.Report(self._loop.time())
                match command:
                    case policy.Start(number, target):
                        tried = self._begin(self.route.targets[target])
                        self._running[number] = tried, (task := self._loop.create_task(self._try(tried)))
                        task.add_done_callback(self._wake)
                    case policy.Wait(until):
                        report = await self._next(until)
                    case policy.Cancel(number):
                        self._give_up(number)
                    case policy.Commit(number):
                        return await self._read(number)
                    case policy.Fail(failure):
                        return failure
                command = commands.send(report)
        finally:
            for number in list(self._running):
                self._give_up(number)

    async def _next(self, until: float | None) -> policy.Report:
        """The next verdict of those that run, or the time if that comes first."""
        while True:
            for number, (tried, task) in self._running.items():
                if task.done():
                    return self._report(number, tried, task.result())
            if until is not None and self._loop.time() >= until:
                return policy.Report(self._loop.time())
            self._waiter = self._loop.create_future()
            timer = self._loop.call_at(until, self._wake) if until is not None else None
            try:
                await self._waiter
            finally:
                if timer is not None:
                    timer.cancel()

    def _wake(self, _: object = None) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)

    def _report(self, number: int, tried: Try, failure: Failure | None) -> policy.Report:
        if failure is not None:
            del self._running[number]
        self._settle(tried, failure)
        return policy.Report(self._loop.time(), number, failure)

    def _give_up(self, number: int) -> None:
        """Close the connection of an attempt, whatever became of it."""
        tried, task = self._running.pop(number)
        task.cancel()
        if tried.attempt is not None:
            tried.attempt.abort()
        self._settle(tried, CANCELLED)

    async def _try(self, tried: Try) -> Failure | None:
        """The verdict. When cancelled, the connection is closed at once."""
        outgoing, target = self._address(tried), tried.target
        if isinstance(outgoing, Failure):
            return outgoing
        if (window := self._narrow(target)) is not None:
            failure = await asyncio.to_thread(exceed, self.request, target.model, window)
            if failure is not None:
                return failure
        try:
            async with asyncio.timeout_at(self._last_moment):
                endpoint = await self._backends[target.provider].endpoint(outgoing.path)
        except TimeoutError:
            return self._not_ready(target)
        if isinstance(endpoint, Failure):
            return endpoint
        if (limited := self._take(tried)) is not None:
            return limited
        tried.attempt = self._make_attempt(target)
        send = self._send_resuming if self.route.key else self._send
        return await send(tried, tried.attempt, endpoint, outgoing)

    async def _send(self, tried: Try, attempt: Attempt, endpoint: Endpoint, outgoing: Outgoing) -> Failure | None:
        """The verdict. When cancelled, the connection is closed at once."""
        connection = self._pool.take(endpoint.origin) or await self._pool.open(endpoint.origin, self._patience)
        if isinstance(connection, Failure):
            return self._in_time(connection)
        connection.send(render_request(endpoint.head, outgoing.body, outgoing.headers), attempt)
        attempt.on_connected(connection)
        return await settled(attempt.verdict, attempt)

    async def _send_resuming(self, tried: Try, attempt: Attempt, endpoint: Endpoint, outgoing: Outgoing) -> Failure | None:
        """The same at a gateway."""
        request = render_request(endpoint.head, outgoing.body, outgoing.headers)
        resuming = self._make_resuming(attempt, tried.target, endpoint.origin, request)
        self._carrying = self._loop.create_task(carry(resuming, self._pool, lambda: self._patience))
        try:
            return self._in_time(await settled(attempt.verdict, attempt))
        except asyncio.CancelledError:
            resuming.abort()  # the attempt does not know it before there is a connection
            raise

    async def _read(self, number: int) -> Failure | None:
        tried, _ = self._running.pop(number)
        attempt = self._commit(tried)
        failure = await settled(attempt.ended, attempt)
        self._conclude(tried, failure)
        return failure


async def settled(promise: Promise[Failure | None], attempt: Attempt) -> Failure | None:
    """What a promise of `attempt`, which a loop made, is settled with; whoever is cancelled before gives the attempt up."""
    future = cast("asyncio.Future[Failure | None]", promise)
    try:
        return await future
    except asyncio.CancelledError:
        if future.done() and not future.cancelled():  # the end came first
            return future.result()
        attempt.abort()
        raise
