"""Generations in a file: who shares a commit, what is said when it can't be written, and that it does not grow without bound."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from telex.stores.ports import Saved, Store, StoreError
from telex.stores.sqlite import SqliteStore
from telex.stores.sqlite.database import JOURNAL_BYTES, QUERIES

from .saving import PATIENT, create, end, find, now, read, response, write, writing


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def rows(store: SqliteStore, table: str) -> int:
    return now(store._reader.do(lambda database: int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])))


class Held:
    """The writer waits, and what is asked for gathers, until `go`."""

    def __init__(self, store: SqliteStore) -> None:
        self.said: list[str] = []
        self._go = threading.Event()
        self._future = store._writer.do(self._hold)

    def _hold(self, database: sqlite3.Connection) -> None:
        assert self._go.wait(PATIENT)
        database.set_trace_callback(self.said.append)

    def go(self) -> None:
        self._go.set()
        now(self._future)


# ---- commits


def test_what_many_write_shares_a_commit(store: SqliteStore) -> None:
    held = Held(store)
    asked = [store.generations.create(Saved(str(number), "", 1.0, b"")) for number in range(100)]
    writes = [writing(store.generations, str(number), 0, [b"frame"], b"") for number in range(100)]
    held.go()
    assert all(now(future) for future in asked)
    assert [now(write) for write in writes] == [[True]] * 100
    assert 1 <= held.said.count("COMMIT") <= 2  # of the one that held the others up, if it was alone, and of all of them


def test_one_that_was_given_up_before_it_began_is_not_created(store: SqliteStore) -> None:
    held = Held(store)
    given_up = store.generations.create(Saved("given up", "", 1.0, b""))
    kept = store.generations.create(Saved("kept", "", 1.0, b""))
    assert given_up.cancel()
    held.go()
    assert now(kept)
    assert find(store, "given up") is None


def test_other_writes_come_between_the_steps_of_forgetting(store: SqliteStore) -> None:
    for number in range(250):
        created = store.generations.create(Saved(str(number), "", 1.0, b"", ended=2.0, expires=3.0))
    now(created)
    held = Held(store)
    order: list[str] = []
    forgetting = store.generations.forget(10.0, 0)
    forgetting.add_done_callback(lambda _: order.append("forgotten"))
    store.generations.create(Saved("new", "", 1.0, b"")).add_done_callback(lambda _: order.append("created"))
    assert not forgetting.cancel()
    held.go()
    assert now(forgetting) == 250
    assert order == ["created", "forgotten"]


def test_closing_ends_forgetting_and_the_next_time_goes_on_with_it(path: Path) -> None:
    store = SqliteStore(path)
    for number in range(250):
        store.generations.create(Saved(str(number), "", 1.0, b"", ended=2.0, expires=3.0))
        writing(store.generations, str(number), 0, [b"frame"], b"")
    held = Held(store)
    forgetting = store.generations.forget(10.0, 0)
    closing = threading.Thread(target=store.close)
    closing.start()
    held.go()
    closing.join(PATIENT)
    with pytest.raises(StoreError, match="is closed"):
        now(forgetting)
    store = SqliteStore(path)
    assert 0 < now(store.generations.forget(10.0, 0)) <= 250
    assert [rows(store, table) for table in ("generations", "frames", "litter", "gone")] == [0, 0, 0, 250]
    store.close()


def test_what_is_forgotten_leaves_nothing_behind(store: SqliteStore) -> None:
    for id in "ab":
        create(store, id)
        for place in range(30):
            writing(store.generations, id, place, [b"x" * 100_000], b"")
        end(store, id, expires=3.0 if id == "a" else 1000.0)
    now(store.responses.save(response("r", items=("i", "j"), expires=3.0)))
    assert now(store.generations.forget(10.0, 1 << 40)) == 1
    tables = ("generations", "frames", "litter", "responses", "items")
    assert [rows(store, table) for table in tables] == [1, 30, 0, 0, 0]
    now(store.generations.delete("b"))
    assert now(store.generations.forget(10.0, 1 << 40)) == 0  # what it said is deleted with the next that are forgotten
    assert [rows(store, table) for table in tables] == [0, 0, 0, 0, 0]
    assert now(store._reader.do(lambda database: database.execute(QUERIES["total_size"]).fetchone()["size"])) == 0


def test_the_journal_is_bounded_while_others_read(path: Path, store: SqliteStore) -> None:
    """Eighty megabytes pass through it."""
    create(store, "a")
    biggest = 0
    for place in range(0, 2000, 100):
        asked: list[Future[Any]] = [writing(store.generations, "a", place + more, [b"x" * 40_000], b"") for more in range(100)]
        asked += [store.generations.read("a", place, 1 << 20) for _ in range(5)]
        for future in asked:
            now(future)
        biggest = max(biggest, path.with_name("telex.db-wal").stat().st_size)
    assert biggest < 3 * JOURNAL_BYTES


def test_nothing_is_looked_up_row_by_row(store: SqliteStore) -> None:
    class Anything(dict[str, Any]):
        def __missing__(self, name: str) -> None:
            return None

    def plans(database: sqlite3.Connection) -> dict[str, str]:
        return {
            name: "; ".join(row["detail"] for row in database.execute("EXPLAIN QUERY PLAN " + query, Anything()))
            for name, query in QUERIES.items()
        }

    scanned = {name: plan for name, plan in now(store._reader.do(plans)).items() if "SCAN" in plan or "TEMP B-TREE" in plan}
    few = {"list_keys", "revoke_key", "load_counts", "forget_counts", "find_response_item"}
    one = {"total_size", "litter"}
    in_order = {"list_generations", "unfinished_generations", "oldest"}
    assert scanned.keys() <= few | one | in_order, scanned


# ---- a full disk


def fill(store: SqliteStore) -> None:
    """Not another page may come."""

    def fill(database: sqlite3.Connection) -> None:
        size = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {size}")

    now(store._writer.do(fill))


def empty(store: SqliteStore) -> None:
    now(store._writer.do(lambda database: database.execute("PRAGMA max_page_count = 1000000").fetchall()))


def test_row50_a_full_disk_accepts_nothing_and_loses_nothing(store: SqliteStore) -> None:
    create(store, "a")
    write(store, "a", 0, b"0")
    fill(store)
    big = b"x" * 200_000
    failing: list[Future[Any]] = [
        store.generations.create(Saved("b", "ann", 1.0, b"", request=big, key="k")),
        writing(store.generations, "a", 1, [big], b""),
        store.generations.end("a", big, 2.0, 3.0, release=True),
        store.responses.save(response("r", body=big)),
    ]
    for future in failing:
        with pytest.raises(StoreError, match="can't grow: the disk is full"):
            now(future)
    assert not write(store, "a", 2, b"2"), "what comes behind one that was not written is not, either"
    assert (find(store, "b"), read(store, "a")) == (None, [b"0"])
    assert [saved.id for saved in now(store.generations.unfinished())] == ["a"]
    empty(store)
    write(store, "a", 1, big, b"2")
    assert read(store, "a") == [b"0", big, b"2"]
    assert create(store, "b", "ann", key="k", request=big)
    assert end(store, "a", record=big)


def test_row50_forgetting_makes_a_full_disk_usable(store: SqliteStore) -> None:
    for number in range(20):
        create(store, str(number))
        write(store, str(number), 0, b"x" * 20_000)
        end(store, str(number), ended=float(number))
    fill(store)
    with pytest.raises(StoreError, match="the disk is full"):
        create(store, "new", request=b"x" * 100_000)
    assert now(store.generations.forget(50.0, 200_000)) > 0
    assert create(store, "new", request=b"x" * 100_000)


# ---- a file that another has, or that is damaged


def test_row51_a_store_that_another_writes_is_said_and_read_all_the_same(path: Path, store: SqliteStore) -> None:
    create(store, "a")
    write(store, "a", 0, b"0")
    now(store._writer.do(lambda database: database.execute("PRAGMA busy_timeout = 20").fetchall()))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    generations = store.generations
    asked: list[Future[Any]] = [
        generations.create(Saved("b", "", 1.0, b"")),
        generations.begin("a"),
        writing(generations, "a", 1, [b"1"], b""),
        generations.end("a", b"", 2.0, 3.0, release=False),
        generations.forget(1e9, 0),
        generations.delete("a"),
        store.responses.save(response("r")),
        store.responses.delete("", "r"),
    ]
    for future in asked:
        with pytest.raises(StoreError, match="was being written by another process"):
            now(future)
    assert read(store, "a") == [b"0"]
    other.execute("ROLLBACK")
    other.close()
    write(store, "a", 1, b"1")
    assert read(store, "a") == [b"0", b"1"]


def use(store: Store) -> None:
    """Ask for everything; each answers, or says what is wrong."""
    generations, responses = store.generations, store.responses
    asked: list[Future[Any]] = [
        generations.unfinished(),
        generations.list(None, 1000, None, None),
        generations.list("ann", 9, "gen_3", True),
    ]
    for number in range(40):
        id = f"gen_{number}"
        asked += [
            generations.find(id),
            generations.find_key("ann", str(number)),
            generations.read(id, 3, 1 << 20),
            generations.was_here(id),
        ]
        asked += [responses.find("ann", id), responses.find_item("ann", f"item_{number}")]
        asked += [writing(generations, id, 10, [b"more"], b""), generations.end(id, b"", 2.0, 3.0, release=True)]
        asked += [responses.save(response(id, "ann", items=("i",))), generations.create(Saved(f"new_{number}", "ann", 1.0, b""))]
    asked.append(generations.forget(1e9, 0))
    for future in asked:
        try:
            now(future)
        except StoreError as error:
            assert str(error).startswith("The store ")  # noqa: PT017


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 8, 13, 66, 67, 89, 113])
def test_row52_damage_is_said_and_never_anything_else(seed: int, path: Path) -> None:
    store = SqliteStore(path)
    for number in range(40):
        create(store, f"gen_{number}", "ann", float(number), key=str(number), request=b"x" * 3000)
        write(store, f"gen_{number}", 0, *[b"frame" * 100] * 10)
        now(store.responses.save(response(f"gen_{number}", "ann", items=(f"item_{number}",), body=b"x" * 1000)))
    store.close()
    whole = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(1 + seed * 3):
        size = draw.choice([1, 30, 4096])
        start = draw.randrange(4096, len(whole) - size)
        whole[start : start + size] = draw.randbytes(size)
    path.write_bytes(whole)
    try:
        store = SqliteStore(path)
    except StoreError:
        return
    use(store)
    store.close()


def test_row52_frames_that_can_not_be_decoded_are_damage(store: SqliteStore) -> None:
    create(store, "a")
    write(store, "a", 0, b"0")
    now(store._writer.do(lambda database: database.execute("UPDATE frames SET frames = x'93'").rowcount))
    with pytest.raises(StoreError, match="is damaged: restore it from a copy"):
        read(store, "a")
