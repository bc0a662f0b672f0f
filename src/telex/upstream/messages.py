"""Rendered requests as httpx2's transports want them, their answers' heads, and their errors as failures."""

from __future__ import annotations

import ssl

import httpcore2
import httpx2

from telex.core.errors import Failure
from telex.upstream.address import Origin


def to_request(request: bytes, origin: Origin, connect: float) -> httpx2.Request:
    """A request with its body, as `render_request` makes it, to `origin`. `connect`: seconds for opening a connection."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines) if name != "proxy-authorization"]
    url = target if target.startswith("http") else f"{origin}{target}"  # the former for a proxy, which is the transport's business
    timeout = {"connect": connect, "read": None, "write": None, "pool": None}
    return httpx2.Request(method, url, headers=headers, content=body, extensions={"timeout": timeout})


def headers_of(response: httpx2.Response) -> dict[str, str]:
    """By their lower-case names."""
    return {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in response.headers.raw}


def failure_of(error: Exception, origin: str, answered: bool, connect: float) -> Failure:
    """What an error of a transport means. `answered`: the head was there. `connect`: seconds that connecting may take."""
    match error:
        case httpx2.ConnectTimeout():
            return Failure("timeout", f"Connecting to {origin} took longer than {connect:g} s (timeouts.connect).", code="connect")
        case httpx2.TimeoutException():
            return Failure("timeout", f"{origin} kept its connection waiting for too long.", code="idle")
        case httpx2.ProxyError() | httpcore2.ProxyError():
            return Failure("unreachable", f"The proxy answered {error}.")
        case httpx2.ConnectError() if tls_error(error):
            return Failure("tls", f"No TLS connection to {origin}: {error}.")
        case httpx2.ConnectError():
            return Failure("unreachable", f"{origin} can't be reached: {error}.")
    if answered:
        return Failure("truncated", f"The connection to {origin} broke in the middle of the reply.")
    return Failure("unreachable", f"{origin} closed the connection before it answered.")


def tls_error(error: BaseException | None) -> bool:
    """Whether TLS is at the bottom of it."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
