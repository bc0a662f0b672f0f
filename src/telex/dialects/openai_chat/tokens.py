"""Tokens of Chat Completions: how many there were, and how likely each was."""

from __future__ import annotations

from typing import Any

from telex.core.events import Logprobs
from telex.core.messages import Fields, Token, Usage
from telex.dialects.values import count, meaningful

USAGE_FIELDS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"})
USAGE_DETAILS = {
    "prompt_tokens_details": frozenset({"cached_tokens", "cache_write_tokens"}),
    "completion_tokens_details": frozenset({"reasoning_tokens"}),
}


LEAST = 9999
"""What stands for a probability of nothing, with a minus before it (OpenAI's API reference, "logprob")."""


def read_logprobs(choice: int, wire: Any) -> Logprobs | None:
    """Log probabilities of a choice; None of what holds none."""
    if not isinstance(wire, dict):
        return None
    text, refusal = (read_tokens(wire.get(name)) for name in ("content", "refusal"))
    return Logprobs(choice, text, refusal) if text or refusal else None


def read_tokens(wire: Any) -> tuple[Token, ...]:
    return tuple(read_token(token) for token in wire if isinstance(token, dict)) if isinstance(wire, list) else ()


def read_token(wire: Fields) -> Token:
    probability, data = wire.get("logprob"), wire.get("bytes")
    if isinstance(probability, int) and abs(probability) > LEAST:
        probability = -LEAST
    return Token(
        str(wire.get("token") or ""),
        float(probability) if isinstance(probability, (int, float)) else 0.0,
        tuple(byte for byte in data if isinstance(byte, int)) if isinstance(data, list) else None,
        read_tokens(wire.get("top_logprobs")),
    )


def read_usage(wire: Fields) -> Usage:
    """Tokens: `prompt_tokens` includes what was cached, `completion_tokens` what was reasoned, unless the total says that it does not."""
    details: dict[str, Fields] = {}
    extra = {k: v for k, v in wire.items() if k not in USAGE_FIELDS and meaningful(v)}
    for name, known in USAGE_DETAILS.items():
        details[name] = value if isinstance(value := wire.get(name), dict) else {}
        if more := {k: v for k, v in details[name].items() if k not in known and meaningful(v)}:
            extra[name] = more
    prompt, completion = details["prompt_tokens_details"], details["completion_tokens_details"]
    input, output = count(wire.get("prompt_tokens")), count(wire.get("completion_tokens"))
    reasoning, total = count(completion.get("reasoning_tokens")), count(wire.get("total_tokens"))
    if reasoning and total == input + output + reasoning:  # xAI counts it apart
        output += reasoning
    elif total and total != input + output:
        extra["total_tokens"] = total
    return Usage(input, output, count(prompt.get("cached_tokens")), count(prompt.get("cache_write_tokens")), reasoning, extra)
