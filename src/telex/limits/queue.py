"""Who is next where there are fewer places than requests: owners take turns, and each one's requests keep their order."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """`places`: how many may run at once. `most`: how many of one owner may wait."""

    def __init__(self, places: int, most: int) -> None:
        self.places = places
        self.most = most
        self.running = 0
        self._waiting: dict[str, dict[T, None]] = {}  # by their owners, whose turn is next first

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def enter(self, owner: str, item: T) -> Literal["runs", "waits", "full"]:
        """A request has come. One that runs is to `finish`."""
        if self.running < self.places:
            self.running += 1
            return "runs"
        if len(self._waiting.get(owner, ())) >= self.most:
            return "full"
        self._waiting.setdefault(owner, {})[item] = None
        return "waits"

    def leave(self, owner: str, item: T) -> bool:
        """It waits no longer. False if it did not, since its turn had come."""
        line = self._waiting.get(owner)
        if line is None or item not in line:
            return False
        del line[item]
        if not line:
            del self._waiting[owner]
        return True

    def finish(self) -> T | None:
        """One that ran is over: who runs in its place."""
        if self.running > self.places or not self._waiting:
            self.running -= 1
            return None
        owner = next(iter(self._waiting))
        line = self._waiting.pop(owner)
        item = next(iter(line))
        del line[item]
        if line:
            self._waiting[owner] = line  # behind all others
        return item
