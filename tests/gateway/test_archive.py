"""What is kept of generations, where, for how long, and what is remembered of those that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from telex.config import Config, OnDisconnect, Retention
from telex.core.errors import Failure
from telex.core.messages import Message, Part, Request
from telex.gateway import archive, keeper
from telex.gateway.archive import FORGOTTEN, Archive
from telex.gateway.entries import Bare, Live, Past
from telex.gateway.record import record_of
from telex.generation.engine import Engine
from telex.generation.generation import Generation
from telex.stores.memory import MemoryStore
from telex.stores.ports import StoreError

from .returning import until

PROVIDERS = {"up": {"dialect": "openai-chat", "base_url": "http://127.0.0.1:9"}}
STOPPED = Failure("cancelled", "It was stopped.")


class House:
    """An archive, its store and its clock; generations that never begin."""

    def __init__(self, seconds: int = 60) -> None:
        self.now = 1000.0
        self.store = MemoryStore()
        self.archive = Archive(self.store.generations, Retention(resumable=f"{seconds}s"), lambda: self.now)
        self.engine = Engine(msgspec.convert({"providers": PROVIDERS}, Config), self.end)

    async def add(self, id: str, policy: OnDisconnect = "finish", owner: str = "", keep: bool = True) -> Generation:
        request = Request(model="up/m", messages=(Message("user", (Part("text", "?"),)),), stream=True, dialect="openai-chat")
        generation = await self.engine.begin(id, request, on_disconnect=policy)
        assert isinstance(generation, Generation)
        generation.owner = owner
        self.archive.add(generation)
        if policy != "cancel" and keep:
            self.archive.keeper.keep(generation)
        return generation

    def end(self, generation: Generation) -> None:
        self.archive.end(generation, record_of(generation))

    async def stop(self, *generations: Generation) -> None:
        """They have ended, and the store knows."""
        for generation in generations:
            generation.stop(STOPPED)
        await until(lambda: not any(generation.id in self.archive._here for generation in generations))

    async def states(self, ids: str, owner: str | None = "") -> str:
        """A letter for each id: live, past, bare, gone, unknown."""
        letters = {Live: "l", Past: "p", Bare: "b"}
        found = [await self.archive.find(id, owner) for id in ids]
        return "".join(letters.get(type(entry)) or ("g" if entry == FORGOTTEN else "u") for entry in found)

    async def newest(self, limit: int = 9, owner: str | None = "", before: str | None = None, background: bool | None = None) -> str:
        found = await self.archive.newest(limit, owner, before, background)
        assert not isinstance(found, Failure)
        return "".join(record["id"] for record in found)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.archive.keeper.close()


async def test_those_that_run_stay_however_old(house: House) -> None:
    a, b = await house.add("a"), await house.add("b", "cancel")
    house.now = 1e9
    assert (await house.states("abc"), house.archive.running) == ("llu", [a, b])


async def test_those_that_ended_stay_for_a_while(house: House) -> None:
    a, b, c = await house.add("a"), await house.add("b"), await house.add("c", "cancel")
    await house.stop(b, c)
    assert (await house.states("abc"), house.archive.running) == ("lpb", [a])
    house.now += 30
    await house.stop(a)
    house.now += 29.9
    assert await house.states("abc") == "ppb"
    house.now += 0.1
    assert await house.states("abc") == "pgg", "also where the store has not yet forgotten it"
    await asyncio.wrap_future(house.store.generations.forget(house.now, 1 << 30))
    assert (await house.states("abc"), await house.newest()) == ("pgg", "a")


async def test_records_say_whether_there_is_more_than_they_are(house: House) -> None:
    a, b, _ = await house.add("a"), await house.add("b", "cancel"), await house.add("c")
    await house.stop(a, b)
    found = [await house.archive.find(id, "") for id in "abc"]
    records = [entry.record for entry in found if not isinstance(entry, Failure)]
    assert [(record["id"], record["status"], record["kept"]) for record in records] == [
        ("a", "cancelled", True),
        ("b", "cancelled", False),
        ("c", "queued", True),
    ]


async def test_the_newest_come_first_wherever_they_are(house: House) -> None:
    policies: list[OnDisconnect] = ["finish", "cancel"] * 3
    made = [await house.add(id, policy) for id, policy in zip("abcdef", policies, strict=True)]
    await house.stop(*made[:4][::-1])
    assert await house.newest() == "fedcba"
    assert await house.newest(2) == "fe"
    pages = [await house.newest(2, before=before) for before in "fedcba"]
    assert pages == ["ed", "dc", "cb", "ba", "a", ""]
    assert await house.newest(before="x") == ""
    assert await house.newest(background=True) == ""


async def test_for_an_owner_there_are_only_its_own(house: House) -> None:
    await house.stop(await house.add("c", owner="bert"), await house.add("d", "cancel", owner="bert"))
    await house.add("a", owner="anna")
    await house.add("b", owner="bert")
    assert [await house.states("abcd", owner) for owner in ("anna", "bert", None, "")] == ["luuu", "ulpb", "llpb", "uuuu"]
    assert [await house.newest(owner=owner) for owner in ("anna", "bert", None, "")] == ["a", "bdc", "badc", ""]
    house.now += 60
    assert [await house.states("cd", owner) for owner in ("anna", "bert", None)] == ["uu", "gg", "gg"]


async def test_records_alone_are_so_many_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RECORDS_MOST", 2)
    monkeypatch.setattr(archive, "GONE_MOST", 2)
    for id in "abcde":
        await house.stop(await house.add(id, "cancel"))
    assert await house.states("abcde") == "uggbb"


# ---- a store that fails

Logged = list[dict[str, Any]]


class Broken:
    """The generations of a store, of which every call fails while `broken`."""

    def __init__(self, generations: Any) -> None:
        self.generations = generations
        self.broken = True
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Future[Any]:
            self.calls.append(name)
            if not self.broken:
                return getattr(self.generations, name)(*arguments)  # type: ignore[no-any-return]
            future: Future[Any] = Future()
            future.set_exception(StoreError("The store can't grow: the disk is full."))
            return future

        return call


@pytest.fixture
async def failing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[House, Broken]]:
    monkeypatch.setattr(keeper, "PAUSE", 0.01)
    house = House()
    broken = Broken(house.store.generations)
    house.archive = Archive(broken, Retention(resumable="60s"), lambda: house.now)
    yield house, broken
    await house.archive.keeper.close()


async def test_row50_while_the_store_fails_what_runs_is_here_and_says_so(failing: tuple[House, Broken], logged: Logged) -> None:
    house, broken = failing
    a = await house.add("a")
    await until(lambda: house.archive.keeper.why_not("a"))
    entry = await house.archive.find("a", "")
    assert isinstance(entry, Live)
    assert entry.record["kept"] is False
    assert (b"telex-resumable", b"false") in entry.headers
    broken.broken = False
    await until(lambda: not house.archive.keeper.why_not("a"))
    assert (entry.record["kept"], [name for name, _ in entry.headers if name == b"telex-resumable"]) == (True, [])
    await house.stop(a)
    assert await house.states("a") == "p", "what could not be written was tried again"
    assert "disk is full" in str(logged)


async def test_row50_what_ended_meanwhile_is_let_go_of(failing: tuple[House, Broken]) -> None:
    house, broken = failing
    await house.stop(await house.add("a"))
    assert (await house.states("a"), house.engine.room.used) == ("b", 0)
    entry = await house.archive.find("a", "")
    assert isinstance(entry, Bare)
    assert entry.record["kept"] is False
    assert broken.calls.count("create") <= 2 * keeper.TRIES


async def test_row50_a_job_is_refused_before_it_is_accepted(failing: tuple[House, Broken]) -> None:
    house, _ = failing
    generation = await house.add("a", keep=False)
    refused = await house.archive.keeper.accept(generation, "", b"", b"request")
    assert refused is not None
    assert (refused.kind, refused.http_status, "disk is full" in refused.message) == ("busy", 503, True)


async def test_row50_what_can_not_be_read_is_busy_and_not_unknown(failing: tuple[House, Broken]) -> None:
    house, _ = failing
    for found in (await house.archive.find("x", ""), await house.archive.newest(9, "", None, None)):
        assert isinstance(found, Failure)
        assert found.http_status == 503


class Slow(Broken):
    """The first call of each kind is answered when somebody says so."""

    def __init__(self, generations: Any) -> None:
        super().__init__(generations)
        self.waiting: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Future[Any]:
            self.calls.append(name)
            if name != "create":
                return getattr(self.generations, name)(*arguments)  # type: ignore[no-any-return]
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel()
            self.waiting.append((future, getattr(self.generations, name), arguments))
            return future

        return call


async def test_row51_a_store_that_is_slow_refuses_in_time_and_what_it_wrote_then_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "ACCEPT", 0.05)
    house = House()
    slow = Slow(house.store.generations)
    house.archive = Archive(slow, Retention(), lambda: house.now)
    generation = await house.add("a", keep=False)
    refused = await house.archive.keeper.accept(generation, "k", b"d", b"request")
    assert refused is not None
    assert refused.http_status == 503
    [(future, create, arguments)] = slow.waiting
    future.set_result(create(*arguments).result())
    await until(lambda: "end" in slow.calls)
    assert house.store.generations.unfinished().result() == []
    assert house.store.generations.find_key("", "k").result() is None
    await house.archive.keeper.close()
