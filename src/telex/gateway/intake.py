"""What a request must be before anybody looks at what it asks: addressed to us, not too long, not too slow, not compressed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast, get_args
from urllib.parse import parse_qs, urlsplit

from telex.config import LOOPBACK, OnDisconnect, Server
from telex.core.errors import Failure
from telex.gateway.asgi import Receive, Scope, header

BODY_SECONDS = 60.0
"""Seconds in which the body of a request must be here."""


ON_DISCONNECT = "Telex-On-Disconnect"
"""The header of a request that says it instead of the model's configuration."""

KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
"""Headers besides Authorization in which SDKs send a key."""


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


def check_origin(scope: Scope, server: Server) -> Failure | None:
    """Access is open on loopback only, and a web page must not reach it either: not by a name that somebody pointed at this machine, and
    not from a page of another origin."""
    names = LOOPBACK | {server.host, *server.hosts}
    host = hostname(f"//{header(scope, b'host')}")
    if host not in names:
        return Failure("misdirected", f"This server is not '{host}'. If it is, add that name to server.hosts.", code="unknown_host")
    origin = header(scope, b"origin")
    if origin and hostname(origin) not in names:
        return Failure("permission_denied", "Pages of other origins may not call this server.", code="foreign_origin")
    return None


def hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by their lower-case names; of several of one name, the values with commas between."""
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def check_credentials(headers: Mapping[str, str], query: str) -> Failure | None:
    """Every SDK sends its key in a header of its own. Two that differ are two callers, and which one is meant can't be known."""
    said = {headers.get("authorization", "").removeprefix("Bearer ").strip(), *(headers.get(name, "") for name in KEY_HEADERS)}
    said |= set(parse_qs(query).get("key", ()))
    if len(said - {""}) > 1:
        message = f"The request brings different credentials: send one, in Authorization, {', '.join(KEY_HEADERS)} or ?key=."
        return Failure("bad_request", message, code="conflicting_credentials")
    return None


def read_policy(headers: Mapping[str, str]) -> OnDisconnect | Failure | None:
    """What shall become of a generation whose client leaves; None if the client does not say."""
    value = headers.get(ON_DISCONNECT.lower())
    if value is None or value in get_args(OnDisconnect):
        return cast("OnDisconnect | None", value)
    known = ", ".join(get_args(OnDisconnect))
    return Failure("bad_request", f"Invalid '{ON_DISCONNECT}': expected one of {known}.", ON_DISCONNECT, code="invalid_value")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes | Failure:
    """The body of a request, at most `limit` bytes. Raises `ClientLeft`."""
    if header(scope, b"content-encoding") not in ("", "identity"):
        return Failure("unsupported_media", "Compressed bodies are not read: send the body as it is.", code="content_encoding")
    too_large = Failure("too_large", f"The body is longer than {limit} bytes (server.body_limit).", code="request_too_large")
    length = header(scope, b"content-length")
    if length.isdecimal() and int(length) > limit:
        return too_large
    body: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                body.append(message.get("body", b""))
                size += len(body[-1])
                if size > limit:
                    return too_large
                if not message.get("more_body"):
                    return body[0] if len(body) == 1 else b"".join(body)
    except TimeoutError:
        return Failure("request_timeout", f"The body did not arrive within {BODY_SECONDS:g} s.", code="request_timeout")
