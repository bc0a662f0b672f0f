"""What a client may do who comes with a key. The key itself, its token, stands nowhere but with that client."""

from __future__ import annotations

from msgspec import Struct


class Key(Struct, frozen=True):
    """`models`: the names that it may ask for; None: all. `admin`: it may also see and stop what is others'. `rpm`, `tpm`, `concurrent`:
    requests and tokens a minute, and generations at the same time; None: as many as come. Times are seconds since 1970; one that is None
    does not come. `tail`: the last characters of the token, by which people tell keys apart."""

    id: str
    name: str
    models: tuple[str, ...] | None = None
    admin: bool = False
    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None
    tail: str = ""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models
