"""The small calls to a gateway about generations that are kept there: begin one, ask for its record, cancel it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from telex.client.errors import through_gateway
from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Fields, Request
from telex.dialects import openai_chat
from telex.dialects.translate import Manner, Outgoing, address
from telex.generation.asking import ROOT, path_of
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.generation.resuming import FIRST_TRIES, pause_before
from telex.upstream.fetch import Answer, fetch
from telex.upstream.pool import Connections

CALL_SECONDS = 30.0
"""Seconds that one call may take, all its tries together."""

BROKEN: frozenset[Kind] = frozenset({"unreachable", "truncated", "timeout"})
"""Failures of the way to the gateway, about which it says nothing itself."""

PROBLEMS: dict[int, Kind] = {401: "unauthorized", 409: "conflict", 410: "gone"}
"""What the statuses of its own paths mean, where no provider would mean that."""


class Remote:
    """What is asked of one gateway. Everything that goes wrong is a value, in the library's own words."""

    def __init__(self, backend: Backend, pool: Connections) -> None:
        self.backend = backend
        self.pool = pool

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

    def _address(self, request: Request, route: Route) -> Outgoing | Failure:
        provider = self.backend.provider
        manner = Manner(provider.quirks, provider.defaults, provider.always)
        return address(request, self.backend.dialect, request.model, request.stream, manner, route.strict)

    async def _call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer | Failure:
        endpoint, clock = self.backend.ask_at(method, path), asyncio.get_running_loop().time
        end = clock() + CALL_SECONDS
        answer = await fetch(self.pool, endpoint, body, CALL_SECONDS, headers)
        for number in range(FIRST_TRIES):  # more, where the connection could not be made, or broke before the answer
            seconds = pause_before(number, random.random())
            if isinstance(answer, Answer) or answer.kind not in BROKEN or clock() + seconds >= end:
                break
            await asyncio.sleep(seconds)
            answer = await fetch(self.pool, endpoint, body, end - clock(), headers)
        if isinstance(answer, Failure):
            return self.backend.redact(lost(answer))
        return answer if answer.status < 400 else self.backend.redact(failure_of(answer))


def lost(failure: Failure) -> Failure:
    """A gateway that is silent is as good as none."""
    return msgspec.structs.replace(failure, kind="unreachable") if failure.kind == "timeout" else failure


def failure_of(answer: Answer) -> Failure:
    """What an answer with an error status says."""
    return as_told(openai_chat.decode_error(answer.status, answer.headers, answer.body, time.time()), answer.headers)


def as_told(failure: Failure, headers: Mapping[str, str]) -> Failure:
    """A failure that was read in the gateway's dialect, as it was meant: on Telex's own paths it comes as problem details (RFC 9457)."""
    failure = through_gateway(failure)
    if not headers.get("content-type", "").startswith("application/problem+json"):
        return failure
    return msgspec.structs.replace(failure, kind=PROBLEMS.get(failure.status, failure.kind), type="")


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
