"""OpenAI Chat Completions, and what a hundred other servers call compatible with it."""

from __future__ import annotations

from collections.abc import Iterable

from telex.core import json
from telex.dialects.openai_chat.body import encode_request
from telex.dialects.openai_chat.decoder import Decoder
from telex.dialects.openai_chat.encoder import Encoder, encode_reply
from telex.dialects.openai_chat.errors import decode_error, encode_error
from telex.dialects.openai_chat.request import decode_request

__all__ = [
    "GENERATE",
    "KEEP_ALIVE",
    "MODELS",
    "Decoder",
    "Encoder",
    "auth_headers",
    "decode_error",
    "decode_models",
    "decode_request",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_reply",
    "encode_request",
]

GENERATE, MODELS = "/chat/completions", "/models"
"""Paths behind a provider's base URL."""

KEEP_ALIVE = b": keep-alive\n\n"
"""What an idle stream can bear: the official SDKs skip comments."""


def auth_headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def model_object(name: str, owner: str, created: int) -> dict[str, object]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}


def encode_models(models: Iterable[tuple[str, str]], created: int) -> bytes:
    """The list of models, each a name and its owner. `created`: seconds since 1970."""
    return json.encode({"object": "list", "data": [model_object(name, owner, created) for name, owner in models]})


def encode_model(name: str, owner: str, created: int) -> bytes:
    return json.encode(model_object(name, owner, created))


def decode_models(body: bytes) -> list[str]:
    """The names in a list of models. Raises `Malformed` if it is none."""
    value = json.decode(body)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        raise json.Malformed("it is no list of models")
    return [str(model["id"]) for model in data if isinstance(model, dict) and "id" in model]
