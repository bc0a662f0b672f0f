"""Generations and responses that end with the process."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial

from msgspec.structs import replace

from telex.stores import ports
from telex.stores.futures import done
from telex.stores.ports import Saved, SavedResponse, Write


class Kept:
    """One generation and its frames."""

    def __init__(self, saved: Saved) -> None:
        self.saved = saved
        self.frames: list[bytes] = []

    @property
    def size(self) -> int:
        saved = self.saved
        return len(saved.record) + len(saved.reading) + len(saved.request) + sum(map(len, self.frames))


class MemoryResponses:
    def __init__(self) -> None:
        self.all: dict[tuple[str, str], SavedResponse] = {}  # the one that was saved first is the first

    def save(self, response: SavedResponse) -> Future[None]:
        self.forget(response)
        self.all[response.owner, response.id] = response
        return done(None)

    def find(self, owner: str, id: str) -> Future[SavedResponse | None]:
        return done(self.all.get((owner, id)))

    def find_item(self, owner: str, item: str) -> Future[SavedResponse | None]:
        having = [response for response in reversed(self.all.values()) if response.owner == owner and item in response.items]
        return done(max(having, key=lambda response: response.created, default=None))

    def delete(self, owner: str, id: str) -> Future[bool]:
        return done(self.all.pop((owner, id), None) is not None)

    def forget(self, response: SavedResponse) -> None:
        self.all.pop((response.owner, response.id), None)


class MemoryGenerations:
    def __init__(self, responses: MemoryResponses) -> None:
        self._responses = responses
        self._all: dict[str, Kept] = {}
        self._keys: dict[tuple[str, str], str] = {}  # the id of the one with that key of that owner
        self._gone: dict[str, tuple[str, float]] = {}  # whose it was, and when it was forgotten

    def create(self, saved: Saved) -> Future[bool]:
        if saved.key:
            if (saved.owner, saved.key) in self._keys:
                return done(False)
            self._keys[saved.owner, saved.key] = saved.id
        self._all[saved.id] = Kept(saved)
        return done(True)

    def begin(self, id: str) -> Future[None]:
        if (kept := self._all.get(id)) is not None:
            kept.saved = replace(kept.saved, begun=True, request=b"")
        return done(None)

    def write(self, writes: Sequence[Write]) -> Future[builtins.list[bool]]:
        return done([self._write(write) for write in writes])

    def _write(self, write: Write) -> bool:
        kept = self._all.get(write.id)
        if kept is None or write.place > len(kept.frames):
            return False
        kept.frames += write.frames[len(kept.frames) - write.place :]
        if write.reading:
            kept.saved = replace(kept.saved, reading=write.reading)
        return True

    def end(self, id: str, record: bytes, ended: float, expires: float, release: bool) -> Future[bool]:
        kept = self._all.get(id)
        if kept is None or kept.saved.ended is not None:
            return done(False)
        kept.saved = replace(kept.saved, record=record, ended=ended, expires=expires, request=b"")
        if release:
            self._keys.pop((kept.saved.owner, kept.saved.key), None)
            kept.saved = replace(kept.saved, key="")
        return done(True)

    def find(self, id: str) -> Future[Saved | None]:
        kept = self._all.get(id)
        return done(kept.saved if kept else None)

    def find_key(self, owner: str, key: str) -> Future[Saved | None]:
        return self.find(self._keys.get((owner, key), ""))

    def read(self, id: str, after: int, limit: int) -> Future[builtins.list[bytes]]:
        kept = self._all.get(id)
        whole = kept.frames if kept else []
        end, size = after, 0
        while end < len(whole) and (end == after or size < limit):
            size += len(whole[end])
            end += 1
        return done(whole[after:end])

    def list(self, owner: str | None, limit: int, before: str | None, background: bool | None) -> Future[builtins.list[Saved]]:
        found = [saved for saved in reversed(self._sorted()) if owner in (None, saved.owner) and background in (None, saved.background)]
        if before is not None:
            first = self._all.get(before)
            found = [saved for saved in found if first and order(saved) < order(first.saved)]
        return done([replace(saved, request=b"") for saved in found[:limit]])

    def unfinished(self) -> Future[builtins.list[Saved]]:
        return done([saved for saved in self._sorted() if saved.ended is None])

    def was_here(self, id: str) -> Future[str | None]:
        owner, _ = self._gone.get(id, (None, 0.0))
        return done(owner)

    def forget(self, now: float, most: int) -> Future[int]:
        before = len(self._all)
        for kept in list(self._all.values()):
            if kept.saved.expires is not None and kept.saved.expires <= now:
                self._forget(kept, now)
        for response in list(self._responses.all.values()):
            if response.expires <= now:
                self._responses.forget(response)
        self._make_room(now, most)
        gone = [(id, row) for id, row in self._gone.items() if row[1] > now - ports.REMEMBERED_SECONDS]
        self._gone = dict(gone[-ports.REMEMBERED_MOST :])
        return done(before - len(self._all))

    def delete(self, id: str) -> Future[None]:
        if (kept := self._all.get(id)) is not None:
            self._forget(kept, kept.saved.created if kept.saved.ended is None else kept.saved.ended)
        return done(None)

    def _make_room(self, now: float, most: int) -> None:
        too_much = sum(kept.size for kept in self._all.values()) + sum(map(size_of, self._responses.all.values())) - most
        for _, size, forget in sorted(self._old(now), key=lambda old: old[0]):
            if too_much <= 0:
                break
            forget()
            too_much -= size

    def _old(self, now: float) -> Iterator[tuple[float, int, Callable[[], None]]]:
        """Since when each that may be forgotten is old, its size, and how it is forgotten."""
        for kept in list(self._all.values()):
            if kept.saved.ended is not None:
                yield kept.saved.ended, kept.size, partial(self._forget, kept, now)
        for response in list(self._responses.all.values()):
            yield response.created, size_of(response), partial(self._responses.forget, response)

    def _forget(self, kept: Kept, now: float) -> None:
        saved = kept.saved
        del self._all[saved.id]
        if saved.key:
            del self._keys[saved.owner, saved.key]
        self._gone[saved.id] = saved.owner, now

    def _sorted(self) -> builtins.list[Saved]:
        return sorted((kept.saved for kept in self._all.values()), key=order)


def order(saved: Saved) -> tuple[float, str]:
    return saved.created, saved.id


def size_of(response: SavedResponse) -> int:
    return len(response.body) + len(response.input)
