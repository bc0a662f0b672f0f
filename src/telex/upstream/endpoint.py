"""Where one kind of request goes: the server, and all of its head that is always the same."""

from __future__ import annotations

from msgspec import Struct

from telex.upstream.address import Origin, parse_url, render_head
from telex.upstream.proxies import find_proxy, proxy_headers


class Endpoint(Struct, frozen=True):
    """`head`: everything of a request to it but its length."""

    origin: Origin
    head: bytes

    def __repr__(self) -> str:
        """Without its head, which has the key."""
        return f"Endpoint({self.origin!r}, …)"


def make_endpoint(method: str, base_url: str, path: str, headers: dict[str, str]) -> Endpoint:
    """Raises `ValueError` for a header value, such as a key, that no header can carry."""
    origin, prefix = parse_url(base_url)
    path = prefix + path
    proxy = None if origin.secure else find_proxy(origin)
    if proxy is not None:  # a proxy of plain requests wants to see the whole address
        path, headers = f"{origin}{path}", headers | proxy_headers(proxy)
    return Endpoint(origin, render_head(method, origin, path, headers))
