"""What a request says of how it is to be answered, in headers that are Telex's own or HTTP's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast, get_args

from msgspec import Struct

from telex.config import OnDisconnect
from telex.core.errors import Failure
from telex.gateway.timeouts import read_limits

ON_DISCONNECT = "Telex-On-Disconnect"
"""What shall become of the generation when its client leaves, instead of what the model's configuration says."""

IDEMPOTENCY = "Idempotency-Key"
"""The same key with the same request means the same generation."""

KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)

PREFER = "prefer"
"""Whether the client wants to come back for the answer (RFC 7240)."""

ASYNC = "respond-async"


class Wishes(Struct, frozen=True):
    """`limits`: seconds by their names. `policy`: None where the client does not say. `later`: it does not wait for the answer, or for so
    many seconds (`wait`). `key`: its Idempotency-Key, empty if there is none."""

    limits: dict[str, float]
    policy: OnDisconnect | None
    later: bool
    wait: float
    key: str


def read_wishes(headers: Mapping[str, str]) -> Wishes | Failure:
    """`headers`: by their lower-case names."""
    limits, policy, key = read_limits(headers), read_policy(headers), headers.get(IDEMPOTENCY.lower(), "").strip()
    if isinstance(limits, Failure):
        return limits
    if isinstance(policy, Failure):
        return policy
    if key and not KEY.fullmatch(key):
        return refuse(IDEMPOTENCY, "expected up to 255 visible characters of ASCII")
    preferences = dict(split(item) for item in headers.get(PREFER, "").split(","))
    wait = preferences.get("wait", "0")
    if not re.fullmatch(r"\d{1,6}", wait, re.ASCII):
        return refuse("Prefer", f"'wait={wait[:20]}' is no number of seconds")
    return Wishes(limits, policy, ASYNC in preferences, float(wait), key)


def read_policy(headers: Mapping[str, str]) -> OnDisconnect | Failure | None:
    value = headers.get(ON_DISCONNECT.lower())
    if value is None or value in get_args(OnDisconnect):
        return cast("OnDisconnect | None", value)
    return refuse(ON_DISCONNECT, f"expected one of {', '.join(get_args(OnDisconnect))}")


def split(preference: str) -> tuple[str, str]:
    """Its name and its value; parameters of it say nothing here."""
    name, _, value = preference.partition(";")[0].partition("=")
    return name.strip().lower(), value.strip().strip('"')


def refuse(header: str, why: str) -> Failure:
    return Failure("bad_request", f"Invalid '{header}': {why}.", header, code="invalid_value")
