"""Who may begin: as many at once as the process bears, the others in turns, and who has no place even to wait is told at once.

What there is too much of waits here and not at a provider. A generation's time, `timeouts.total`, runs while it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from telex.config import Server
from telex.core.errors import Failure
from telex.gateway.pressure import Pressure, count_files, measure_memory
from telex.generation.generation import Generation
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
        self._waiting: dict[Generation, asyncio.Task[None]] = {}  # for their turns, or what they need before they start
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

    def enter(self, generation: Generation, owner: Holder) -> Failure | None:
        """Take its part of the limits and its place among those that run or wait, or say why it has none."""
        if (refused := generation.admit(owner)) is not None:
            return refused
        verdict = self._queue.enter(owner.id, generation)
        if verdict == "full":
            most = self._queue.most
            return Failure("limited", f"Too many of your requests wait already: {most} may (server.queue).", retry_after=AGAIN)
        self._owners[generation] = owner.id
        if verdict == "waits":
            self._turns[generation] = asyncio.get_running_loop().create_future()
        return None

    def go(self, generation: Generation, prepare: Callable[[], Awaitable[object]] | None = None) -> None:
        """Let one that has entered start when its turn comes, or end because it does not come in time. `prepare`: what is to be awaited
        before it starts, of one that nobody waits for, which waits as long as it must."""
        if generation not in self._turns and prepare is None:
            generation.start()
        else:
            task = self._waiting[generation] = asyncio.create_task(self._wait(generation, prepare))
            task.add_done_callback(lambda task: self._waiting.pop(generation))

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
        """Nobody waits any longer: all are told this, but for what nobody waits for, which never starts here."""
        for generation in list(self._turns):
            if generation.background:
                self._waiting[generation].cancel()
            else:
                generation.stop(failure)

    async def _wait(self, generation: Generation, prepare: Callable[[], Awaitable[object]] | None) -> None:
        seconds = None if prepare is not None else min(self._server.queue_seconds, generation.timeouts.total)
        began = generation.now
        try:
            async with asyncio.timeout(seconds):
                if (turn := self._turns.get(generation)) is not None:
                    await asyncio.shield(turn)
        except TimeoutError:
            generation.queued = generation.now - began
            generation.stop(busy(f"Telex had no place for this request within {seconds:g} s (server.queue_seconds)"))
            return
        if prepare is not None:
            await prepare()
        generation.queued = generation.now - began
        generation.start()  # unless somebody stopped it


def busy(why: str) -> Failure:
    return Failure("busy", f"{why}. Come back in a moment.", retry_after=AGAIN)
