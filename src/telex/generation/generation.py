"""A run in an event loop: attempts until one commits, its frames in the log, a named end, a line in the books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from telex.config import Target
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects.translate import Outgoing
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.generation.run import CANCELLED, Run
from telex.routing import policy
from telex.tokens.fit import exceed
from telex.upstream.address import render_request
from telex.upstream.endpoint import Endpoint
from telex.upstream.pool import Connections
from telex.upstream.timers import Promise

OnEnd = Callable[["Generation"], None]


class Generation(Run):
    """Runs once, from `start`, in a task of its own."""

    def __init__(self, id: str, request: Request, route: Route, backends: dict[str, Backend], pool: Connections, on_end: OnEnd) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(id, request, route, backends, self._loop, on_end)
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self._stopped = CANCELLED

    def start(self) -> None:
        """Begin."""
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(lambda task: self._end(self._stopped))  # for one that was stopped before it ran

    def stop(self, failure: Failure = CANCELLED) -> None:
        """End it now, unless it has ended: the provider's connection is closed, `failure` says why."""
        if self._task is not None and not self._task.done():
            self._stopped = failure
            self._task.cancel()

    async def opened(self) -> None:
        """Return at the first content, or at the end if that comes first."""
        while not self.committed and not self.ended:
            await self.log.wait()

    async def finished(self) -> None:
        """Return at the end."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            self._end(await self._follow())
        except asyncio.CancelledError:
            self._end(self._stopped)
        except Exception as bug:
            self.bug = bug
            self._end(Failure("internal", "Telex made a mistake; its log has the details."))

    async def _follow(self) -> Failure | None:
        commands = self._policy()
        command, attempt = next(commands), None
        while True:
            outcome = None
            match command:
                case policy.Start(target):
                    attempt, outcome = await self._attempt(self.route.targets[target])
                case policy.Wait(until):
                    await asyncio.sleep(until - self._loop.time())
                case policy.Commit():
                    assert attempt is not None
                    return await self._read(attempt)
                case policy.Fail(failure):
                    return failure
            command = commands.send((outcome, self._loop.time()))

    async def _attempt(self, target: Target) -> tuple[Attempt | None, Failure | None]:
        """The attempt and its verdict, and a line of them for the record."""
        began, verdict = self._loop.time(), "cancelled"
        try:
            attempt, failure = await self._try(target)
            verdict = failure.kind if failure else ""
        finally:
            self._note(target, verdict, began)
        return attempt, failure

    async def _try(self, target: Target) -> tuple[Attempt | None, Failure | None]:
        outgoing = self._address(target)
        if isinstance(outgoing, Failure):
            return None, outgoing
        if (window := self._narrow(target)) is not None:
            failure = await asyncio.to_thread(exceed, self.request, target.model, window)
            if failure is not None:
                return None, failure
        try:
            async with asyncio.timeout_at(self._began + self.timeouts.total):
                endpoint = await self._backends[target.provider].endpoint(outgoing.path)
        except TimeoutError:
            return None, Failure("timeout", f"'{target.provider}' was not ready within {self.timeouts.total:g} s.", code="total")
        if isinstance(endpoint, Failure):
            return None, endpoint
        attempt = self._make_attempt(target)
        return attempt, await self._send(attempt, endpoint, outgoing)

    async def _send(self, attempt: Attempt, endpoint: Endpoint, outgoing: Outgoing) -> Failure | None:
        """The verdict. When cancelled, the connection is closed at once."""
        connection = self._pool.take(endpoint.origin) or await self._pool.open(endpoint.origin, self.timeouts.connect)
        if isinstance(connection, Failure):
            return connection
        connection.send(render_request(endpoint.head, outgoing.body, outgoing.headers), attempt)
        attempt.on_connected(connection)
        return await settled(attempt.verdict, attempt)

    async def _read(self, attempt: Attempt) -> Failure | None:
        self._commit(attempt)
        return await settled(attempt.ended, attempt)


async def settled(promise: Promise[Failure | None], attempt: Attempt) -> Failure | None:
    """What a promise of `attempt`, which a loop made, is settled with; whoever is cancelled meanwhile gives the attempt up."""
    try:
        return await cast("asyncio.Future[Failure | None]", promise)
    except asyncio.CancelledError:
        attempt.abort()
        raise
