"""What is remembered of keys: for how long, how many, and what holds while the store can't be read."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from telex.core.errors import Failure
from telex.core.keys import Key
from telex.gateway import keyring
from telex.gateway.keyring import FRESH_SECONDS, GRACE_SECONDS, UNREADABLE, KeyRing
from telex.stores.ports import StoreError

KEY = Key("key_1", "web")


class Shelf:
    """The keys of a store that a test answers for. `asked`: how often it was."""

    def __init__(self, **keys: Key) -> None:
        self.keys = {name.encode(): key for name, key in keys.items()}
        self.asked = 0
        self.broken = False
        self.came = asyncio.Event()
        self.held: list[Future[Key | None]] | None = None

    def find(self, digest: bytes) -> Future[Key | None]:
        self.asked += 1
        self.came.set()
        future: Future[Key | None] = Future()
        if self.held is not None:
            self.held.append(future)
        elif self.broken:
            future.set_exception(StoreError("The store is damaged."))
        else:
            future.set_result(self.keys.get(digest))
        return future


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(web=KEY)


@pytest.fixture
def ring(shelf: Shelf, clock: Clock) -> KeyRing:
    return KeyRing(shelf, clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(("token", "found"), [(b"web", KEY), (b"nobody's", None)])
async def test_the_store_is_asked_once_and_again_when_that_is_old(
    token: bytes, found: Key | None, ring: KeyRing, shelf: Shelf, clock: Clock
) -> None:
    for _ in range(3):
        assert await ring.find(token) == found
    assert shelf.asked == 1
    clock.now += FRESH_SECONDS - 0.01
    assert await ring.find(token) == found
    assert shelf.asked == 1
    clock.now += 0.02
    assert await ring.find(token) == found
    assert shelf.asked == 2


async def test_what_changed_is_known_then(ring: KeyRing, shelf: Shelf, clock: Clock) -> None:
    assert await ring.find(b"web") == KEY
    assert await ring.find(b"new") is None
    revoked = Key("key_1", "web", revoked_at=1.0)
    shelf.keys.update({b"web": revoked, b"new": KEY})
    clock.now += FRESH_SECONDS
    assert await ring.find(b"web") == revoked
    assert await ring.find(b"new") == KEY
    del shelf.keys[b"new"]
    clock.now += FRESH_SECONDS
    assert await ring.find(b"new") is None


async def test_many_who_ask_for_the_same_ask_the_store_once(ring: KeyRing, shelf: Shelf) -> None:
    shelf.held = []
    asking = [asyncio.create_task(ring.find(b"web")) for _ in range(100)]
    await shelf.came.wait()
    asking[0].cancel()  # a client that leaves takes nobody with it
    await asyncio.wait([asking[0]])
    shelf.held[0].set_result(KEY)
    assert await asyncio.gather(*asking[1:]) == [KEY] * 99
    assert shelf.asked == 1


async def test_who_tries_many_drives_no_key_out(ring: KeyRing, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "MOST", 10)
    assert await ring.find(b"web") == KEY
    for number in range(100):
        assert await ring.find(str(number).encode()) is None
    assert len(ring._unknown) == 10
    asked = shelf.asked
    assert await ring.find(b"web") == KEY
    assert await ring.find(b"99") is None  # the newest are remembered too
    assert shelf.asked == asked
    assert await ring.find(b"0") is None
    assert shelf.asked == asked + 1


async def test_keys_are_bounded_too(shelf: Shelf, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "MOST", 10)
    shelf.keys = {str(number).encode(): KEY for number in range(20)}
    for name in shelf.keys:
        assert await ring.find(name) == KEY
    assert len(ring._known) == 10


async def test_row52_a_store_that_can_not_be_read_shuts_out_who_is_not_known(
    ring: KeyRing, shelf: Shelf, clock: Clock, logged: list[dict[str, Any]]
) -> None:
    """Those who are known go on for a while, and the store is not asked for each of their requests."""
    assert await ring.find(b"web") == KEY
    assert await ring.find(b"nobody's") is None
    shelf.broken = True
    clock.now += FRESH_SECONDS
    asked = shelf.asked
    for _ in range(3):
        assert await ring.find(b"web") == KEY
    assert shelf.asked == asked + 1
    for token in (b"another", b"nobody's"):
        assert await ring.find(token) is UNREADABLE
    clock.now += GRACE_SECONDS
    assert await ring.find(b"web") is UNREADABLE
    assert [entry["why"] for entry in logged if entry["event"] == "store"] == ["The store is damaged."]
    shelf.broken = False
    assert await ring.find(b"web") == KEY
    shelf.broken = True
    assert await ring.find(b"other") is UNREADABLE
    assert len([entry for entry in logged if entry["event"] == "store"]) == 2


async def test_row51_a_store_that_does_not_answer_is_waited_for_a_moment(
    ring: KeyRing, shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(keyring, "STORE_SECONDS", 0.01)
    assert await ring.find(b"web") == KEY
    shelf.held = []
    clock.now += FRESH_SECONDS
    assert await ring.find(b"web") == KEY
    assert await ring.find(b"other") is UNREADABLE
    assert await ring.find(b"other") is UNREADABLE
    assert len(shelf.held) == 2  # what is being asked is not asked again
    assert logged[0]["why"] == "The store did not answer within 0.01 s."
    for late in shelf.held:
        late.set_result(None)
    await asyncio.wait(ring._asking.values())
    assert await ring.find(b"web") is None  # the answer counts, however late


async def test_what_is_asked_of_a_store_that_hangs_is_bounded(ring: KeyRing, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "STORE_SECONDS", 0.001)
    monkeypatch.setattr(keyring, "MOST", 5)
    shelf.held = []
    for number in range(20):
        failure = await ring.find(str(number).encode())
        assert isinstance(failure, Failure)
    assert len(shelf.held) == 5
