"""Requests of Responses as tests write them."""

from __future__ import annotations

import json
from typing import Any

from telex.core import json as wire_json
from telex.core.errors import Failure
from telex.core.messages import Message, Part, Request
from telex.dialects.openai_responses import decode_request, encode_request
from telex.dialects.quirks import NO_QUIRKS

OWN = "openai-responses"
Wire = dict[str, Any]


def encoded(request: Request, model: str, stream: bool) -> bytes:
    return wire_json.encode(encode_request(request, model, stream, NO_QUIRKS))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hello", **fields}).encode()


def decode(data: bytes) -> Request:
    request = decode_request(data)
    assert isinstance(request, Request), request
    return request


def refused(data: bytes) -> Failure:
    failure = decode_request(data)
    assert isinstance(failure, Failure), failure
    return failure


def says(role: str, content: Any, **fields: Any) -> Wire:
    return {"type": "message", "role": role, "content": content, **fields}


def call(id: str = "call_1", arguments: Any = "{}", **fields: Any) -> Wire:
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": arguments, **fields}


def result(output: Any = "4", id: str = "call_1", **fields: Any) -> Wire:
    return {"type": "function_call_output", "call_id": id, "output": output, **fields}


def thought(*summary: str, **fields: Any) -> Wire:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in summary], **fields}


def assistant(*several: Part) -> Message:
    return Message("assistant", several)


FUNCTION = {"type": "function", "name": "f"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
COMPACTED = {"type": "compaction", "encrypted_content": "E"}
TEXT, CALL = Part("text", "Hi"), Part("tool_call", "{}", "call_1", "f", "function")

CODEX: Wire = {
    "model": "gpt-5-codex",
    "instructions": "You are a coding agent.",
    "input": [
        says("user", [{"type": "input_text", "text": "Fix it."}]),
        thought("Look", id="rs_1", encrypted_content="E"),
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "c1", "status": "completed", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "call_id": "c1", "output": "{}"},
        {**CUSTOM, "id": "ctc_1"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
    ],
    "tools": [
        {**FUNCTION, "strict": False, "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}},
        {"type": "custom", "name": "sh", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
        {"type": "local_shell"},
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
}
