"""What every store forgets, and when."""

from __future__ import annotations

import pytest

from telex.stores import ports
from telex.stores.ports import Store

from .saving import create, end, find, now, read, response, write, writing

PLENTY = 1 << 40
DAY = 86400.0


def forget(store: Store, at: float, most: int = PLENTY) -> int:
    return now(store.generations.forget(at, most))


def was_here(store: Store, id: str) -> str | None:
    return now(store.generations.was_here(id))


def left(store: Store) -> list[str]:
    return sorted(saved.id for saved in now(store.generations.list(None, 1000, None, None)))


# ---- by time


def test_what_expired_is_forgotten_with_its_frames(store: Store) -> None:
    for id, expires in (("a", 10.0), ("b", 10.5), ("c", 9.0)):
        create(store, id, "ann", key=id)
        write(store, id, 0, b"frame")
        end(store, id, expires=expires)
    create(store, "runs", "ann")
    assert was_here(store, "a") is None
    assert forget(store, 10.0) == 2
    assert left(store) == ["b", "runs"]
    assert (find(store, "a"), read(store, "a"), now(store.generations.find_key("ann", "a"))) == (None, [], None)
    assert read(store, "b") == [b"frame"]
    assert [was_here(store, id) for id in ("a", "c", "b", "runs", "nobody")] == ["ann", "ann", None, None, None]
    assert forget(store, 10.0) == 0


def test_many_are_forgotten_at_once(store: Store) -> None:
    for number in range(350):
        created = store.generations.create(ports.Saved(str(number), "", float(number), b""))
        writing(store.generations, str(number), 0, [b"x" * 5000], b"")
        ended = store.generations.end(str(number), b"", 1.0, 2.0 if number % 7 else 4.0, release=False)
    assert (now(created), now(ended)) == (True, True)
    assert forget(store, 3.0) == 300
    assert forget(store, 5.0) == 50
    assert left(store) == []


def test_responses_expire(store: Store) -> None:
    for id, expires in (("a", 10.0), ("b", 11.0)):
        now(store.responses.save(response(id, items=(f"item_{id}",), expires=expires)))
    assert forget(store, 10.0) == 0
    assert now(store.responses.find("", "a")) is None
    assert now(store.responses.find_item("", "item_a")) is None
    assert now(store.responses.find("", "b")) is not None


# ---- by size


def test_what_ended_first_makes_room(store: Store) -> None:
    for id, ended in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", 4.0)):
        create(store, id)
        write(store, id, 0, b"x" * 600, b"x" * 398)  # and two bytes of a record
        end(store, id, ended)
    assert forget(store, 5.0, 4000) == 0
    assert forget(store, 5.0, 3999) == 1
    assert left(store) == ["a", "c", "d"]
    assert forget(store, 5.0, 1000) == 2
    assert left(store) == ["d"]
    assert [was_here(store, id) for id in "abcd"] == ["", "", "", None]
    assert forget(store, 5.0, 0) == 1


def test_one_that_has_not_ended_is_never_forgotten(store: Store) -> None:
    create(store, "runs")
    write(store, "runs", 0, b"x" * 1000)
    create(store, "waits", request=b"x" * 1000)
    create(store, "ended")
    end(store, "ended", expires=50.0)
    assert forget(store, 1e9, 0) == 1
    assert left(store) == ["runs", "waits"]
    assert read(store, "runs") == [b"x" * 1000]


def test_all_that_is_kept_counts(store: Store) -> None:
    """A request until it begins, a record as it is last, how frames are read, frames that are written once, and responses."""

    def is_size(size: int) -> bool:
        """One more, which would be the first to go, need not while there is a byte for it."""
        create(store, "probe", created=0.0)
        end(store, "probe", ended=0.0, record=b"1")
        return (forget(store, 1.0, size + 1), forget(store, 1.0, size)) == (0, 1)

    assert is_size(0)
    create(store, "a", request=b"r" * 1000)
    assert is_size(1002)
    now(store.generations.begin("a"))
    assert is_size(2)
    now(writing(store.generations, "a", 0, [b"x" * 40, b"x" * 2], b"reading"))
    now(writing(store.generations, "a", 1, [b"x" * 2], b"read"))
    assert is_size(48)
    end(store, "a", record=b"record")
    assert is_size(52)
    now(store.responses.save(response("r", body=b"x" * 500)))
    now(store.responses.save(response("r", body=b"x" * 100)))
    assert is_size(152)
    now(store.generations.delete("a"))
    assert is_size(100)
    now(store.responses.delete("", "r"))
    assert is_size(0)


def test_old_responses_make_room_too(store: Store) -> None:
    create(store, "a")
    end(store, "a", ended=2.0)
    for id, created in (("first", 1.0), ("second", 3.0)):
        now(store.responses.save(response(id, created=created, body=b"x" * 100)))
    assert forget(store, 5.0, 110) == 0
    assert now(store.responses.find("", "first")) is None
    assert left(store) == ["a"]
    assert forget(store, 5.0, 100) == 1
    assert now(store.responses.find("", "second")) is not None


# ---- what is left


def test_that_it_was_here_is_known_for_thirty_days(store: Store) -> None:
    for id in "abc":
        create(store, id, "ann")
        end(store, id, ended=2.0, expires=5.0 if id == "a" else 1e9)
    now(store.generations.delete("b"))
    assert forget(store, 100.0) == 1
    assert [was_here(store, id) for id in "abc"] == ["ann", "ann", None]
    forget(store, 2.0 + 30 * DAY)  # one that is deleted counts from its ending
    assert [was_here(store, id) for id in "abc"] == ["ann", None, None]
    forget(store, 100.0 + 30 * DAY)
    assert [was_here(store, id) for id in "abc"] == [None, None, None]


def test_not_of_more_than_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "REMEMBERED_MOST", 2)
    for id in "abcd":
        create(store, id)
        end(store, id)
        now(store.generations.delete(id))
    forget(store, 10.0)
    assert [was_here(store, id) for id in "abcd"] == [None, None, "", ""]


def test_one_is_deleted_at_once(store: Store) -> None:
    create(store, "a", "ann", key="k")
    write(store, "a", 0, b"frame")
    end(store, "a")
    now(store.generations.delete("a"))
    now(store.generations.delete("nobody"))
    assert (find(store, "a"), read(store, "a"), was_here(store, "a"), left(store)) == (None, [], "ann", [])
    assert was_here(store, "nobody") is None
