"""What is refused as too long before the call, and what is not."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.tokens import encodings
from telex.tokens.fit import exceed, may_exceed, size_of

EXACT, UNKNOWN = "gpt-4o", "somebody-elses"
WORDS = "word " * 1000
"""A thousand tokens, 4000 letters."""


def asked(content: Any, headers: dict[str, str] | None = None, dialect: str = "openai-chat", **fields: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    request = DIALECTS[dialect].decode_request(json.dumps(body).encode(), headers=headers or {})
    assert isinstance(request, Request)
    return request


def looked(request: Request, window: int) -> bool:
    return may_exceed(request, size_of(request), window)


def refused(request: Request, model: str, window: int) -> bool:
    """As a generation asks: the cheap look, then the closer one."""
    return looked(request, window) and exceed(request, model, window) is not None


@pytest.mark.parametrize(
    ("model", "window", "refusal"),
    [(EXACT, 990, True), (EXACT, 1001, False), (EXACT, 400, True), (UNKNOWN, 990, False), (UNKNOWN, 501, False), (UNKNOWN, 499, True)],
)
def test_an_exact_count_needs_no_margin_and_an_estimate_a_wide_one(model: str, window: int, refusal: bool) -> None:
    assert refused(asked(WORDS), model, window) is refusal


def test_both_numbers_are_named() -> None:
    failure = exceed(asked(WORDS), EXACT, 900)
    assert failure is not None
    assert (failure.kind, failure.param, failure.http_status) == ("context_too_long", "messages", 400)
    assert failure.message.startswith(
        "The prompt is too long: 1001 tokens > 900 maximum. This model's maximum context length is 900 tokens."
    )
    assert "estimate" not in failure.message


def test_an_estimate_says_that_it_is_one() -> None:
    failure = exceed(asked(WORDS), UNKNOWN, 400)
    assert failure is not None
    assert "1000 tokens > 400 maximum" in failure.message
    assert failure.message.endswith("The count is an estimate.")


@pytest.mark.parametrize("text", [" " * 100_000, "    \n" * 20_000, "\t" * 100_000], ids=["spaces", "blank lines", "tabs"])
@pytest.mark.parametrize("model", [EXACT, UNKNOWN])
def test_spaces_are_cheap(text: str, model: str) -> None:
    """Hundreds of them may be one token."""
    assert not refused(asked(text + "x"), model, 10_000)


def test_pictures_are_not_text() -> None:
    url = f"data:image/png;base64,{b64encode(bytes(100_000)).decode()}"
    request = asked([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}])
    assert looked(request, 8000)
    assert exceed(request, EXACT, 8000) is exceed(request, UNKNOWN, 8000) is None


def test_earlier_reasoning_may_be_left_out() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!", "reasoning": WORDS}]}
    request = DIALECTS["openai-chat"].decode_request(json.dumps(body).encode())
    assert isinstance(request, Request)
    assert exceed(request, EXACT, 100) is None


def test_results_of_tools_count() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": WORDS},
    ]
    request = asked("?", messages=turns)
    assert refused(request, EXACT, 900)


@pytest.mark.parametrize("field", ["transforms", "truncation", "context_management"])
def test_what_a_provider_may_shorten_is_its_to_judge(field: str) -> None:
    assert not refused(asked(WORDS, None, "openai-chat", **{field: ["middle-out"]}), EXACT, 100)


def test_betas_may_widen_the_window() -> None:
    headers = {"anthropic-version": "2023-06-01"}
    assert refused(asked(WORDS, headers, "anthropic", max_tokens=1), UNKNOWN, 100)
    assert not refused(asked(WORDS, {**headers, "anthropic-beta": "context-1m-2025-08-07"}, "anthropic", max_tokens=1), UNKNOWN, 100)


def test_the_field_is_named_as_the_client_knows_it() -> None:
    body = json.dumps({"contents": [{"parts": [{"text": WORDS}]}]}).encode()
    request = DIALECTS["gemini"].decode_request(body)
    assert isinstance(request, Request)
    failure = exceed(request, EXACT, 100)
    assert failure is not None
    assert failure.param == "contents"


def test_what_is_short_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a tokeniser loaded for what has fewer letters than the window has tokens."""
    assert not looked(asked("x" * 100), 100)
    monkeypatch.setattr(encodings, "load", lambda: pytest.fail("loaded"))
    assert exceed(asked("\u00e9" * 900), EXACT, 1000) is None


def test_without_the_package_the_estimate_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "load", lambda: None)
    assert (refused(asked(WORDS), EXACT, 990), refused(asked(WORDS), EXACT, 400)) == (False, True)
