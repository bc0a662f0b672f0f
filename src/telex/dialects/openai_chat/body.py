"""The vocabulary to requests of Chat Completions."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from telex.core import json
from telex.core.messages import Fields, Format, Message, Part, Request, Tool
from telex.dialects.openai_chat.request import FORMATS

_fields = msgspec.json.Decoder(dict[str, Raw])
_options = msgspec.json.Decoder(Fields | None)


def encode_request(request: Request, model: str, stream: bool, always: Fields) -> bytes:
    """The body for a provider of this dialect, under the provider's name for the model; `always` are fields that its row demands.

    A request that came in this dialect keeps its own bytes, field order and unknown fields. A stream is always asked for its usage.
    """
    fields: dict[str, Any] = dict(_fields.decode(request.body)) if request.dialect == "openai-chat" else from_request(request)
    fields["model"] = model
    options = fields.pop("stream_options", None)
    fields.pop("stream", None)
    if stream:
        said = (_options.decode(options) if isinstance(options, Raw) else None) or {}
        fields |= {"stream": True, "stream_options": said | {"include_usage": True}}
    return json.encode(fields | always)


def from_request(request: Request) -> Fields:
    fields: Fields = {"model": request.model, "messages": [from_message(m) for m in request.messages]}
    for name, value in (
        ("tools", [from_tool(t) for t in request.tools] or None),
        ("tool_choice", from_choice(request.tool_choice)),
        ("parallel_tool_calls", request.parallel_calls),
        ("n", request.choices if request.choices > 1 else None),
        ("max_completion_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("stop", list(request.stop) or None),
        ("seed", request.seed),
        ("frequency_penalty", request.frequency_penalty),
        ("presence_penalty", request.presence_penalty),
        ("logprobs", request.logprobs),
        ("top_logprobs", request.top_logprobs),
        ("response_format", from_format(request.format)),
        ("reasoning_effort", request.effort),
    ):
        if value is not None:
            fields[name] = value
    return fields | request.extra


def from_message(message: Message) -> Fields:
    fields: Fields = {"role": message.role}
    if message.name:
        fields["name"] = message.name
    content: list[Fields] = []
    for part in message.parts:
        match part.kind, part.tool:
            case "tool_result", tool:
                inside = from_message(Message("tool", part.parts))
                legacy = tool == "legacy"
                who = {"role": "function", "name": part.name} if legacy else {"role": "tool", "tool_call_id": part.id}
                return {**who, **({"name": part.name} if part.name else {}), "content": inside["content"]}
            case "tool_call", "legacy":
                fields["function_call"] = {"name": part.name, "arguments": part.text}
            case "tool_call", tool:
                fields.setdefault("tool_calls", []).append({**call(tool, part), **part.extra})
            case "refusal", _:
                fields["refusal"] = part.text
            case "reasoning", _:
                fields["reasoning_content"] = part.text
            case _:
                content.append(from_part(part))
    plain = len(content) == 1 and content[0].keys() == {"type", "text"}
    return {**fields, "content": content[0]["text"] if plain else content or None}


def call(tool: str, part: Part) -> Fields:
    body = {"name": part.name, "input" if tool == "custom" else "arguments": part.text}
    return {"id": part.id, "type": tool or "function", tool or "function": body}


def from_part(part: Part) -> Fields:
    match part.kind:
        case "text":
            return {"type": "text", "text": part.text, **part.extra}
        case "image":
            image: Fields = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
            return {"type": "image_url", "image_url": image | part.extra}
        case "audio":
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.media_type.removeprefix("audio/")}}
        case "file":
            data = f"data:{part.media_type};base64,{part.data}" if part.data else ""
            named = {"file_id": part.id, "filename": part.name, "file_data": data}
            return {"type": "file", "file": {k: v for k, v in named.items() if v}}
    return part.extra


def from_tool(tool: Tool) -> Fields:
    if tool.kind != "function":
        return tool.extra
    function: Fields = {"name": tool.name}
    for name, value in (("description", tool.description or None), ("parameters", tool.schema), ("strict", tool.strict)):
        if value is not None:
            function[name] = value
    return {"type": "function", "function": function}


def from_choice(choice: str | Fields | None) -> str | Fields | None:
    if isinstance(choice, dict) and choice.keys() == {"name"}:
        return {"type": "function", "function": choice}
    return choice


def from_format(format: Format | None) -> Fields | None:
    if format is None:
        return None
    kind = next(k for k, v in FORMATS.items() if v == format.kind)
    if kind != "json_schema":
        return {"type": kind}
    named = {"name": format.name, "description": format.description or None, "schema": format.schema, "strict": format.strict}
    return {"type": kind, kind: {k: v for k, v in named.items() if v is not None}}
