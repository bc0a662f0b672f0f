"""Generations and their frames as rows."""

from __future__ import annotations

import builtins
import math
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from telex.stores.ports import Saved, Write
from telex.stores.sqlite.database import QUERIES
from telex.stores.sqlite.forgetting import forget_one, forget_some
from telex.stores.sqlite.places import SPAN, place_of
from telex.stores.sqlite.threads import Reader, Writer


class Batch(Struct):
    """The frames of one write, and the place of the first among all of all generations."""

    place: int
    frames: bytes


class SqliteGenerations:
    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def create(self, saved: Saved) -> Future[bool]:
        row = msgspec.structs.asdict(saved)
        return self._writer.do(lambda database: database.execute(QUERIES["create_generation"], row).rowcount == 1)

    def begin(self, id: str) -> Future[None]:
        def begin(database: sqlite3.Connection) -> None:
            database.execute(QUERIES["begin_generation"], {"id": id})

        return self._writer.do(begin)

    def write(self, writes: Sequence[Write]) -> Future[builtins.list[bool]]:
        return self._writer.do(lambda database: [add(database, write) for write in writes])

    def end(self, id: str, record: bytes, ended: float, expires: float, release: bool) -> Future[bool]:
        row = {"id": id, "record": record, "ended": ended, "expires": expires, "release": release}
        return self._writer.do(lambda database: database.execute(QUERIES["end_generation"], row).rowcount == 1)

    def find(self, id: str) -> Future[Saved | None]:
        return self._find("find_generation", {"id": id})

    def find_key(self, owner: str, key: str) -> Future[Saved | None]:
        return self._find("find_generation_key", {"owner": owner, "key": key})

    def read(self, id: str, after: int, limit: int) -> Future[builtins.list[bytes]]:
        def read(database: sqlite3.Connection) -> builtins.list[bytes]:
            end = database.execute(QUERIES["find_end"], {"id": id}).fetchone()
            return read_frames(database, end["number"], after, limit) if end is not None and after < end["frames"] else []

        return self._reader.do(read)

    def list(self, owner: str | None, limit: int, before: str | None, background: bool | None) -> Future[builtins.list[Saved]]:
        def list(database: sqlite3.Connection) -> builtins.list[Saved]:
            row = {"owner": owner, "limit": limit, "background": background, "created": math.inf, "id": ""}
            if before is not None:
                first = database.execute(QUERIES["find_order"], {"id": before}).fetchone()
                if first is None:
                    return []
                row.update(created=first["created"], id=first["id"])
            query = QUERIES["list_generations" if owner is None else "list_generations_of"]
            return [saved_of(found) for found in database.execute(query, row)]

        return self._reader.do(list)

    def unfinished(self) -> Future[builtins.list[Saved]]:
        return self._reader.do(lambda database: [saved_of(row) for row in database.execute(QUERIES["unfinished_generations"])])

    def was_here(self, id: str) -> Future[str | None]:
        def was_here(database: sqlite3.Connection) -> str | None:
            row = database.execute(QUERIES["find_gone"], {"id": id}).fetchone()
            return None if row is None else str(row["owner"])

        return self._reader.do(was_here)

    def forget(self, now: float, most: int) -> Future[int]:
        return self._writer.do_in_steps(lambda database: forget_some(database, now, most))

    def delete(self, id: str) -> Future[None]:
        def delete(database: sqlite3.Connection) -> None:
            end = database.execute(QUERIES["find_end"], {"id": id}).fetchone()
            if end is not None:
                forget_one(database, end["number"])

        return self._writer.do(delete)

    def _find(self, query: str, which: dict[str, str]) -> Future[Saved | None]:
        def find(database: sqlite3.Connection) -> Saved | None:
            row = database.execute(QUERIES[query], which).fetchone()
            return None if row is None else saved_of(row)

        return self._reader.do(find)


def add(database: sqlite3.Connection, write: Write) -> bool:
    """Whether the frames are there now."""
    if append(database, write):
        return True
    end = database.execute(QUERIES["find_end"], {"id": write.id}).fetchone()
    if end is None or write.place > end["frames"]:
        return False
    return append(database, replace(write, place=end["frames"], frames=write.frames[end["frames"] - write.place :]))


def append(database: sqlite3.Connection, write: Write) -> bool:
    """Add frames where the others end; False, and nothing is done, if that is not at their place."""
    frames = write.frames
    moved = {"id": write.id, "place": write.place, "count": len(frames), "size": sum(map(len, frames)), "reading": write.reading}
    generation = database.execute(QUERIES["move_end"], moved).fetchone()
    if generation is not None and frames:
        row = {"place": place_of(generation["number"], write.place), "frames": msgspec.msgpack.encode(frames)}
        database.execute(QUERIES["add_frames"], row)
    return generation is not None


def read_frames(database: sqlite3.Connection, number: int, after: int, limit: int) -> list[bytes]:
    """The frames of the generation of that number, as `Generations.read` says. No more rows are read than have them."""
    first = place_of(number, 0)
    row = {"first": first, "after": first + after, "last": first + SPAN - 1}
    frames: list[bytes] = []
    size = 0
    for found in database.execute(QUERIES["read_frames"], row):
        batch = msgspec.convert(dict(found), Batch)
        for frame in msgspec.msgpack.decode(batch.frames, type=list[bytes])[max(0, first + after - batch.place) :]:
            frames.append(frame)
            size += len(frame)
            if size >= limit:
                return frames
    return frames


def saved_of(row: sqlite3.Row) -> Saved:
    return msgspec.convert(dict(row), Saved, strict=False)  # SQLite's booleans are numbers
