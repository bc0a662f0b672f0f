"""What the library raises: one small tree, and the one table from a failure's kind to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telex.config import Timeouts
from telex.core.errors import Failure, Kind, TelexError
from telex.dialects.library import FIELDS as OURS
from telex.dialects.openai_chat import FIELDS as THEIRS
from telex.dialects.openai_chat.errors import TYPES

if TYPE_CHECKING:
    from telex.client.reply import Reply

__all__ = [
    "BadRequest",
    "Cancelled",
    "ContextTooLong",
    "GenerationError",
    "Interrupted",
    "NotFound",
    "Overloaded",
    "RateLimited",
    "TelexError",
    "Timeout",
    "Unauthorized",
    "UpstreamError",
    "error_of",
    "refuse",
    "through_gateway",
]


class GenerationError(TelexError):
    """A generation that was refused or did not complete.

    `failure` says everything that is known. `reply` is what had been said by then: None where that was nothing. `retry_after`: seconds.
    """

    def __init__(self, failure: Failure, reply: Reply[Any] | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.reply = reply

    def __reduce__(self) -> tuple[type[GenerationError], tuple[Failure, Reply[Any] | None]]:
        return type(self), (self.failure, self.reply)

    @property
    def retry_after(self) -> float | None:
        return self.failure.retry_after

    @property
    def param(self) -> str:
        """The argument that it is about, if it is about one."""
        return self.failure.param


class BadRequest(GenerationError):
    """The request can't be: `param` names the argument."""


class ContextTooLong(GenerationError):
    """The prompt has more tokens than the model reads."""


class Unauthorized(GenerationError):
    """The key is missing, wrong, or may not do this."""


class NotFound(GenerationError):
    """There is no such model, or no such job."""


class RateLimited(GenerationError):
    """Too much was asked, or a quota is used up; `retry_after` says when to come back, where that is known."""


class Overloaded(GenerationError):
    """The provider, or the gateway, has no room now."""


class UpstreamError(GenerationError):
    """The provider, or the way to it, is broken."""


class Timeout(GenerationError):
    """`which`: the limit that was reached, as `timeouts` names it; `reply` where only the waiting for a job's reply is over."""

    @property
    def which(self) -> str:
        return self.failure.code


class Interrupted(GenerationError):
    """It broke off: `reply` is partial."""


class Cancelled(GenerationError):
    """It was stopped from here; `reply` is partial."""


TABLE: dict[Kind, type[GenerationError]] = {
    "bad_request": BadRequest,
    "unsupported": BadRequest,
    "method_not_allowed": BadRequest,
    "too_large": BadRequest,
    "unsupported_media": BadRequest,
    "misdirected": BadRequest,
    "gone": NotFound,
    "conflict": BadRequest,
    "mismatch": BadRequest,
    "context_too_long": ContextTooLong,
    "unauthorized": Unauthorized,
    "permission_denied": Unauthorized,
    "upstream_denied": Unauthorized,  # in this process the provider's key is the caller's own
    "not_found": NotFound,
    "limited": RateLimited,
    "rate_limited": RateLimited,
    "quota_exhausted": RateLimited,
    "busy": Overloaded,
    "overloaded": Overloaded,
    "upstream_error": UpstreamError,
    "unreachable": UpstreamError,
    "tls": UpstreamError,
    "redirected": UpstreamError,
    "malformed": UpstreamError,
    "internal": UpstreamError,
    "timeout": Timeout,
    "request_timeout": Timeout,
    "truncated": Interrupted,
    "cancelled": Cancelled,
}


def error_of(failure: Failure, reply: Reply[Any] | None) -> GenerationError:
    """The exception for a failure. Behind the first content, which `reply` then holds, it is `Interrupted`, or `Cancelled`."""
    said = reply is not None and any(choice.parts for choice in reply.whole.choices)
    kind = TABLE[failure.kind]
    if said and kind is not Cancelled:
        kind = Interrupted
    return kind(failure, reply if said or kind in (Interrupted, Cancelled) else None)


def refuse(argument: str, why: str) -> BadRequest:
    """A call that can't be: `why` is a sentence."""
    return BadRequest(Failure("bad_request", why, argument, code="invalid_value"))


KINDS: dict[str, Kind] = {code: kind for kind, (_, code) in TYPES.items() if code}
KINDS |= {"unsupported_parameter": "unsupported", **dict.fromkeys(Timeouts.__struct_fields__, "timeout")}
"""What a gateway means by its codes."""

UNKNOWN_KEY = Failure("unauthorized", "The gateway wants a key that is valid there.", code="invalid_api_key", status=401)

NAMES = {name: OURS[word] for word, name in THEIRS.items() if word in OURS}
"""What the library calls the fields of a request to a gateway."""


def through_gateway(failure: Failure) -> Failure:
    """A failure that a gateway told of, as it would be without one: its kind by its code, its field by the library's name."""
    if failure.kind == "upstream_denied" and failure.status == 401:  # it is the gateway itself that says so
        return UNKNOWN_KEY
    kind: Kind = KINDS.get(failure.code, failure.kind)
    param = NAMES.get(failure.param, failure.param)
    return Failure(kind, failure.message, param, failure.type, failure.code, failure.retry_after, failure.status)
