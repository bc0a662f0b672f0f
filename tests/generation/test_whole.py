"""When a whole reply is asked for as a stream: what is configured wins, else what is asked decides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from telex.config import Provider, Target
from telex.config.load import known_rows
from telex.core.messages import Request, Tool
from telex.generation.whole import LONG, asks_stream

FUNCTION, SEARCH = Tool("f", schema={}), Tool(kind="web_search", extra={"type": "web_search"})

CASES: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"max_tokens": LONG}, False),
    ({"max_tokens": LONG + 1}, True),
    ({"effort": "medium"}, False),
    ({"effort": "none"}, False),
    ({"effort": "high"}, True),
    ({"effort": "xhigh"}, True),
    ({"thinking_budget": 8192}, False),
    ({"thinking_budget": 8193}, True),
    ({"thinking_budget": -1}, False),
    ({"effort": "high", "tools": (FUNCTION,)}, True),
    # what is not understood here might be lost
    ({"effort": "high", "tools": (FUNCTION, SEARCH)}, False),
    ({"effort": "high", "extra": {"service_tier": "flex"}}, False),
    ({"effort": "high", "choices": 2}, False),
    ({"effort": "high", "logprobs": True}, False),
    ({"max_tokens": LONG + 1, "extra": {"modalities": ["audio"]}}, False),
]


def asked(provider: Provider, target: Target | None = None, **fields: Any) -> bool:
    return asks_stream(Request(model="m", messages=(), **fields), provider, target or Target("up", "m"))


@pytest.mark.parametrize(("fields", "streamed"), CASES)
def test_long_and_deep_requests_are_streamed_if_nothing_can_be_lost(fields: dict[str, Any], streamed: bool) -> None:
    assert asked(Provider("openai-chat"), **fields) is streamed


@pytest.mark.parametrize(("fields", "_"), CASES)
def test_what_is_configured_wins(fields: dict[str, Any], _: bool) -> None:
    whole, stream = Provider("openai-chat", whole="whole"), Provider("openai-chat", whole="stream")
    assert not asked(whole, **fields)
    assert asked(stream, **fields)
    assert asked(whole, Target("up", "m", whole="stream"), **fields)
    assert not asked(stream, Target("up", "m", whole="whole"), **fields)


@pytest.mark.parametrize("whole", ["auto", "whole", "stream"])
def test_a_stream_is_a_stream(whole: Any) -> None:
    assert asked(Provider("openai-chat", whole=whole), stream=True)


def test_what_a_provider_refuses_to_say_whole_is_streamed_whatever_else_is_asked() -> None:
    anthropic = msgspec.convert(known_rows()["anthropic"], Provider)
    extra = {"service_tier": "auto"}
    assert asked(anthropic, max_tokens=21_334, extra=extra)
    assert not asked(anthropic, max_tokens=21_333, extra=extra)
    assert not asked(anthropic, extra=extra)


def test_limits_that_the_provider_is_told_by_default_count() -> None:
    generous = Provider("anthropic", defaults={"max_tokens": 64_000})
    assert asked(generous)
    assert not asked(generous, max_tokens=100)
    assert not asked(Provider("anthropic"))
