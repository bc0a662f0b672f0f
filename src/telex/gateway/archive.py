"""The generations that somebody may come back to: those that run, and for a while behind their end those that are kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice, takewhile

from telex.config import Retention
from telex.config.units import seconds_of
from telex.core.messages import Fields
from telex.gateway.record import record_of
from telex.generation.generation import Generation
from telex.generation.log import KeptLog, Room

GONE_MOST = 10_000
"""Ids of those that are no longer here that are remembered."""

NOT_KEPT = "It has ended, and nothing of it was kept: ask with 'Telex-On-Disconnect: hold' (or 'finish') for what can be come back to."
FORGOTTEN = "It was here, and is no longer kept (retention.resumable, retention.max_bytes)."


class Entry:
    """One generation. `ended`: when, in seconds of the archive's clock."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.ended = 0.0
        self._record: Fields | None = None

    @property
    def record(self) -> Fields:
        return self._record or record_of(self.generation)

    def end(self, record: Fields, now: float) -> None:
        self.ended = now
        self._record = record
        self.generation.let_go()

    @property
    def being_read(self) -> bool:
        return bool(self.generation.log.readers)


class Archive:
    """All of them in this process. What is too old goes when anybody comes; what is too much goes at once, the oldest that ended first."""

    def __init__(self, retention: Retention, room: Room, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds_of(retention.resumable)
        self._room = room
        room.crowded = self._make_room
        self._clock = clock
        self._all: dict[str, Entry] = {}  # the oldest first
        self._running: dict[str, Entry] = {}
        self._ended: OrderedDict[str, Entry] = OrderedDict()  # the first that ended first
        self._gone: OrderedDict[str, tuple[str, str]] = OrderedDict()  # whose it was, and why it is no longer here

    @property
    def running(self) -> list[Generation]:
        """Also those that nobody reads."""
        return [entry.generation for entry in self._running.values()]

    def add(self, generation: Generation) -> None:
        """One that is about to start."""
        self._expire()
        self._all[generation.id] = self._running[generation.id] = Entry(generation)

    def end(self, generation: Generation, record: Fields) -> None:
        """It has ended, and this is what is known of it."""
        entry = self._running.pop(generation.id)
        if isinstance(generation.log, KeptLog):
            entry.end(record, self._clock())
            self._ended[generation.id] = entry
        else:
            self._remove(generation.id, NOT_KEPT)

    def find(self, id: str, owner: str | None) -> Entry | str | None:
        """The one of that id, or why it is no longer here; None of one that is not known to have been. `owner`: the id of a key, for which
        there are only its own; None: whosever it is."""
        self._expire()
        entry = self._all.get(id)
        whose, found = (entry.generation.owner, entry) if entry else self._gone.get(id, ("", None))
        return found if owner in (None, whose) else None

    def newest(self, limit: int, owner: str | None) -> list[Entry]:
        """The newest first."""
        self._expire()
        return list(islice((entry for entry in reversed(self._all.values()) if owner in (None, entry.generation.owner)), limit))

    def _expire(self) -> None:
        oldest = self._clock() - self._seconds
        for entry in list(takewhile(lambda entry: entry.ended <= oldest, self._ended.values())):
            self._forget(entry)

    def _make_room(self) -> None:
        for entry in list(self._ended.values()):
            if not self._room.over:
                break
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        """Unless somebody reads it just now."""
        generation = entry.generation
        if not entry.being_read and isinstance(generation.log, KeptLog):
            generation.log.forget()
            del self._ended[generation.id]
            self._remove(generation.id, FORGOTTEN)

    def _remove(self, id: str, why: str) -> None:
        self._gone[id] = self._all.pop(id).generation.owner, why
        if len(self._gone) > GONE_MOST:
            self._gone.popitem(last=False)
