"""The one place that knows which stores there are."""

from __future__ import annotations

from telex.stores.location import parse_store
from telex.stores.memory import MemoryStore
from telex.stores.ports import Store
from telex.stores.sqlite import SqliteStore


def open_store(url: str) -> Store:
    """The store at `url`, made if there is none yet. Raises `BadLocation`, or `StoreError` if it can't be used."""
    path = parse_store(url)
    return MemoryStore() if path is None else SqliteStore(path)
