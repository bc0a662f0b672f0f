"""What a prompt comes to, counted here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.tokens import encodings
from telex.tokens.count import ANSWER, MESSAGE, Count, count
from telex.tokens.encodings import count_texts
from telex.tokens.estimate import estimate

EXAMPLE = [
    ("system", "", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    ("system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
]
"""From OpenAI's cookbook, which says what their API counts for it."""


def chat(messages: list[dict[str, Any]], **fields: Any) -> Request:
    request = DIALECTS["openai-chat"].decode_request(json.dumps({"model": "m", "messages": messages, **fields}).encode())
    assert isinstance(request, Request)
    return request


def says(content: Any, **fields: Any) -> Request:
    return chat([{"role": "user", "content": content}], **fields)


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4o", 124), ("gpt-4o-mini", 124), ("gpt-4", 129), ("gpt-3.5-turbo-0125", 129)])
def test_plain_text_is_counted_as_openai_counts_it(model: str, tokens: int) -> None:
    messages = [{"role": role, "content": content, **({"name": name} if name else {})} for role, name, content in EXAMPLE]
    assert count(chat(messages), model) == Count(tokens, "exact")


def test_a_frame_that_nobody_documents_is_an_estimate() -> None:
    assert count(says("Hi"), "gpt-5-mini") == Count(8, "estimated")


TOOL = {"type": "function", "function": {"name": "weather", "description": "What it is like outside.", "parameters": {"type": "object"}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}

TURN: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [CALL]}]


@pytest.mark.parametrize(
    "request_",
    [
        says("Hi", tools=[TOOL]),
        says([{"type": "text", "text": "Hi"}, PICTURE]),
        says("Hi", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}),
        says("Hi", unheard_of=1),
        chat([*TURN, {"role": "tool", "tool_call_id": "c", "content": "4"}]),
    ],
    ids=["tools", "a picture", "a schema", "an unknown field", "calls"],
)
def test_what_is_not_plain_text_is_an_estimate(request_: Request) -> None:
    counted = count(request_, "gpt-4o")
    assert counted.certainty == "estimated"
    assert counted.tokens >= 8


def test_everything_that_is_said_counts() -> None:
    plain = count(says("Hi"), "gpt-4o").tokens
    tools = count(says("Hi", tools=[TOOL]), "gpt-4o").tokens
    assert plain + 15 < tools < plain + 40
    result = {"role": "tool", "tool_call_id": "c", "content": "It is four degrees and raining."}
    assert count(chat([*TURN, result]), "x").tokens > count(chat(TURN), "x").tokens + 7 > plain + 10


def test_other_models_are_estimated() -> None:
    assert count(says("How are you?"), "claude-x") == Count(estimate("user") + estimate("How are you?") + MESSAGE + ANSWER, "estimated")


def test_without_the_package_all_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "load", lambda: None)
    assert count_texts(["Hi"], "o200k_base") is None
    assert count(says("Hi"), "gpt-4o") == Count(MESSAGE + ANSWER + 2, "estimated")
