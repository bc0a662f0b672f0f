"""What a generation has to say, in order, and those who read it, each from a place of its own.

There are two logs. A passing one is for a sole reader and forgets what was read; what is not read fills up, and the writer pauses. A kept
one has any number of readers, who come and go, and a writer whom none of them holds up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from telex.core.errors import Failure
from telex.core.events import Event

HIGH_WATER = 24 << 10
"""Unread bytes above which whoever writes should pause: as many as one read brings, which alone is no reason to. And what a reader of a
kept log is given at once, up to one frame more."""

REPLY_LIMIT = 64 << 20
"""Bytes that a reply may have which is kept."""

FRAME_COST = 64
"""Bytes that a kept frame counts beyond its own: what it costs to keep, so that many tiny frames are bounded as well."""


LOG_COST = 8 << 10
"""Bytes that a kept log counts for itself and for what goes with it."""


class Heard(Struct, frozen=True):
    """What one frame said, for a reader who wants events and not bytes. It is as long as the frame was, in bytes."""

    events: list[Event]
    size: int

    def __len__(self) -> int:
        return self.size


Entries = Sequence[bytes] | Sequence[Heard]
"""All entries of a log are bytes, or all are `Heard`: what the generation's `Output` makes. The log of a whole reply has one, its body."""


class Log:
    """The passing one. The writer never waits: `append` says when it should pause, `drained` is called when it may go on.

    `frames`: how many were written. `full`: why no more can be.
    """

    full: Failure | None = None

    def __init__(self) -> None:
        self.frames = 0
        self.closed = False
        self.drained: Callable[[], None] | None = None
        self.readers: list[Reader] = []
        self._unread: list[Any] = []
        self._size = 0

    def append(self, frames: Entries) -> bool:
        """Add frames and wake the readers. True when the writer should pause until `drained` is called, or end if the log is `full`."""
        if frames:
            self.frames += len(frames)
            self._unread += frames
            for frame in frames:
                self._size += len(frame)
            for reader in self.readers:
                reader.wake()
        return self._size > HIGH_WATER

    def close(self) -> None:
        self.closed = True
        self.wake()

    def wake(self) -> None:
        for reader in self.readers:
            reader.wake()

    def reader(self) -> Reader:
        """The sole one."""
        assert not self.readers
        return self._admit(0)

    def _admit(self, position: int) -> Reader:
        reader = Reader(self, position)
        self.readers.append(reader)
        return reader

    def has_more(self, reader: Reader) -> bool:
        return bool(self._unread)

    def read(self, reader: Reader) -> list[Any]:
        """What `reader` has not read; it has now."""
        unread, self._unread = self._unread, []
        if self._size > HIGH_WATER and self.drained is not None:
            self.drained()
        self._size = 0
        reader.position += len(unread)
        return unread


class Room:
    """The bytes that all kept logs of a process may have together. `crowded` is called when they have more, to let go of some."""

    def __init__(self, limit: int) -> None:
        self.used = 0
        self.crowded: Callable[[], None] = lambda: None
        self._limit = limit

    def take(self, size: int) -> None:
        self.used += size
        if self.over:
            self.crowded()

    @property
    def over(self) -> bool:
        return self.used > self._limit


class KeptLog(Log):
    """The one that is kept, in memory, until somebody calls `forget`."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._frames: list[Any] = []
        self._size = LOG_COST
        self._room = room
        room.take(LOG_COST)

    def append(self, frames: Entries) -> bool:
        self._frames += frames
        size = sum(map(len, frames)) + len(frames) * FRAME_COST
        self._size += size
        self._room.take(size)
        if self._size > REPLY_LIMIT:
            self.full = Failure("malformed", f"The provider's reply is longer than the {REPLY_LIMIT} bytes that are kept of one.")
        elif size and self._room.over:
            self.full = Failure("internal", "Telex keeps as many replies as it may (retention.max_bytes), so it could not keep this one.")
        if frames:
            self.frames += len(frames)
            self.wake()
        return self.full is not None

    def reader(self, after: int = 0) -> Reader:
        """One who has so many frames already."""
        return self._admit(after)

    def has_more(self, reader: Reader) -> bool:
        return reader.position < self.frames or (self.closed and reader.position > self.frames > 0)

    def read(self, reader: Reader) -> list[Any]:
        """Not more at once than a slow reader may have waiting. Who claims to have more than there ever was is told the end of it."""
        start = reader.position
        if start > self.frames:
            if not self.has_more(reader):
                return []
            start = self.frames - 1
        end, size = start, 0
        while end < self.frames and size <= HIGH_WATER:
            size += len(self._frames[end])
            end += 1
        reader.position = end
        return self._frames[start:end]

    def forget(self) -> None:
        """Nobody reads it any more."""
        self._frames.clear()
        self._room.used -= self._size
        self._size = 0


class Reader:
    """`position`: the cursor, how many frames it has. `left`: it takes no more. `over`: there is nothing more for it."""

    def __init__(self, log: Log, position: int) -> None:
        self.position = position
        self.left = False
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None  # asked for once: each time costs a system call
        self._waiter: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        return self.left or (self._log.closed and not self._log.has_more(self))

    def take(self) -> bytes:
        """What is unread, at once; of a kept log not more than is good for one write."""
        unread: list[bytes] = self._log.read(self)
        return unread[0] if len(unread) == 1 else b"".join(unread)

    def take_frames(self) -> list[bytes]:
        """The same, frame by frame."""
        return self._log.read(self)

    def take_events(self) -> list[Event]:
        """The same for a reader of events."""
        return [event for heard in self._log.read(self) for event in heard.events]

    def wake(self) -> None:
        if (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Done when there is something to take, at the end, or when somebody calls `wake`."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waiter = self._waiter = self._loop.create_future()
        log = self._log
        if log.closed or self.left or log.has_more(self):
            self.wake()
        return waiter

    def leave(self) -> None:
        """Take no more. The second call does nothing."""
        if not self.left:
            self.left = True
            self._log.readers.remove(self)
            self.wake()
