"""Keys as rows."""

from __future__ import annotations

import builtins
import hmac
import sqlite3
from concurrent.futures import Future

import msgspec

from telex.core.keys import Key
from telex.stores.sqlite.database import QUERIES
from telex.stores.sqlite.threads import Reader, Writer


class SqliteKeys:
    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def create(self, key: Key, digest: bytes) -> Future[bool]:
        models = None if key.models is None else msgspec.json.encode(key.models).decode()
        row = {**msgspec.structs.asdict(key), "models": models, "digest": digest}
        return self._writer.do(lambda database: database.execute(QUERIES["create_key"], row).rowcount == 1)

    def find(self, digest: bytes) -> Future[Key | None]:
        def find(database: sqlite3.Connection) -> Key | None:
            row = database.execute(QUERIES["find_key"], {"digest": digest}).fetchone()
            return key_of(row) if row is not None and hmac.compare_digest(row["digest"], digest) else None

        return self._reader.do(find)

    def list(self) -> Future[builtins.list[Key]]:
        return self._reader.do(lambda database: [key_of(row) for row in database.execute(QUERIES["list_keys"])])

    def revoke(self, which: str, now: float) -> Future[Key | None]:
        def revoke(database: sqlite3.Connection) -> Key | None:
            rows = database.execute(QUERIES["revoke_key"], {"which": which, "now": now}).fetchall()
            return key_of(rows[0]) if rows else None

        return self._writer.do(revoke)


def key_of(row: sqlite3.Row) -> Key:
    fields = {name: row[name] for name in Key.__struct_fields__}
    models = None if fields["models"] is None else msgspec.json.decode(fields["models"], type=tuple[str, ...])
    return Key(**{**fields, "models": models, "admin": bool(fields["admin"])})
