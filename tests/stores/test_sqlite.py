"""The store in a file: what survives, who may have it open, and what is said when it can't be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from telex.core.keys import Key
from telex.stores.minting import digest
from telex.stores.ports import StoreError
from telex.stores.sqlite import SqliteStore
from telex.stores.sqlite.database import migrations, statements

PATIENT = 30.0


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def key(name: str) -> Key:
    return Key(f"key_{name}", name)


def create(store: SqliteStore, name: str) -> bool:
    return store.keys.create(key(name), digest(name)).result(PATIENT)


def names(store: SqliteStore) -> list[str]:
    return [key.name for key in store.keys.list().result(PATIENT)]


# ---- what survives


def test_what_was_written_is_there_the_next_time(path: Path) -> None:
    for number in range(3):
        store = SqliteStore(path)
        assert names(store) == [str(earlier) for earlier in range(number)]
        create(store, str(number))
        store.close()
    assert [file.name for file in path.parent.iterdir()] == ["telex.db"]


def test_closing_does_what_was_asked_before(path: Path) -> None:
    store = SqliteStore(path)
    asked = [store.keys.create(key(str(number)), digest(str(number))) for number in range(100)]
    store.close()
    assert all(future.result(0) for future in asked)
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        create(store, "late")
    with pytest.raises(StoreError, match="is closed"):
        names(store)


ENDLESS = """
import itertools, sys
from pathlib import Path
from telex.core.keys import Key
from telex.stores.minting import digest
from telex.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for number in itertools.count():
    assert store.keys.create(Key(f"key_{number}", str(number)), digest(str(number))).result()
    print(number, flush=True)
"""


def test_what_was_said_to_be_written_outlives_kill_9(path: Path, store: SqliteStore) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True, env=environ)
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip() for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().split()
    writer.wait(PATIENT)
    writer.stdout.close()
    assert set(said) <= set(names(store))
    assert create(store, "after")


# ---- one writer, many writes


def test_what_waits_to_be_written_shares_one_commit_and_the_disk_is_waited_for(store: SqliteStore) -> None:
    said: list[str] = []
    go = threading.Event()

    def hold(database: sqlite3.Connection) -> tuple[str, int]:
        assert go.wait(PATIENT)
        database.set_trace_callback(said.append)
        return database.execute("PRAGMA journal_mode").fetchone()[0], database.execute("PRAGMA synchronous").fetchone()[0]

    held = store._writer.do(hold)
    asked = [store.keys.create(key(str(number)), digest(str(number))) for number in range(100)]
    go.set()
    assert all(future.result(PATIENT) for future in asked)
    assert held.result(0) == ("wal", 2)  # 2 is FULL
    assert 1 <= said.count("COMMIT") <= 2  # of the one that held the others up, if it was alone, and of all of them
    assert len(names(store)) == 100


def test_a_write_that_fails_fails_alone(store: SqliteStore) -> None:
    go = threading.Event()
    held = store._writer.do(lambda database: go.wait(PATIENT))

    def half(database: sqlite3.Connection) -> None:
        database.execute("UPDATE keys SET admin = 1")
        database.execute("INSERT INTO keys (id) VALUES ('x')")

    def wrong(database: sqlite3.Connection) -> None:
        raise ValueError("of its own")

    before = store.keys.create(key("before"), digest("before"))
    failing, mistaken = store._writer.do(half), store._writer.do(wrong)
    after = store.keys.create(key("after"), digest("after"))
    go.set()
    assert (held.result(PATIENT), before.result(PATIENT), after.result(PATIENT)) == (True, True, True)
    with pytest.raises(StoreError, match="NOT NULL"):
        failing.result(PATIENT)
    with pytest.raises(ValueError, match="of its own"):
        mistaken.result(PATIENT)
    assert store.keys.find(digest("before")).result(PATIENT) == key("before")  # what the failing one had changed is undone


def test_nobody_waits_for_a_write_that_was_given_up(store: SqliteStore) -> None:
    go = threading.Event()
    held = store._writer.do(lambda database: go.wait(PATIENT))
    given_up = store.keys.create(key("given up"), digest("given up"))
    assert given_up.cancel()
    go.set()
    assert held.result(PATIENT)
    create(store, "next")
    assert names(store) == ["next"]


def test_a_read_does_not_wait_for_a_write(store: SqliteStore) -> None:
    create(store, "a")
    go = threading.Event()
    held = store._writer.do(lambda database: go.wait(PATIENT))
    assert names(store) == ["a"]
    assert not held.done()
    go.set()
    assert held.result(PATIENT)


def test_a_full_disk_fails_what_does_not_fit(store: SqliteStore) -> None:
    """SQLite then gives up the whole transaction; what fits is written all the same."""
    create(store, "small")
    size = store._writer.do(lambda database: int(database.execute("PRAGMA page_count").fetchone()[0])).result(PATIENT)
    store._writer.do(lambda database: database.execute(f"PRAGMA max_page_count = {size}").fetchall()).result(PATIENT)
    go = threading.Event()
    held = store._writer.do(lambda database: go.wait(PATIENT))
    fits = [store.keys.create(key(name), digest(name)) for name in "ab"]
    big = store.keys.create(key("x" * 100_000), digest("big"))
    fits.append(store.keys.create(key("c"), digest("c")))
    go.set()
    with pytest.raises(StoreError, match="can't grow: the disk is full"):
        big.result(PATIENT)
    assert held.result(PATIENT)
    assert all(future.result(PATIENT) for future in fits)
    assert sorted(names(store)) == ["a", "b", "c", "small"]


# ---- who has it open


def test_two_have_it_open_and_see_what_the_other_wrote(path: Path, store: SqliteStore) -> None:
    other = SqliteStore(path)
    create(store, "ours")
    create(other, "theirs")
    assert not create(other, "ours")
    assert names(store) == names(other)
    assert sorted(names(store)) == ["ours", "theirs"]
    other.close()
    assert create(store, "later")


def test_many_that_make_it_at_once_make_one(tmp_path: Path) -> None:
    for number in range(10):
        path, together = tmp_path / f"{number}.db", threading.Barrier(6)

        def make(name: str, path: Path = path, together: threading.Barrier = together) -> bool:
            together.wait(PATIENT)
            store = SqliteStore(path)
            made = create(store, name)
            store.close()
            return made

        with ThreadPoolExecutor(6) as threads:
            assert all(threads.map(make, "abcdef"))
        store = SqliteStore(path)
        assert sorted(names(store)) == list("abcdef")
        store.close()


def test_who_writes_too_long_is_waited_for_no_longer_than_was_said(path: Path, store: SqliteStore) -> None:
    store._writer.do(lambda database: database.execute("PRAGMA busy_timeout = 50").fetchall()).result(PATIENT)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another process"):
        create(store, "a")
    assert names(store) == []
    other.execute("ROLLBACK")
    other.close()
    assert create(store, "a")


def test_it_is_for_its_owner_only(path: Path, store: SqliteStore) -> None:
    create(store, "a")
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


# ---- what can't be used


@pytest.mark.parametrize("damage", ["nonsense", "cut", "scrambled"])
def test_a_damaged_file_is_said(damage: str, path: Path) -> None:
    store = SqliteStore(path)
    for number in range(50):
        create(store, str(number))
    store.close()
    whole = path.read_bytes()
    damaged = {
        "nonsense": b"This is no database. " * 500,
        "cut": whole[: len(whole) // 2],
        "scrambled": whole[:100] + os.urandom(len(whole) - 100),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(StoreError, match=rf"^The store {path} (is damaged: restore|is no database of SQLite: name another).*\.$"):  # noqa: PT012
        store = SqliteStore(path)
        try:
            names(store)
        finally:
            store.close()


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 1000")
    newer.close()
    with pytest.raises(StoreError, match="newer version of Telex"):
        SqliteStore(path)


@pytest.mark.parametrize("place", ["nowhere/telex.db", ""])
def test_a_place_where_there_can_be_none_is_said(place: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be opened"):
        SqliteStore(tmp_path / place)


# ---- migrations


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(script.name.partition("_")[0]) for script in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_script_is_cut_into_its_statements() -> None:
    script = "-- a; b\nCREATE TABLE t (\n  a TEXT DEFAULT ';' -- c;\n);\n\nSELECT 1;\n"
    assert [statement.strip().splitlines()[-1] for statement in statements(script)] == [");", "SELECT 1;"]
