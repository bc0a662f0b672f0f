"""A store in one file of SQLite, which several processes may have open at the same time."""

from __future__ import annotations

from pathlib import Path

from telex.stores.sqlite.claim import Claim
from telex.stores.sqlite.counters import SqliteCounters
from telex.stores.sqlite.database import connect, migrate
from telex.stores.sqlite.generations import SqliteGenerations
from telex.stores.sqlite.keys import SqliteKeys
from telex.stores.sqlite.responses import SqliteResponses
from telex.stores.sqlite.threads import Reader, Writer


class SqliteStore:
    """Writes go through one thread, reads through another, so that neither waits for the other."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` if there can be no store in that file."""
        self._path = path = path.absolute()
        self._claim: Claim | None = None
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
        self.generations = SqliteGenerations(self._reader, self._writer)
        self.responses = SqliteResponses(self._reader, self._writer)

    def claim(self) -> None:
        if self._claim is None:
            self._claim = Claim(self._path)

    def close(self) -> None:
        """Do what was asked before, then nothing more."""
        self._writer.close()
        self._reader.close()
        if self._claim is not None:
            self._claim.release()
            self._claim = None
