"""OpenAI Chat Completions, and what a hundred other servers call compatible with it."""

from __future__ import annotations

from collections.abc import Iterable

from telex.core import json
from telex.core.messages import Fields, Request
from telex.dialects.marks import Marks
from telex.dialects.openai_chat import count
from telex.dialects.openai_chat.body import encode_request
from telex.dialects.openai_chat.caching import most_marks, takes_mark
from telex.dialects.openai_chat.decoder import Decoder
from telex.dialects.openai_chat.encoder import Encoder
from telex.dialects.openai_chat.errors import decode_error, encode_error, status_of
from telex.dialects.openai_chat.parts import NAME
from telex.dialects.openai_chat.reply import encode_reply
from telex.dialects.openai_chat.request import decode_request
from telex.dialects.operation import COUNT as COUNTS
from telex.dialects.operation import GENERATE, Operation

__all__ = [
    "AUTH",
    "CONTENT",
    "COUNT",
    "DEFAULTS",
    "ESSENTIAL",
    "FIELDS",
    "FIRST_NUMBER",
    "KEEP_ALIVE",
    "MARKS",
    "MODELS",
    "NAME",
    "PLACE",
    "REPLY_ID",
    "REQUEST_ID",
    "SYSTEM",
    "TERMINATOR",
    "Decoder",
    "Encoder",
    "decode_error",
    "decode_models",
    "decode_request",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_reply",
    "encode_request",
    "find_operation",
    "generate_path",
    "request_headers",
    "status_of",
]

FIELDS = {
    "max_tokens": "max_completion_tokens",
    "tools": "tools",
    "tools.strict": "tools[].function.strict",
    "tool_choice": "tool_choice",
    "parallel_calls": "parallel_tool_calls",
    "choices": "n",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "format.json": "response_format",
    "format.json_schema": "response_format",
    "effort": "reasoning_effort",
    "user": "safety_identifier",
    "cache_key": "prompt_cache_key",
    "cache": "prompt_cache_options",
    "parts.cache": "messages[].content[].prompt_cache_breakpoint",
}
CONTENT = frozenset({"image.data", "image.url", "audio", "file.data"})
ESSENTIAL = frozenset({"audio", "functions", "function_call", "modalities", "moderation", "prediction", "web_search_options"})
PLACE, SYSTEM = ("messages", "content", "tool_calls"), ""
PATHS = {"/v1/chat/completions": GENERATE, f"/v1{count.PATH}": COUNTS}
MARKS = Marks(takes_mark, most_marks, long=False, some_models=True)
DEFAULTS: Fields = {}
MODELS, AUTH, REQUEST_ID = "/models", "bearer", "x-request-id"
REPLY_ID = ""
COUNT = count

KEEP_ALIVE = b": keep-alive\n\n"
"""The official SDKs skip comments."""

TERMINATOR = b"data: [DONE]\n\n"
FIRST_NUMBER = 1


def find_operation(path: str, query: str) -> Operation | None:
    return PATHS.get(path)


def generate_path(model: str, stream: bool) -> str:
    return "/chat/completions"


def request_headers(request: Request | None) -> dict[str, str]:
    return {}


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
