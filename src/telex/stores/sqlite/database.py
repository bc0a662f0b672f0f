"""A connection to the file, its tables as this version knows them, its queries by name, and what its errors mean."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from telex.stores.ports import StoreError

BUSY_SECONDS = 5.0
"""Seconds for which a writer waits for another process that writes."""

JOURNAL_BYTES = 16 << 20
"""Bytes to which the journal is cut once all of it is in the database."""

MEANINGS = {
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a copy, or move it away and begin with an empty one",
    sqlite3.SQLITE_NOTADB: "is no database of SQLite: name another file, or move it away",
    sqlite3.SQLITE_BUSY: f"was being written by another process for longer than {BUSY_SECONDS:g} s: try again",
    sqlite3.SQLITE_FULL: "can't grow: the disk is full",
    sqlite3.SQLITE_READONLY: "may not be written: change its permissions and those of its folder",
    sqlite3.SQLITE_CANTOPEN: "can't be opened: its folder must be there, and both be yours to write",
    sqlite3.SQLITE_IOERR: "can't be read or written: look after the disk",
}
"""What SQLite's error codes say, behind the name of the file."""

WRONG = (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError)
"""What comes of a file that can't be used. SQLite does not see all damage: what can't be decoded is damaged, too."""

HOME = files("telex.stores.sqlite")


def connect(path: Path) -> sqlite3.Connection:
    """A connection, for one thread at a time. Raises `StoreError`."""
    with explained(path):
        make_private(path)
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            database.row_factory = sqlite3.Row
            keep_journal(database)
            database.execute("PRAGMA synchronous = FULL")  # what was said to be written survives a power cut
            database.execute("PRAGMA foreign_keys = ON")
            database.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        except BaseException:
            database.close()
            raise
        return database


def keep_journal(database: sqlite3.Connection) -> None:
    """Let readers go on while somebody writes. Of several that switch this on in a new file SQLite makes only some wait."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def make_private(path: Path) -> None:
    """A file that is not there yet will be for its owner's eyes only. One that is there is not opened: closing it would take the locks
    that other connections of this process have on it."""
    try:
        path.touch(0o600, exist_ok=False)
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(f"The store {path} can't be opened: {error.strerror}.") from None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What goes wrong with the file as `StoreError`."""
    try:
        yield
    except WRONG as error:
        raise explain(error, path) from None


def explain(error: Exception, path: Path) -> StoreError:
    return StoreError(f"The store {path} {MEANINGS.get(code_of(error), f'does not work: {error}')}.")


def code_of(error: Exception) -> int:
    """SQLite's code without the upper bits, which say more than is needed here; 0 where it gave none."""
    if not isinstance(error, sqlite3.Error):
        return sqlite3.SQLITE_CORRUPT
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def migrate(database: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to what this version knows; of two processes that try, one does it. Raises `StoreError`."""
    known = migrations()
    with explained(path):
        database.execute("BEGIN IMMEDIATE")
        try:
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            if version > len(known):
                raise StoreError(f"The store {path} was written by a newer version of Telex: run that one, or name another file.")
            for script in known[version:]:
                for statement in statements(script.read_text()):
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {len(known)}")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def migrations() -> list[Traversable]:
    """In order; the number of one is its place, from 1."""
    return sorted(HOME.joinpath("migrations").iterdir(), key=lambda script: script.name)


def statements(script: str) -> Iterator[str]:
    """The statements of a script, each of which ends at the end of a line."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def read_queries(name: str) -> dict[str, str]:
    """The queries of a file, each below a line `-- name: …`."""
    _, *parts = re.split(r"^-- name: (\w+)\n", HOME.joinpath(name).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


QUERIES = {name: query for file in ("queries.sql", "generations.sql", "forgetting.sql") for name, query in read_queries(file).items()}
