"""What a request must be before anybody looks at what it asks: addressed to us, not too long, not too slow, not compressed."""

from __future__ import annotations

import asyncio
import re

from telex.config import LOOPBACK, Server
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.gateway.asgi import Receive, Scope, header, values

BODY_SECONDS = 60.0
"""Seconds in which the body of a request must be here."""

SAFE = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""


AUTHORITY = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{0,5})?", re.ASCII)

OVERRIDES = frozenset({"apibase", "apikey", "baseurl", "extraheaders"})
"""Fields, however they are spelt, with which some gateways let a request say where it goes and with which key."""


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


def check_origin(scope: Scope, server: Server) -> Failure | None:
    """No web page of another origin may use this server. Where access is open, that is all that keeps pages out: none may read from it
    either, nor reach it by a name that somebody pointed at this machine. Where it wants keys, any name will do, and only what changes
    something is looked at."""
    said, hosts = values(scope, b"host"), {name.lower() for name in server.hosts}
    if len(said) > 1:
        return Failure("bad_request", "The request names more than one host.", code="several_hosts")
    own = said[0].lower() if said else ""
    host = hostname(own)
    if server.access == "open":
        if host not in {*LOOPBACK, server.host, *hosts}:
            return Failure("misdirected", f"This server is not '{host}'. If it is, add that name to server.hosts.", code="unknown_host")
    elif scope["method"] in SAFE:
        return None
    for origin in values(scope, b"origin"):
        scheme, _, authority = origin.lower().partition("://")
        page = hostname(authority)
        if scheme not in ("http", "https") or not page or (authority != own and page not in hosts):
            return Failure("permission_denied", "Pages of other origins may not call this server.", code="foreign_origin")
    return None


def hostname(authority: str) -> str:
    """Of a `host` or `host:port`, and of nothing else: names that two parsers could read differently are none."""
    match = AUTHORITY.fullmatch(authority.lower())
    return match[1].strip("[]") if match else ""


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by their lower-case names; of several of one name, the values with commas between."""
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def check_overrides(request: Request) -> Failure | None:
    """Where a model is asked, and with which key, is the configuration's to say, and a provider is not told either."""
    name = next((name for name in request.extra if name.replace("_", "").lower() in OVERRIDES), None)
    return Failure("bad_request", f"'{name}' can't be said in a request.", name, code="unsupported_parameter") if name else None


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
