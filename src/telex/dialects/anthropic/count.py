"""Counting the tokens of a message's prompt.

Source of the format: Anthropic's API reference, "Count tokens in a Message".
"""

from __future__ import annotations

from telex.core import json
from telex.core.messages import Fields, Request
from telex.dialects.anthropic.body import encode_request as encode_generation
from telex.dialects.anthropic.words import NAME
from telex.dialects.counting import tokens_in
from telex.dialects.quirks import Quirks

FIELDS = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
"""What the prompt is made of; the path refuses what else a request may say."""


def path(model: str, quirks: Quirks) -> str | None:
    return "/messages/count_tokens"


def encode_request(request: Request, model: str, quirks: Quirks) -> Fields:
    """A question that came in this dialect passes as it is."""
    fields = encode_generation(request, model, False, quirks)
    return fields if request.dialect == NAME else {name: value for name, value in fields.items() if name in FIELDS}


def decode(body: bytes) -> int:
    return tokens_in(body, "input_tokens")


def encode(tokens: int) -> bytes:
    return json.encode({"input_tokens": tokens})
