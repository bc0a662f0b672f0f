"""Responses as rows."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future

import msgspec

from telex.stores.ports import SavedResponse
from telex.stores.sqlite.database import QUERIES
from telex.stores.sqlite.threads import Reader, Writer


class SqliteResponses:
    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def save(self, response: SavedResponse) -> Future[None]:
        row = {**msgspec.structs.asdict(response), "items": msgspec.json.encode(response.items).decode()}

        def save(database: sqlite3.Connection) -> None:
            database.execute(QUERIES["delete_response"], {"owner": response.owner, "id": response.id})
            number = database.execute(QUERIES["save_response"], row).lastrowid
            items = [{"owner": response.owner, "id": item, "response": number} for item in response.items]
            database.executemany(QUERIES["save_item"], items)

        return self._writer.do(save)

    def find(self, owner: str, id: str) -> Future[SavedResponse | None]:
        return self._find("find_response", {"owner": owner, "id": id})

    def find_item(self, owner: str, item: str) -> Future[SavedResponse | None]:
        return self._find("find_response_item", {"owner": owner, "item": item})

    def delete(self, owner: str, id: str) -> Future[bool]:
        row = {"owner": owner, "id": id}
        return self._writer.do(lambda database: database.execute(QUERIES["delete_response"], row).rowcount == 1)

    def _find(self, query: str, which: dict[str, str]) -> Future[SavedResponse | None]:
        def find(database: sqlite3.Connection) -> SavedResponse | None:
            row = database.execute(QUERIES[query], which).fetchone()
            return None if row is None else response_of(row)

        return self._reader.do(find)


def response_of(row: sqlite3.Row) -> SavedResponse:
    return msgspec.convert({**dict(row), "items": msgspec.json.decode(row["items"])}, SavedResponse, strict=False)
