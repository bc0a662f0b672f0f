"""A store that ends with the process: where nothing is to be kept, and for tests."""

from __future__ import annotations

import builtins
from concurrent.futures import Future

from msgspec.structs import replace

from telex.core.keys import Key
from telex.limits.table import Count
from telex.stores.futures import done
from telex.stores.memory_generations import MemoryGenerations, MemoryResponses


class MemoryStore:
    """Belongs to one thread."""

    place = "memory"

    def __init__(self) -> None:
        self.keys = MemoryKeys()
        self.counters = MemoryCounters()
        self.responses = MemoryResponses()
        self.generations = MemoryGenerations(self.responses)

    def claim(self) -> None:
        """Nobody else can have it."""

    def close(self) -> None:
        pass


class MemoryKeys:
    def __init__(self) -> None:
        self._keys: dict[bytes, Key] = {}

    def create(self, key: Key, digest: bytes) -> Future[bool]:
        taken = any(other.name == key.name and other.revoked_at is None for other in self._keys.values())
        if not taken:
            self._keys[digest] = key
        return done(not taken)

    def find(self, digest: bytes) -> Future[Key | None]:
        return done(self._keys.get(digest))

    def list(self) -> Future[builtins.list[Key]]:
        return done(list(self._keys.values()))

    def revoke(self, which: str, now: float) -> Future[Key | None]:
        for digest, key in self._keys.items():
            if which in (key.name, key.id) and key.revoked_at is None:
                self._keys[digest] = revoked = replace(key, revoked_at=now)
                return done(revoked)
        return done(None)


class MemoryCounters:
    def __init__(self) -> None:
        self._counts: list[Count] = []

    def save(self, counts: list[Count]) -> Future[None]:
        self._counts = counts
        return done(None)

    def load(self, since: float) -> Future[list[Count]]:
        return done(sorted((count for count in self._counts if count.at > since), key=lambda count: count.at))
