"""What a gateway keeps of a generation, as one reader hears it: connections may break, what is heard is one undisturbed stream."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from telex.client.errors import NAMES
from telex.client.remote import Remote, as_told
from telex.config import Timeouts
from telex.core.errors import CONSEQUENCES, Failure
from telex.core.messages import Fields, Request, Usage
from telex.generation.asking import Asking, path_of
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.carrying import carry
from telex.generation.log import Log, Reader
from telex.generation.output import EventOutput
from telex.generation.resuming import Resuming
from telex.generation.run import CANCELLED
from telex.metering.meter import Certainty, Meter, Timing
from telex.upstream.timers import Promise

LIMITS = Timeouts(first_byte=math.inf, first_content=math.inf, idle=math.inf, content_idle=math.inf, total=math.inf)
"""A job takes as long as it takes: only the way to the gateway is not waited for."""


class Recorded:
    """The figures that a gateway's record has; without one, none."""

    def __init__(self, record: Fields | None = None) -> None:
        self._record = record or {}

    def timing(self, now: float) -> Timing:
        told = self._record.get("timing") or {}
        return Timing(told.get("ttft"), told.get("itl_p50"), told.get("itl_p95"), told.get("e2e") or 0.0, told.get("connect"))

    def tokens(self, complete: bool) -> tuple[Usage | None, Certainty]:
        told = self._record.get("usage")
        return (msgspec.convert(told, Usage) if told else None), self._record.get("certainty", "missing")

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(NAMES.get(name, name) for name in self._record.get("dropped") or ())


class Following:
    """Begins at once, in tasks of its own: an attempt at what is already there, over as many connections as it takes.

    It has the face of a generation that is kept, for one reader: leaving it ends the following, and nothing in the gateway.
    `untold`: what of its request the gateway was not told.
    """

    def __init__(self, remote: Remote, id: str, untold: tuple[str, ...], on_end: Callable[[Following], None]) -> None:
        self.id = id
        self.bug: Exception | None = None
        self.failure: Failure | None = None
        self.committed = False
        self.headers: Mapping[str, str] = {}
        self.meter = Recorded()
        self.now = 0.0
        self._remote = remote
        self._untold = untold
        self._on_end = on_end
        self._log = Log()
        loop, backend = asyncio.get_running_loop(), remote.backend
        self._attempt = make_attempt(loop, backend, self._log)
        asking = Asking(backend, backend.ask_at("GET", path_of(id)).origin, id=id)
        self._resuming = Resuming(loop, self._attempt, asking, True, random.random)
        self._carrying = loop.create_task(carry(self._resuming, remote.pool, lambda: LIMITS.connect, self._consult))
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(self._end)

    @property
    def ended(self) -> bool:
        return self._log.closed

    @property
    def dropped(self) -> tuple[str, ...]:
        """What of its request its model is not told, in the library's words."""
        return (*self._untold, *self.meter.dropped)

    def join(self) -> Reader:
        return self._log.reader()

    async def opened(self, reader: Reader) -> None:
        """Return at the first content, or at the end."""
        while not self.committed and not self.ended:
            await reader.wait()

    def leave(self, reader: Reader) -> None:
        reader.leave()
        self.stop()

    def stop(self) -> None:
        if not self.ended:
            self._attempt.abort()
            self._resuming.abort()  # the attempt does not know it before there is a connection
            self._task.cancel()

    async def finished(self) -> None:
        await asyncio.wait([self._task, self._carrying])

    async def _run(self) -> None:
        try:
            self.failure = await self._follow()
            record = await self._remote.record(self.id) if self._resuming.frames else None
            self.meter = Recorded(None if isinstance(record, Failure) else record)
        except Exception as bug:
            self.bug, self.failure = bug, Failure("internal", "Telex made a mistake.")

    def _end(self, task: asyncio.Task[None]) -> None:
        """Also of one that was stopped before it ran."""
        if task.cancelled():
            self.failure = CANCELLED
        self._log.close()
        self._on_end(self)

    async def _follow(self) -> Failure | None:
        """How it ended: None if well."""
        attempt, resuming = self._attempt, self._resuming
        failure = await told(attempt.verdict)
        if failure is None:
            self.committed = True
            attempt.commit()
            self._log.wake()
            failure = await told(attempt.ended)
        if failure is not None and resuming.lost and resuming.frames:
            return lost_sight(failure)
        return failure and self._remote.backend.redact(as_told(failure, attempt.headers))

    async def _consult(self) -> Failure | None:
        """A gateway that was killed may have lost the last frames, and count fewer than were heard."""
        return failure_in(await self._remote.record(self.id))


def make_attempt(loop: asyncio.AbstractEventLoop, backend: Backend, log: Log) -> Attempt:
    """It hears a stream for events, and measures for nobody: that the gateway did."""
    decoder, meter = backend.dialect.Decoder(backend.provider.quirks), Meter(Request(model="", messages=()), loop.time())
    return Attempt(loop, backend.dialect, decoder, EventOutput(fold=False), log, meter, LIMITS, math.inf, stream=True)


async def told(promise: Promise[Failure | None]) -> Failure | None:
    """What a promise that a loop made is settled with."""
    return await cast("asyncio.Future[Failure | None]", promise)


def lost_sight(failure: Failure) -> Failure:
    """Nothing more can be heard of a job of which something was."""
    return Failure("truncated", f"{failure.message} The job itself may go on: follow it again.")


def failure_in(record: Fields | Failure) -> Failure | None:
    """Why a generation is not complete, as its record has it; None if it is, or may become so, or if nobody knows."""
    if isinstance(record, Failure) or record["status"] in ("queued", "running", "complete"):
        return None
    told = record.get("failure") or {}
    kind = told.get("kind")
    return Failure(kind if kind in CONSEQUENCES else "truncated", str(told.get("message")), retry_after=told.get("retry_after"))
