"""What a client may still ask, in the header fields for it.

Source of the format: the IETF's draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from telex.gateway.asgi import Headers
from telex.limits.table import Quota, Which
from telex.limits.window import SECONDS

UNITS: dict[Which, str] = {"rpm": f";w={SECONDS:.0f}", "tpm": f';w={SECONDS:.0f};qu="tokens"', "concurrent": ';qu="concurrent-requests"'}
"""What is counted, where it is not requests, and in how many seconds."""


def quota_headers(quotas: Sequence[Quota]) -> Headers:
    """Nothing where there is no limit."""
    if not quotas:
        return []
    policy = ", ".join(f'"{quota.which}";q={quota.limit}{UNITS[quota.which]}' for quota in quotas)
    state = ", ".join(f'"{quota.which}";r={quota.left}{until(quota.more_in)}' for quota in quotas)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


def until(seconds: float | None) -> str:
    return "" if seconds is None else f";t={math.ceil(seconds)}"
