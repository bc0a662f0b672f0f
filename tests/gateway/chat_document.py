"""The chat operations as a client of OpenAI's API would describe them, written by hand: what may be sent, and what a stranger expects."""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
CALL = {
    "type": "object",
    "required": ["id", "type", "function"],
    "properties": {
        "id": TEXT,
        "type": {"const": "function"},
        "function": {"type": "object", "required": ["name", "arguments"], "properties": {"name": TEXT, "arguments": TEXT}},
    },
}
PART = {
    "oneOf": [
        {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": TEXT}},
        {
            "type": "object",
            "required": ["type", "image_url"],
            "properties": {
                "type": {"const": "image_url"},
                "image_url": {
                    "type": "object",
                    "required": ["url"],
                    "properties": {"url": TEXT, "detail": {"enum": ["auto", "low", "high"]}},
                },
            },
        },
    ]
}
MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"oneOf": [TEXT, {"type": "array", "minItems": 1, "items": PART}]},
        "name": TEXT,
        "tool_calls": {"type": "array", "items": CALL},
        "tool_call_id": TEXT,
    },
}
TOOL = {
    "type": "object",
    "required": ["type", "function"],
    "properties": {
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": TEXT, "description": TEXT, "parameters": {"type": "object"}, "strict": {"type": ["boolean", "null"]}},
        },
    },
}
BODY = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"enum": ["openai-chat/m", "openai-responses/m", "anthropic/m", "gemini/m", "nobody"]},
        "messages": {"type": "array", "minItems": 1, "items": MESSAGE},
        "stream": {"type": ["boolean", "null"]},
        "stream_options": {"type": ["object", "null"], "properties": {"include_usage": {"type": "boolean"}}},
        "tools": {"type": "array", "items": TOOL},
        "tool_choice": {"enum": ["none", "auto", "required"]},
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
        "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 4},
        "stop": {"oneOf": [TEXT, {"type": "array", "items": TEXT, "maxItems": 4}, {"type": "null"}]},
        "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1},
        "response_format": {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text", "json_object"]}}},
        "logit_bias": {"type": ["object", "null"], "additionalProperties": {"type": "integer"}},
        "user": TEXT,
    },
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": TEXT, "type": TEXT, "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}},
        }
    },
}
COMPLETION = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices"],
    "properties": {"object": {"const": "chat.completion"}, "choices": {"type": "array", "minItems": 1}},
}
MODELS = {"type": "object", "required": ["object", "data"], "properties": {"object": {"const": "list"}, "data": {"type": "array"}}}


def said(schema: dict[str, Any], *more: str) -> dict[str, Any]:
    return {"description": "", "content": {"application/json": {"schema": schema}, **{kind: {"schema": {}} for kind in more}}}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Chat", "version": "1"},
    "paths": {
        "/v1/chat/completions": {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": BODY}}},
                "responses": {"200": said(COMPLETION, "text/event-stream"), "400": said(ERROR), "404": said(ERROR)},
            }
        },
        "/v1/models": {"get": {"responses": {"200": said(MODELS)}}},
        "/v1/models/{model}": {
            "get": {
                "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}],
                "responses": {"200": said({"type": "object", "required": ["id", "object"]}), "404": said(ERROR)},
            }
        },
    },
}
