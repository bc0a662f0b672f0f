"""What is kept of generations on its way into the store: nobody who reads waits for it, and a job is accepted once it is there.

Each kept generation has a task that writes what came, now and then while it runs and for good at its end. A store that fails disturbs
nobody: what is here can be come back to while it runs, and what could not be written is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from telex.config import Retention
from telex.config.units import bytes_of, seconds_of
from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.gateway.entries import Outline, encode_outline, outline_of
from telex.gateway.record import record_of
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog
from telex.limits.table import AGAIN
from telex.stores.ports import Generations, Saved, StoreError
from telex.telemetry.logs import log

T = TypeVar("T")

FLUSH = 0.05
"""Seconds that what came may wait until it is written: so much is lost if the process is killed."""

PAUSE = 1.0
"""Seconds before a store that failed is tried again."""

TRIES = 3
"""How often, behind a generation's end."""

ACCEPT = 2.0
"""Seconds that accepting a job may take."""

TAKEN = "Another generation has its Idempotency-Key."

SWEEP = 10.0
"""Seconds between two looks for what is to be forgotten,"""

MUCH = 10
"""and the part of all that may be kept which may be written between them."""


class Keeping:
    """What of one generation is in the store: whether it is there at all, `written` of its entries, its `outline`. `record`: once it has
    ended. `why_not`: the last failure to write, if that was the last thing that happened."""

    def __init__(self, generation: Generation, saved: Saved) -> None:
        assert isinstance(generation.log, KeptLog)
        self.generation = generation
        self.log: KeptLog = generation.log
        self.saved = saved
        self.news = asyncio.Event()
        self.over = asyncio.Event()
        self.there = False
        self.written = 0
        self.outline: Outline | None = None
        self.record: Fields | None = None
        self.why_not = ""
        self.log.written = self.news.set


class Keeper:
    """`now`: seconds since 1970. `on_end` is called with each generation that ended, once the store has all of it or it is given up."""

    def __init__(
        self, store: Generations, retention: Retention, now: Callable[[], float], on_end: Callable[[Generation, bool], None]
    ) -> None:
        self._store = store
        self._now = now
        self._on_end = on_end
        self._seconds = {True: seconds_of(retention.jobs), False: seconds_of(retention.resumable)}
        self._most = bytes_of(retention.max_bytes)
        self._all: dict[str, Keeping] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing = ""
        self._written = 0  # bytes since the last look for what is too much
        self._much = asyncio.Event()

    def keep(self, generation: Generation, key: str = "", digest: bytes = b"") -> None:
        """From now on what it says goes to the store, too."""
        self._follow(Keeping(generation, self._saved(generation, key, digest, b"")))

    async def accept(self, generation: Generation, key: str, digest: bytes, request: bytes) -> Failure | None:
        """The same of one that nobody waits for. Return when it is on the disk, or why it is not; then it never will be."""
        keeping = Keeping(generation, self._saved(generation, key, digest, request))
        creating = self._store.create(keeping.saved)
        try:
            async with asyncio.timeout(ACCEPT):
                if not await asyncio.wrap_future(creating):
                    return busy(TAKEN.removesuffix("."))
        except TimeoutError:
            creating.add_done_callback(lambda done: self._withdraw(generation.id))
            return busy("The store takes too long")
        except StoreError as error:
            self._say(str(error))
            return busy(str(error).removesuffix("."))
        keeping.there = True
        self._follow(keeping)
        return None

    def take_over(self, generation: Generation, saved: Saved) -> None:
        """Go on with one that another process accepted and did not begin."""
        keeping = Keeping(generation, saved)
        keeping.there = True
        self._follow(keeping)

    async def begin(self, generation: Generation) -> None:
        """Return when the store knows that it was begun, so that it is never begun again. While the store fails, it waits."""
        while not generation.ended:
            try:
                await asyncio.wrap_future(self._store.begin(generation.id))
            except StoreError as error:
                self._say(str(error))
                await asyncio.sleep(PAUSE)
            else:
                return

    def why_not(self, id: str) -> str:
        """Why what it says can't be written just now; empty if it can."""
        keeping = self._all.get(id)
        return keeping.why_not if keeping is not None else ""

    def has(self, id: str) -> bool:
        return id in self._all

    def end(self, generation: Generation, record: Fields) -> None:
        """It has ended, and this is what is known of it."""
        keeping = self._all[generation.id]
        keeping.record = record
        keeping.over.set()
        keeping.news.set()

    async def written(self, id: str) -> None:
        """Return when the store has all of one that ended, or it is given up."""
        if writing := [task for task in self._tasks if task.get_name() == id]:
            await asyncio.wait(writing)

    async def sweep(self) -> None:
        """Forget what is old or too much: now and then, and when much has been written."""
        while True:
            self._much.clear()
            self._written = 0
            try:
                await asyncio.wrap_future(self._store.forget(self._now(), self._most))
            except StoreError as error:
                self._say(str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._much.wait()

    async def close(self) -> None:
        """Return when all that ended is written, or given up; what did not end is let go of."""
        ended = {id for id, keeping in self._all.items() if keeping.record is not None}
        if writing := {task for task in self._tasks if task.get_name() in ended}:
            await asyncio.wait(writing)
        for task in self._tasks:
            task.cancel()

    def _saved(self, generation: Generation, key: str, digest: bytes, request: bytes) -> Saved:
        record, outline = json.encode(record_of(generation)), encode_outline(outline_of(generation))
        background = generation.background
        return Saved(generation.id, generation.owner, generation.born, record, outline, request, key, digest, background)

    def _follow(self, keeping: Keeping) -> None:
        id = keeping.generation.id
        self._all[id] = keeping
        task = asyncio.create_task(self._carry(keeping), name=id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, keeping: Keeping) -> None:
        tries, pause = 0, 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):  # more comes meanwhile, unless this is the end
                    await keeping.over.wait()
            keeping.news.clear()
            ended, pause = keeping.record is not None, FLUSH
            try:
                await self._write(keeping)
            except StoreError as error:
                keeping.why_not, pause, tries = str(error), PAUSE, tries + ended
                self._say(keeping.why_not)
                if ended and tries < TRIES:
                    await asyncio.sleep(PAUSE)
                    continue
            else:
                keeping.why_not = ""
                self._say("")
            if ended:
                break
            if not keeping.why_not:
                await keeping.news.wait()
        del self._all[keeping.generation.id]
        self._on_end(keeping.generation, not keeping.why_not)

    async def _write(self, keeping: Keeping) -> None:
        """All that the store has not: as one transaction, if it is not busy with others'."""
        store, log, id = self._store, keeping.log, keeping.generation.id
        if not keeping.there:
            if not await asyncio.wrap_future(store.create(keeping.saved)):
                raise StoreError(TAKEN)  # the end of who had it is on its way to the store
            keeping.there = True
        entries, outline = log.entries[keeping.written :], outline_of(keeping.generation)
        calls: list[Future[object]] = []
        if entries or outline != keeping.outline:
            calls.append(store.write(id, keeping.written, entries, encode_outline(outline)))  # type: ignore[arg-type]
        if keeping.record is not None:
            generation = keeping.generation
            release = not generation.committed or generation.ending == "cancelled"
            calls.append(self.finish(id, keeping.record, generation.background, release))  # type: ignore[arg-type]
        await asyncio.gather(*map(asyncio.wrap_future, calls))
        keeping.written += len(entries)
        self._written += sum(map(len, entries))
        if self._written * MUCH > self._most:
            self._much.set()
        keeping.outline = outline

    def finish(self, id: str, record: Fields, background: bool, release: bool) -> Future[bool]:
        """Say in the store that it has ended."""
        now = self._now()
        return self._store.end(id, json.encode(record), now, now + self._seconds[background], release)

    def _withdraw(self, id: str) -> None:
        """It was accepted too late: nobody was told that it is there."""
        self._store.end(id, json.encode({}), self._now(), self._now(), True)

    def _say(self, why: str) -> None:
        """In the log, when it changes."""
        if why != self._failing:
            self._failing = why
            log.warning("store", not_kept=why or None)


def busy(why: str) -> Failure:
    return Failure("busy", f"{why}, so nothing was accepted. Come back in a moment.", retry_after=AGAIN)
