"""One run of one request: attempts until one commits, its frames in the log, a named end, a line in the books."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from telex.config import Target, Timeouts
from telex.core.errors import Ending, Failure
from telex.core.messages import Request
from telex.dialects import DIALECTS, Dialect
from telex.dialects.translate import Manner, Outgoing, address
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.generation.log import Log
from telex.generation.output import Output, StreamOutput, WholeOutput
from telex.metering.meter import Meter
from telex.routing import policy
from telex.upstream.pool import Pool

Delivery = Literal["stream", "complete"]
CANCELLED = Failure("cancelled", "The client left, so the generation was stopped.")


OnEnd = Callable[["Generation"], None]


class Tried(Struct, frozen=True):
    """One attempt for the record: where, why not (empty if it was the one), how many seconds until that was known."""

    target: str
    failure: str
    seconds: float


class Generation:
    """Runs once, from `start`. `log` has what the reader gets; `failure` says, once `ended`, why it was not complete.

    `committed`: the first content is there, so the reader's headers may say 200. `dropped`: fields of the request that the target which
    was asked last is not told.
    """

    def __init__(self, id: str, request: Request, route: Route, backends: dict[str, Backend], pool: Pool, on_end: OnEnd) -> None:
        self.id = id
        self.request = request
        self.log = Log()
        self.committed = False
        self.failure: Failure | None = None
        self.tried: list[Tried] = []
        self.dropped: tuple[str, ...] = ()
        self.bug: Exception | None = None
        self.route = route
        self._backends = backends
        self._pool = pool
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._created = int(time.time())
        self._task: asyncio.Task[None] | None = None
        self._stopped = CANCELLED
        self.meter = Meter(request, self._began)

    @property
    def delivery(self) -> Delivery:
        return "stream" if self.request.stream else "complete"

    @property
    def timeouts(self) -> Timeouts:
        return self.route.timeouts

    @property
    def dialect(self) -> Dialect:
        """The client's."""
        return DIALECTS[self.request.dialect]

    @property
    def ended(self) -> bool:
        return self.log.closed

    @property
    def ending(self) -> Ending:
        """How it ended; only once it has."""
        return self.failure.ending if self.failure else "complete"

    def start(self) -> None:
        """Begin, in a task of its own."""
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
        targets, timeouts = self.route.targets, self.route.timeouts
        rules = policy.Rules(self.route.retries, timeouts.total)
        commands = policy.decide(len(targets), rules, self._began, random.random)
        command, attempt = next(commands), None
        while True:
            outcome = None
            match command:
                case policy.Start(target):
                    attempt, outcome = await self._attempt(target)
                case policy.Wait(until):
                    await asyncio.sleep(until - self._loop.time())
                case policy.Commit():
                    assert attempt is not None
                    return await self._read(attempt)
                case policy.Fail(failure):
                    return failure
            command = commands.send((outcome, self._loop.time()))

    async def _attempt(self, number: int) -> tuple[Attempt | None, Failure | None]:
        """The attempt and its verdict, and a line of them for the record."""
        target, began, verdict = self.route.targets[number], self._loop.time(), "cancelled"
        try:
            attempt, failure = await self._try(target)
            verdict = failure.kind if failure else ""
        finally:
            self.tried.append(Tried(f"{target.provider}/{target.model}", verdict, round(self._loop.time() - began, 4)))
        return attempt, failure

    async def _try(self, target: Target) -> tuple[Attempt | None, Failure | None]:
        backend = self._backends[target.provider]
        stream = self.request.stream or (target.whole or backend.provider.whole) == "stream"
        outgoing = self._address(backend, target, stream)
        if isinstance(outgoing, Failure):
            return None, outgoing
        self.dropped = outgoing.dropped
        try:
            async with asyncio.timeout_at(self._began + self.timeouts.total):
                endpoint = await backend.endpoint(outgoing.path)
        except TimeoutError:
            return None, Failure("timeout", f"'{target.provider}' was not ready within {self.timeouts.total:g} s.", code="total")
        if isinstance(endpoint, Failure):
            return None, endpoint
        attempt = self._make_attempt(backend, stream)
        return attempt, await attempt.start(self._pool, endpoint, outgoing)

    def _address(self, backend: Backend, target: Target, stream: bool) -> Outgoing | Failure:
        provider = backend.provider
        manner = Manner(provider.quirks, provider.defaults, provider.always if stream else {})
        return address(self.request, backend.dialect, target.model, stream, manner, self.route.strict)

    def _make_attempt(self, backend: Backend, stream: bool) -> Attempt:
        self.meter = Meter(self.request, self._began)  # what a failed attempt said counts for nothing
        quirks = backend.provider.quirks
        verbatim = backend.provider.dialect == self.request.dialect and not quirks.repair
        output: Output
        if self.request.stream:
            output = StreamOutput(self.dialect, verbatim, self.request.include_usage, self.id, self._created)
        else:
            output = WholeOutput(self.dialect, verbatim)
        timeouts = self.route.timeouts
        decoder = backend.dialect.Decoder(quirks)
        end = self._began + timeouts.total
        return Attempt(backend.dialect, decoder, output, self.log, self.meter, timeouts, end, stream)

    async def _read(self, attempt: Attempt) -> Failure | None:
        self.committed = True
        attempt.commit()
        self.log.wake()
        try:
            return await attempt.ended
        except asyncio.CancelledError:
            attempt.abort()
            raise

    def _end(self, failure: Failure | None) -> None:
        """The first ending stands."""
        if self.ended:
            return
        self.failure = failure
        self.meter.end(self._loop.time())
        if failure is not None and self.request.stream:
            self.log.append(self.dialect.Encoder(id=self.id).feed(failure))
        self.log.close()
        self._on_end(self)
