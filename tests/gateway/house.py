"""A gateway in this event loop, or as a process of its own, in front of whatever a test calls a provider."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from telex.config import Config
from telex.dialects import DIALECTS
from telex.gateway.server import Process, listen

from .client import PATIENT


class House:
    """A gateway that runs: where, what it is, and its serving as a task."""

    def __init__(self, config: Config) -> None:
        listener = listen("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        try:
            self.process = Process(config, listener)
        except BaseException:
            listener.close()
            raise
        self.ready = asyncio.Event()
        self.serving = asyncio.create_task(self.process.serve(self.ready.set))

    @property
    def connections(self) -> int:
        """Those of clients that are open."""
        return len(self.process._server.server_state.connections)


def provider(url: str, **fields: Any) -> dict[str, Any]:
    return {"dialect": "openai-chat", "base_url": url, **fields}


def in_each_dialect(url: str) -> dict[str, Any]:
    """Providers at one place that speak a dialect each, and are called by its name."""
    return {name: provider(url, dialect=name, api_key="k") for name in DIALECTS}


@asynccontextmanager
async def gateway(*urls: str, providers: Mapping[str, Any] | None = None, **tables: Any) -> AsyncIterator[House]:
    """Providers `up`, `up1`, … at `urls`, or as given; `tables` are further tables of a configuration. What is kept is kept in memory."""
    tables.setdefault("store", "memory:")
    rows = providers or {f"up{number or ''}": provider(url) for number, url in enumerate(urls)}
    house = House(msgspec.convert({"providers": rows, **tables}, Config))
    try:
        async with asyncio.timeout(PATIENT):
            await house.ready.wait()
        yield house
    finally:
        house.process.stop()
        house.process.stop()
        async with asyncio.timeout(PATIENT):
            await house.serving


# ---- as a process of its own


class Child:
    """`python -m telex serve` as a child process, on a port that it chose."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    @property
    def rss(self) -> int:
        """Bytes of memory that it has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) << 10

    @property
    def files(self) -> int:
        """How many it has open: sockets, nearly all."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def log_line(self) -> Any:
        """The next line of its log."""
        assert self.process.stderr
        async with asyncio.timeout(PATIENT):
            return msgspec.json.decode(await self.process.stderr.readline())

    async def end(self) -> tuple[int, str, str]:
        """Its exit status, and what it still printed on both outputs."""
        async with asyncio.timeout(PATIENT):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


async def telex(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """The command, in a folder of its own and without any provider's key."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "telex", *arguments, cwd=folder, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )


@asynccontextmanager
async def serve(folder: Path, config: str = "") -> AsyncIterator[Child]:
    """`config`: the text of its telex.toml; without any, it has the embedded model."""
    if config:
        (folder / "telex.toml").write_text(config)
    process = await telex(folder, "serve", "--port", "0")
    try:
        assert process.stdout
        async with asyncio.timeout(PATIENT):
            line = await process.stdout.readline()
        found = re.search(rb"http://127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield Child(process, int(found[1]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def unheard(child: Child) -> AsyncIterator[None]:
    """Its log is read and forgotten: one that nobody reads holds up who writes it, once the pipe is full."""
    log = child.process.stderr
    assert log

    async def forget() -> None:
        while await log.read(1 << 16):
            pass

    reading = asyncio.create_task(forget())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait([reading])
