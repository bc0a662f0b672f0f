"""Errors of Anthropic Messages, read and written; and its lists of models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core import sse
from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.core.json import Malformed
from telex.core.messages import Fields
from telex.dialects import anthropic
from telex.dialects.anthropic.errors import STATUSES
from telex.dialects.failures import DENIED


def error(type: str, message: str = "Boom.", **fields: Any) -> Fields:
    return {"type": "error", "error": {"type": type, "message": message, **fields}, "request_id": "req_1"}


def decode(status: int, body: Any, **headers: str) -> Failure:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return anthropic.decode_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, 0.0)


KINDS: list[tuple[int, Fields, Kind]] = [
    (400, error("invalid_request_error"), "bad_request"),
    (400, error("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum"), "context_too_long"),
    (400, error("invalid_request_error", "Your credit balance is too low to access the API."), "quota_exhausted"),
    (401, error("authentication_error"), "upstream_denied"),
    (402, error("billing_error"), "upstream_denied"),
    (403, error("permission_error"), "permission_denied"),
    (404, error("not_found_error"), "not_found"),
    (409, error("conflict_error"), "upstream_error"),
    (413, error("request_too_large"), "too_large"),
    (429, error("rate_limit_error"), "rate_limited"),
    (429, error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}), "quota_exhausted"),
    (500, error("api_error"), "upstream_error"),
    (504, error("timeout_error"), "upstream_error"),
    (529, error("overloaded_error"), "overloaded"),
]


@pytest.mark.parametrize(("status", "body", "kind"), KINDS, ids=[f"{status} {kind}" for status, _, kind in KINDS])
def test_what_a_provider_says_is_wrong(status: int, body: Fields, kind: Kind) -> None:
    failure = decode(status, body)
    assert (failure.kind, failure.status) == (kind, status)
    inside = sse.Frame(json.dumps(body).encode(), "error")
    [same] = anthropic.Decoder().feed(inside)  # in a stream its type says the status
    assert same == failure
    assert anthropic.Decoder().whole(json.dumps(body).encode()) == [failure]


def test_the_words_of_the_provider_are_kept() -> None:
    body = error("rate_limit_error", "Slow down.", details={"error_code": "ramp_limit_exceeded"})
    failure = decode(429, body, retry_after="7")
    assert failure == Failure("quota_exhausted", "Slow down.", "", "rate_limit_error", "ramp_limit_exceeded", 7.0, 429)


def test_nothing_of_refused_credentials_is_repeated() -> None:
    assert decode(401, error("authentication_error", "invalid x-api-key: sk-secret")) == Failure("upstream_denied", DENIED, status=401)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"upstream connect error", b"\xff", b"[1]", b"{}", b"null", b'"x"'])
def test_a_page_of_somebody_between_is_for_nobodys_eyes(body: bytes) -> None:
    assert decode(502, body) == Failure("upstream_error", "The provider answered with status 502.", status=502)


@pytest.mark.parametrize(
    ("body", "message"),
    [({"error": "Gone."}, "Gone."), ({"message": "Gone."}, "Gone."), ({"detail": "Gone."}, "Gone."), ({"error": {"message": 7}}, "7")],
)
def test_errors_in_other_shapes(body: Fields, message: str) -> None:
    assert decode(500, body).message == message


@pytest.mark.parametrize(
    "frame",
    [
        b'event: error\ndata: {"type":"error","message":"Boom."}\n\n',
        b'data: {"type":"error","error":{"message":"Boom."}}\n\n',
        b'data: {"error":{"message":"Boom."}}\n\n',
        b'event: error\ndata: {"error":"Boom."}\n\n',
        b'{"error":{"message":"Boom."}}\n\n',
    ],
)
def test_an_error_in_a_stream_however_it_is_framed(frame: bytes) -> None:
    [one] = sse.Decoder().feed(frame)
    [failure] = anthropic.Decoder().feed(one)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.message) == ("upstream_error", "Boom.")


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_every_failure_has_a_type_that_sdks_know(kind: Kind) -> None:
    failure = Failure(kind, "Boom.")
    body = json.loads(anthropic.encode_error(failure, "gen_1"))
    assert body["error"]["type"] in STATUSES
    assert body == {"type": "error", "error": {"type": body["error"]["type"], "message": "Boom."}, "request_id": "gen_1"}
    assert "request_id" not in json.loads(anthropic.encode_error(failure))
    assert anthropic.status_of(failure) == (529 if kind in ("overloaded", "busy") else CONSEQUENCES[kind].status)


def test_a_providers_own_type_and_code_are_said_again() -> None:
    failure = Failure("bad_request", "Boom.", "field", "conflict_error", "some_code", status=409)
    said = json.loads(anthropic.encode_error(failure))["error"]
    assert said == {"type": "conflict_error", "message": "Boom.", "details": {"error_code": "some_code"}}
    assert anthropic.status_of(failure) == 409


@pytest.mark.parametrize(
    ("failure", "type"),
    [
        (Failure("rate_limited", "Boom.", type="tokens"), "rate_limit_error"),
        (Failure("permission_denied", "Boom.", type="invalid_request_error", status=403), "permission_error"),
        (Failure("overloaded", "Boom.", type="api_error", status=503), "overloaded_error"),
        (Failure("upstream_error", "Boom.", type="conflict_error", status=409), "api_error"),
    ],
)
def test_a_type_that_is_anothers_or_of_another_status_is_not(failure: Failure, type: str) -> None:
    assert json.loads(anthropic.encode_error(failure))["error"]["type"] == type


def test_lists_of_models() -> None:
    first = {"type": "model", "id": "a", "display_name": "a", "created_at": "2023-11-14T22:13:20Z"}
    wire = anthropic.encode_models([("a", "x"), ("b/c", "y")], 1_700_000_000)
    ends = {"has_more": False, "first_id": "a", "last_id": "b/c"}
    assert json.loads(wire) == {"data": [first, {**first, "id": "b/c", "display_name": "b/c"}], **ends}
    assert anthropic.decode_models(wire) == ["a", "b/c"]
    assert json.loads(anthropic.encode_models([], 0)) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert json.loads(anthropic.encode_model("a", "x", 1_700_000_000)) == first
    assert anthropic.decode_models(b'{"data":[{"id":"a"},{},7]}') == ["a"]
    for bad in (b"[]", b"{", b'{"data":{}}'):
        with pytest.raises(Malformed):
            anthropic.decode_models(bad)
