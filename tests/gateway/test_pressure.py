"""Near what a process may have of open files and memory, new work is refused while what runs goes on, and then it is as before."""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from telex.gateway.pressure import EACH, FULL, NO_LIMIT, OFTEN, SELDOM, Level, Pressure, count_files, measure_memory, read_group, resident
from telex.testing import Head, ScriptedUpstream, Send, Stall, say

from .client import PATIENT, Answer, ask, connect
from .house import gateway, serve

JSON = (("content-type", "application/json"),)


async def until_status(port: int, wanted: int) -> Answer:
    """Ask until the answer has that status: what is near its limit is looked at now and then."""
    async with asyncio.timeout(PATIENT):
        while (answer := await ask(port)).status != wanted:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(OFTEN)
    return answer


async def test_row64_near_the_limit_of_open_files_new_work_is_refused_and_then_not(tmp_path: Path) -> None:
    with ScriptedUpstream((Stall(),), say("Hi")) as upstream:
        config = f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        async with serve(tmp_path, config) as child, connect(child.port) as running, AsyncExitStack() as stack:
            running.ask()
            [call] = await upstream.until(1)
            used = len(os.listdir(f"/proc/{child.process.pid}/fd"))
            resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE, (used + 60, used + 60))
            assert (await until_status(child.port, 200)).text == "Hi"
            idle = [await stack.enter_async_context(connect(child.port)) for _ in range(50)]
            answer = await until_status(child.port, 503)
            assert (answer.error["code"], answer.headers["retry-after"]) == ("server_busy", "1")
            assert "short of open files" in answer.error["message"]
            assert call.left_at is None, "what runs goes on"
            for client in idle:
                client.leave()
            assert (await until_status(child.port, 200)).text == "Hi"
            running.leave()
            child.process.terminate()
            _, out, err = await child.end()
    assert "Too many open files" not in out + err
    assert err.count('"short_of":"open files"') == 1, "a line in the log when it begins"


async def test_row65_near_the_limit_of_memory_new_work_is_shed_and_then_not(tmp_path: Path) -> None:
    """Whole replies of which the end does not come are kept, and they are large."""
    large = (Head(200, JSON), Send(b'{"' + b"x" * (40 << 20)), Stall())
    with ScriptedUpstream(say("Hi"), *[large] * 4, say("Hi")) as upstream:
        providers = f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        async with serve(tmp_path, f"server.memory = {180 << 20}\n{providers}") as child, AsyncExitStack() as stack:
            assert (await ask(child.port)).text == "Hi"
            clients = [await stack.enter_async_context(connect(child.port)) for _ in range(4)]
            for number, client in enumerate(clients):
                client.ask(stream=False)
                await (await upstream.until(number + 2))[-1].until("first_byte")
            answer = await until_status(child.port, 503)
            assert "short of memory" in answer.error["message"]
            for client in clients:
                client.leave()
            assert (await until_status(child.port, 200)).text == "Hi"


async def test_row65_where_nothing_runs_nothing_is_shed() -> None:
    """More would not become free by it."""
    with ScriptedUpstream(say("Hi"), (Stall(),), say("Hi")) as upstream:
        async with gateway(upstream.url, server={"memory": 1}) as house:
            assert (await ask(house.port)).status == 200
            async with connect(house.port) as client:
                client.ask()
                [_, call] = await upstream.until(2)
                assert (await ask(house.port)).status == 503
                client.leave()
                await call.until("left_at")
            assert (await until_status(house.port, 200)).text == "Hi"


# ---- looking


class Gauge:
    """A measure that is set, and counts how often it is read."""

    def __init__(self, used: int = 0, limit: int = 1000) -> None:
        self.used = used
        self.limit = limit
        self.reads = 0

    def __call__(self) -> Level:
        self.reads += 1
        return Level(self.used, self.limit)


def test_it_looks_once_a_second_and_more_often_where_it_is_close() -> None:
    files, memory = Gauge(), Gauge()
    pressure = Pressure(files, memory)
    assert [pressure.why(1, number * SELDOM / 100) for number in range(100)] == [""] * 100
    assert (files.reads, memory.reads) == (1, 1)
    memory.used = 950
    assert pressure.why(1, SELDOM) == "memory"
    assert [pressure.why(1, SELDOM + number * OFTEN / 10) for number in range(10)] == ["memory"] * 10
    assert memory.reads == 2
    memory.used = 100
    assert pressure.why(1, SELDOM + OFTEN) == ""


def test_between_two_looks_what_was_begun_counts() -> None:
    files = Gauge()
    pressure = Pressure(files, lambda: None)
    begun = 0
    while not pressure.why(1, begun * 1e-9):
        begun += 1
    assert begun == FULL * 1000 // EACH
    assert pressure.why(1, OFTEN) == "", "they may have ended meanwhile, so it looks"


def test_without_limits_there_is_no_pressure() -> None:
    assert Pressure(lambda: None, lambda: None).why(5, 0.0) == ""


def test_this_process() -> None:
    level = count_files()
    assert level is not None
    assert 3 <= level.used < level.limit
    memory = measure_memory(1 << 30)()
    assert memory is not None
    assert 1 << 20 < memory.used == pytest.approx(resident(), rel=0.5)


V2 = {"memory.max": "1000\n", "memory.current": "700\n", "memory.stat": "anon 500\ninactive_file 150\n"}
V1 = {"memory.limit_in_bytes": "1000\n", "memory.usage_in_bytes": "700\n", "memory.stat": "cache 3\ntotal_inactive_file 150\n"}


@pytest.mark.parametrize(
    ("files", "level"),
    [
        (V2, Level(550, 1000)),
        (V1, Level(550, 1000)),
        ({**V2, "memory.max": "max\n"}, None),
        ({**V1, "memory.limit_in_bytes": f"{NO_LIMIT * 8 - 4096}\n"}, None),
        ({}, None),
    ],
    ids=["version 2", "version 1", "version 2 without a limit", "version 1 without a limit", "no group"],
)
def test_control_groups(tmp_path: Path, files: dict[str, str], level: Level | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert read_group(tmp_path) == level
