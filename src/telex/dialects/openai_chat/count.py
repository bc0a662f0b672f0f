"""Counting the tokens of a chat completion's prompt. OpenAI has no such path; llama.cpp's server has one beside the completions'.

Source of the format: the README of llama.cpp's server, and OpenAI's reference of `/responses/input_tokens`, whose answer it is.
"""

from __future__ import annotations

from telex.core import json
from telex.core.messages import Fields, Request
from telex.dialects.counting import tokens_in
from telex.dialects.openai_chat.body import encode_request as encode_generation
from telex.dialects.quirks import Quirks

PATH = "/chat/completions/input_tokens"


def path(model: str, quirks: Quirks) -> str | None:
    return PATH if quirks.counting == "beside" else None


def encode_request(request: Request, model: str, quirks: Quirks) -> Fields:
    return encode_generation(request, model, False, quirks)


def decode(body: bytes) -> int:
    return tokens_in(body, "input_tokens")


def encode(tokens: int) -> bytes:
    return json.encode({"object": "response.input_tokens", "input_tokens": tokens})
