"""What a generation has to say, in order, and who reads it.

There are two logs. This one passes: it is for a sole reader and forgets what was read; what is not read fills up, and the writer pauses.
The other is kept (see `kept`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from telex.core.errors import Failure
from telex.core.events import Event

HIGH_WATER = 24 << 10
"""Unread bytes above which whoever writes should pause: as many as one read brings, which alone is no reason to."""

REPLY_LIMIT = 64 << 20
"""Bytes that a reply may have which is kept."""


class Heard(Struct, frozen=True):
    """What one frame said, for a reader who wants events and not bytes. It is as long as the frame was, in bytes."""

    events: list[Event]
    size: int

    def __len__(self) -> int:
        return self.size


Entries = Sequence[bytes] | Sequence[Heard]
"""All entries of a log are bytes, or all are `Heard`: what an `Output` makes. Of a whole reply there is one, its body."""


class Log:
    """The writer never waits: `append` says when it should pause, `drained` is called when it may go on.

    `full`: why no more can be.
    """

    full: Failure | None = None

    def __init__(self) -> None:
        self.closed = False
        self.drained: Callable[[], None] | None = None
        self.readers: list[Reader] = []
        self._unread: list[Any] = []
        self._size = 0

    def append(self, frames: Entries) -> bool:
        """Add frames and wake the readers. True when the writer should pause until `drained` is called, or end if the log is `full`."""
        if frames:
            self._unread += frames
            for frame in frames:
                self._size += len(frame)
            for reader in self.readers:
                reader.wake()
        return self._size > HIGH_WATER

    def close(self, failure: Failure | None = None) -> None:
        """This was all. `failure`: why it is not complete, of which who wrote has said what there is to say."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        for reader in self.readers:
            reader.wake()

    def reader(self) -> Reader:
        """The sole one."""
        assert not self.readers
        self.readers.append(reader := Reader(self))
        return reader

    def left(self, reader: Reader) -> None:
        self.readers.remove(reader)

    @property
    def has_more(self) -> bool:
        return bool(self._unread)

    def read(self) -> list[Any]:
        """What its reader has not read; it has now."""
        unread, self._unread = self._unread, []
        if self._size > HIGH_WATER and self.drained is not None:
            self.drained()
        self._size = 0
        return unread


class Reader:
    """`position`: the cursor, how many frames it has. `left`: it takes no more. `over`: there is nothing more for it."""

    def __init__(self, log: Log) -> None:
        self.position = 0
        self.left = False
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None  # asked for once: each time costs a system call
        self._waiter: asyncio.Future[None] | None = None

    @property
    def has_more(self) -> bool:
        return self._log.has_more

    def read(self) -> list[Any]:
        """The entries that it has not read; it has now."""
        entries = self._log.read()
        self.position += len(entries)
        return entries

    @property
    def over(self) -> bool:
        return self.left or (self._log.closed and not self.has_more)

    def take(self) -> bytes:
        """What is unread, as bytes."""
        unread: list[bytes] = self.read()
        return unread[0] if len(unread) == 1 else b"".join(unread)

    def take_events(self) -> list[Event]:
        """The same for a reader of events."""
        return [event for heard in self.read() for event in heard.events]

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
        if self._log.closed or self.left or self.has_more:
            self.wake()
        return waiter

    def leave(self) -> None:
        """Take no more. The second call does nothing."""
        if not self.left:
            self.left = True
            self._log.left(self)
            self.wake()
