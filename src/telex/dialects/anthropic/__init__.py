"""Anthropic Messages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from telex.core import json, sse
from telex.core.messages import Fields, Request
from telex.dialects.anthropic import count
from telex.dialects.anthropic.body import encode_request, withheld
from telex.dialects.anthropic.caching import most_marks, takes_mark
from telex.dialects.anthropic.decoder import Decoder
from telex.dialects.anthropic.encoder import Encoder
from telex.dialects.anthropic.errors import decode_error, encode_error, status_of
from telex.dialects.anthropic.reply import encode_reply
from telex.dialects.anthropic.request import decode_request
from telex.dialects.anthropic.words import NAME, VERSION
from telex.dialects.marks import Marks
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
    "withheld",
]

FIELDS = {
    "max_tokens": "max_tokens",
    "tools": "tools",
    "tools.strict": "tools[].strict",
    "tool_choice": "tool_choice",
    "parallel_calls": "tool_choice.disable_parallel_tool_use",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
    "format.json_schema": "output_config.format",
    "effort": "output_config.effort",
    "thinking_budget": "thinking.budget_tokens",
    "show_thinking": "thinking.display",
    "user": "metadata.user_id",
    "cache_key": "cache_control",
    "cache": "cache_control",
    "parts.cache": "messages[].content[].cache_control",
}
CONTENT = frozenset(
    {
        "image.data",
        "image.url",
        "file.data",
        "file.url",
        "reasoning",
        "reasoning.signed",
        "arguments.object",
        "tool_result.is_error",
    }
)
ESSENTIAL = frozenset({"compaction", "container", "mcp_servers", "thread"})
PLACE, SYSTEM = ("messages", "content", "content"), "system"
MARKS = Marks(takes_mark, most_marks)
DEFAULTS: Fields = {"max_tokens": 8192}
"""It refuses requests without a limit; every model that Anthropic serves can write as much."""

MODELS, AUTH, REQUEST_ID = "/models?limit=1000", "x-api-key", "request-id"
REPLY_ID = ""
COUNT = count
PATHS = {"/v1/messages": GENERATE, "/v1/messages/count_tokens": COUNTS}

KEEP_ALIVE = sse.encode(b'{"type":"ping"}', "ping")
TERMINATOR = sse.encode(b'{"type":"message_stop"}', "message_stop")
FIRST_NUMBER = 1


def find_operation(path: str, query: str) -> Operation | None:
    return PATHS.get(path)


def generate_path(model: str, stream: bool) -> str:
    return "/messages"


def request_headers(request: Request | None) -> dict[str, str]:
    """A request that came in this dialect keeps its own version and betas."""
    return dict(request.headers) if request is not None and request.dialect == NAME else {"anthropic-version": VERSION}


def model_object(name: str, created: int) -> dict[str, object]:
    created_at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": created_at}


def encode_models(models: Iterable[tuple[str, str]], created: int) -> bytes:
    """The list of models, each a name and its owner, on one page. `created`: seconds since 1970."""
    data = [model_object(name, created) for name, _ in models]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return json.encode({"data": data, "has_more": False, **ends})


def encode_model(name: str, owner: str, created: int) -> bytes:
    return json.encode(model_object(name, created))


def decode_models(body: bytes) -> list[str]:
    """The names in a list of models. Raises `Malformed` if it is none."""
    value = json.decode(body)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        raise json.Malformed("it is no list of models")
    return [str(model["id"]) for model in data if isinstance(model, dict) and "id" in model]
