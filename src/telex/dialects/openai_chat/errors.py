"""Errors of Chat Completions: what providers of this dialect say when something is wrong, and how Telex says it to their clients."""

from __future__ import annotations

from collections.abc import Mapping

from telex.core import json
from telex.core.errors import Failure, Kind
from telex.core.messages import Fields
from telex.dialects.failures import read_failure
from telex.dialects.http import retry_after

TYPES: dict[Kind, tuple[str, str | None]] = {
    "context_too_long": ("invalid_request_error", "context_length_exceeded"),
    "unauthorized": ("invalid_request_error", "invalid_api_key"),
    "permission_denied": ("invalid_request_error", "permission_denied"),
    "not_found": ("invalid_request_error", "not_found"),
    "limited": ("rate_limit_error", "rate_limit_exceeded"),
    "rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
    "quota_exhausted": ("insufficient_quota", "insufficient_quota"),
    "busy": ("service_unavailable_error", "server_busy"),
    "overloaded": ("service_unavailable_error", "server_is_overloaded"),
    "upstream_error": ("server_error", "upstream_error"),
    "upstream_denied": ("server_error", "upstream_denied"),
    "unreachable": ("server_error", "upstream_unreachable"),
    "tls": ("server_error", "upstream_tls_error"),
    "redirected": ("server_error", "upstream_redirected"),
    "timeout": ("server_error", "upstream_timeout"),
    "malformed": ("server_error", "upstream_malformed"),
    "truncated": ("server_error", "stream_truncated"),
    "cancelled": ("server_error", "cancelled"),
    "internal": ("server_error", "internal_error"),
}
"""What Telex calls a failure that no provider has named, as (type, code)."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Failure:
    """The failure that an answer with an error status means. `now`: seconds since 1970, for a `Retry-After` that is a date."""
    try:
        value = json.decode(body)
    except json.Malformed:
        value = None  # a page of HTML or plain text is for no client's eyes
    return read_failure(value, status, retry_after(headers, now))


def error_object(failure: Failure) -> Fields:
    """`retry_after`, in seconds, is a field of Telex's own: inside a stream there is no header for it."""
    type, code = TYPES.get(failure.kind, ("invalid_request_error", None))
    wait = {} if failure.retry_after is None else {"retry_after": failure.retry_after}
    return {
        "error": {
            "message": failure.message,
            "type": failure.type or type,
            "param": failure.param or None,
            "code": failure.code or code,
            **wait,
        }
    }


def status_of(failure: Failure) -> int:
    return failure.http_status


def encode_error(failure: Failure, id: str = "") -> bytes:
    """The body of an error answer, and the data of an error inside a stream: the form that the official SDKs raise on."""
    return json.encode(error_object(failure))
