"""A generation as somebody finds it: one that is here, or what a store has of one that was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.dialects import DIALECTS, Dialect
from telex.gateway.asgi import Headers, identify
from telex.gateway.quotas import quota_headers
from telex.gateway.record import record_of
from telex.generation.cursor import Cursor
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog
from telex.generation.log import Reader
from telex.generation.reading import Reading, Reads, Source
from telex.stores.ports import Generations, Saved, StoreError

PAGE = 64 << 10
"""Bytes of frames that are read of a store at once."""

DROPPED_LIMIT = 1000
"""Characters of the header that names what was dropped; what goes beyond it is counted."""


class Outline(Struct, frozen=True):
    """What it takes to read a log: how its client wants it and cut how, what its entries are, and how it ended. `spoke`: there was content
    or a whole reply, so that a failure belongs behind it."""

    reading: Reading
    framing: Literal["sse", "json-array"]
    source: Source | None = None
    failure: Failure | None = None
    spoke: bool = False


def outline_of(generation: Generation) -> Outline:
    """As far as it is known by now."""
    log, request = generation.log, generation.request
    source = log.source if isinstance(log, KeptLog) else None
    return Outline(generation.reading, request.framing, source, generation.failure, generation.committed)


def encode_outline(outline: Outline) -> bytes:
    """As JSON: what a failure says may hold text that is none, cut in the middle of a character."""
    return json.encode(msgspec.to_builtins(outline))


def decode_outline(data: bytes) -> Outline:
    return msgspec.convert(json.decode(data), Outline)


class Live:
    """One that is here: it runs, or has ended just now. `why_not`: why it can't be written to the store just now, if it should be."""

    def __init__(self, generation: Generation, why_not: Callable[[str], str]) -> None:
        self.generation = generation
        self._why_not = why_not
        self.id = generation.id
        self.owner = generation.owner
        self.background = generation.background
        self.place = place_of(generation)

    @property
    def record(self) -> Fields:
        return {**record_of(self.generation), "kept": self.kept and not self._why_not(self.id)}

    @property
    def kept(self) -> bool:
        return isinstance(self.generation.log, KeptLog)

    @property
    def ended(self) -> bool:
        return self.generation.ended

    @property
    def outline(self) -> Outline:
        return outline_of(self.generation)

    @property
    def headers(self) -> Headers:
        generation = self.generation
        headers = [*headers_of(generation.dialect, self.id, generation.dropped), *quota_headers(generation.quotas)]
        return [*headers, (b"telex-resumable", b"false")] if self._why_not(self.id) else headers

    def join(self, reads: Reads | None = None, after: int = 0) -> Reader:
        return self.generation.join(reads, after)

    def leave(self, reader: AnyReader) -> None:
        assert isinstance(reader, Reader)
        self.generation.leave(reader)


class Past:
    """One that a store has."""

    ended = kept = True

    def __init__(self, saved: Saved, frames: Generations) -> None:
        self.id = saved.id
        self.owner = saved.owner
        self.record: Fields = {**json.decode(saved.record), "kept": True}
        self.outline = decode_outline(saved.reading)
        self._frames = frames

    @property
    def headers(self) -> Headers:
        return headers_of(DIALECTS[self.outline.reading.dialect], self.id, self.record["dropped"])

    def join(self, reads: Reads | None = None, after: int = 0) -> PastReader:
        return PastReader(self.id, self.outline, self._frames, reads or self.outline.reading, after)

    def leave(self, reader: AnyReader) -> None:
        reader.leave()


class Bare:
    """One of which nothing is left but what is known of it."""

    def __init__(self, generation: Generation, record: Fields, now: float) -> None:
        self.id = generation.id
        self.owner = generation.owner
        self.background = generation.background
        self.place = place_of(generation)
        self.ended = now
        self._record = json.encode({**record, "kept": False})  # a kilobyte, where the objects are many

    @property
    def record(self) -> Fields:
        record: Fields = json.decode(self._record)
        return record


class PastReader:
    """Reads what a store has as a `Reader` reads what is here; waiting for it reads the next page. Raises `StoreError` if that fails."""

    def __init__(self, id: str, outline: Outline, frames: Generations, reads: Reads, after: int) -> None:
        self.left = False
        self._id = id
        self._outline = outline
        self._frames = frames
        self._cursor = Cursor(reads, after)
        self._place = 0  # entries that were read
        self._unread: list[Any] = []

    @property
    def position(self) -> int:
        return self._cursor.position

    @property
    def over(self) -> bool:
        return self.left or (self._cursor.ended and not self._unread)

    async def wait(self) -> None:
        while not (self._unread or self.over):
            entries = await asyncio.wrap_future(self._frames.read(self._id, self._place, PAGE))
            self._place += len(entries)
            for entry in entries:
                self._unread += self._cursor.feed(entry, self._outline.source)
            if not entries:
                await self._check()
                self._unread += self._cursor.end(self._outline.failure, self._outline.source)

    async def _check(self) -> None:
        """What was forgotten meanwhile has not ended here."""
        if await asyncio.wrap_future(self._frames.find(self._id)) is None:
            raise StoreError(f"The generation {self._id} was forgotten while it was read.")

    def read(self) -> list[Any]:
        unread, self._unread = self._unread, []
        return unread

    def take(self) -> bytes:
        return b"".join(self.read())

    def wake(self) -> None:
        """It never waits for long."""

    def leave(self) -> None:
        self.left = True


Entry: TypeAlias = Live | Past
"""One that can be read."""

AnyReader: TypeAlias = Reader | PastReader


def place_of(generation: Generation) -> tuple[float, str]:
    """Where it stands in the order of all."""
    return generation.born, generation.id


def headers_of(dialect: Dialect, id: str, dropped: list[str] | tuple[str, ...]) -> Headers:
    """Which generation this is, and what of the request its target is not told."""
    headers, names = identify(dialect, id), ""
    for number, name in enumerate(dropped):
        if len(names) + len(name) > DROPPED_LIMIT:
            names += f", and {len(dropped) - number} more"
            break
        names += f", {name}" if names else name
    return [*headers, (b"telex-dropped", names.encode("unicode_escape"))] if names else headers
