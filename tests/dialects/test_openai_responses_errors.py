"""What providers of Responses say when something is wrong, and what Telex says to its clients.

The bodies of error answers are those of Chat Completions, and tested there.
"""

from __future__ import annotations

import json

import pytest

from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.dialects import openai_chat, openai_responses
from telex.dialects.openai_responses.errors import error_object, error_of_response, read_error


def test_answers_with_an_error_are_those_of_chat_completions() -> None:
    for name in ("decode_error", "encode_error", "status_of"):
        assert getattr(openai_responses, name) is getattr(openai_chat, name)


def test_no_client_is_told_what_a_provider_says_of_the_key() -> None:
    body = json.dumps({"error": {"message": "Incorrect API key: sk-secret", "code": "invalid_api_key"}}).encode()
    failures = [openai_responses.decode_error(401, {}, body, 0.0), read_error(json.loads(body))]
    assert [failure.kind for failure in failures] == ["upstream_denied"] * 2
    assert "sk-secret" not in repr(failures)


def test_pages_of_html_are_for_no_ones_eyes() -> None:
    failure = openai_responses.decode_error(502, {}, b"<html>Bad gateway</html>", 0.0)
    assert (failure.kind, failure.message) == ("upstream_error", "The provider answered with status 502.")


CODES: list[tuple[str, Kind]] = [
    ("server_error", "upstream_error"),
    ("rate_limit_exceeded", "rate_limited"),
    ("insufficient_quota", "quota_exhausted"),
    ("context_length_exceeded", "context_too_long"),
    ("server_is_overloaded", "overloaded"),
    ("vector_store_timeout", "upstream_error"),
    ("invalid_prompt", "bad_request"),
    ("data_residency_mismatch", "bad_request"),
    ("bio_policy", "bad_request"),
    ("misalignment_policy_violation", "bad_request"),
    ("invalid_image", "bad_request"),
    ("failed_to_download_image", "bad_request"),
    ("previous_response_not_found", "bad_request"),
    ("something_new", "upstream_error"),
]


@pytest.mark.parametrize(("code", "kind"), CODES)
def test_codes_inside_a_stream(code: str, kind: Kind) -> None:
    flat = {"type": "error", "sequence_number": 3, "code": code, "message": "Boom.", "param": "input"}
    nested = {"type": "error", "sequence_number": 3, "error": {"type": None, "code": code, "message": "Boom.", "param": "input"}}
    assert read_error(flat) == read_error(nested) == Failure(kind, "Boom.", "input", code=code)


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_what_clients_are_told(kind: Kind) -> None:
    """Every kind has a type and a sentence, and a failed response always a code: the SDK's type needs one."""
    failure = Failure(kind, "Boom.")
    error = error_object(failure)["error"]
    assert error == json.loads(openai_responses.encode_error(failure))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"]
    assert error_of_response(failure) == {"code": error["code"] or error["type"], "message": "Boom."}


def test_the_providers_own_words_stay() -> None:
    own = Failure("bad_request", "Boom.", "input", "invalid", "odd")
    assert error_object(own)["error"] == {"message": "Boom.", "type": "invalid", "param": "input", "code": "odd"}
    assert error_of_response(own) == {"code": "odd", "message": "Boom."}
