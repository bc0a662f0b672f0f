"""Where a provider is: the origin of its base URL and what goes before every path."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from msgspec import Struct

FORBIDDEN = re.compile(r"[\r\n\0]")


class BadAddress(ValueError):
    """A URL that is no address of a server; the text says why."""


class Origin(Struct, frozen=True):
    """`credentials`: of a proxy, as the value of its authorization header."""

    secure: bool
    host: str
    port: int
    credentials: str = ""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    def __repr__(self) -> str:
        """Without its credentials."""
        return f"Origin({str(self)!r})"


def parse_url(url: str) -> tuple[Origin, str]:
    """(origin, path without a slash at its end) of an http or https URL. Raises `BadAddress`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose text may show what stands before an @
        raise BadAddress("its host or its port can't be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadAddress("it must begin with http:// or https:// and name a host")
    if parts.query or parts.fragment or FORBIDDEN.search(url) or " " in url:
        raise BadAddress("it must have no query, fragment or spaces")
    if not (parts.hostname + parts.path).isascii():
        raise BadAddress("its host and path must be written in ASCII")
    credentials = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = "Basic " + base64.b64encode(pair.encode()).decode()
    secure = parts.scheme == "https"
    return Origin(secure, parts.hostname, port or (443 if secure else 80), credentials), parts.path.rstrip("/")


def render_head(method: str, origin: Origin, path: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request but for its length. Raises `ValueError` for anything that could become a header of its own."""
    if FORBIDDEN.search(method + path) or " " in method + path:
        raise ValueError("the request line holds characters that it may not")
    fields = {"host": origin.authority, "accept-encoding": "identity", "user-agent": "telex", **headers}
    return f"{method} {path} HTTP/1.1\r\n".encode("ascii") + render_fields(fields)


def render_request(head: bytes, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """`headers`: of this request alone, checked as those of the head are."""
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, render_fields(headers) if headers else b"", len(body), body)


def render_fields(fields: Mapping[str, str]) -> bytes:
    """Raises `ValueError` for anything that could become a header of its own."""
    for name, value in fields.items():
        if FORBIDDEN.search(name + value) or not value.isascii():
            raise ValueError(f"the header {name!r} holds characters that no header may")
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("ascii")
