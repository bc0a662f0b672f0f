"""The words of Anthropic Messages that requests, replies and both of their directions share."""

from __future__ import annotations

from telex.core import json
from telex.core.messages import Fields, Reason

NAME = "anthropic"

VERSION = "2023-06-01"
"""The `anthropic-version` that still takes sampling parameters; later ones refuse them."""

REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_full",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "compaction",
}
"""What a `stop_reason` means."""

STOP_REASONS: dict[Reason, str] = {
    **{reason: word for word, reason in REASONS.items()},
    "content_filter": "refusal",
    "broken_call": "end_turn",
}

INVALID_JSON = "INVALID_JSON"
"""The field under which arguments that are no JSON object are wrapped, as Anthropic documents it."""


def is_own(dialect: str) -> bool:
    """Whether fields or signatures of a dialect are this one's; those of none in particular are."""
    return dialect in ("", NAME)


def to_input(arguments: str) -> Fields:
    """The arguments of a call, as they were written, as the object that stands in a block."""
    try:
        value = json.decode(arguments.encode("utf-8", "surrogatepass")) if arguments else {}
    except json.Malformed:
        value = None
    return value if isinstance(value, dict) else {INVALID_JSON: arguments}


def from_input(input: Fields) -> str:
    return json.encode(input).decode()
