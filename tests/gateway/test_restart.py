"""What outlives a process: what ended, as it was; what ran, as far as it was written, and an ending; what waited, begun again."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from telex.core.errors import TelexError
from telex.gateway import entries, keeper
from telex.stores.ports import Saved, StoreError
from telex.stores.sqlite import SqliteStore
from telex.testing import Head, ScriptedUpstream, Send, Stall, Until, say
from telex.testing.answers import SSE

from .client import PATIENT, Answer, chat, connect, request, send
from .house import Child, House, gateway, serve, unheard
from .returning import FIRST, FRAMES, ROOT, asking, begun, followed, gated, get, is_problem, record, until

CONFIG = """
[providers.up]
dialect = "openai-chat"
base_url = "{url}"
[server]
concurrent = {concurrent}
drain = 0.2
"""


@asynccontextmanager
async def child(folder: Path, upstream: ScriptedUpstream, concurrent: int = 100) -> AsyncIterator[Child]:
    async with serve(folder, CONFIG.format(url=upstream.url, concurrent=concurrent)) as child, unheard(child):
        await ready(child.port)
        yield child


async def ready(port: int) -> None:
    async with asyncio.timeout(PATIENT):
        while (await get(port, "/readyz")).status != 200:  # noqa: ASYNC110 (it is another process)
            await asyncio.sleep(0.01)


async def kill(child: Child) -> None:
    child.signal(signal.SIGKILL)
    async with asyncio.timeout(PATIENT):
        await child.process.wait()


async def status_of(port: int, id: str, *those: str) -> str:
    """The first of these states that it is in."""
    async with asyncio.timeout(PATIENT):
        while (said := str((await record(port, id))["status"])) not in those:  # noqa: ASYNC110 (it is another process)
            await asyncio.sleep(0.01)
    return said


def later() -> bytes:
    return request(chat(), headers={"prefer": "respond-async"})


async def written(folder: Path, child: Child, id: str, frames: int) -> None:
    """Return when the file has so many frames of it."""
    store = SqliteStore(folder / "telex.db")
    try:
        async with asyncio.timeout(PATIENT):
            there = list[bytes]()
            while len(there) < frames:
                there = await asyncio.wrap_future(store.generations.read(id, 0, 1 << 20))
                await asyncio.sleep(0.01)
    finally:
        store.close()


# ---- an orderly end


@pytest.mark.parametrize("policy", ["hold", "finish"])
async def test_what_ended_is_there_byte_for_byte(policy: str, tmp_path: Path) -> None:
    tables: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/telex.db"}
    with ScriptedUpstream(say("Hi there, you")) as upstream:
        async with gateway(upstream.url, **tables) as house:
            answer = await send(house.port, asking(policy))
            id = answer.headers["telex-generation"]
            said = await record(house.port, id)
        async with gateway(upstream.url, **tables) as house:
            frames = answer.frames
            for after in range(len(frames) + 1):
                assert (await followed(house.port, id, after)).body == b"".join(frames[after:])
            assert (await get(house.port, f"{ROOT}/{id}/reply")).text == "Hi there, you"
            assert await record(house.port, id) == said
            assert [item["id"] for item in (await get(house.port, ROOT)).json["data"]] == [id]


async def test_row47_what_runs_at_the_end_of_its_drain_says_so_and_is_there_afterwards(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/telex.db"}
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall())) as upstream:
        async with gateway(upstream.url, server={"drain": 0.05}, **tables) as house, connect(house.port) as client:
            client.send(asking("finish"))
            id = await begun(client)
            house.process.stop()
            rest = await client.event()
            assert "shutting down" in json.loads(rest.removeprefix(b"data: "))["error"]["message"]
        async with gateway(upstream.url, **tables) as house:
            assert (await followed(house.port, id)).frames == [FIRST, rest]
            assert (await record(house.port, id))["status"] == "truncated"


async def test_row47_a_job_that_waits_is_begun_by_the_next_process(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/telex.db"}
    gate = threading.Event()
    with ScriptedUpstream(gated(gate), say("Two")) as upstream:
        async with gateway(upstream.url, server={"concurrent": 1}, **tables) as house:
            first, second = [(await send(house.port, later())).json["id"] for _ in range(2)]
            await upstream.until(1)
            house.process.stop()
            gate.set()
            await until(lambda: not house.process.gateway.running)
        async with gateway(upstream.url, **tables) as house:
            await until(lambda: not house.process.gateway._archive._here)
            said = [await record(house.port, id) for id in (first, second)]
            assert [item["status"] for item in said] == ["complete", "complete"]
            assert (await get(house.port, f"{ROOT}/{second}/reply")).text == "Two"
        assert len(upstream.calls) == 2


async def test_what_is_forgotten_while_it_is_read_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "PAGE", 1)
    with ScriptedUpstream(say("Hi there, you")) as upstream:
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db") as house:
            answer = await send(house.port, asking("finish"))
            await until(lambda: not house.process.gateway._archive._here)
            found = await house.process.gateway._archive.find(answer.headers["telex-generation"], "")
            assert isinstance(found, entries.Past)
            reader = found.join()
            await reader.wait()
            assert reader.take() == answer.frames[0]
            await asyncio.wrap_future(house.process.store.generations.delete(found.id))
            with pytest.raises(StoreError, match="forgotten while it was read"):
                await reader.wait()


async def test_jobs_that_were_accepted_wait_for_room_and_are_not_refused_by_the_next_process(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/telex.db"}
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall()), *[say("Hi")] * 6) as upstream:
        async with gateway(upstream.url, server={"concurrent": 1}, **tables) as house:
            ids = [(await send(house.port, later())).json["id"] for _ in range(6)]
            await upstream.until(1)
        async with gateway(upstream.url, server={"concurrent": 1, "queue": 1}, **tables) as house:
            await until(lambda: not house.process.gateway._archive._here)
            said = [await record(house.port, id) for id in ids]
            assert [item["status"] for item in said] == ["truncated", *["complete"] * 5]


# ---- kill -9


async def test_row48_row49_what_was_written_is_there_and_its_ending_says_that_it_broke_off(tmp_path: Path) -> None:
    gate = threading.Event()
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Until(gate.is_set), Stall())) as upstream:
        async with child(tmp_path, upstream) as first, connect(first.port) as client:
            client.send(asking("finish"))
            id = await begun(client)
            await written(tmp_path, first, id, 1)
            await kill(first)
            assert (await client.event(), client.whole) == (b"", False), "its connection breaks, and does not end"
        gate.set()
        async with child(tmp_path, upstream) as second:
            said = await record(second.port, id)
            assert (said["status"], "ended while it ran" in said["failure"]["message"]) == ("truncated", True)
            start, end = (await followed(second.port, id)).frames
            assert start == FIRST
            assert json.loads(end.removeprefix(b"data: "))["error"]["code"] == "process_ended"
            assert (await followed(second.port, id, 1)).frames == [end]
            for beyond in (2, 99):
                assert (await followed(second.port, id, beyond)).frames == [end], "a cursor beyond what was written gets the ending"
            assert (await get(second.port, f"{ROOT}/{id}/reply")).status == 502


async def test_row48_a_job_that_was_begun_is_not_begun_again_and_one_that_waited_is(tmp_path: Path) -> None:
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall()), say("Two")) as upstream:
        async with child(tmp_path, upstream, concurrent=1) as first:
            running, waiting = [(await send(first.port, later())).json["id"] for _ in range(2)]
            await status_of(first.port, running, "running")
            await upstream.until(1)
            await kill(first)
        async with child(tmp_path, upstream) as second:
            assert await status_of(second.port, waiting, "complete") == "complete"
            assert (await get(second.port, f"{ROOT}/{waiting}/reply")).text == "Two"
            assert (await record(second.port, running))["status"] == "truncated"
        assert len(upstream.calls) == 2


async def test_row48_no_job_that_was_accepted_is_lost(tmp_path: Path) -> None:
    """Killed in the middle of accepting many: whoever was told so finds it."""
    with ScriptedUpstream((Head(200, SSE), Send(FIRST), Stall()), *[say("Hi")] * 300) as upstream:
        told: list[str] = []

        async def submit(port: int) -> None:
            try:
                while True:
                    answer: Answer = await send(port, later())
                    if answer.status == 202 and answer.whole:
                        told.append(answer.json["id"])
            except (OSError, asyncio.IncompleteReadError):
                pass

        async with child(tmp_path, upstream, concurrent=1) as first:
            submitting = [asyncio.create_task(submit(first.port)) for _ in range(4)]
            await until(lambda: len(told) >= 40)
            await kill(first)
            await asyncio.gather(*submitting)
        async with child(tmp_path, upstream) as second:
            for id in told[1:]:
                assert await status_of(second.port, id, "complete", "truncated") == "complete"


# ---- one process at a time, and a file that can't be used


async def test_a_second_gateway_on_the_same_file_does_not_start(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db") as house:
            with pytest.raises(TelexError, match="PostgreSQL"):
                House(house.process.config)


async def test_row52_with_a_file_that_is_damaged_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "telex.db").write_bytes(b"no database at all" * 1000)
    with ScriptedUpstream() as upstream, pytest.raises(TelexError, match="is no database"):
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db"):
            pass


# ---- a store that fails while it runs


async def limit(house: House, pages: int) -> None:
    store: Any = house.process.store
    await asyncio.wrap_future(store._writer.do(lambda file: file.execute(f"PRAGMA max_page_count = {pages}").fetchall()))


async def fill(house: House) -> None:
    """From now on there is no place on the disk, nor in the file."""
    await limit(house, 1)
    for size in (3000, 300, 30, 3):
        with suppress(StoreError):
            for number in range(1000):
                saved = Saved(f"{size} {number}", "nobody", 0.0, b"{}" + b" " * size, ended=0.0, expires=1e12)
                await asyncio.wrap_future(house.process.store.generations.create(saved))


@pytest.mark.parametrize("policy", ["hold", "finish"])
async def test_row50_disk_full(policy: str, tmp_path: Path) -> None:
    gate = threading.Event()
    with ScriptedUpstream(gated(gate), say("Whole"), say("Later")) as upstream:
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db") as house, connect(house.port) as client:
            await fill(house)
            client.send(asking(policy))
            id = await begun(client)
            await until(lambda: house.process.gateway._archive.keeper.why_not(id))
            assert (await record(house.port, id))["kept"] is False
            async with connect(house.port) as other:
                other.send(request(method="GET", path=f"{ROOT}/{id}/stream?after=0"))
                status, headers = await other.head()
                assert (status, headers["telex-resumable"]) == (200, "false")
                assert await other.event() == FIRST, "as long as it is here it can be come back to"
            refused = await send(house.port, later())
            assert (refused.status, "disk is full" in refused.error["message"], "retry-after" in refused.headers) == (503, True, True)
            assert (await send(house.port, request(chat(stream=False)))).text == "Whole"
            gate.set()
            assert [await client.event(), await client.event()] == FRAMES[1:]
            await until(lambda: not house.process.gateway._archive._here)
            assert is_problem(await followed(house.port, id), 410, "nothing of it was kept")
            assert (await record(house.port, id))["status"] == "complete"
            await limit(house, 1_000_000)
            accepted = await send(house.port, later())
            assert accepted.status == 202
            await until(lambda: not house.process.gateway._archive._here)
            assert (await get(house.port, f"{ROOT}/{accepted.json['id']}/reply")).text == "Later"


async def test_row51_store_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "ACCEPT", 0.2)
    with ScriptedUpstream(say("One"), say("Two")) as upstream:
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db") as house:
            other = sqlite3.connect(tmp_path / "telex.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            answer = await send(house.port, asking("finish"))
            assert answer.text == "One", "nobody who reads waits for the store"
            refused = await send(house.port, later())
            assert refused.status == 503
            other.execute("ROLLBACK")
            other.close()
            await until(lambda: not house.process.gateway._archive._here)
            assert (await followed(house.port, answer.headers["telex-generation"])).body == answer.body
            unfinished = await asyncio.wrap_future(house.process.store.generations.unfinished())
            assert unfinished == [], "what was refused is not begun by the next process"
        assert len(upstream.calls) == 1


async def test_row52_a_file_that_is_damaged_while_it_runs(tmp_path: Path) -> None:
    with ScriptedUpstream(*[say("Hi")] * 4) as upstream:
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db") as house:
            first = await send(house.port, asking("finish"))
            await until(lambda: not house.process.gateway._archive._here)
            store: Any = house.process.store
            await asyncio.wrap_future(store._writer.do(damage))
            await asyncio.wrap_future(store._reader.do(lambda file: file.execute("PRAGMA shrink_memory").fetchall()))
            assert (await send(house.port, request(chat()))).text == "Hi"
            assert (await send(house.port, asking("finish"))).text == "Hi"
            assert (await send(house.port, later())).status == 503
            assert (await followed(house.port, first.headers["telex-generation"])).status == 503


def damage(file: sqlite3.Connection) -> None:
    """Not a page of it makes sense any more, but the first."""
    file.execute("COMMIT")
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    place = Path(file.execute("PRAGMA database_list").fetchone()["file"])
    with place.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xa5" * (place.stat().st_size - 4096))
    file.execute("PRAGMA shrink_memory").fetchall()
    file.execute("BEGIN")
    file.execute("SAVEPOINT job")


async def test_row53_the_time_of_the_day_may_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, ahead, now = threading.Event(), [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead[0])
    with ScriptedUpstream(gated(gate), say("Hi")) as upstream:
        async with gateway(upstream.url, store=f"sqlite:///{tmp_path}/telex.db") as house, connect(house.port) as client:
            client.send(asking("hold"))
            id = await begun(client)
            for jump in (1e7, -1e7):
                ahead[0] = jump
                assert (await record(house.port, id))["status"] == "running"
            gate.set()
            assert [await client.event(), await client.event()] == FRAMES[1:]
            await until(lambda: not house.process.gateway._archive._here)
            for jump in (1e7, -1e7, 0.0):
                ahead[0] = jump
                assert (await followed(house.port, id)).body == b"".join(FRAMES), "nothing expires because a clock was set"
            assert is_problem(await get(house.port, f"{ROOT}/gen_0"), 404)
