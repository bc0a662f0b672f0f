"""How many tokens a prompt has: asked of the provider that would answer it, else counted here."""

from __future__ import annotations

import asyncio

from telex.config import Target
from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Request
from telex.dialects.translate import address_count
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.tokens.count import Count, count
from telex.upstream.fetch import fetch
from telex.upstream.pool import Connections

SECONDS = 10.0
"""Seconds that a provider may take to count."""

SILENT: frozenset[Kind] = frozenset(
    {
        "not_found", "method_not_allowed", "rate_limited", "quota_exhausted", "overloaded", "upstream_error", "unreachable", "timeout",
        "malformed", "truncated",
    }
)  # fmt: skip
"""Failures that say nothing against the request: then Telex counts."""


async def count_tokens(request: Request, route: Route, backends: dict[str, Backend], pool: Connections) -> Count | Failure:
    """The tokens for the first target that can be told all of the request."""
    counted: Count | Failure = Failure("not_found", "This model has no target.")
    for target in route.targets:
        counted = await count_at(backends[target.provider], target, request, route.strict, pool)
        if isinstance(counted, Count) or not counted.consequence.elsewhere:
            break
    return counted


async def count_at(backend: Backend, target: Target, request: Request, strict: bool, pool: Connections) -> Count | Failure:
    asked = await ask(backend, target, request, strict, pool)
    if isinstance(asked, int):
        return Count(asked, "provider")
    if asked is None or asked.kind in SILENT:
        return await asyncio.to_thread(count, request, target.model)
    return asked


async def ask(backend: Backend, target: Target, request: Request, strict: bool, pool: Connections) -> int | Failure | None:
    """What the provider counts; None if it does not."""
    dialect, loop = backend.dialect, asyncio.get_running_loop()
    outgoing = address_count(request, dialect, target.model, backend.provider.quirks, strict)
    if outgoing is None or isinstance(outgoing, Failure):
        return outgoing
    end = loop.time() + SECONDS
    try:
        async with asyncio.timeout_at(end):
            endpoint = await backend.endpoint(outgoing.path)
    except TimeoutError:
        return Failure("timeout", f"'{target.provider}' was not ready within {SECONDS:g} s.")
    if isinstance(endpoint, Failure):
        return endpoint
    answer = await fetch(pool, endpoint, outgoing.body, max(0.0, end - loop.time()), outgoing.headers)
    if isinstance(answer, Failure):
        return answer
    if answer.status != 200:
        return backend.redact(dialect.decode_error(answer.status, answer.headers, answer.body, 0.0))
    try:
        return dialect.COUNT.decode(answer.body)
    except json.Malformed as error:
        return Failure("malformed", f"What '{target.provider}' counted can't be read: {error}.")
