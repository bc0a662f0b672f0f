"""Whatever is done with generations in whatever order: every store does what a few plain lists would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct
from msgspec.structs import replace

from telex.stores.memory import MemoryStore
from telex.stores.ports import Saved, SavedResponse, Store
from telex.stores.sqlite import SqliteStore

from .saving import now, writing

OWNERS = st.sampled_from(["", "ann", "ben"])
KEYS = st.sampled_from(["", "", "k", "l"])
PIECES = st.lists(st.binary(max_size=40), max_size=6)
TIMES = st.integers(0, 20).map(float)
INDEX = st.integers(0, 1000)


class One(Struct):
    """A generation of the model."""

    saved: Saved
    frames: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, [self.saved.record, self.saved.reading, self.saved.request, *self.frames]))


class Stores(RuleBasedStateMachine):
    def open(self) -> Store:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.open()
        self.ones: list[One] = []
        self.gone: dict[str, str] = {}
        self.responses: list[SavedResponse] = []
        self.count = 0

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    # ---- what is done

    @rule(owner=OWNERS, created=TIMES, key=KEYS, background=st.booleans(), request=st.binary(max_size=30))
    def create(self, owner: str, created: float, key: str, background: bool, request: bytes) -> None:
        self.count += 1
        saved = Saved(f"gen_{self.count}", owner, created, b"{}", b"", request, key, b"digest", background)
        free = not key or all((one.saved.owner, one.saved.key) != (owner, key) for one in self.ones)
        assert now(self.store.generations.create(saved)) is free
        if free:
            self.ones.append(One(saved, []))

    @precondition(lambda self: self.ones)
    @rule(index=INDEX)
    def begin(self, index: int) -> None:
        one = self.pick(index)
        now(self.store.generations.begin(one.saved.id))
        one.saved = replace(one.saved, begun=True, request=b"")

    @precondition(lambda self: self.ones)
    @rule(index=INDEX, back=st.integers(-1, 4), frames=PIECES, reading=st.sampled_from([b"", b"r", b"reading"]))
    def write(self, index: int, back: int, frames: list[bytes], reading: bytes) -> None:
        one = self.pick(index)
        there = len(one.frames)
        place = max(0, there - back)
        assert now(writing(self.store.generations, one.saved.id, place, one.frames[place:] + frames, reading)) == [place <= there]
        if place > there:
            return
        one.frames += frames
        one.saved = replace(one.saved, reading=reading or one.saved.reading)

    @precondition(lambda self: self.ones)
    @rule(index=INDEX, ended=TIMES, expires=TIMES, release=st.booleans(), record=st.binary(max_size=30))
    def end(self, index: int, ended: float, expires: float, release: bool, record: bytes) -> None:
        one = self.pick(index)
        first = one.saved.ended is None
        assert now(self.store.generations.end(one.saved.id, record, ended, expires, release)) is first
        if first:
            one.saved = replace(one.saved, ended=ended, expires=expires, record=record, request=b"")
            one.saved = replace(one.saved, key="") if release else one.saved

    @rule(owner=OWNERS, id=st.sampled_from("xyz"), items=st.lists(st.sampled_from("ijk"), max_size=3), created=TIMES, expires=TIMES)
    def save(self, owner: str, id: str, items: list[str], created: float, expires: float) -> None:
        response = SavedResponse(owner, id, "gen_1", b"body" * len(items), b"input", bool(items), tuple(items), created, expires)
        now(self.store.responses.save(response))
        self.responses = [other for other in self.responses if (other.owner, other.id) != (owner, id)] + [response]

    @rule(at=TIMES, most=st.sampled_from([0, 50, 100, 10_000]))
    def forget(self, at: float, most: int) -> None:
        expired = [one for one in self.ones if one.saved.expires is not None and one.saved.expires <= at]
        for one in expired:
            self.drop(one)
        self.responses = [response for response in self.responses if response.expires > at]
        made = self.make_room(most)
        assert now(self.store.generations.forget(at, most)) == len(expired) + made

    def make_room(self, most: int) -> int:
        made = 0
        while sum(one.size for one in self.ones) + sum(map(size_of, self.responses)) > most:
            ended = sorted((one for one in self.ones if one.saved.ended is not None), key=lambda one: one.saved.ended or 0.0)
            oldest = sorted(self.responses, key=lambda response: response.created)
            if ended and (not oldest or (ended[0].saved.ended or 0.0) <= oldest[0].created):
                self.drop(ended[0])
                made += 1
            elif oldest:
                self.responses.remove(oldest[0])
            else:
                break
        return made

    @precondition(lambda self: any(one.saved.ended is not None for one in self.ones))
    @rule(index=INDEX)
    def delete(self, index: int) -> None:
        ended = [one for one in self.ones if one.saved.ended is not None]
        one = ended[index % len(ended)]
        now(self.store.generations.delete(one.saved.id))
        self.drop(one)

    @rule()
    def reopen(self) -> None:
        if isinstance(self.store, SqliteStore):
            self.store.close()
            self.store = self.open()

    # ---- what is seen

    @precondition(lambda self: self.ones)
    @rule(index=INDEX, after=st.integers(0, 20), limit=st.integers(0, 100))
    def read(self, index: int, after: int, limit: int) -> None:
        one = self.pick(index)
        expected: list[bytes] = []
        for frame in one.frames[after:]:
            if expected and sum(map(len, expected)) >= limit:
                break
            expected.append(frame)
        assert now(self.store.generations.read(one.saved.id, after, limit)) == expected

    @rule(owner=st.none() | OWNERS, limit=st.integers(0, 5), background=st.none() | st.booleans(), index=st.none() | INDEX)
    def list(self, owner: str | None, limit: int, background: bool | None, index: int | None) -> None:
        before = self.pick(index).saved if index is not None and self.ones else None
        expected = [
            replace(saved, request=b"")
            for saved in sorted((one.saved for one in self.ones), key=lambda saved: (saved.created, saved.id), reverse=True)
            if owner in (None, saved.owner)
            and background in (None, saved.background)
            and (before is None or (saved.created, saved.id) < (before.created, before.id))
        ]
        assert now(self.store.generations.list(owner, limit, before.id if before else None, background)) == expected[:limit]

    @invariant()
    def all_is_there(self) -> None:
        generations, responses = self.store.generations, self.store.responses
        assert [now(generations.find(one.saved.id)) for one in self.ones] == [one.saved for one in self.ones]
        assert [now(generations.read(one.saved.id, 0, 1 << 30)) for one in self.ones] == [one.frames for one in self.ones]
        unfinished = sorted((one.saved for one in self.ones if one.saved.ended is None), key=lambda saved: (saved.created, saved.id))
        assert now(generations.unfinished()) == unfinished
        assert [now(generations.was_here(id)) for id in self.gone] == list(self.gone.values())
        for owner in ("", "ann", "ben"):
            for id in "xyz":
                same = [response for response in self.responses if (response.owner, response.id) == (owner, id)]
                assert now(responses.find(owner, id)) == (same[0] if same else None)
            for item in "ijk":
                having = [response for response in reversed(self.responses) if response.owner == owner and item in response.items]
                assert now(responses.find_item(owner, item)) == max(having, key=lambda response: response.created, default=None)
            for key in "kl":
                keyed = [one.saved for one in self.ones if (one.saved.owner, one.saved.key) == (owner, key)]
                assert now(generations.find_key(owner, key)) == (keyed[0] if keyed else None)

    def pick(self, index: int) -> One:
        return self.ones[index % len(self.ones)]

    def drop(self, one: One) -> None:
        self.ones.remove(one)
        self.gone[one.saved.id] = one.saved.owner


def size_of(response: SavedResponse) -> int:
    return len(response.body) + len(response.input)


class InMemory(Stores):
    def open(self) -> Store:
        return MemoryStore()


class InAFile(Stores):
    def open(self) -> Store:
        return SqliteStore(self.folder / "telex.db")


TestInMemory = InMemory.TestCase
TestInAFile = InAFile.TestCase
TestInAFile.settings = settings(max_examples=max(10, settings().max_examples // 4))  # each waits for the disk
