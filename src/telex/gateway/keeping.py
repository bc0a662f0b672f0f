"""What of one generation is in the store, and what is written of it next."""

from __future__ import annotations

from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.gateway.entries import encode_outline, outline_of
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog
from telex.generation.reading import Source
from telex.stores.ports import Saved, Write

WRITE = 1 << 20
"""Bytes of one generation that are written at once, up to an entry more: they are in memory twice meanwhile."""


class Keeping:
    """What of one generation is in the store: whether it is `there` at all, `written` of its entries, and its outline as of `state`.
    `record`: once it has ended; `tries`: how often that could not be written. `why_not`: the last failure to write, if that was the last
    thing that happened."""

    def __init__(self, generation: Generation, saved: Saved) -> None:
        assert isinstance(generation.log, KeptLog)
        self.generation = generation
        self.log: KeptLog = generation.log
        self.saved = saved
        self.there = False
        self.written = 0
        self.state: tuple[Source | None, bool, Failure | None] | None = None
        self.record: Fields | None = None
        self.tries = 0
        self.why_not = ""


class Batch:
    """What is written of one generation at a time. `whole`: nothing is left of it then. `ends`: nor will there ever be."""

    def __init__(self, keeping: Keeping) -> None:
        log = keeping.log
        self.keeping = keeping
        self.entries = next_of(log.entries, keeping.written)
        self.whole = keeping.written + len(self.entries) == len(log.entries)
        self.ends = self.whole and keeping.record is not None
        self.state = log.source, keeping.generation.committed, keeping.generation.failure

    @property
    def write(self) -> Write:
        keeping = self.keeping
        reading = encode_outline(outline_of(keeping.generation)) if self.state != keeping.state else b""
        return Write(keeping.generation.id, keeping.written, self.entries, reading)

    def note(self) -> None:
        """The store has it."""
        self.keeping.there = True
        self.keeping.written += len(self.entries)
        self.keeping.state = self.state


def next_of(entries: list[bytes], first: int) -> list[bytes]:
    """Those from `first` on, no more than one write should have."""
    end, size = first, 0
    while end < len(entries) and size < WRITE:
        size += len(entries[end])
        end += 1
    return entries[first:end]
