"""A store in one file of SQLite, which several processes may have open at the same time."""

from __future__ import annotations

from pathlib import Path

from telex.stores.sqlite.counters import SqliteCounters
from telex.stores.sqlite.database import connect, migrate
from telex.stores.sqlite.keys import SqliteKeys
from telex.stores.sqlite.threads import Reader, Writer


class SqliteStore:
    """Writes go through one thread, reads through another, so that neither waits for the other."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` if there can be no store in that file."""
        path = path.absolute()
        self.place = str(path)
        database = connect(path)
        try:
            migrate(database, path)
            self._reader = Reader(connect(path), path)
        except BaseException:
            database.close()
            raise
        self._writer = Writer(database, path)
        self.keys = SqliteKeys(self._reader, self._writer)
        self.counters = SqliteCounters(self._reader, self._writer)

    def close(self) -> None:
        """Do what was asked before, then nothing more."""
        self._writer.close()
        self._reader.close()
