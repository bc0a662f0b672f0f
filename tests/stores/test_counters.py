"""What was used of limits, in every store."""

from __future__ import annotations

from pathlib import Path

from telex.limits.table import Count
from telex.stores.ports import Store
from telex.stores.sqlite import SqliteStore

OLD, FIRST, SECOND = Count("key", "a", "rpm", 3, 10.0), Count("model", "m", "tpm", 700, 20.5), Count("key", "a", "rpm", 1, 21.0)


def test_what_was_saved_is_loaded_in_the_order_of_its_times(store: Store) -> None:
    assert store.counters.load(0.0).result() == []
    store.counters.save([SECOND, OLD, FIRST]).result()
    assert store.counters.load(10.0).result() == [FIRST, SECOND]


def test_the_last_saving_is_all_there_is(store: Store) -> None:
    store.counters.save([OLD, FIRST]).result()
    store.counters.save([SECOND]).result()
    assert store.counters.load(0.0).result() == [SECOND]


def test_it_is_there_for_the_next_process(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "telex.db")
    store.counters.save([FIRST])
    store.close()
    again = SqliteStore(tmp_path / "telex.db")
    try:
        assert again.counters.load(0.0).result() == [FIRST]
    finally:
        again.close()
