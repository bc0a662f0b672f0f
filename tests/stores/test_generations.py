"""What every store promises of generations and their frames."""

from __future__ import annotations

from concurrent.futures import wait
from itertools import pairwise

from telex.stores.ports import Saved, Store, Write

from .saving import PATIENT, create, end, find, now, read, write, writing

WHOLE = Saved("gen_1", "key_1", 1.5, b"{}", b"\x00r", b"\xff" * 5000, "'; DROP TABLE frames; --\0é", b"\x01" * 32, True)
BARE = Saved("gen_2", "", 2.5, b"")


# ---- one generation


def test_it_is_found_as_it_was_created(store: Store) -> None:
    assert now(store.generations.create(WHOLE))
    assert now(store.generations.create(BARE))
    assert [find(store, id) for id in ("gen_1", "gen_2", "gen_3", "")] == [WHOLE, BARE, None, None]
    assert now(store.generations.find_key("key_1", WHOLE.key)) == WHOLE


def test_what_it_takes_to_run_it_is_there_until_it_begins(store: Store) -> None:
    now(store.generations.create(WHOLE))
    now(store.generations.begin("gen_1"))
    now(store.generations.begin("nobody"))
    begun = find(store, "gen_1")
    assert begun is not None
    assert (begun.begun, begun.request, begun.digest, begun.key) == (True, b"", WHOLE.digest, WHOLE.key)


def test_it_ends_with_its_record_and_when_it_may_go(store: Store) -> None:
    now(store.generations.create(WHOLE))
    assert now(store.generations.end("gen_1", b"record", 7.5, 9.5, release=False))
    ended = find(store, "gen_1")
    assert ended is not None
    assert (ended.record, ended.ended, ended.expires, ended.request, ended.key) == (b"record", 7.5, 9.5, b"", WHOLE.key)
    assert (ended.reading, ended.begun) == (WHOLE.reading, False)


def test_the_first_ending_stands(store: Store) -> None:
    create(store, "a", key="k")
    endings = [store.generations.end("a", str(n).encode(), float(n), 100.0 + n, release=n % 2 == 1) for n in range(10)]
    assert [now(ending) for ending in endings] == [True] + [False] * 9
    found = find(store, "a")
    assert found is not None
    assert (found.record, found.ended, found.expires, found.key) == (b"0", 0.0, 100.0, "k")
    assert not end(store, "nobody")


# ---- Idempotency-Keys


def test_an_owner_has_a_key_once(store: Store) -> None:
    assert create(store, "a", "ann", key="k")
    assert not create(store, "b", "ann", key="k")
    assert create(store, "c", "ben", key="k")
    assert create(store, "d", "ann", key="K")
    assert create(store, "e", "ann")
    assert create(store, "f", "ann")
    assert find(store, "b") is None
    found = [now(store.generations.find_key(owner, "k")) for owner in ("ann", "ben", "eve")]
    assert [saved and saved.id for saved in found] == ["a", "c", None]
    assert now(store.generations.find_key("ann", "")) is None


def test_of_many_that_come_with_one_key_at_once_one_is_created(store: Store) -> None:
    asked = [store.generations.create(Saved(f"gen_{n}", "ann", 1.0, b"", key="k")) for n in range(50)]
    wait(asked, PATIENT)
    assert [future.result() for future in asked] == [True] + [False] * 49
    assert [saved.id for saved in now(store.generations.unfinished())] == ["gen_0"]


def test_a_key_that_is_released_is_free(store: Store) -> None:
    create(store, "a", "ann", key="k")
    end(store, "a", release=True)
    assert now(store.generations.find_key("ann", "k")) is None
    assert create(store, "b", "ann", key="k")
    end(store, "b")
    assert not create(store, "c", "ann", key="k")
    now(store.generations.delete("b"))
    assert create(store, "d", "ann", key="k")


# ---- frames


def test_frames_are_read_as_they_were_written(store: Store) -> None:
    create(store, "a")
    create(store, "b")
    write(store, "a", 0, b"0", b"", b"\x00\xff\n")
    write(store, "b", 0, b"other")
    write(store, "a", 3, b"3" * 100_000)
    whole = [b"0", b"", b"\x00\xff\n", b"3" * 100_000]
    assert [read(store, "a", after) for after in range(7)] == [whole[after:] for after in range(7)]
    assert read(store, "a", 10**30) == []
    assert read(store, "nobody") == []
    assert read(store, "b") == [b"other"]


def test_a_read_ends_when_it_has_enough(store: Store) -> None:
    create(store, "a")
    for place in range(0, 30, 3):
        write(store, "a", place, b"x" * 10, b"y" * 10, b"z" * 10)
    assert [len(read(store, "a", 4, limit)) for limit in (0, 1, 10, 11, 40, 1000)] == [1, 1, 1, 2, 4, 26]
    after, whole = 0, []
    while piece := read(store, "a", after, 45):
        whole += piece
        after += len(piece)
    assert whole == [b"x" * 10, b"y" * 10, b"z" * 10] * 10


def test_a_write_may_be_repeated(store: Store) -> None:
    create(store, "a")
    write(store, "a", 0, b"0", b"1")
    write(store, "a", 0, b"0", b"1")
    write(store, "a", 1, b"1", b"2", b"3")  # some of it is there
    write(store, "a", 0, b"0")
    write(store, "a", 4, b"4")
    assert read(store, "a") == [b"0", b"1", b"2", b"3", b"4"]


def test_how_frames_are_read_is_what_was_said_last(store: Store) -> None:
    create(store, "a")
    said = [(0, [b"0"], b"first"), (1, [b"1"], b""), (2, [], b"second"), (2, [b"2"], b"")]
    found = []
    for place, frames, reading in said:
        now(writing(store.generations, "a", place, frames, reading))
        saved = find(store, "a")
        found.append(saved and saved.reading)
    assert found == [b"first", b"first", b"second", b"second"]
    assert read(store, "a") == [b"0", b"1", b"2"]


def test_there_are_no_holes(store: Store) -> None:
    create(store, "a")
    write(store, "a", 0, b"0")
    create(store, "b")
    behind, nobody = Write("a", 2, [b"2"], b"reading"), Write("nobody", 0, [b"0"])
    writes = [behind, nobody, Write("b", 0, [b"0"]), Write("b", 1, [b"1"]), Write("b", 3, [])]
    assert now(store.generations.write(writes)) == [False, False, True, True, False]
    found = find(store, "a")
    assert found is not None
    assert (read(store, "a"), found.reading, read(store, "b")) == ([b"0"], b"", [b"0", b"1"])


def test_nobody_waits_and_the_order_stays(store: Store) -> None:
    for name in "abc":
        create(store, name)
    writes = [writing(store.generations, name, place, [f"{name}{place}".encode()], b"") for place in range(100) for name in "abc"]
    ends = [store.generations.end(name, b"", 2.0, 3.0, release=False) for name in "abc"]
    assert [now(write) for write in writes] == [[True]] * 300
    assert all(now(ending) for ending in ends)
    assert [read(store, name) for name in "abc"] == [[f"{name}{place}".encode() for place in range(100)] for name in "abc"]


# ---- many generations


def ids(found: list[Saved]) -> list[str]:
    return [saved.id for saved in found]


def test_they_are_listed_the_newest_first(store: Store) -> None:
    for id, created in (("b", 2.0), ("a", 2.0), ("d", 1.0), ("c", 3.0)):
        create(store, id, created=created, request=b"long")
    listed = now(store.generations.list(None, 10, None, None))
    assert ids(listed) == ["c", "b", "a", "d"]
    assert all((newer.created, newer.id) > (older.created, older.id) for newer, older in pairwise(listed))
    assert {saved.request for saved in listed} == {b""}
    assert ids(now(store.generations.list(None, 0, None, None))) == []


def test_a_list_is_cut_and_goes_on(store: Store) -> None:
    for number in range(25):
        create(store, f"gen_{number:02}", "ann" if number % 2 else "ben", float(number // 5), background=number % 3 == 0)

    def pages(owner: str | None, limit: int, background: bool | None) -> list[list[str]]:
        found, before = [], None
        while page := ids(now(store.generations.list(owner, limit, before, background))):
            found.append(page)
            before = page[-1]
        return found

    every = [f"gen_{number:02}" for number in reversed(range(25))]
    assert pages(None, 10, None) == [every[:10], every[10:20], every[20:]]
    anns = [f"gen_{number:02}" for number in reversed(range(25)) if number % 2]
    assert pages("ann", 5, None) == [anns[:5], anns[5:10], anns[10:]]
    thirds = [f"gen_{number:02}" for number in reversed(range(25)) if number % 3 == 0]
    assert pages(None, 5, True) == [thirds[:5], thirds[5:]]
    others = [f"gen_{number:02}" for number in reversed(range(25)) if number % 3 and not number % 2]
    assert pages("ben", 5, False) == [others[:5], others[5:]]
    assert pages("eve", 5, None) == []
    assert now(store.generations.list(None, 5, "nobody", None)) == []
    assert ids(now(store.generations.list("ann", 2, "gen_10", None))) == ["gen_09", "gen_07"]  # behind one that is another's


def test_those_that_have_not_ended_are_known_the_oldest_first(store: Store) -> None:
    for id, created in (("b", 2.0), ("a", 2.0), ("d", 1.0), ("c", 3.0), ("e", 0.5)):
        create(store, id, created=created, request=b"run")
    end(store, "c")
    now(store.generations.begin("e"))
    unfinished = now(store.generations.unfinished())
    assert ids(unfinished) == ["e", "d", "a", "b"]
    assert [saved.request for saved in unfinished] == [b"", b"run", b"run", b"run"]
