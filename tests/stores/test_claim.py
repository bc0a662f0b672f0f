"""One process writes generations to a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telex.core.keys import Key
from telex.stores.memory import MemoryStore
from telex.stores.ports import StoreError
from telex.stores.sqlite import SqliteStore

from .saving import PATIENT, now, read, writing

CLAIMING = """
import itertools, sys
from pathlib import Path
from telex.stores.ports import Saved, Write
from telex.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
store.claim()
assert store.generations.create(Saved("gen", "", 1.0, b"")).result()
print("claimed", flush=True)
for number in itertools.count():
    writes = [store.generations.write([Write("gen", number * 3 + more, [f"frame {number * 3 + more}".encode()])]) for more in range(3)]
    for write in writes:
        write.result()
    print(number * 3 + 3, flush=True)
"""


@contextmanager
def another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the claim, and writes."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", CLAIMING, str(path)], stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENT)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def test_while_another_process_has_it_nobody_else_gets_it(path: Path, store: SqliteStore) -> None:
    with another(path):
        with pytest.raises(
            StoreError, match=rf"^The store {path} is in use by another Telex: end that one, or name another file .*later\.$"
        ):
            store.claim()
        assert now(store.keys.create(Key("key_1", "web"), b"digest"))  # which needs no claim


def test_kill_9_loses_nothing_that_was_written_and_frees_the_claim(path: Path, store: SqliteStore) -> None:
    with another(path) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
        process.wait(PATIENT)
    store.claim()
    frames = read(store, "gen")
    assert len(frames) >= int([line for line in said if line.endswith("\n")][-1])
    assert frames == [f"frame {number}".encode() for number in range(len(frames))]
    assert [saved.id for saved in now(store.generations.unfinished())] == ["gen"]
    now(writing(store.generations, "gen", len(frames), [b"more"], b""))


def test_it_is_free_once_the_store_is_closed(path: Path, store: SqliteStore) -> None:
    other = SqliteStore(path)
    other.claim()
    other.claim()
    with pytest.raises(StoreError, match="in use by another Telex"):
        store.claim()
    other.close()
    other.close()
    store.claim()
    store.close()
    assert path.with_name("telex.db-lock").exists()  # or else two could lock two files of that name


def test_by_whatever_name_the_file_is_called(path: Path, store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "other.db").symlink_to(path)
    store.claim()
    other = SqliteStore(tmp_path / "other.db")
    with pytest.raises(StoreError, match="in use by another Telex"):
        other.claim()
    other.close()


def test_a_lock_that_can_not_be_made_is_said(path: Path, store: SqliteStore) -> None:
    path.with_name("telex.db-lock").mkdir()
    with pytest.raises(StoreError, match=rf"^The lock of the store, {path}-lock, can't be opened: Is a directory\.$"):
        store.claim()


def test_memory_is_nobody_elses() -> None:
    MemoryStore().claim()
    MemoryStore().claim()
