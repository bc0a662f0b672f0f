"""Errors of Google's APIs: what providers say when something is wrong, and how Telex says it to their clients.

Source of the format: Google's AIP-193 and "Gemini API troubleshooting".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Fields
from telex.dialects.failures import DENIED, TOO_LONG, classify, read_failure
from telex.dialects.http import number, retry_after
from telex.dialects.values import count

WORDS: dict[str, Kind] = {
    "INVALID_ARGUMENT": "bad_request",
    "FAILED_PRECONDITION": "bad_request",
    "OUT_OF_RANGE": "bad_request",
    "ALREADY_EXISTS": "bad_request",
    "ABORTED": "upstream_error",
    "CANCELLED": "upstream_error",
    "DATA_LOSS": "upstream_error",
    "DEADLINE_EXCEEDED": "timeout",
    "INTERNAL": "upstream_error",
    "NOT_FOUND": "not_found",
    "PERMISSION_DENIED": "permission_denied",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAUTHENTICATED": "upstream_denied",
    "UNAVAILABLE": "overloaded",
    "UNIMPLEMENTED": "upstream_error",
    "UNKNOWN": "upstream_error",
}
"""What the words of `status` mean."""

DENIED_REASONS = frozenset(
    {
        "API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED", "CREDENTIALS_MISSING",
        "ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "ACCOUNT_STATE_INVALID",
    }
)  # fmt: skip
DENIED_PHRASES = ("api key not valid", "api key expired", "api key not found", "api key was reported", "unregistered callers")

STATUSES: dict[Kind, str] = {
    "bad_request": "INVALID_ARGUMENT",
    "unsupported": "INVALID_ARGUMENT",
    "context_too_long": "INVALID_ARGUMENT",
    "unauthorized": "UNAUTHENTICATED",
    "permission_denied": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "method_not_allowed": "UNIMPLEMENTED",
    "request_timeout": "DEADLINE_EXCEEDED",
    "too_large": "INVALID_ARGUMENT",
    "unsupported_media": "INVALID_ARGUMENT",
    "misdirected": "FAILED_PRECONDITION",
    "gone": "NOT_FOUND",
    "conflict": "FAILED_PRECONDITION",
    "mismatch": "INVALID_ARGUMENT",
    "limited": "RESOURCE_EXHAUSTED",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "quota_exhausted": "RESOURCE_EXHAUSTED",
    "busy": "UNAVAILABLE",
    "overloaded": "UNAVAILABLE",
    "upstream_error": "INTERNAL",
    "upstream_denied": "INTERNAL",
    "unreachable": "UNAVAILABLE",
    "tls": "UNAVAILABLE",
    "redirected": "UNAVAILABLE",
    "timeout": "DEADLINE_EXCEEDED",
    "malformed": "INTERNAL",
    "truncated": "UNAVAILABLE",
    "cancelled": "CANCELLED",
    "internal": "INTERNAL",
}
"""What Telex calls a failure that no provider has named."""

TYPE = "type.googleapis.com/google.rpc."
DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def decode_error(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Failure:
    """The failure that an answer with an error status means. `now`: seconds since 1970, for a `Retry-After` that is a date."""
    try:
        value = json.decode(body)
    except json.Malformed:
        value = None  # a page of HTML or plain text is for no client's eyes
    return read_error(value, status, retry_after(headers, now))


def read_error(body: Any, status: int, wait: float | None = None) -> Failure:
    """Google's shape, which streams of JSON arrays wrap in one, or any other. `status`: 0 inside a stream."""
    if isinstance(body, list):
        body = next((one for one in body if isinstance(one, dict) and one.get("error")), None)
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not ("status" in error or "details" in error):
        return read_failure(body, status, wait)
    word, message = error.get("status"), error.get("message")
    word, message = word if isinstance(word, str) else "", message if isinstance(message, str) else ""
    status = status or count(error.get("code"))
    details = [detail for detail in details if isinstance(detail, dict)] if isinstance(details := error.get("details"), list) else []
    reason = next(texts_of(details, "reason"), "")
    kind = kind_of(status, word, reason, message, details)
    if kind == "upstream_denied":  # a provider may repeat the key in its message
        return Failure(kind, DENIED, status=status)
    unsaid = f"The provider answered with status {status}." if status else "The provider reported an error without saying which."
    delay = next((seconds for detail in details if (seconds := delay_of(detail.get("retryDelay"))) is not None), wait)
    code = reason or ("" if word == STATUSES[kind] else word)
    return Failure(kind, message or unsaid, field_of(details), code=code, retry_after=delay, status=status)


def kind_of(status: int, word: str, reason: str, message: str, details: list[Fields]) -> Kind:
    """What kind of failure it is: by the provider's own words first, then by the HTTP status."""
    said = message.lower()
    if reason in DENIED_REASONS or (status in (0, 400, 401, 403) and any(phrase in said for phrase in DENIED_PHRASES)):
        return "upstream_denied"
    kind = WORDS.get(word) or classify(status, [], message)
    if kind == "bad_request" and any(phrase in said for phrase in TOO_LONG):
        return "context_too_long"
    return "quota_exhausted" if kind == "rate_limited" and is_daily(details) else kind


def is_daily(details: list[Fields]) -> bool:
    """Whether a quota of a whole day is used up, so that waiting for seconds is in vain."""
    violations = [one for detail in details if isinstance(several := detail.get("violations"), list) for one in several]
    metadata = [detail.get("metadata") for detail in details]
    limits = [*texts_of(violations, "quotaId"), *texts_of(metadata, "quota_limit"), *texts_of(metadata, "quotaId")]
    return any("perday" in limit.lower() for limit in limits)


def texts_of(objects: list[Any], name: str) -> Iterator[str]:
    return (value for one in objects if isinstance(one, dict) and isinstance(value := one.get(name), str))


def delay_of(value: object) -> float | None:
    """Seconds of a duration: `48s`, or an object of `seconds` and `nanos`."""
    if isinstance(value, dict):
        return count(value.get("seconds")) + count(value.get("nanos")) / 1e9
    match = DELAY.fullmatch(value) if isinstance(value, str) else None
    return number(match[1]) if match else None


def field_of(details: list[Fields]) -> str:
    violations = [one for detail in details if isinstance(several := detail.get("fieldViolations"), list) for one in several]
    return next(texts_of(violations, "field"), "")


def status_of(failure: Failure) -> int:
    return failure.http_status


def encode_error(failure: Failure, id: str = "") -> bytes:
    """The body of an error answer, and the data of an error inside a stream: `error` comes first and its code is a number, or the SDKs
    don't raise."""
    word = failure.code if failure.code in WORDS else STATUSES[failure.kind]
    message = failure.message
    if failure.param and failure.param not in message:
        message = f"{message} ({failure.param})"
    error: Fields = {"code": status_of(failure), "message": message, "status": word}
    if details := list(details_of(failure)):
        error["details"] = details
    return json.encode({"error": error})


def details_of(failure: Failure) -> Iterator[Fields]:
    if failure.code and failure.code not in WORDS:
        yield {"@type": f"{TYPE}ErrorInfo", "reason": failure.code, "domain": "telex"}
    if failure.param:
        violation = {"field": failure.param, "description": failure.message}
        yield {"@type": f"{TYPE}BadRequest", "fieldViolations": [violation]}
    if failure.retry_after is not None:
        seconds = f"{failure.retry_after:.3f}".rstrip("0").rstrip(".")
        yield {"@type": f"{TYPE}RetryInfo", "retryDelay": f"{seconds}s"}
