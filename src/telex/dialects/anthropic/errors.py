"""Errors of Anthropic Messages: what its providers say when something is wrong, and how Telex says it to clients of this dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Fields
from telex.dialects.failures import read_failure
from telex.dialects.http import retry_after
from telex.dialects.values import seconds

STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The types of errors, and the HTTP status that each has where it comes before a stream."""

TYPES: dict[Kind, str] = {
    "bad_request": "invalid_request_error",
    "unsupported": "invalid_request_error",
    "context_too_long": "invalid_request_error",
    "unauthorized": "authentication_error",
    "permission_denied": "permission_error",
    "not_found": "not_found_error",
    "method_not_allowed": "invalid_request_error",
    "request_timeout": "timeout_error",
    "too_large": "request_too_large",
    "unsupported_media": "invalid_request_error",
    "misdirected": "invalid_request_error",
    "gone": "not_found_error",
    "conflict": "invalid_request_error",
    "mismatch": "invalid_request_error",
    "limited": "rate_limit_error",
    "rate_limited": "rate_limit_error",
    "quota_exhausted": "rate_limit_error",
    "busy": "overloaded_error",
    "overloaded": "overloaded_error",
    "upstream_error": "api_error",
    "upstream_denied": "api_error",
    "unreachable": "api_error",
    "tls": "api_error",
    "redirected": "api_error",
    "timeout": "timeout_error",
    "malformed": "api_error",
    "truncated": "api_error",
    "cancelled": "api_error",
    "internal": "api_error",
}
"""What a failure is called here, unless its provider called it by a type of this dialect that has its status."""

SPENT = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached", "ramp_limit_exceeded"})
"""Codes of a 429 that waiting does not mend."""
NO_CREDIT = "credit balance is too low"
"""What an account without money is told, with the status and type of a bad request."""

OVERLOADED = 529
THREAD, NO_THREAD = "thread", "thread_unsupported_request"
"""A field, and what its SDKs must be told of it where there are no threads: their tool runners then send the whole conversation instead."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Failure:
    """The failure that an answer with an error status means. `now`: seconds since 1970, for a `Retry-After` that is a date."""
    try:
        value = json.decode(body)
    except json.Malformed:
        value = None  # a page of HTML or plain text is for no client's eyes
    return read_error(value, status, retry_after(headers, now))


def read_error(body: Any, status: int = 0, wait: float | None = None) -> Failure:
    """An error's body, or an error inside a stream, whose type then says the status."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        details = error.get("details")
        code = details.get("error_code") if isinstance(details, dict) else None
        wait = seconds(details.get("retry_after")) if wait is None and isinstance(details, dict) else wait
        body = {"error": {**error, "code": code or error.get("code")}}
        type = error.get("type")
        status = status or (STATUSES.get(type, 0) if isinstance(type, str) else 0)
    failure = read_failure(body, status, wait)
    spent = failure.kind == "rate_limited" and failure.code in SPENT
    poor = failure.kind == "bad_request" and NO_CREDIT in failure.message.lower()
    return replace(failure, kind="quota_exhausted") if spent or poor else failure


def error_object(failure: Failure, id: str = "") -> Fields:
    """`id`: of the request. `retry_after`, in seconds, is a detail of Telex's own: inside a stream there is no header for it."""
    own = STATUSES.get(failure.type) == status_of(failure)  # others use the same words for something else
    error: Fields = {"type": failure.type if own else TYPES[failure.kind], "message": failure.message}
    if failure.kind == "unsupported" and failure.param == THREAD:
        error["details"] = {"error_code": NO_THREAD, "unsupported": [THREAD]}
    elif failure.code or failure.retry_after is not None:
        code = {"error_code": failure.code} if failure.code else {}
        error["details"] = code if failure.retry_after is None else {**code, "retry_after": failure.retry_after}
    return {"type": "error", "error": error, **({"request_id": id} if id else {})}


def encode_error(failure: Failure, id: str = "") -> bytes:
    """The body of an error answer, and the data of an error inside a stream: the form that the official SDKs raise on."""
    return json.encode(error_object(failure, id))


def status_of(failure: Failure) -> int:
    return OVERLOADED if failure.kind in ("overloaded", "busy") else failure.http_status
