"""What the store said of a key, remembered for a moment, so that a client's next request does not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from telex.core.errors import Failure
from telex.core.keys import Key
from telex.stores.ports import Keys, StoreError
from telex.telemetry.logs import log

FRESH_SECONDS = 5.0
"""Seconds for which what the store said is believed: so late a key may be revoked at most."""

GRACE_SECONDS = 600.0
"""Seconds for which a key that is known goes on to open while the store can't be read."""

STORE_SECONDS = 1.0
"""Seconds that the store gets for an answer."""

MOST = 10_000
"""Keys that are remembered, and as many digests that are none's; those longest ago are forgotten."""

UNREADABLE = Failure("busy", "Keys can't be checked at the moment.", code="keys_unreadable", retry_after=5.0)


class Known(Struct):
    """`said`: when the store said so; `asked`: when it was asked last, whether it could say anything or not."""

    key: Key | None
    said: float
    asked: float


class KeyRing:
    """Belongs to one event loop. `clock`: seconds that only go on."""

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._unknown: OrderedDict[bytes, Known] = OrderedDict()  # apart, so that who tries many drives no key out
        self._asking: dict[bytes, asyncio.Future[Key | None]] = {}
        self._readable = True

    async def find(self, digest: bytes) -> Key | Failure | None:
        """The key with that digest; None if there is none. A failure if that can't be known."""
        known, now = self._known.get(digest) or self._unknown.get(digest), self._clock()
        if known is not None and now - known.asked < FRESH_SECONDS:
            return known.key
        try:
            async with asyncio.timeout(STORE_SECONDS):
                key = await asyncio.shield(self._ask(digest))
        except (StoreError, TimeoutError) as error:
            self._tell(error)
            if known is None or known.key is None or now - known.said >= GRACE_SECONDS:
                return UNREADABLE
            known.asked = now
            return known.key
        self._readable = True
        return key

    def _ask(self, digest: bytes) -> asyncio.Future[Key | None]:
        """The store's answer, one for all who wait for the same."""
        asking = self._asking.get(digest)
        if asking is None:
            if len(self._asking) >= MOST:
                raise StoreError("The store does not keep up with the keys that it is asked for.")
            asking = self._asking[digest] = asyncio.wrap_future(self._keys.find(digest))
            asking.add_done_callback(partial(self._learn, digest))
        return asking

    def _learn(self, digest: bytes, asking: asyncio.Future[Key | None]) -> None:
        del self._asking[digest]
        if asking.cancelled() or asking.exception() is not None:
            return
        key, now = asking.result(), self._clock()
        table, other = (self._unknown, self._known) if key is None else (self._known, self._unknown)
        other.pop(digest, None)
        table[digest] = Known(key, now, now)
        table.move_to_end(digest)
        if len(table) > MOST:
            table.popitem(last=False)

    def _tell(self, error: Exception) -> None:
        """Once, until it can be read again."""
        if self._readable:
            log.error("store", why=str(error) or f"The store did not answer within {STORE_SECONDS:g} s.")
        self._readable = False
