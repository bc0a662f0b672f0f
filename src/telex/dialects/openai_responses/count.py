"""Counting the tokens of a response's prompt.

Source of the format: OpenAI's API reference, "Get input token counts".
"""

from __future__ import annotations

from telex.core.messages import Fields, Request
from telex.dialects.openai_chat.count import decode, encode
from telex.dialects.openai_responses.body import encode_request as encode_generation
from telex.dialects.openai_responses.parts import NAME
from telex.dialects.quirks import Quirks

__all__ = ["decode", "encode", "encode_request", "path"]

FIELDS = frozenset({"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"})
"""What the prompt is made of."""


def path(model: str, quirks: Quirks) -> str | None:
    return "/responses/input_tokens"


def encode_request(request: Request, model: str, quirks: Quirks) -> Fields:
    """A question that came in this dialect passes as it is."""
    fields = encode_generation(request, model, False, quirks)
    return fields if request.dialect == NAME else {name: value for name, value in fields.items() if name in FIELDS}
