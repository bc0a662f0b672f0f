"""How a log that is kept is read: what a provider sent becomes frames, a body or events, for whoever reads, whenever that is.

All of it is a pure function of the entries and of what is said at the start, so that frame N is frame N in every process and as often as
anybody reads.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Event, Start
from telex.dialects import DIALECTS
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.generation.output import EventOutput, Naming, Output, StreamOutput, WholeOutput

PING = "ping"
"""The event by which a provider says only that it is alive. What a cursor counts must not depend on it: readers can't tell it from Telex's
own, which come when they are needed."""


class Source(Struct, frozen=True):
    """What the entries of a log are: the frames that a provider of `dialect` sent, or, `whole`, one body."""

    dialect: str
    quirks: Quirks = NO_QUIRKS
    whole: bool = False


class Renders(Protocol):
    """Entries in, frames out. `end`: what is to be said behind the last entry; `failure`: why that is not all."""

    def feed(self, entry: bytes) -> list[Any]: ...
    def end(self, failure: Failure | None) -> list[Any]: ...


class Reads(Protocol):
    """A way of reading. Without a source there are no entries, only an end."""

    def render(self, source: Source | None) -> Renders: ...


class Reading(Struct, frozen=True):
    """What a reader wants: frames of `dialect`, or events if that is empty; or, `whole`, one body.

    `id`, `created`: stand in where the provider gave none. `name`: what the reply is called whatever its provider calls it, if anything;
    where both speak one dialect, only if it is to be `renamed`.
    """

    dialect: str
    whole: bool = False
    include_usage: bool = True
    id: str = ""
    created: int = 0
    name: str = ""
    renamed: bool = False

    def render(self, source: Source | None) -> Renders:
        return Rendition(self, source)


def is_verbatim(reading: Reading, source: Source | None) -> bool:
    """Whether both sides speak one dialect, so that bytes may pass as they are."""
    return source is not None and source.dialect == reading.dialect and not source.quirks.repair


def make_output(reading: Reading, source: Source | None) -> Output:
    """What makes of frames and their events what is wanted."""
    if not reading.dialect:
        return EventOutput(reading.whole)
    dialect, verbatim = DIALECTS[reading.dialect], is_verbatim(reading, source)
    naming = Naming(reading.id, reading.created, reading.name if reading.renamed or not verbatim else "")
    return WholeOutput(dialect, verbatim, naming) if reading.whole else StreamOutput(dialect, verbatim, reading.include_usage, naming)


class Rendition:
    """What one reading makes of the entries."""

    def __init__(self, reading: Reading, source: Source | None) -> None:
        self._output = make_output(reading, source)
        self._whole = source is not None and source.whole
        self._decoder = DIALECTS[source.dialect].Decoder(source.quirks) if source is not None else None
        self._frames = sse.Decoder()
        renames = reading.name and reading.renamed and is_verbatim(reading, source)
        self._name = json.encode(reading.name) if renames else b""
        self._theirs = b""  # both as JSON has them, so that neither is found in the words of a reply, whose quotes are escaped

    def feed(self, entry: bytes) -> list[Any]:
        return self._call(self._read(entry))

    def end(self, failure: Failure | None) -> list[Any]:
        if failure is not None:
            return self._call(list(self._output.fail(failure)))
        decoder = self._decoder
        return self._call(list(self._output.frame(b"", decoder.end()))) if decoder is not None and not decoder.ended else []

    def _call(self, frames: list[Any]) -> list[Any]:
        """The frames under the name that the reply has here."""
        return [frame.replace(self._theirs, self._name) for frame in frames] if self._theirs else frames

    def _read(self, entry: bytes) -> list[Any]:
        decoder, output, frames = self._decoder, self._output, list[Any]()
        assert decoder is not None
        if self._whole:
            return list(output.body(entry, self._heard(decoder.whole(entry))))
        if self._frames.between and (event := decoder.glance(entry)) is not None:
            return list(output.glance(entry, event))
        for frame in self._frames.feed(entry):
            if frame.event != PING:
                frames += output.frame(frame.raw, self._heard(decoder.feed(frame)))
        return frames

    def _heard(self, events: list[Event]) -> list[Event]:
        """The events, of which the first may say what is to be called otherwise."""
        if self._name and not self._theirs and events and isinstance(start := events[0], Start):
            self._theirs = json.encode(start.id) if start.id else b""
        return events
