"""OpenAI Responses."""

from __future__ import annotations

from telex.core.messages import Fields, Request
from telex.dialects.marks import Marks
from telex.dialects.openai_chat import decode_models, encode_model, encode_models
from telex.dialects.openai_chat.caching import most_marks
from telex.dialects.openai_responses import count
from telex.dialects.openai_responses.body import encode_request
from telex.dialects.openai_responses.decoder import Decoder
from telex.dialects.openai_responses.encoder import RESPONSE_ID, Encoder, encode_reply
from telex.dialects.openai_responses.errors import decode_error, encode_error, status_of
from telex.dialects.openai_responses.history import takes_mark
from telex.dialects.openai_responses.parts import NAME
from telex.dialects.openai_responses.request import decode_request
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
    "max_tokens": "max_output_tokens",
    "tools": "tools",
    "tools.strict": "tools[].strict",
    "tool_choice": "tool_choice",
    "parallel_calls": "parallel_tool_calls",
    "temperature": "temperature",
    "top_p": "top_p",
    "logprobs": "include",
    "top_logprobs": "top_logprobs",
    "format.json": "text.format",
    "format.json_schema": "text.format",
    "effort": "reasoning.effort",
    "show_thinking": "reasoning.summary",
    "user": "safety_identifier",
    "cache_key": "prompt_cache_key",
    "cache": "prompt_cache_options",
    "parts.cache": "input[].content[].prompt_cache_breakpoint",
}
CONTENT = frozenset({"image.data", "image.url", "audio", "file.data", "file.url", "reasoning.signed"})
ESSENTIAL = frozenset({"background", "conversation", "moderation", "previous_response_id", "prompt", "prompt_cache_options.prewarm"})
PLACE, SYSTEM = ("input", "content", "content"), "instructions"
PATHS = {"/v1/responses": GENERATE, "/v1/responses/input_tokens": COUNTS}
MARKS = Marks(takes_mark, most_marks, some_models=True)
DEFAULTS: Fields = {}
MODELS, AUTH, REQUEST_ID = "/models", "bearer", "x-request-id"
REPLY_ID = RESPONSE_ID
COUNT = count

KEEP_ALIVE = b": keep-alive\n\n"
"""The official SDKs skip comments."""

TERMINATOR = b""
"""The last event is one that says so."""
FIRST_NUMBER = 0
"""Its events have numbers of their own."""


def find_operation(path: str, query: str) -> Operation | None:
    return PATHS.get(path)


def generate_path(model: str, stream: bool) -> str:
    return "/responses"


def request_headers(request: Request | None) -> dict[str, str]:
    return {}
