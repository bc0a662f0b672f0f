"""Every store there is, for the tests that all must pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from telex.stores.memory import MemoryStore
from telex.stores.ports import Store
from telex.stores.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store's file may be."""
    return tmp_path / "telex.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(path)
    yield store
    store.close()
