"""The small calls to a gateway about generations that are kept there: begin one, ask for its record, cancel it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from telex.client.errors import through_gateway
from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Fields, Request
from telex.dialects import openai_chat
from telex.dialects.translate import Manner, Outgoing, address
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.upstream.endpoint import Endpoint
from telex.upstream.fetch import Answer, fetch
from telex.upstream.pool import Connections

ROOT = "/generations"
"""Behind the base URL of a gateway."""

CALL_SECONDS = 30.0
"""Seconds that one call may take, all its tries together."""

TRIES = 4
"""How often a call is made anew whose connection could not be made, or broke before the answer."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before the second new try; each of the following is twice as long, up to the longest."""

BROKEN: frozenset[Kind] = frozenset({"unreachable", "truncated", "timeout"})
"""Failures of the way to the gateway, about which it says nothing itself."""

PROBLEMS: dict[int, Kind] = {401: "unauthorized", 409: "conflict", 410: "gone"}
"""What the statuses of its own paths mean, where no provider would mean that."""


class Remote:
    """What is asked of one gateway. Everything that goes wrong is a value, in the library's own words."""

    def __init__(self, backend: Backend, pool: Connections) -> None:
        self._backend = backend
        self.pool = pool
        self.quirks = backend.provider.quirks

    async def submit(self, request: Request, route: Route) -> tuple[Fields, tuple[str, ...]] | Failure:
        """The record of a new background generation, and what of the request the gateway can't be told. It may safely be sent twice."""
        outgoing = self._address(request, route)
        if isinstance(outgoing, Failure):
            return outgoing
        answer = await self._call("POST", outgoing.path, outgoing.body, {**outgoing.headers, **route.headers, "prefer": "respond-async"})
        if isinstance(answer, Answer) and answer.status == 200:
            return Failure("unsupported", "What answered there takes no jobs as a gateway of Telex does: it answered at once.")
        record = read_record(answer)
        return record if isinstance(record, Failure) else (record, outgoing.dropped)

    async def record(self, id: str) -> Fields | Failure:
        return read_record(await self._call("GET", path_of(id)))

    async def records(self, limit: int, before: str | None = None) -> Fields | Failure:
        """`data`: the records of background generations, the newest first; `has_more`: there are older ones."""
        asked = {"limit": str(limit), "delivery": "background"} | ({"before": before} if before else {})
        answer = read_fields(await self._call("GET", f"{ROOT}?{urlencode(asked)}"))
        return answer if isinstance(answer, Failure) or isinstance(answer.get("data"), list) else no_gateway()

    async def cancel(self, id: str) -> Fields | Failure:
        """The record, once it has ended."""
        return read_record(await self._call("POST", f"{path_of(id)}/cancel"))

    def stream_at(self, id: str, after: int) -> Endpoint:
        """Where the frames behind the first `after` come from."""
        return self._backend.ask_at("GET", f"{path_of(id)}/stream?after={after}&dialect={openai_chat.NAME}")

    def _address(self, request: Request, route: Route) -> Outgoing | Failure:
        provider = self._backend.provider
        manner = Manner(provider.quirks, provider.defaults, provider.always)
        return address(request, self._backend.dialect, request.model, request.stream, manner, route.strict)

    async def _call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer | Failure:
        endpoint, clock = self._backend.ask_at(method, path), asyncio.get_running_loop().time
        end = clock() + CALL_SECONDS
        answer = await fetch(self.pool, endpoint, body, CALL_SECONDS, headers)
        for seconds in pauses(TRIES):
            if isinstance(answer, Answer) or answer.kind not in BROKEN or clock() + seconds >= end:
                break
            await asyncio.sleep(seconds)
            answer = await fetch(self.pool, endpoint, body, end - clock(), headers)
        if isinstance(answer, Failure):
            return self._backend.redact(lost(answer))
        return answer if answer.status < 400 else self._backend.redact(failure_of(answer))


def pauses(tries: int) -> Iterator[float]:
    """Seconds before each new try: none before the first, then exponentially more, all of it jitter."""
    for number in range(tries):
        yield random.uniform(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (number - 1))) if number else 0.0


def path_of(id: str) -> str:
    return f"{ROOT}/{quote(id, safe='')}"


def lost(failure: Failure) -> Failure:
    """A gateway that is silent is as good as none."""
    return msgspec.structs.replace(failure, kind="unreachable") if failure.kind == "timeout" else failure


def failure_of(answer: Answer) -> Failure:
    """What an answer with an error status says: in its dialect, or as problem details (RFC 9457) on Telex's own paths."""
    failure = through_gateway(openai_chat.decode_error(answer.status, answer.headers, answer.body, time.time()))
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return failure
    return msgspec.structs.replace(failure, kind=PROBLEMS.get(answer.status, failure.kind), type="")


def read_record(answer: Answer | Failure) -> Fields | Failure:
    fields = read_fields(answer)
    if isinstance(fields, Failure) or (isinstance(fields.get("id"), str) and isinstance(fields.get("status"), str)):
        return fields
    return no_gateway()


def read_fields(answer: Answer | Failure) -> Fields | Failure:
    if isinstance(answer, Failure):
        return answer
    try:
        fields: Any = json.decode(answer.body)
    except json.Malformed:
        fields = None
    return fields if isinstance(fields, dict) else no_gateway()


def no_gateway() -> Failure:
    return Failure("malformed", "What answered there does not speak as a gateway of Telex does.")
