"""What providers of generateContent say when something is wrong, and what Telex says to its clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.dialects.failures import DENIED
from telex.dialects.gemini import decode_error, encode_error, status_of
from telex.dialects.gemini.errors import WORDS


def decode(status: int, body: Any, **headers: str) -> Failure:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, 0.0)


def error(status: str, message: Any = "Boom.", code: Any = 400, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def quota(id: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id}]}


def retry(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


STATUSES: list[tuple[int, str, Kind]] = [
    (400, "INVALID_ARGUMENT", "bad_request"),
    (400, "FAILED_PRECONDITION", "bad_request"),
    (400, "OUT_OF_RANGE", "bad_request"),
    (401, "UNAUTHENTICATED", "upstream_denied"),
    (403, "PERMISSION_DENIED", "permission_denied"),
    (404, "NOT_FOUND", "not_found"),
    (409, "ALREADY_EXISTS", "bad_request"),
    (409, "ABORTED", "upstream_error"),
    (413, "", "too_large"),
    (429, "RESOURCE_EXHAUSTED", "rate_limited"),
    (499, "CANCELLED", "upstream_error"),
    (500, "INTERNAL", "upstream_error"),
    (500, "UNKNOWN", "upstream_error"),
    (503, "UNAVAILABLE", "overloaded"),
    (504, "DEADLINE_EXCEEDED", "timeout"),
    (503, "SOMETHING_NEW", "overloaded"),
]


@pytest.mark.parametrize(("status", "word", "kind"), STATUSES)
def test_statuses(status: int, word: str, kind: Kind) -> None:
    failure = decode(status, error(word, code=status))
    assert (failure.kind, failure.status) == (kind, status)
    assert decode(status, [error(word, code=status)]) == failure
    inside = decode(0, error(word, code=str(status)))
    assert (inside.kind, inside.status) == (kind, status)


SHAPES: dict[str, tuple[int, Any, Failure]] = {
    "a word that says more": (400, error("FAILED_PRECONDITION"), Failure("bad_request", "Boom.", code="FAILED_PRECONDITION", status=400)),
    "a reason": (429, error("RESOURCE_EXHAUSTED", "Boom.", 429, info("RATE_LIMIT_EXCEEDED")),
                 Failure("rate_limited", "Boom.", code="RATE_LIMIT_EXCEEDED", status=429)),
    "a field": (400, error("INVALID_ARGUMENT", "Boom.", 400, {"fieldViolations": [{"field": "contents"}]}),
                Failure("bad_request", "Boom.", "contents", status=400)),
    "no message": (500, error("INTERNAL", None), Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "OpenAI's": (429, {"error": {"message": "Boom.", "type": "requests", "code": "slow"}},
                 Failure("rate_limited", "Boom.", type="requests", code="slow", status=429)),
    "a string": (500, {"error": "Boom."}, Failure("upstream_error", "Boom.", status=500)),
    "HTML": (502, b"<html>Bad gateway</html>", Failure("upstream_error", "The provider answered with status 502.", status=502)),
    "text": (404, b"Not Found", Failure("not_found", "The provider answered with status 404.", status=404)),
    "nothing": (503, b"", Failure("overloaded", "The provider answered with status 503.", status=503)),
    "an empty array": (500, [], Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "nonsense": (500, [1, {"error": None}], Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "details of no shape": (400, {"error": {"status": 1, "message": "Boom.", "details": {"violations": 1}}},
                            Failure("bad_request", "Boom.", status=400)),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes(status: int, body: Any, expected: Failure) -> None:
    assert decode(status, body) == expected


DENIALS: list[tuple[int, dict[str, Any]]] = [
    (400, error("INVALID_ARGUMENT", "API key not valid: AIza-secret", 400, info("API_KEY_INVALID"))),
    (400, error("INVALID_ARGUMENT", "API key not valid: AIza-secret")),
    (400, error("INVALID_ARGUMENT", "API key expired. AIza-secret")),
    (401, error("UNAUTHENTICATED", "AIza-secret", 401)),
    (403, error("PERMISSION_DENIED", "AIza-secret", 403, info("API_KEY_SERVICE_BLOCKED"))),
    (403, error("PERMISSION_DENIED", "Method doesn't allow unregistered callers. AIza-secret", 403)),
    (403, error("PERMISSION_DENIED", "Your API key was reported as leaked. AIza-secret", 403)),
]


@pytest.mark.parametrize(("status", "body"), DENIALS)
def test_refused_credentials_are_no_business_of_the_client(status: int, body: dict[str, Any]) -> None:
    assert decode(status, body) == Failure("upstream_denied", DENIED, status=status)


def test_a_prompt_that_is_too_long() -> None:
    message = "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576)."
    assert decode(400, error("INVALID_ARGUMENT", message)).kind == "context_too_long"
    assert decode(429, error("RESOURCE_EXHAUSTED", message)).kind == "rate_limited"


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ([quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), retry("48s")], "quota_exhausted"),
        ([info("RATE_LIMIT_EXCEEDED", quota_limit="GenerateContentRequestsPerDay")], "quota_exhausted"),
        ([quota("GenerateContentInputTokensPerMinute"), retry("48s")], "rate_limited"),
        ([info("RATE_LIMIT_EXCEEDED", quota_limit="RequestsPerMinutePerProject")], "rate_limited"),
    ],
)
def test_a_quota_of_a_day_is_not_a_rate(details: list[dict[str, Any]], kind: Kind) -> None:
    assert decode(429, error("RESOURCE_EXHAUSTED", "Quota exceeded.", 429, *details)).kind == kind


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("48s", 48.0), ("0.5s", 0.5), ({"seconds": "3", "nanos": 500000000}, 3.5), ("soon", 7.0), (None, 7.0), ("1e9s", 7.0)],
)
def test_when_to_come_back(delay: Any, seconds: float) -> None:
    assert decode(429, error("RESOURCE_EXHAUSTED", "Boom.", 429, retry(delay)), retry_after="7").retry_after == seconds


# ---- to clients


def test_every_kind_has_a_status_that_the_sdk_raises_on() -> None:
    for kind, consequence in CONSEQUENCES.items():
        body = encode_error(Failure(kind, "Boom."))
        assert body.startswith(b'{"error":{"code":')
        said = json.loads(body)["error"]
        assert said["code"] == status_of(Failure(kind, "Boom.")) == consequence.status
        assert said["status"] in WORDS
        assert said["message"] == "Boom."


def test_a_client_learns_the_field_the_reason_and_when_to_come_back() -> None:
    failure = Failure("rate_limited", "Slow down.", "contents", code="slow_down", retry_after=1234567.25, status=429)
    said = json.loads(encode_error(failure))["error"]
    assert said["message"] == "Slow down. (contents)"
    assert [detail["@type"].rpartition(".")[2] for detail in said["details"]] == ["ErrorInfo", "BadRequest", "RetryInfo"]
    again = decode(429, {"error": said})
    assert (again.code, again.param, again.retry_after, again.message) == ("slow_down", "contents", 1234567.25, "Slow down. (contents)")
    assert json.loads(encode_error(again))["error"]["message"] == "Slow down. (contents)"


def test_googles_own_words_come_through() -> None:
    failure = decode(400, error("FAILED_PRECONDITION", "User location is not supported."))
    said = json.loads(encode_error(failure))["error"]
    assert said == {"code": 400, "message": "User location is not supported.", "status": "FAILED_PRECONDITION"}


def test_a_status_of_the_caller_s_own_making_is_kept() -> None:
    assert status_of(Failure("bad_request", "Boom.", status=409)) == 409
    assert status_of(Failure("upstream_denied", "Boom.", status=401)) == 502
