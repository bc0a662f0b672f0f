"""Where a store may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from telex.stores.location import BadLocation, parse_store
from telex.stores.memory import MemoryStore
from telex.stores.opening import open_store
from telex.stores.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///telex.db", "telex.db"),
        ("sqlite:///data/telex.db", "data/telex.db"),
        ("sqlite:////var/lib/telex.db", "/var/lib/telex.db"),
        ("sqlite:///my data.db", "my data.db"),
    ],
)
def test_a_file(url: str, path: str) -> None:
    assert parse_store(url) == Path(path)


def test_without_a_file(tmp_path: Path) -> None:
    assert parse_store("memory:") is None
    assert isinstance(open_store("memory:"), MemoryStore)
    store = open_store(f"sqlite:///{tmp_path}/telex.db")
    assert isinstance(store, SqliteStore)
    store.close()


@pytest.mark.parametrize(
    "url",
    ["", "telex.db", "sqlite://telex.db", "sqlite:///", "sqlite:///a/", "sqlite:///:memory:", "sqlite:///a?mode=ro", "memory", "memory:a"],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(BadLocation, match=r"names no file as in 'sqlite:///telex\.db'.*; without a file: 'memory:'$"):
        parse_store(url)


@pytest.mark.parametrize("url", ["postgresql://localhost/telex", "postgres://localhost"])
def test_postgresql_comes_later(url: str) -> None:
    with pytest.raises(BadLocation, match="later version"):
        parse_store(url)
