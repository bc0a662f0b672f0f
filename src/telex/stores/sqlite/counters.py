"""What was used of limits, as rows."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future

import msgspec

from telex.limits.table import Count
from telex.stores.sqlite.database import QUERIES
from telex.stores.sqlite.threads import Reader, Writer


class SqliteCounters:
    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def save(self, counts: list[Count]) -> Future[None]:
        rows = [msgspec.structs.asdict(count) for count in counts]

        def save(database: sqlite3.Connection) -> None:
            database.execute(QUERIES["forget_counts"])
            database.executemany(QUERIES["save_count"], rows)

        return self._writer.do(save)

    def load(self, since: float) -> Future[list[Count]]:
        def load(database: sqlite3.Connection) -> list[Count]:
            return [Count(**row) for row in database.execute(QUERIES["load_counts"], {"since": since})]

        return self._reader.do(load)
