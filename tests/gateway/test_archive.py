"""What is kept of generations, for how long, and what is remembered of those that are gone."""

from __future__ import annotations

from typing import Any

import pytest

from telex.config import Retention
from telex.core.messages import Request
from telex.gateway import archive
from telex.gateway.archive import FORGOTTEN, Archive, Entry
from telex.generation.log import LOG_COST, KeptLog, Log, Room


class Generation:
    """As much of one as the archive looks at."""

    def __init__(self, id: str, log: Log, owner: str) -> None:
        self.id = id
        self.log = log
        self.owner = owner
        self.request = Request(model="m", messages=())
        self.slim = False

    def let_go(self) -> None:
        self.slim = True


class Store:
    """An archive, its clock and its room, which has place for three logs."""

    def __init__(self, seconds: int = 60) -> None:
        self.now = 0.0
        self.room = Room(3 * LOG_COST)
        self.archive = Archive(Retention(resumable=f"{seconds}s"), self.room, lambda: self.now)

    def add(self, id: str, kept: bool = True, owner: str = "") -> Any:
        generation: Any = Generation(id, KeptLog(self.room) if kept else Log(), owner)
        self.archive.add(generation)
        return generation

    def end(self, generation: Any) -> None:
        self.archive.end(generation, {"id": generation.id})

    def states(self, ids: str) -> list[str]:
        """Of each id: whether it is here, gone, or unknown."""
        found = [self.archive.find(id, "") for id in ids]
        return ["here" if isinstance(entry, Entry) else "gone" if entry else "unknown" for entry in found]


def test_those_that_run_stay_however_old() -> None:
    store = Store()
    a, b = store.add("a"), store.add("b", kept=False)
    store.now = 1e6
    assert (store.states("abc"), store.archive.running) == (["here", "here", "unknown"], [a, b])


def test_those_that_ended_stay_for_a_while() -> None:
    store = Store()
    a, b, c = store.add("a"), store.add("b"), store.add("c", kept=False)
    store.end(b)
    store.end(c)
    assert (a.slim, b.slim, store.archive.running) == (False, True, [a])
    found = [store.archive.find(id, "") for id in "bc"]
    assert [entry.record for entry in found if isinstance(entry, Entry)] == [{"id": "b"}, {"id": "c"}]
    assert [entry.generation for entry in found if isinstance(entry, Entry)] == [b, None], "of one that is not kept there is the record"
    store.now = 30
    store.end(a)
    store.now = 59.9
    assert store.states("abc") == ["here", "here", "here"]
    store.now = 60
    assert store.states("abc") == ["here", "gone", "gone"]
    assert store.archive.find("b", "") == FORGOTTEN
    assert [entry.id for entry in store.archive.newest(9, "")] == ["a"]
    store.now = 90
    assert (store.states("abc"), store.room.used) == (["gone", "gone", "gone"], 0)


def test_the_newest_come_first_in_the_order_in_which_they_began() -> None:
    store = Store()
    for generation in [store.add(id) for id in "abc"][::-1]:
        store.end(generation)
    assert [entry.id for entry in store.archive.newest(2, "")] == ["c", "b"]


def test_row65_what_ended_first_makes_room_and_what_runs_or_is_read_does_not() -> None:
    store = Store()
    a, b, c = store.add("a"), store.add("b"), store.add("c")
    store.end(c)
    store.end(b)
    store.add("d")
    assert store.states("abcd") == ["here", "here", "gone", "here"]
    reader = b.log.reader(0)
    store.add("e")
    assert store.states("abde") == ["here", "here", "here", "here"]
    over = store.room.over
    store.now = 1e6
    assert store.states("b") == ["here"], "it is being read"
    reader.leave()
    assert store.states("b") == ["gone"]
    assert (over, store.room.over) == (True, False)
    assert a in store.archive.running


def test_ids_of_those_that_are_gone_are_remembered_but_not_all_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr(archive, "GONE_MOST", 3)
    store = Store(seconds=0)
    for id in "abcde":
        store.end(store.add(id, kept=False))
    assert store.states("abcde") == ["unknown", "unknown", "gone", "gone", "gone"]


def test_for_an_owner_there_are_only_its_own() -> None:
    store = Store()
    store.end(store.add("c", owner="bert"))
    store.now = 60
    store.add("a", owner="anna")
    store.add("b", owner="bert")
    assert [type(store.archive.find("a", owner)) for owner in ("anna", "bert", None)] == [Entry, type(None), Entry]
    assert [store.archive.find("c", owner) for owner in ("anna", "bert", None)] == [None, FORGOTTEN, FORGOTTEN]
    newest = {owner: [entry.id for entry in store.archive.newest(1, owner)] for owner in ("anna", "bert", "", None)}
    assert newest == {"anna": ["a"], "bert": ["b"], "": [], None: ["b"]}


def test_records_alone_are_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RECORDS_MOST", 2)
    store = Store()
    for id in "abc":
        store.end(store.add(id, kept=False))
    assert store.states("abc") == ["gone", "here", "here"]
