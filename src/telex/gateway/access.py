"""Who may come in: one way to find the key that a request brings, whatever SDK sent it, and one refusal for all that open nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from telex.config import Config
from telex.core.errors import Failure
from telex.core.keys import Key
from telex.gateway.asgi import Scope
from telex.gateway.keyring import KeyRing
from telex.stores.minting import digest
from telex.stores.ports import Keys

KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
"""Headers besides Authorization in which SDKs send a key."""

FREE = frozenset({("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/readyz"), ("HEAD", "/readyz"), ("HEAD", "/")})
"""For everybody: whether the process lives."""

ADMIN = frozenset({"/", "/metrics"})
"""What is everybody's, so for admins only."""

REFUSED = Failure(
    "unauthorized",
    f"A key is needed that is valid here: in Authorization (Bearer), {', '.join(KEY_HEADERS)} or ?key=.",
    code="invalid_api_key",
)
"""The same for a key that is missing, unknown, expired or revoked, so that nobody learns which."""

NOT_ADMIN = Failure("permission_denied", "This key is none of an admin.", code="admin_only")


class Access:
    """`clock`: seconds since 1970."""

    def __init__(self, config: Config, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._open = config.server.access == "open"
        self._anybody = Key("", "", admin=not config.wants_keys)
        self._ring = KeyRing(keys)
        self._clock = clock

    async def admit(self, scope: Scope, headers: Mapping[str, str], query: str) -> Key | Failure:
        """Whose request this is, or why nobody's; where access is open, it is that of the key without an id."""
        token = find_token(headers, query)
        if isinstance(token, Failure):
            return token
        closed = scope["path"] in ADMIN and not self._anybody.admin
        if (scope["method"], scope["path"]) in FREE or (self._open and not closed):
            return self._anybody
        key = await self._ring.find(digest(token))
        if isinstance(key, Failure):
            return key
        if key is None or not key.holds(self._clock()):
            return REFUSED
        return NOT_ADMIN if closed and not key.admin else key


def key_of(scope: Scope) -> Key:
    """Whose request it is, once that is known."""
    key: Key = scope["telex.key"]
    return key


def find_token(headers: Mapping[str, str], query: str) -> str | Failure:
    """The key that a request brings, empty if none: every SDK sends it in a form of its own. Two that differ are two callers, and which
    one is meant can't be known. `headers`: by their lower-case names."""
    said = [bare(token) for token in headers.get("authorization", "").split(",")]
    said += [token.strip() for name in KEY_HEADERS for token in headers.get(name, "").split(",")]
    tokens = {*said, *parse_qs(query).get("key", ())} - {""}
    if len(tokens) > 1:
        message = f"The request brings different credentials: send one, in Authorization, {', '.join(KEY_HEADERS)} or ?key=."
        return Failure("bad_request", message, code="conflicting_credentials")
    return tokens.pop() if tokens else ""


def bare(authorization: str) -> str:
    """Without the scheme, whose letters may be small or not."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else authorization.strip()
