"""What a store does, whichever it is. Every call returns at once, with a future that any thread or loop can wait for."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from msgspec import Struct

from telex.core.errors import TelexError
from telex.core.keys import Key
from telex.limits.table import Count

REMEMBERED_SECONDS = 30 * 86400.0
"""Seconds for which it is known of a generation that is forgotten that it was here."""

REMEMBERED_MOST = 100_000
"""Generations of which that is known at most; the first that were forgotten are no longer."""


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


class Saved(Struct, frozen=True):
    """A generation as a store has it. Bytes are what the caller makes of them; times are seconds since 1970.

    `owner`: the id of the key whose it is, "" where access is open. `record`: what is known of it, for people. `reading`: how its frames
    are read, empty until that is known. `request`: what it takes to run it; empty once it has begun or ended, and where it is never run
    again. `key`: its Idempotency-Key, "" if it has none; `digest`: of the request that came with it. `background`: whether it was asked
    for that way. `ended`, `expires`: None while it runs.
    """

    id: str
    owner: str
    created: float
    record: bytes
    reading: bytes = b""
    request: bytes = b""
    key: str = ""
    digest: bytes = b""
    background: bool = False
    begun: bool = False
    ended: float | None = None
    expires: float | None = None


class Write(Struct, frozen=True):
    """Frames of one generation, before which there are `place` others. `reading` takes the place of the saved one unless it is empty."""

    id: str
    place: int
    frames: list[bytes]
    reading: bytes = b""


class Generations(Protocol):
    """Generations and their frames. What expired is there until it is forgotten. Nothing here waits for anything but the store: calls
    for one generation are carried out in the order in which they are made."""

    def create(self, saved: Saved) -> Future[bool]:
        """False if its owner has one with that key already. Its id is new."""
        ...

    def begin(self, id: str) -> Future[None]:
        """It runs now, and is never run again: its request goes."""
        ...

    def write(self, writes: Sequence[Write]) -> Future[builtins.list[bool]]:
        """Add frames of any number of generations, and say of each whether its frames are there now. False, and nothing of it is written,
        if frames before them are missing, or if there is no such generation: a log has no holes. What is there already is not written
        again, so that a write may be repeated."""
        ...

    def end(self, id: str, record: bytes, ended: float, expires: float, release: bool) -> Future[bool]:
        """The first ending stands: False, and nothing is changed, if it had ended, or if there is none of that id. `release`: another may
        have its key now."""
        ...

    def find(self, id: str) -> Future[Saved | None]: ...

    def find_key(self, owner: str, key: str) -> Future[Saved | None]:
        """The one with that Idempotency-Key."""
        ...

    def read(self, id: str, after: int, limit: int) -> Future[builtins.list[bytes]]:
        """The frames behind the first `after`: one if there is one, and more until they have `limit` bytes."""
        ...

    def list(self, owner: str | None, limit: int, before: str | None, background: bool | None) -> Future[builtins.list[Saved]]:
        """The newest first, as they were created, without their requests, which may be long. `owner`: None: everybody's. `before`: only
        those behind the one of that id; none if there is no such one. `background`: None: those that were asked for either way."""
        ...

    def unfinished(self) -> Future[builtins.list[Saved]]:
        """Those that have not ended, the oldest first."""
        ...

    def was_here(self, id: str) -> Future[str | None]:
        """The owner of one that is forgotten, of the last `REMEMBERED_MOST` and for `REMEMBERED_SECONDS`; None if there was none."""
        ...

    def forget(self, now: float, most: int) -> Future[int]:
        """Forget, with its frames, each that expired, and responses that did. Then, what ended first, as many more generations and
        responses as it takes until all that is kept of them has `most` bytes: frames, records, requests, and what is kept of responses.
        One that has not ended is never forgotten. Returns how many generations were. To be called now and then, not for every request."""
        ...

    def delete(self, id: str) -> Future[None]:
        """Forget this one, which has ended, now."""
        ...


class SavedResponse(Struct, frozen=True):
    """A response of OpenAI's Responses that others may go on from. Bytes are what the caller makes of them; times are seconds since 1970.

    `generation`: the id of the one whose reply it is. `native`: its provider speaks Responses itself, and knows it by its id. `items`: the
    ids of the items of its output.
    """

    owner: str
    id: str
    generation: str
    body: bytes
    input: bytes
    native: bool
    items: tuple[str, ...]
    created: float
    expires: float


class Responses(Protocol):
    """Responses, each its owner's alone. `Generations.forget` forgets them."""

    def save(self, response: SavedResponse) -> Future[None]:
        """In the place of an older one of that owner and id."""
        ...

    def find(self, owner: str, id: str) -> Future[SavedResponse | None]: ...

    def find_item(self, owner: str, item: str) -> Future[SavedResponse | None]:
        """The newest, as they were created, that has the item."""
        ...

    def delete(self, owner: str, id: str) -> Future[bool]:
        """False if there is none."""
        ...


class Store(Protocol):
    """`place`: where it is, for people. A write is done when it is on the disk. A future that has not begun can be cancelled."""

    @property
    def place(self) -> str: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def generations(self) -> Generations: ...
    @property
    def responses(self) -> Responses: ...
    def claim(self) -> None:
        """Be the one process that writes generations here, until the store is closed or the process ends. Raises `StoreError` if another
        is. Who only looks, or writes keys, needs none."""
        ...

    def close(self) -> None:
        """Do what was asked before, then nothing more."""
        ...
