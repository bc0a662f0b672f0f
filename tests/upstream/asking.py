"""One exchange, straight on the pool: what a receiver is told, in its order."""

from __future__ import annotations

import asyncio

from telex.core.errors import Failure
from telex.testing import ScriptedUpstream
from telex.upstream.address import parse_url, render_head, render_request
from telex.upstream.connection import Connection
from telex.upstream.pool import Pool

PATIENT = 30.0


class Recorder:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.told: list[str] = []
        self.over = asyncio.Event()
        self.some = asyncio.Event()
        self.failure: Failure | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        self.told.append("head")
        self.status, self.headers = status, headers

    def on_data(self, data: bytes) -> None:
        assert data
        if self.told[-1] != "data":
            self.told.append("data")
        self.pieces.append(data)
        self.some.set()

    def on_end(self) -> None:
        self.told.append("end")
        self.over.set()

    def on_failure(self, failure: Failure) -> None:
        self.told.append("failure")
        self.failure = failure
        self.over.set()

    def on_bug(self, bug: Exception) -> None:
        raise bug

    async def end(self) -> None:
        async with asyncio.timeout(PATIENT):
            await self.over.wait()


async def connection(pool: Pool, url: str) -> Connection:
    origin, _ = parse_url(url)
    taken = pool.take(origin) or await pool.open(origin, PATIENT)
    assert isinstance(taken, Connection), taken
    return taken


async def begin(pool: Pool, upstream: ScriptedUpstream, body: bytes = b"{}") -> tuple[Connection, Recorder]:
    recorder, taken = Recorder(), await connection(pool, upstream.url)
    taken.send(render_request(render_head("POST", parse_url(upstream.url)[0], "/v1/chat/completions", {}), body), recorder)
    return taken, recorder


async def exchange(pool: Pool, upstream: ScriptedUpstream) -> Recorder:
    _, recorder = await begin(pool, upstream)
    await recorder.end()
    return recorder
