"""The generations that somebody may come back to: those that run, and for a while behind their end those that are kept, and of the others
their records."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice, takewhile

from telex.config import Retention
from telex.config.units import seconds_of
from telex.core import json
from telex.core.messages import Fields
from telex.gateway.record import record_of
from telex.generation.generation import Generation
from telex.generation.log import KeptLog, Room

GONE_MOST = 10_000
"""Ids of those that are no longer here that are remembered."""

RECORDS_MOST = 5_000
"""Records of those of which nothing else is kept: about a kilobyte each."""

NOT_KEPT = "It has ended, and nothing of it was kept: ask with 'Telex-On-Disconnect: hold' (or 'finish') for what can be come back to."
FORGOTTEN = "It was here, and is no longer kept (retention.resumable, retention.max_bytes)."


class Entry:
    """One generation. `generation`: None once it has ended and nothing that it said is kept. `ended`: when, in seconds of the archive's
    clock."""

    def __init__(self, generation: Generation) -> None:
        self.id = generation.id
        self.owner = generation.owner
        self.generation: Generation | None = generation
        self.ended = 0.0
        self._record = b""

    @property
    def record(self) -> Fields:
        if self._record:
            record: Fields = json.decode(self._record)
            return record
        assert self.generation is not None
        return record_of(self.generation)

    def end(self, record: Fields, now: float) -> None:
        assert self.generation is not None
        self.ended = now
        self._record = json.encode(record)
        if isinstance(self.generation.log, KeptLog):
            self.generation.let_go()
        else:
            self.generation = None

    def forget(self) -> bool:
        """Whether what it said may be forgotten, and now is: not while somebody reads it."""
        if self.generation is None:
            return True
        log = self.generation.log
        if log.readers or not isinstance(log, KeptLog):
            return False
        log.forget()
        return True


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
        self._records: OrderedDict[str, Entry] = OrderedDict()  # of those of which nothing else is kept, in the same order
        self._gone: OrderedDict[str, tuple[str, str]] = OrderedDict()  # whose it was, and why it is no longer here

    @property
    def running(self) -> list[Generation]:
        """Also those that nobody reads."""
        return [entry.generation for entry in self._running.values() if entry.generation is not None]

    def add(self, generation: Generation) -> None:
        """One that is about to start."""
        self._expire()
        self._all[generation.id] = self._running[generation.id] = Entry(generation)

    def end(self, generation: Generation, record: Fields) -> None:
        """It has ended, and this is what is known of it."""
        entry = self._running.pop(generation.id)
        entry.end(record, self._clock())
        ended = self._records if entry.generation is None else self._ended
        ended[generation.id] = entry
        if len(self._records) > RECORDS_MOST:
            self._forget(next(iter(self._records.values())))

    def find(self, id: str, owner: str | None) -> Entry | str | None:
        """The one of that id, or why it is no longer here; None of one that is not known to have been. `owner`: the id of a key, for which
        there are only its own; None: whosever it is."""
        self._expire()
        entry = self._all.get(id)
        whose, found = (entry.owner, entry) if entry else self._gone.get(id, ("", None))
        return found if owner in (None, whose) else None

    def newest(self, limit: int, owner: str | None) -> list[Entry]:
        """The newest first."""
        self._expire()
        return list(islice((entry for entry in reversed(self._all.values()) if owner in (None, entry.owner)), limit))

    def _expire(self) -> None:
        oldest = self._clock() - self._seconds
        for ended in (self._ended, self._records):
            for entry in list(takewhile(lambda entry: entry.ended <= oldest, ended.values())):
                self._forget(entry)

    def _make_room(self) -> None:
        for entry in list(self._ended.values()):
            if not self._room.over:
                break
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        """Unless somebody reads it just now."""
        if entry.forget():
            self._ended.pop(entry.id, None)
            self._records.pop(entry.id, None)
            del self._all[entry.id]
            self._gone[entry.id] = entry.owner, FORGOTTEN
            if len(self._gone) > GONE_MOST:
                self._gone.popitem(last=False)
