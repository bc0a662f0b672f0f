"""Numbers of tokens and their log probabilities, to the vocabulary and back.

Source of the format: "UsageMetadata" and "LogprobsResult" in the reference of the Gemini API.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from telex.core.messages import Fields, Token, Usage
from telex.dialects.values import count, meaningful

COUNTED = frozenset(
    {"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount", "cacheWriteTokenCount", "totalTokenCount"}
)


def read_usage(wire: Fields) -> Usage:
    """Tokens: thoughts are not among the candidates', nor what tools put into the prompt among the prompt's."""
    tools, thoughts = count(wire.get("toolUsePromptTokenCount")), count(wire.get("thoughtsTokenCount"))
    prompt, output = count(wire.get("promptTokenCount")) + tools, count(wire.get("candidatesTokenCount")) + thoughts
    extra = {name: value for name, value in wire.items() if name not in COUNTED and meaningful(value)}
    if (total := count(wire.get("totalTokenCount"))) and total != prompt + output:
        extra["totalTokenCount"] = total
    return Usage(prompt, output, count(wire.get("cachedContentTokenCount")), count(wire.get("cacheWriteTokenCount")), thoughts, extra)


def write_usage(usage: Usage, foreign: bool) -> Fields:
    tools = 0 if foreign else count(usage.extra.get("toolUsePromptTokenCount"))
    wire: Fields = {
        "promptTokenCount": max(0, usage.input - tools),
        "candidatesTokenCount": max(0, usage.output - usage.reasoning),
        "totalTokenCount": usage.input + usage.output,
    }
    for name, value in (
        ("thoughtsTokenCount", usage.reasoning),
        ("cachedContentTokenCount", usage.cached),
        ("cacheWriteTokenCount", usage.cache_write),
    ):
        if value:
            wire[name] = value
    return wire | ({"provider_fields": usage.extra} if foreign and usage.extra else usage.extra)


def read_logprobs(wire: Any) -> tuple[Token, ...]:
    """The tokens of a `logprobsResult`, each with the likeliest at its place."""
    chosen, tops = (wire.get(name) if isinstance(wire, dict) else None for name in ("chosenCandidates", "topCandidates"))
    if not isinstance(chosen, list):
        return ()
    several = [top.get("candidates") if isinstance(top, dict) else None for top in tops] if isinstance(tops, list) else []
    tokens: list[Token] = []
    for one, top in zip_longest(chosen, several[: len(chosen)]):
        if (token := read_token(one)) is not None:
            likeliest = filter(None, map(read_token, top)) if isinstance(top, list) else ()
            tokens.append(Token(token.text, token.logprob, top=tuple(likeliest)))
    return tuple(tokens)


def read_token(wire: Any) -> Token | None:
    """A token; its log probability is left out where it is 0."""
    text, logprob = (wire.get("token"), wire.get("logProbability", 0.0)) if isinstance(wire, dict) else (None, None)
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    return Token(text, float(logprob))


def write_logprobs(tokens: list[Token]) -> Fields:
    tops = [{"candidates": [write_token(top) for top in token.top]} for token in tokens]
    return {"chosenCandidates": [write_token(token) for token in tokens], **({"topCandidates": tops} if any(t.top for t in tokens) else {})}


def write_token(token: Token) -> Fields:
    return {"token": token.text, "logProbability": token.logprob}
