"""One small request and its whole answer: lists of models, checks. Generations go their own way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from msgspec import Struct

from telex.core.errors import Failure
from telex.upstream.address import render_request
from telex.upstream.endpoint import Endpoint
from telex.upstream.pool import Connections
from telex.upstream.timers import Loop, Promise

LIMIT = 16 << 20
"""Bytes that such an answer may have."""


class Answer(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes


class Collector:
    """Receives one answer. `over`: the exchange ended, whether or not somebody still waits for it."""

    def __init__(self, loop: Loop) -> None:
        self.over = False
        self.answer: Promise[Answer | Failure] = loop.create_future()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        self._status, self._headers = status, headers

    def on_data(self, data: bytes) -> None:
        if len(self._body) <= LIMIT:
            self._body += data

    def on_end(self) -> None:
        self.over = True
        if len(self._body) > LIMIT:
            self.on_failure(Failure("malformed", f"The answer is longer than {LIMIT} bytes."))
        elif not self.answer.done():
            self.answer.set_result(Answer(self._status, self._headers, bytes(self._body)))

    def on_failure(self, failure: Failure) -> None:
        self.over = True
        if not self.answer.done():
            self.answer.set_result(failure)

    def on_bug(self, bug: Exception) -> None:
        self.over = True
        if not self.answer.done():
            self.answer.set_exception(bug)


async def fetch(
    pool: Connections, endpoint: Endpoint, body: bytes, timeout: float, headers: Mapping[str, str] | None = None
) -> Answer | Failure:
    """The answer, or why there is none within `timeout` seconds. `headers`: of this request alone."""
    connection = None
    collector = Collector(asyncio.get_running_loop())
    try:
        async with asyncio.timeout(timeout):
            connection = pool.take(endpoint.origin) or await pool.open(endpoint.origin, timeout)
            if isinstance(connection, Failure):
                return connection
            connection.send(render_request(endpoint.head, body, headers), collector)
            return await cast("asyncio.Future[Answer | Failure]", collector.answer)
    except TimeoutError:
        return Failure("timeout", f"{endpoint.origin} did not answer within {timeout:g} s.")
    finally:
        if connection is not None and not isinstance(connection, Failure) and not collector.over:
            connection.abort()
