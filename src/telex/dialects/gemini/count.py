"""Counting the tokens of a prompt: `countTokens`.

The Gemini API counts nothing but the contents unless it is given a whole `generateContentRequest`; Vertex AI takes the same fields flat.
Source of the format: "countTokens" in the references of both.
"""

from __future__ import annotations

from telex.core import json
from telex.core.messages import Fields, Request
from telex.dialects.counting import tokens_in
from telex.dialects.gemini.body import encode_request as encode_generation
from telex.dialects.gemini.fields import camel
from telex.dialects.gemini.names import model_path, resource
from telex.dialects.gemini.request import WHOLE
from telex.dialects.quirks import Quirks

FLAT = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})
"""What Vertex AI counts."""


def path(model: str, quirks: Quirks) -> str | None:
    return model_path(model, "countTokens")


def encode_request(request: Request, model: str, quirks: Quirks) -> Fields:
    fields = encode_generation(request, model, False, quirks)
    if quirks.counting == "flat":
        return {name: value for name, value in fields.items() if camel(name) in FLAT}
    return fields if fields.keys() == {"contents"} else {WHOLE: {"model": resource(model), **fields}}


def decode(body: bytes) -> int:
    return tokens_in(body, "totalTokens")


def encode(tokens: int) -> bytes:
    return json.encode({"totalTokens": tokens})
