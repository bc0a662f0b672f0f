"""A provider as it can be called: its address, the head of a request to it, and the embedded model among the others."""

from __future__ import annotations

from msgspec import Struct

from telex.config import Provider, Secret
from telex.dialects import DIALECTS
from telex.upstream.address import Origin, parse_url, render_head
from telex.upstream.proxies import find_proxy, proxy_headers


class Endpoint(Struct, frozen=True):
    """`head`: everything of a request to it but its length."""

    origin: Origin
    head: bytes


def generate_endpoint(provider: Provider, base_url: str, key: Secret | None) -> Endpoint:
    """Where generations of a provider are asked for. Raises `ValueError` for a key that no header can carry."""
    return endpoint("POST", base_url, DIALECTS[provider.dialect].GENERATE, auth(provider, key) | {"content-type": "application/json"})


def endpoint(method: str, base_url: str, path: str, headers: dict[str, str]) -> Endpoint:
    origin, prefix = parse_url(base_url)
    path = prefix + path
    proxy = None if origin.secure else find_proxy(origin)
    if proxy is not None:  # a proxy of plain requests wants to see the whole address
        path, headers = f"{origin}{path}", headers | proxy_headers(proxy)
    return Endpoint(origin, render_head(method, origin, path, headers))


def auth(provider: Provider, key: Secret | None) -> dict[str, str]:
    return DIALECTS[provider.dialect].auth_headers(key.reveal()) if key else {}
