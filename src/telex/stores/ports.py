"""What a store does, whichever it is. Every call returns at once, with a future that any thread or loop can wait for."""

from __future__ import annotations

import builtins
from concurrent.futures import Future
from typing import Protocol

from telex.core.errors import TelexError
from telex.core.keys import Key
from telex.limits.table import Count


class StoreError(TelexError):
    """A store that can't be opened, read or written: which, why, and what to do. Futures are settled with it too."""


class Keys(Protocol):
    """The keys of clients. `digest`: of a token, see `minting`. Those that are revoked or expired are still there."""

    def create(self, key: Key, digest: bytes) -> Future[bool]:
        """False if there is one of that name that is not revoked."""
        ...

    def find(self, digest: bytes) -> Future[Key | None]: ...

    def list(self) -> Future[list[Key]]:
        """All, the oldest first."""
        ...

    def revoke(self, which: str, now: float) -> Future[Key | None]:
        """Revoke the one of that name or id. None if there is none that is not revoked already."""
        ...


class Counters(Protocol):
    """What was used of limits, so that a new process does not begin with whole ones. Times are seconds since 1970."""

    def save(self, counts: builtins.list[Count]) -> Future[None]:
        """In the place of what was saved before."""
        ...

    def load(self, since: float) -> Future[builtins.list[Count]]:
        """What was taken after that, in the order of its times."""
        ...


class Store(Protocol):
    """`place`: where it is, for people. A write is done when it is on the disk."""

    @property
    def place(self) -> str: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def counters(self) -> Counters: ...
    def close(self) -> None:
        """Do what was asked before, then nothing more."""
        ...
