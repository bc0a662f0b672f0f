"""Where a reader stands: behind so many frames of its reading, and what is behind that for it."""

from __future__ import annotations

from typing import Any

from telex.core.errors import Failure
from telex.generation.reading import Reads, Renders, Source

LOST = "process_ended"
"""The code of a failure behind which frames may be missing that a reader has had, since they were not yet written."""


class Cursor:
    """Entries in, the frames out that come behind the first `after`. Who claims to have more than there ever was is told the last of them,
    which says how it ended; if some were lost, so is who claims to have as many, since its last can't have been that one.

    `position`: how many frames the reader has. `ended`: it has all.
    """

    def __init__(self, reading: Reads, after: int) -> None:
        self.position = after
        self.ended = False
        self._reading = reading
        self._renders: Renders | None = None
        self._count = 0  # frames that there were
        self._last: list[Any] = []

    def feed(self, entry: bytes, source: Source | None) -> list[Any]:
        if self._renders is None:
            self._renders = self._reading.render(source)
        return self._pass(self._renders.feed(entry))

    def end(self, failure: Failure | None, source: Source | None) -> list[Any]:
        """The rest. Only the first call has any."""
        if self.ended:
            return []
        self.ended = True
        renders = self._renders or self._reading.render(source)
        frames = self._pass(renders.end(failure))
        lost = failure is not None and failure.code == LOST and not frames
        if self.position > self._count or lost:
            self.position, frames = self._count, self._last
        return frames

    def _pass(self, frames: list[Any]) -> list[Any]:
        if not frames:
            return frames
        self._count += len(frames)
        if self._count <= self.position:
            self._last = frames[-1:]
            return []
        new = frames[len(frames) - (self._count - self.position) :]
        self.position = self._count
        return new
