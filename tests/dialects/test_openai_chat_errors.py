"""What providers of Chat Completions say when something is wrong, and what Telex says to its clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.dialects.http import retry_after
from telex.dialects.openai_chat import decode_error, encode_error


def decode(status: int, body: Any, **headers: str) -> Failure:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, 0.0)


def error(message: Any = "Boom.", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


SHAPES: dict[str, tuple[int, Any, Failure]] = {
    "OpenAI": (400, error(type="invalid_request_error", param="messages", code="empty_array"),
               Failure("bad_request", "Boom.", "messages", "invalid_request_error", "empty_array", status=400)),
    "OpenAI, nulls": (400, error(type="invalid_request_error", param=None, code=None),
                      Failure("bad_request", "Boom.", type="invalid_request_error", status=400)),
    "Anthropic": (429, {"type": "error", "error": {"type": "rate_limit_error", "message": "Boom."}, "request_id": "r"},
                  Failure("rate_limited", "Boom.", type="rate_limit_error", status=429)),
    "Google": (503, {"error": {"code": 503, "message": "Boom.", "status": "UNAVAILABLE", "details": []}},
               Failure("overloaded", "Boom.", code="503", status=503)),
    "Azure": (429, {"error": {"code": "RateLimitReached", "message": "Boom.", "details": "…"}},
              Failure("rate_limited", "Boom.", code="RateLimitReached", status=429)),
    "Azure's gateway": (404, {"statusCode": 404, "message": "Boom."}, Failure("not_found", "Boom.", status=404)),
    "xAI": (400, {"code": "invalid", "error": "Boom."}, Failure("bad_request", "Boom.", code="invalid", status=400)),
    "Mistral": (422, {"object": "error", "message": "Boom.", "type": "invalid", "param": None, "code": "1500"},
                Failure("bad_request", "Boom.", type="invalid", code="1500", status=422)),
    "FastAPI": (422, {"detail": "Boom."}, Failure("bad_request", "Boom.", status=422)),
    "FastAPI, a list": (422, {"detail": [{"loc": ["body"], "msg": "x"}]},
                        Failure("bad_request", '[{"loc":["body"],"msg":"x"}]', status=422)),
    "Perplexity": (400, error(type="bad", code=400), Failure("bad_request", "Boom.", type="bad", code="400", status=400)),
    "OpenRouter": (429, error(code=429, metadata={"raw": "…"}), Failure("rate_limited", "Boom.", code="429", status=429)),
    "vLLM": (400, {"object": "error", "message": "Boom.", "type": "BadRequestError", "param": None, "code": 400},
             Failure("bad_request", "Boom.", type="BadRequestError", code="400", status=400)),
    "Ollama": (500, {"error": "Boom."}, Failure("upstream_error", "Boom.", status=500)),
    "llama.cpp": (500, error(code=500, type="oops"), Failure("upstream_error", "Boom.", type="oops", code="500", status=500)),
    "HTML": (502, b"<html>Bad gateway</html>", Failure("upstream_error", "The provider answered with status 502.", status=502)),
    "nothing": (500, b"", Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "an empty object": (500, {}, Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "a list": (500, [1], Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "error null": (500, {"error": None}, Failure("upstream_error", "The provider answered with status 500.", status=500)),
    "a message that is none": (500, error({"a": 1}), Failure("upstream_error", '{"a":1}', status=500)),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes(status: int, body: Any, expected: Failure) -> None:
    assert decode(status, body) == expected


STATUSES: list[tuple[int, dict[str, Any], Kind]] = [
    (400, {"type": "invalid_request_error"}, "bad_request"),
    (401, {"code": "invalid_api_key"}, "upstream_denied"),
    (402, {}, "upstream_denied"),
    (403, {}, "permission_denied"),
    (404, {"code": "model_not_found"}, "not_found"),
    (408, {}, "timeout"),
    (409, {}, "upstream_error"),
    (413, {}, "too_large"),
    (422, {}, "bad_request"),
    (429, {"type": "requests", "code": "rate_limit_exceeded"}, "rate_limited"),
    (429, {"type": "rate_limit_error", "code": "slow_down"}, "rate_limited"),
    (429, {"type": "insufficient_quota"}, "quota_exhausted"),
    (429, {"type": "insufficient_quota", "code": "credit_balance_exhausted"}, "quota_exhausted"),
    (429, {"code": "organization_spend_limit_exceeded"}, "quota_exhausted"),
    (429, {"code": "project_spend_limit_exceeded"}, "quota_exhausted"),
    (429, {"code": "organization_usage_limit_exceeded"}, "quota_exhausted"),
    (500, {"type": "server_error"}, "upstream_error"),
    (502, {}, "upstream_error"),
    (503, {"type": "service_unavailable_error", "code": "server_is_overloaded"}, "overloaded"),
    (504, {}, "upstream_error"),
    (529, {"type": "overloaded_error"}, "overloaded"),
    (418, {}, "bad_request"),
    (599, {}, "upstream_error"),
]


@pytest.mark.parametrize(("status", "fields", "kind"), STATUSES)
def test_statuses(status: int, fields: dict[str, Any], kind: Kind) -> None:
    failure = decode(status, error(**fields))
    assert (failure.kind, failure.status) == (kind, status)


def test_what_is_worth_another_try() -> None:
    again = {status for status, fields, _ in STATUSES if decode(status, error(**fields)).consequence.again}
    assert {408, 409, 429, 500, 502, 503, 504, 529, 599} == again
    assert not decode(429, error(type="insufficient_quota")).consequence.again


TOO_LONG: list[tuple[int, dict[str, Any]]] = [
    (400, error("Your input exceeds the limit.", code="context_length_exceeded", param="messages")),
    (400, error("Your input exceeds the context window of this model.")),
    (400, error("This model's maximum context length is 10 tokens. However, …", code="invalid_request_error")),
    (400, error("prompt is too long: 3333404 tokens > 200000 maximum", type="invalid_request_error")),
    (400, error("The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).")),
    (400, error("This endpoint's maximum context length is 10", code=400)),
    (400, {"message": "too many tokens", "error_type": "TOO_MANY_TOKENS"}),
    (400, error("The total length of all messages is too long.", type="too_many_prompt_tokens", code=400)),
    (400, error("prompt too long; exceeded max context length by 10 tokens")),
    (413, error("Prompt Too Long")),
    (422, {"detail": "Context length exceeded"}),
    (400, error("request (4021 tokens) exceeds the available context size (2048 tokens), try increasing it",
                code=400, type="exceed_context_size_error")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
def test_a_context_that_is_too_long(status: int, body: dict[str, Any]) -> None:
    failure = decode(status, body)
    assert (failure.kind, failure.http_status) == ("context_too_long", 400)
    assert not failure.consequence.again


def test_the_same_words_under_another_status_are_something_else() -> None:
    assert decode(429, error("too many tokens per minute")).kind == "rate_limited"
    assert decode(500, error("context length")).kind == "upstream_error"


@pytest.mark.parametrize("status", [401, 402])
def test_no_client_is_told_what_a_provider_says_of_the_key(status: int) -> None:
    failure = decode(status, error("Incorrect API key: sk-secret", type="sk-secret", code="sk-secret", param="sk-secret"))
    assert "sk-secret" not in repr(failure)
    assert failure.http_status == 502


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_what_clients_are_told(kind: Kind) -> None:
    body = json.loads(encode_error(Failure(kind, "Boom.")))
    assert body["error"]["message"] == "Boom."
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["type"]
    own = Failure("bad_request", "Boom.", "n", "invalid", "odd")
    assert json.loads(encode_error(own))["error"] == {"message": "Boom.", "type": "invalid", "param": "n", "code": "odd"}


DATE = "Thu, 01 Jan 1970 00:01:40 GMT"
WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "2"}, 2.0),
    ({"retry-after": " 2 "}, 2.0),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": DATE}, 40.0),
    ({"retry-after": "Thu, 01 Jan 1970 00:00:40 GMT"}, 0.0),
    ({"retry-after": "Thu, 01 Jan 1970 00:01:40 -0000"}, 40.0),
    ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
    ({"retry-after-ms": "-5"}, 0.0),
    ({"retry-after-ms": "nan"}, None),
    ({"retry-after-ms": "inf"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": ""}, None),
    ({"retry-after": "-1"}, None),
    ({"retry-after": "1e999"}, None),
    ({"retry-after": "Thu, 99 Foo 1970 00:01:40 GMT"}, None),
    ({"retry-after": "²"}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, 60.0) == seconds


def test_an_error_carries_when_to_come_back() -> None:
    assert decode(429, error(), retry_after_ms="250").retry_after == 0.25
    assert decode(503, b"", retry_after="7").retry_after == 7.0
    assert decode(429, error()).retry_after is None
