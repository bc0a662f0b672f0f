"""Proxies as the environment names them: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in either case."""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from telex.core.errors import Failure
from telex.upstream.address import BadAddress, Origin, parse_url, render_head


def find_proxy(origin: Origin) -> Origin | None:
    """The proxy on the way to `origin`, or None. Raises `BadAddress` if the environment names an impossible one."""
    proxies = getproxies_environment()
    url = proxies.get("https" if origin.secure else "http") or proxies.get("all")
    if not url or origin.host in ("localhost", "127.0.0.1", "::1") or proxy_bypass_environment(origin.authority, proxies):
        return None
    try:
        proxy, _ = parse_url(url if "://" in url else f"http://{url}")
    except BadAddress as error:
        raise BadAddress(f"The environment names a proxy that can't be used: {error}.") from None
    return proxy


def proxy_headers(proxy: Origin) -> dict[str, str]:
    return {"proxy-authorization": proxy.credentials} if proxy.credentials else {}


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a way through; `opened` is None when there is one, else why there is none."""

    def __init__(self, proxy: Origin, target: Origin) -> None:
        self._head = render_head("CONNECT", target, f"{target.host}:{target.port}", proxy_headers(proxy)) + b"\r\n"
        self._answer = bytearray()
        self.opened: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._head)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if b"\r\n\r\n" in self._answer or len(self._answer) > 16 << 10:
            status = bytes(self._answer[9:12])
            self._settle(None if status == b"200" else Failure("unreachable", f"The proxy answered {status.decode('latin-1')}."))

    def connection_lost(self, error: Exception | None) -> None:
        self._settle(Failure("unreachable", "The proxy closed the connection."))

    def _settle(self, failure: Failure | None) -> None:
        if not self.opened.done():
            self.opened.set_result(failure)
