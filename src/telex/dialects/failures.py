"""What a provider says when something is wrong, whatever shape it puts it in: one reading for all dialects."""

from __future__ import annotations

from typing import Any

from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Fields
from telex.dialects.values import seconds

STATUSES: dict[int, Kind] = {
    401: "upstream_denied",
    402: "upstream_denied",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    409: "upstream_error",  # a lock of its own that it did not get: what SDKs try again
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
WORDS: dict[str, Kind] = {
    "context_length_exceeded": "context_too_long",
    "insufficient_quota": "quota_exhausted",
    "credit_balance_exhausted": "quota_exhausted",
    "organization_spend_limit_exceeded": "quota_exhausted",
    "project_spend_limit_exceeded": "quota_exhausted",
    "organization_usage_limit_exceeded": "quota_exhausted",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "service_unavailable_error": "overloaded",
    "invalid_api_key": "upstream_denied",
    "authentication_error": "upstream_denied",
    "model_not_found": "not_found",
    "invalid_request_error": "bad_request",
}
"""Codes and types, in this order of trust behind the status."""
TOO_LONG = (
    "context length", "context window", "context size", "prompt is too long", "too many tokens", "input token count",
    "maximum context", "prompt too long", "total length of all messages",
)  # fmt: skip
DENIED = "The provider refused the credentials that Telex is configured with."


def read_failure(body: Any, status: int, wait: float | None = None) -> Failure:
    """Any of the shapes in which this dialect's providers put an error: an object, a string, or the fields at the top.

    `wait`: seconds that its headers ask for; inside a stream a Telex says them beside the message.
    """
    fields: Fields = body if isinstance(body, dict) else {}
    error = fields.get("error")
    if isinstance(error, dict):
        fields = error
    elif isinstance(error, str) and error:
        fields = {**fields, "message": error}
    message, code, type = fields.get("message") or fields.get("detail"), fields.get("code"), fields.get("type")
    if not isinstance(message, str):
        message = json.encode(message).decode()[:500] if message else f"The provider answered with status {status}." if status else ""
    if isinstance(code, int) and not status:
        status = code
    words = [w for w in (code, type) if isinstance(w, str)]
    kind = classify(status, words, message)
    if kind == "upstream_denied":  # a provider may repeat the key in its message
        return Failure(kind, DENIED, status=status)
    param, told = fields.get("param"), seconds(fields.get("retry_after"))
    return Failure(
        kind,
        message or "The provider reported an error without saying which.",
        param if isinstance(param, str) else "",
        type if isinstance(type, str) else "",
        str(code) if isinstance(code, (str, int)) else "",
        told if wait is None else wait,
        status,
    )


def classify(status: int, words: list[str], message: str) -> Kind:
    """What kind of failure a status, its codes and its message tell of; status 0 where the error came inside a stream."""
    known = next((WORDS[w] for w in words if w in WORDS), None)
    if status in (0, 400, 413, 422) and (known == "context_too_long" or any(p in message.lower() for p in TOO_LONG)):
        return "context_too_long"
    if status == 429 and known == "quota_exhausted":
        return known
    if status in STATUSES:
        return STATUSES[status]
    if 400 <= status < 500:
        return "bad_request"
    return (known if status == 0 else None) or "upstream_error"
