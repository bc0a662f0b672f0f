"""Who may begin: as many at once as the process bears, the others in turns, and who has no place even to wait is told at once.

What there is too much of waits here and not at a provider. A generation's time, `timeouts.total`, runs while it waits.
"""

from __future__ import annotations

import asyncio

from telex.config import Server
from telex.core.errors import Failure
from telex.gateway.asgi import Receive
from telex.gateway.pressure import Pressure, count_files, measure_memory
from telex.generation.generation import Generation
from telex.generation.run import CANCELLED
from telex.limits.queue import FairQueue
from telex.limits.table import AGAIN, Holder
from telex.telemetry.logs import log


class Admission:
    """One for all requests. Every generation that it saw is to `leave` when it has ended."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._queue = FairQueue[Generation](server.concurrent, server.queue)
        self._owners: dict[Generation, str] = {}  # of those that run or wait
        self._turns: dict[Generation, asyncio.Future[None]] = {}  # of those that wait: done when it comes, or none will
        self._pressure = Pressure(count_files, measure_memory(server.memory))
        self._short = ""

    @property
    def running(self) -> int:
        return self._queue.running

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def check(self) -> Failure | None:
        """Why nothing new may begin at all, before anything is read of it."""
        short = self._pressure.why(self.running, asyncio.get_running_loop().time())
        if short != self._short:
            self._short = short
            log.warning("pressure", short_of=short or None, running=self.running)
        return busy(f"Telex is short of {short}") if short else None

    async def admit(self, generation: Generation, owner: Holder, receive: Receive) -> Failure | None:
        """Return when it may start, or why it may not; then it has ended with that. One whose client leaves is cancelled."""
        try:
            refused = generation.admit(owner) or await self._wait(generation, owner.id, receive)
        except asyncio.CancelledError:
            generation.stop()
            raise
        if refused is not None:
            generation.stop(refused)
        return refused

    def leave(self, generation: Generation) -> None:
        """It has ended, wherever it was: in its place runs who is next."""
        owner = self._owners.pop(generation, None)
        if (turn := self._turns.pop(generation, None)) is not None:
            turn.set_result(None)
        if owner is None or self._queue.leave(owner, generation):
            return
        following = self._queue.finish()
        if following is not None:
            self._turns.pop(following).set_result(None)

    def clear(self, failure: Failure) -> None:
        """Nobody waits any longer: all are told this."""
        for generation in list(self._turns):
            generation.stop(failure)

    async def _wait(self, generation: Generation, owner: str, receive: Receive) -> Failure | None:
        verdict = self._queue.enter(owner, generation)
        if verdict == "full":
            most = self._queue.most
            return Failure("limited", f"Too many of your requests wait already: {most} may (server.queue).", retry_after=AGAIN)
        self._owners[generation] = owner
        if verdict == "runs":
            return None
        turn = self._turns[generation] = asyncio.get_running_loop().create_future()
        began, seconds = generation.now, min(self._server.queue_seconds, generation.timeouts.total)
        left = asyncio.create_task(listen(receive))
        try:
            await asyncio.wait({turn, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
        generation.queued = generation.now - began
        if turn.done():
            return generation.failure  # if somebody stopped it
        return CANCELLED if left.done() else busy(f"Telex had no place for this request within {seconds:g} s (server.queue_seconds)")


async def listen(receive: Receive) -> None:
    """Return when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


def busy(why: str) -> Failure:
    return Failure("busy", f"{why}. Come back in a moment.", retry_after=AGAIN)
