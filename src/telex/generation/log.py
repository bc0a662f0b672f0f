"""What a generation has to say, in order, for its one reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from telex.core.events import Event

HIGH_WATER = 64 << 10
"""Unread bytes above which whoever writes should pause."""


class Heard(Struct, frozen=True):
    """What one frame said, for a reader who wants events and not bytes. It is as long as the frame was, in bytes."""

    events: list[Event]
    size: int

    def __len__(self) -> int:
        return self.size


class Log:
    """Frames (or one body) that wait to be read. The writer never waits: `append` says when it should pause, `drained` is
    called when it may go on.

    All entries are bytes, or all are `Heard`: what the generation's `Output` makes. `frames`: how many have passed, which is the
    reader's cursor when it has taken all.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.closed = False
        self.drained: Callable[[], None] | None = None
        self._unread: list[Any] = []
        self._size = 0
        self._loop: asyncio.AbstractEventLoop | None = None  # asked for once: each time costs a system call
        self._waiter: asyncio.Future[None] | None = None

    def append(self, frames: Sequence[bytes] | Sequence[Heard]) -> bool:
        """Add frames and wake the reader. True when the writer should pause until `drained` is called."""
        if frames:
            self.frames += len(frames)
            self._unread += frames
            for frame in frames:
                self._size += len(frame)
            self.wake()
        return self._size > HIGH_WATER

    def close(self) -> None:
        self.closed = True
        self.wake()

    def take(self) -> bytes:
        """All that is unread, at once."""
        unread = self._taken()
        return unread[0] if len(unread) == 1 else b"".join(unread)

    def take_events(self) -> list[Event]:
        """The same for a reader of events."""
        return [event for heard in self._taken() for event in heard.events]

    def _taken(self) -> list[Any]:
        unread, self._unread = self._unread, []
        if self._size > HIGH_WATER and self.drained is not None:
            self.drained()
        self._size = 0
        return unread

    def wake(self) -> None:
        if (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Done when there is something to take, at the end, or when somebody calls `wake`."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waiter = self._loop.create_future()
        if self._unread or self.closed:
            waiter.set_result(None)
        else:
            self._waiter = waiter
        return waiter
