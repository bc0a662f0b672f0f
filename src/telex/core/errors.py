"""What can go wrong with a generation, as values, and the one table that says what follows from it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal[
    "bad_request",
    "unsupported",
    "context_too_long",
    "unauthorized",
    "permission_denied",
    "not_found",
    "gone",
    "conflict",
    "method_not_allowed",
    "mismatch",
    "request_timeout",
    "too_large",
    "unsupported_media",
    "misdirected",
    "limited",
    "busy",
    "rate_limited",
    "quota_exhausted",
    "overloaded",
    "upstream_error",
    "upstream_denied",
    "unreachable",
    "tls",
    "redirected",
    "timeout",
    "malformed",
    "truncated",
    "cancelled",
    "internal",
]

Ending = Literal["complete", "truncated", "failed", "rate_limited", "cancelled"]


class Consequence(Struct, frozen=True):
    """What a kind of failure means for the caller and for the policy.

    `status`: the HTTP status while one can still be sent. `again`: worth another try at the same target.
    `elsewhere`: worth trying at another target. Both hold only before the first content. `against`: it speaks against the target, and
    if it goes on, others are tried first.
    """

    status: int
    again: bool = False
    elsewhere: bool = False
    against: bool = False
    ending: Ending = "failed"


CONSEQUENCES: dict[Kind, Consequence] = {
    "bad_request": Consequence(400),
    "unsupported": Consequence(400, elsewhere=True),
    "context_too_long": Consequence(400, elsewhere=True),
    "unauthorized": Consequence(401),
    "permission_denied": Consequence(403),
    "not_found": Consequence(404),
    "gone": Consequence(410),  # it was here once
    "conflict": Consequence(409),  # not as things stand
    "method_not_allowed": Consequence(405),
    "mismatch": Consequence(422),  # its Idempotency-Key came with another request
    "request_timeout": Consequence(408),
    "too_large": Consequence(413),
    "unsupported_media": Consequence(415),
    "misdirected": Consequence(421),
    "limited": Consequence(429, elsewhere=True, ending="rate_limited"),  # a limit of Telex's own: without a call
    "busy": Consequence(503),  # Telex itself has no room, or is on its way out
    "rate_limited": Consequence(429, again=True, elsewhere=True, against=True, ending="rate_limited"),
    "quota_exhausted": Consequence(429, elsewhere=True, against=True, ending="rate_limited"),
    "overloaded": Consequence(503, again=True, elsewhere=True, against=True),
    "upstream_error": Consequence(502, again=True, elsewhere=True, against=True),
    "upstream_denied": Consequence(502, against=True),
    "unreachable": Consequence(502, again=True, elsewhere=True, against=True),
    "tls": Consequence(502, against=True),
    "redirected": Consequence(502, against=True),
    "timeout": Consequence(504, again=True, elsewhere=True, against=True),
    "malformed": Consequence(502, again=True, elsewhere=True, against=True),
    "truncated": Consequence(502, again=True, elsewhere=True, against=True, ending="truncated"),
    "cancelled": Consequence(499, ending="cancelled"),
    "internal": Consequence(500),
}


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a request was refused or a generation did not complete. As an event it is terminal.

    `message` is one sentence for a person. `param` names the field of the request that it is about, `type` and
    `code` are the words of the dialect it came from. `retry_after` is in seconds. `status` is the HTTP status that
    the upstream gave, 0 where there was none.
    """

    kind: Kind
    message: str
    param: str = ""
    type: str = ""
    code: str = ""
    retry_after: float | None = None
    status: int = 0

    @property
    def consequence(self) -> Consequence:
        return CONSEQUENCES[self.kind]

    @property
    def ending(self) -> Ending:
        return self.consequence.ending

    @property
    def http_status(self) -> int:
        """The status to answer with: a provider's own for what is the caller's to mend, else that of the kind."""
        return self.status if self.kind == "bad_request" and 400 <= self.status < 500 else self.consequence.status


class TelexError(Exception):
    """The root of everything that Telex raises: its text is one sentence for a person, and what to do."""
