"""The generations that somebody may come back to: those that are here, those that the store has, and for a while the records of others."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from msgspec.structs import replace

from telex.config import Retention
from telex.config.units import seconds_of
from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.gateway.entries import Bare, Live, Past, encode_outline
from telex.gateway.keeper import ACCEPT, Keeper, busy
from telex.gateway.record import record_of
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog
from telex.limits.table import AGAIN
from telex.stores.ports import Generations, Saved, StoreError, Write

RECORDS_MOST = 5_000
"""Records of those of which nothing else is kept: about a kilobyte each."""

GONE_MOST = 10_000
"""Ids of those whose records are forgotten that are remembered."""

FORGOTTEN = Failure("gone", "It was here, and is no longer kept (retention).", code="gone")

LATER = (float("inf"), "")
"""Behind everything that there is."""


class Archive:
    """All of them in this process and in its store. `now`: seconds since 1970."""

    def __init__(self, store: Generations, retention: Retention, now: Callable[[], float]) -> None:
        self.keeper = Keeper(store, retention, now, self._leave)
        self._store = store
        self._now = now
        self._seconds = seconds_of(retention.resumable)
        self._here: dict[str, Generation] = {}  # that run, or whose end the store has not yet; the oldest first
        self._leaving: dict[str, Callable[[], None]] = {}  # what is to be called when it is no longer here
        self._bare: OrderedDict[str, Bare] = OrderedDict()  # the first that ended first
        self._gone: OrderedDict[str, str] = OrderedDict()  # whose it was

    @property
    def running(self) -> list[Generation]:
        """Also those that nobody reads."""
        return [generation for generation in self._here.values() if not generation.ended]

    def add(self, generation: Generation) -> None:
        """One that is about to start."""
        self._here[generation.id] = generation

    def end(self, generation: Generation, record: Fields) -> None:
        """It has ended, and this is what is known of it."""
        if self.keeper.has(generation.id):
            self.keeper.end(generation, record)
        else:
            self._strip(generation, record)

    def live(self, generation: Generation) -> Live:
        return Live(generation, self.keeper.why_not)

    def when_left(self, generation: Generation, call: Callable[[], None]) -> None:
        """Call this when it is no longer here."""
        if generation.id in self._here:
            self._leaving[generation.id] = call
        else:
            call()

    async def unfinished(self) -> list[Saved]:
        """Those that another process left. Raises `StoreError`."""
        return await asyncio.wrap_future(self._store.unfinished())

    async def end_lost(self, saved: Saved, failure: Failure) -> None:
        """End one that another process left. Raises `StoreError`."""
        frames = await asyncio.wrap_future(self._store.read(saved.id, 0, 1))
        spoke = bool(frames)
        outline = replace(Past(saved, self._store).outline, failure=failure, spoke=spoke)
        said = {"kind": failure.kind, "message": failure.message, "retry_after": failure.retry_after}
        record = json.decode(saved.record)
        record |= {"status": failure.ending, "failure": said, "timing": dict.fromkeys(record["timing"])}
        await asyncio.wrap_future(self._store.write([Write(saved.id, 0, [], encode_outline(outline))]))
        await asyncio.wrap_future(self.keeper.finish(saved.id, record, saved.background, release=not spoke))

    async def forget(self, id: str) -> None:
        """Forget one that has ended now, whatever was said of how long it is kept. Raises `StoreError`."""
        await self.keeper.written(id)
        await asyncio.wrap_future(self._store.delete(id))

    async def find_key(self, owner: str, key: str) -> tuple[Past, bytes] | Failure | None:
        """What the store has under an owner's Idempotency-Key, and the digest of its request."""
        try:
            async with asyncio.timeout(ACCEPT):
                saved = await asyncio.wrap_future(self._store.find_key(owner, key))
                if saved is None or saved.expires is None:
                    return None
                if saved.expires <= self._now():
                    await asyncio.wrap_future(self._store.delete(saved.id))
                    return None
        except TimeoutError:
            return busy("The store takes too long")
        except StoreError as error:
            return unreadable(error)
        return Past(saved, self._store), saved.digest

    async def find(self, id: str, owner: str | None) -> Live | Past | Bare | Failure:
        """The one of that id, or why there is none. `owner`: the id of a key, for which there are only its own; None: whosever it is."""
        found: Live | Past | Bare | Failure | None = self._find_here(id)
        if found is None:
            try:
                found = await self._find_stored(id, owner)
            except StoreError as error:
                return unreadable(error)
        if isinstance(found, Failure):
            return found
        unknown = Failure("not_found", f"There is no generation '{id}' here.", code="not_found")
        return unknown if found is None or owner not in (None, found.owner) else found

    async def newest(self, limit: int, owner: str | None, before: str | None, background: bool | None) -> list[Fields] | Failure:
        """The records of the newest, the newest first, behind the one of the id `before`; none if there is no such one."""
        try:
            behind = await self._place(before) if before is not None else LATER
            stored = await self._stored(limit, owner, behind, background) if behind is not None else []
        except StoreError as error:
            return unreadable(error)
        records = {saved.id: ((saved.created, saved.id), Past(saved, self._store).record) for saved in stored}
        here: list[Live | Bare] = [*map(self.live, self._here.values()), *self._bare.values()]
        for entry in here:
            wanted = owner in (None, entry.owner) and background in (None, entry.background)
            if wanted and behind is not None and entry.place < behind:
                records[entry.id] = entry.place, entry.record
        return [record for _, record in sorted(records.values(), key=lambda pair: pair[0], reverse=True)[:limit]]

    async def _place(self, id: str) -> tuple[float, str] | None:
        """Where one stands in the order of all."""
        if (here := self._find_here(id)) is not None:
            return here.place
        saved = await asyncio.wrap_future(self._store.find(id))
        return (saved.created, saved.id) if saved is not None else None

    async def _stored(self, limit: int, owner: str | None, behind: tuple[float, str], background: bool | None) -> list[Saved]:
        """Those of the store: from the newest of all, if the one that they are behind is not there itself."""
        before, found = behind[1], list[Saved]()
        if behind is LATER or await asyncio.wrap_future(self._store.find(before)) is None:
            before = ""
        while len(found) < limit:
            page = await asyncio.wrap_future(self._store.list(owner, limit, before or None, background))
            found += [saved for saved in page if (saved.created, saved.id) < behind]
            if len(page) < limit:
                break
            before = page[-1].id
        return found

    def _find_here(self, id: str) -> Live | Bare | None:
        self._expire()
        generation = self._here.get(id)
        return self.live(generation) if generation is not None else self._bare.get(id)

    async def _find_stored(self, id: str, owner: str | None) -> Past | Failure | None:
        saved = await asyncio.wrap_future(self._store.find(id))
        if saved is None:
            whose = self._gone.get(id) if id in self._gone else await asyncio.wrap_future(self._store.was_here(id))
            return FORGOTTEN if whose is not None and owner in (None, whose) else None
        if saved.expires is not None and saved.expires <= self._now():
            return FORGOTTEN if owner in (None, saved.owner) else None
        return Past(saved, self._store)

    def _leave(self, generation: Generation, kept: bool) -> None:
        """It is in the store from now on, or only its record is left."""
        if kept:
            self._part(generation)
        else:
            self._strip(generation, record_of(generation))
        assert isinstance(generation.log, KeptLog)
        generation.log.retire()

    def _strip(self, generation: Generation, record: Fields) -> None:
        self._part(generation)
        self._bare[generation.id] = Bare(generation, record, self._now())
        if len(self._bare) > RECORDS_MOST:
            self._forget(next(iter(self._bare.values())))

    def _part(self, generation: Generation) -> None:
        self._here.pop(generation.id, None)
        if (call := self._leaving.pop(generation.id, None)) is not None:
            call()

    def _expire(self) -> None:
        oldest = self._now() - self._seconds
        while self._bare and (first := next(iter(self._bare.values()))).ended <= oldest:
            self._forget(first)

    def _forget(self, bare: Bare) -> None:
        del self._bare[bare.id]
        self._gone[bare.id] = bare.owner
        if len(self._gone) > GONE_MOST:
            self._gone.popitem(last=False)


def unreadable(error: StoreError) -> Failure:
    return Failure("busy", str(error), retry_after=AGAIN)
