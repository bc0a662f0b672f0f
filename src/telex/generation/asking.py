"""What a gateway is asked about a generation: the call, what is behind a cursor, the end."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from telex.generation.backend import Backend
from telex.upstream.address import Origin, render_request
from telex.upstream.endpoint import Endpoint

ROOT = "/generations"
"""Behind the base URL of a gateway."""


class Asking(Struct, frozen=True):
    """`call`: the call itself, which may be sent again as it is, since it has a `key` (Idempotency-Key). Instead of both, `id`: of a
    generation that is there already and goes on whoever hears it."""

    backend: Backend
    origin: Origin
    call: bytes = b""
    key: str = ""
    id: str = ""

    def behind(self, id: str, frames: int) -> bytes:
        """Ask for what comes behind so many frames."""
        path = f"{path_of(id)}/stream?after={frames}&dialect={self.backend.provider.dialect}"
        return render_request(self.backend.ask_at("GET", path).head, b"")

    def cancelling(self, name: str) -> Endpoint:
        """Where a generation is ended. `name`: its id, or the key of the call."""
        return self.backend.ask_at("POST", f"{path_of(name)}/cancel")


class Next(Struct, frozen=True):
    """What to ask on the next connection. `due`: when, in seconds of the loop's clock. `fresh`: on a new one, since those that are idle may
    be as dead as the last."""

    request: bytes
    due: float
    fresh: bool


def path_of(id: str) -> str:
    return f"{ROOT}/{quote(id, safe='')}"
