"""The log that is kept: what the provider sent, as it sent it, for any number of readers, who come and go.

None of them holds up who writes, and each reads in a way of its own (see `reading`). Replay and live are one loop, so there is no seam
between them at which a frame could be lost or doubled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from telex.core.errors import Failure
from telex.generation.cursor import Cursor
from telex.generation.log import HIGH_WATER, REPLY_LIMIT, Entries, Log, Reader
from telex.generation.reading import Reads, Source

ENTRY_COST = 64
"""Bytes that an entry counts beyond its own: what it costs to keep, so that many tiny ones are bounded as well."""

LOG_COST = 8 << 10
"""Bytes that a kept log counts for itself and for what goes with it."""

WORK = 128 << 10
"""Bytes of entries that are gone through at once for a reader who has most of them already, before others have their turn."""


class Room:
    """The bytes that all kept logs of a process may have together."""

    def __init__(self, limit: int) -> None:
        self.used = 0
        self._limit = limit

    def fits(self, size: int) -> bool:
        return self.used + size <= self._limit

    @property
    def crowded(self) -> bool:
        """Whether it is time to let go of what may go, before there is no room for what still comes."""
        return self.used > self._limit / 2


class KeptLog(Log):
    """`entries`: what came; `source`: what that is, once there is any. `failure`: once it is closed, why it is not complete.
    `written` is called when something came, and at the end."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.entries: list[bytes] = []
        self.source: Source | None = None
        self.failure: Failure | None = None
        self.written: Callable[[], None] = lambda: None
        self._room = room
        self._retired = False
        self._take(LOG_COST)

    def append(self, frames: Entries) -> bool:
        """Nothing stands behind what made it full: an end that comes with it would make a failed reply look complete."""
        if not frames or self.full is not None:
            return self.full is not None
        size = sum(map(len, frames)) + len(frames) * ENTRY_COST
        if self._size + size > REPLY_LIMIT:
            self.full = Failure("malformed", f"The provider's reply is longer than the {REPLY_LIMIT} bytes that are kept of one.")
        elif not self._room.fits(size):
            self.full = Failure("internal", "Telex keeps as many replies as it may (retention.max_bytes), so it could not keep this one.")
        else:
            self.entries += cast("list[bytes]", frames)
            self._take(size)
            self.wake()
            self.written()
        return self.full is not None

    def close(self, failure: Failure | None = None) -> None:
        self.failure = failure
        super().close()
        self.written()

    def join(self, reading: Reads, after: int = 0) -> KeptReader:
        """One who has so many frames of this reading already."""
        reader = KeptReader(self, reading, after)
        self.readers.append(reader)
        return reader

    def left(self, reader: Reader) -> None:
        super().left(reader)
        self._let_go()

    def retire(self) -> None:
        """Nobody finds it any more: the last of its readers lets go of it."""
        self._retired = True
        self._let_go()

    def _take(self, size: int) -> None:
        self._size += size
        self._room.used += size

    def _let_go(self) -> None:
        if self._retired and not self.readers:
            self._take(-self._size)
            self.entries = []


class KeptReader(Reader):
    """It is given at most `HIGH_WATER` bytes at once, up to what one entry makes: what it has not taken waits in the log, and not once more
    in its connection."""

    def __init__(self, log: KeptLog, reading: Reads, after: int) -> None:
        super().__init__(log)
        self.position = after
        self._kept = log
        self._cursor = Cursor(reading, after)
        self._place = 0  # entries that it has gone through
        self._busy = False  # with entries of which it has everything already

    @property
    def has_more(self) -> bool:
        log = self._kept
        return self._place < len(log.entries) or (log.closed and not self._cursor.ended)

    def read(self) -> list[Any]:
        log, cursor, frames, size, work = self._kept, self._cursor, list[Any](), 0, 0
        while self._place < len(log.entries) and size <= HIGH_WATER and work <= WORK:
            entry = log.entries[self._place]
            self._place += 1
            work += len(entry)
            new = cursor.feed(entry, log.source)
            size += sum(map(len, new))
            frames += new
        if log.closed and self._place == len(log.entries):
            frames += cursor.end(log.failure, log.source)
        self._busy = not frames
        self.position = cursor.position
        return frames

    def wait(self) -> asyncio.Future[None]:
        if not (self._busy and self.has_more):
            return super().wait()
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(settle, turn)
        return turn


def settle(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
