"""Idempotency keys: the same key with the same request means the same generation, while it runs and as long as it is kept.

A key is free again when nothing came of it: the generation was refused, failed before it said anything, or was cancelled. So who tries
again gets an answer, and who got a part of one gets the same again and never another that was paid for twice.
"""

from __future__ import annotations

import asyncio
import hashlib

from telex.core.errors import Failure
from telex.gateway.archive import Archive
from telex.gateway.entries import Live, Past
from telex.generation.generation import Generation

MISMATCH = Failure(
    "mismatch",
    "This Idempotency-Key came with another request before: send the same one again, or use a new key.",
    "Idempotency-Key",
    code="idempotency_key_reused",
)


class Claim:
    """One who has a key for a request of that digest, and is about to make its generation."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.settled: asyncio.Future[Generation | None] = asyncio.get_running_loop().create_future()

    def settle(self, generation: Generation | None) -> None:
        """There is one now, or there won't be any. Only the first call counts."""
        if not self.settled.done():
            self.settled.set_result(generation)


class Keyed:
    """Keys of those that are here, and through the archive of those that the store has."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._claims: dict[tuple[str, str], Claim] = {}

    async def claim(self, owner: str, key: str, digest: bytes) -> Claim | Live | Past | Failure:
        """The generation that the key stands for; or a claim to it, which is to be settled; or why there is neither."""
        while (held := self._claims.get((owner, key))) is not None:
            generation = await asyncio.shield(held.settled)
            if generation is None or is_free(generation):
                self._drop(owner, key, held)
            elif held.digest != digest:
                return MISMATCH
            else:
                return self._archive.live(generation)
        claim = self._claims[owner, key] = Claim(digest)
        claim.settled.add_done_callback(lambda settled: self._follow(owner, key, claim))
        try:
            found = await self._archive.find_key(owner, key)
        except BaseException:
            claim.settle(None)
            raise
        if found is None:
            return claim
        claim.settle(None)
        if isinstance(found, Failure):
            return found
        past, same = found
        return past if same == digest else MISMATCH

    async def find(self, owner: str, key: str) -> Generation | None:
        """The generation that is here under a key, also if it is just being made."""
        held = self._claims.get((owner, key))
        return await asyncio.shield(held.settled) if held is not None else None

    def _follow(self, owner: str, key: str, claim: Claim) -> None:
        generation = claim.settled.result()
        if generation is None:
            self._drop(owner, key, claim)
        else:
            self._archive.when_left(generation, lambda: self._drop(owner, key, claim))

    def _drop(self, owner: str, key: str, claim: Claim) -> None:
        if self._claims.get((owner, key)) is claim:
            del self._claims[owner, key]


def is_free(generation: Generation) -> bool:
    """Whether nothing came of it."""
    return generation.ended and (not generation.committed or generation.ending == "cancelled")


def digest_of(path: str, query: str, body: bytes) -> bytes:
    """The same for requests that ask for the same. A key in the query says who asks, not what for."""
    asked = "&".join(sorted(pair for pair in query.split("&") if pair and not pair.startswith("key=")))
    return hashlib.sha256(b"\0".join((path.encode("utf-8", "surrogateescape"), asked.encode(), body))).digest()
