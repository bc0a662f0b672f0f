"""The few words of ASGI that the raw endpoints use."""

from __future__ import annotations

import math
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from telex.core import json
from telex.core.errors import Failure
from telex.dialects import Dialect
from telex.dialects.framing import Framing

__all__ = [
    "CLOSED",
    "SHUTTING_DOWN",
    "Headers",
    "Receive",
    "Scope",
    "Send",
    "closing",
    "error_headers",
    "error_response",
    "header",
    "identify",
    "problem",
    "respond",
    "respond_error",
    "respond_problem",
    "values",
]

Headers = list[tuple[bytes, bytes]]

COME_BACK = 5.0
"""Seconds after which a client may come back whom a provider limits without saying for how long."""

PATIENCE = 120.0
"""Seconds that an SDK may be asked to wait before it tries again: OpenAI's does not wait longer, and Anthropic's would wait for hours."""

SHUTTING_DOWN = "shutting_down"
"""The code of a failure behind which another process may answer."""

CLOSED = Failure("busy", "Telex is shutting down: ask again, and another may answer.", code=SHUTTING_DOWN, retry_after=1.0)


def header(scope: Scope, name: bytes) -> str:
    """The first header of that lower-case name, or an empty string."""
    return next(iter(values(scope, name)), "")


def values(scope: Scope, name: bytes) -> list[str]:
    """All headers of that lower-case name."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def respond(send: Send, status: int, body: bytes, headers: Headers, content_type: bytes = b"application/json") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), length, *headers]})
    await send({"type": "http.response.body", "body": body})


def closing(send: Send) -> Send:
    """The same, for an answer behind which the connection closes."""

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return send_last


async def respond_error(
    send: Send, dialect: Dialect, failure: Failure, headers: Headers, id: str = "", framing: Framing | None = None
) -> None:
    body = dialect.encode_error(failure, id)
    await respond(send, dialect.status_of(failure), framing.error(body) if framing else body, [*headers, *error_headers(failure)])


def error_response(dialect: Dialect, failure: Failure, headers: dict[str, str], id: str) -> Response:
    """The same for Starlette."""
    more = {name.decode(): value.decode() for name, value in error_headers(failure)}
    return Response(dialect.encode_error(failure, id), dialect.status_of(failure), {**more, **headers}, "application/json")


async def respond_problem(send: Send, failure: Failure) -> None:
    """The answer of Telex's own paths, which are in no dialect."""
    status = failure.http_status
    body = problem(status, HTTPStatus(status).phrase, failure.message)
    await respond(send, status, body, error_headers(failure), b"application/problem+json")


def identify(dialect: Dialect, id: str) -> Headers:
    """The id of a generation, for people and for the dialect's SDKs."""
    headers = [(b"telex-generation", id.encode())]
    return [*headers, (dialect.REQUEST_ID.encode(), id.encode())] if dialect.REQUEST_ID else headers


def error_headers(failure: Failure) -> Headers:
    """What the SDKs obey: how long to wait, that it is no use to try what was tried already or can't be, and that a key is wanted."""
    headers: Headers = [(b"www-authenticate", b"Bearer")] if failure.kind == "unauthorized" else []
    wait = COME_BACK if failure.retry_after is None and failure.kind == "rate_limited" else failure.retry_after
    if wait is not None:
        headers.append((b"retry-after", str(math.ceil(wait)).encode()))
    never = failure.kind == "limited" and wait is None  # it is larger than the limit
    tried = failure.http_status >= 500 and failure.kind != "busy" and failure.code != SHUTTING_DOWN
    if failure.kind == "quota_exhausted" or never or tried or (wait is not None and wait > PATIENCE):
        headers.append((b"x-should-retry", b"false"))
    return headers


def problem(status: int, title: str, detail: str) -> bytes:
    """Problem details (RFC 9457), the errors of Telex's own paths."""
    return json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
