"""What is kept of generations on its way into the store: nobody who reads waits for it, and a job is accepted once it is there.

One task writes what came of all of them, now and then while they run and for good at their ends. A store that fails disturbs nobody: what
is here can be come back to while it runs, and what could not be written is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

from telex.config import Retention
from telex.config.units import bytes_of, seconds_of
from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.gateway.entries import encode_outline, outline_of
from telex.gateway.keeping import Batch, Keeping
from telex.gateway.record import record_of
from telex.generation.generation import Generation
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
MISSING = "The store has not what was written of it before."

SWEEP = 10.0
"""Seconds between two looks for what is to be forgotten,"""

MUCH = 10
"""and the part of all that may be kept which may be written between them."""


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
        self._news: dict[str, Keeping] = {}  # of which there is something to write
        self._stirred = asyncio.Event()  # there is some
        self._ended = asyncio.Event()  # and some of it does not wait
        self._left: asyncio.Future[None] | None = None  # done when one has all been written
        self._writing: asyncio.Task[None] | None = None
        self._failing = ""
        self._much = asyncio.Event()
        self._size = 0  # bytes written since the last look for what is too much

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
        self._stir(keeping)
        self._ended.set()

    async def written(self, id: str) -> None:
        """Return when the store has all of one that ended, or it is given up."""
        while id in self._all:
            self._left = self._left or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._left)

    async def sweep(self) -> None:
        """Forget what is old or too much: now and then, and when much has been written."""
        while True:
            self._much.clear()
            self._size = 0
            try:
                await asyncio.wrap_future(self._store.forget(self._now(), self._most))
            except StoreError as error:
                self._say(str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._much.wait()

    async def close(self) -> None:
        """Return when all that ended is written, or given up; what did not end is let go of."""
        for id in [id for id, keeping in self._all.items() if keeping.record is not None]:
            await self.written(id)
        if self._writing is not None:
            self._writing.cancel()

    def _saved(self, generation: Generation, key: str, digest: bytes, request: bytes) -> Saved:
        record, outline = json.encode(record_of(generation)), encode_outline(outline_of(generation))
        background = generation.background
        return Saved(generation.id, generation.owner, generation.born, record, outline, request, key, digest, background)

    def _follow(self, keeping: Keeping) -> None:
        self._all[keeping.generation.id] = keeping
        keeping.log.written = partial(self._stir, keeping)
        self._stir(keeping)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    def _stir(self, keeping: Keeping) -> None:
        self._news[keeping.generation.id] = keeping
        self._stirred.set()

    async def _write(self) -> None:
        """All that the store has not, again and again."""
        while True:
            await self._stirred.wait()
            news, self._news = self._news, {}
            self._stirred.clear()
            self._ended.clear()
            batches = [Batch(keeping) for keeping in news.values()]
            calls = [[] if batch.keeping.there else [self._store.create(batch.keeping.saved)] for batch in batches]
            written = self._store.write([batch.write for batch in batches])
            for batch, beside in zip(batches, calls, strict=True):
                if batch.ends:
                    beside.append(self._end(batch.keeping))
            there = await result_of(written)
            for number, batch in enumerate(batches):
                self._note(batch, there if isinstance(there, str) else await why_not(batch, calls[number], there[number]))
            await self._pause()

    async def _pause(self) -> None:
        """More comes meanwhile. An end does not wait, unless the store fails."""
        if self._failing:
            await asyncio.sleep(PAUSE)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):
                await self._ended.wait()

    def _note(self, batch: Batch, why_not: str) -> None:
        keeping = batch.keeping
        keeping.why_not = why_not
        if why_not != TAKEN:
            self._say(why_not)
        if why_not:
            keeping.tries += batch.ends
            self._stir(keeping)
        else:
            batch.note()
            self._size += sum(map(len, batch.entries))
            if self._size * MUCH > self._most:
                self._much.set()
            if not batch.whole:
                self._stir(keeping)
                self._ended.set()
        if batch.ends and (not why_not or keeping.tries >= TRIES):
            self._leave(keeping)

    def _leave(self, keeping: Keeping) -> None:
        id = keeping.generation.id
        del self._all[id]
        self._news.pop(id, None)
        self._on_end(keeping.generation, not keeping.why_not)
        if self._left is not None:
            self._left.set_result(None)
            self._left = None

    def _end(self, keeping: Keeping) -> Future[bool]:
        generation = keeping.generation
        assert keeping.record is not None
        release = not generation.committed or generation.ending == "cancelled"
        return self.finish(generation.id, keeping.record, generation.background, release)

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


async def result_of(call: Future[T]) -> T | str:
    """What a store says, or why it does not."""
    try:
        if not call.done():  # as most are, when the first of all is
            value: T = await asyncio.wrap_future(call)
            return value
        return call.result()
    except StoreError as error:
        return str(error)
    except Exception as bug:
        log.error("store", exc_info=bug)
        return f"The store failed: {bug!r}."


async def why_not(batch: Batch, calls: list[Future[bool]], written: bool) -> str:
    """Why the store has not all of it; empty if it has. `calls`: what else was asked for it."""
    for call in calls:
        if isinstance(failed := await result_of(call), str):
            return failed
    return "" if written else MISSING if batch.keeping.there else TAKEN


def busy(why: str) -> Failure:
    return Failure("busy", f"{why}, so nothing was accepted. Come back in a moment.", retry_after=AGAIN)
