"""The vocabulary to requests of Chat Completions."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw

from telex.core.messages import Fields, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects.openai_chat.caching import OPTIONS, marked
from telex.dialects.openai_chat.parts import NAME
from telex.dialects.openai_chat.request import FORMATS
from telex.dialects.openai_chat.signatures import signed
from telex.dialects.quirks import Quirks

SCHEMA_NAME = "answer"
"""The name that a schema must have here, for those that came without one."""

USER_LENGTH = 128
"""Characters that the id of an end user may have here."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_options = msgspec.json.Decoder(Fields | None)


def encode_request(request: Request, model: str, stream: bool, quirks: Quirks) -> Fields:
    """The body for a provider of this dialect, under the provider's name for the model.

    A request that came in this dialect keeps its own bytes, field order and unknown fields. A stream is always asked for its usage,
    where that can be said.
    """
    fields: dict[str, Any] = dict(_fields.decode(request.body)) if request.dialect == NAME else from_request(request, quirks)
    fields["model"] = model
    if quirks.limit_field == "max_tokens" and (limit := fields.pop("max_completion_tokens", None)) is not None:
        fields.setdefault("max_tokens", limit)
    options = fields.pop("stream_options", None)
    fields.pop("stream", None)
    if stream and quirks.no_stream_options:
        fields["stream"] = True
    elif stream:
        said = (_options.decode(options) if isinstance(options, Raw) else None) or {}
        fields |= {"stream": True, "stream_options": said | {"include_usage": True}}
    return fields


def from_request(request: Request, quirks: Quirks) -> Fields:
    messages = [wire for message in request.messages for wire in from_message(message, quirks)]
    fields: Fields = {"model": request.model, "messages": messages}
    for name, value in (
        ("tools", [from_tool(t) for t in request.tools if t.kind == "function" or not request.dialect] or None),
        ("tool_choice", from_choice(request.tool_choice) if request.tools else None),
        ("parallel_tool_calls", request.parallel_calls if request.tools else None),
        ("n", request.choices if request.choices > 1 else None),
        (quirks.limit_field, request.max_tokens),
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
        ("safety_identifier", from_user(request.user)),
        ("prompt_cache_key", request.cache_key),
        ("prompt_cache_options", OPTIONS[request.cache]),
    ):
        if value is not None:
            fields[name] = value
    return fields


def from_user(user: str | None) -> str | None:
    """The id of an end user; a longer one than may be, as another that is the same for the same."""
    return user if user is None or len(user) <= USER_LENGTH else sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def from_message(message: Message, quirks: Quirks) -> list[Fields]:
    """A message as this dialect has it: each tool result is a message of its own, and what media those hold follow as the user's."""
    results = [part for part in message.parts if part.kind == "tool_result"]
    others = tuple(part for part in message.parts if part.kind != "tool_result")
    if message.role == "assistant" and message.parts and not any(is_said(part, quirks) for part in message.parts):
        return []  # a turn of which nothing is left would be refused
    wires = [from_result(result) for result in results]
    media = tuple(part for result in results for part in result.parts if part.kind != "text")
    if media or others or not results:
        role = "user" if message.role == "tool" else message.role
        wires.append(from_parts(role, media + others, message.name, quirks))
    return wires


def is_said(part: Part, quirks: Quirks) -> bool:
    """Whether anything of a part of the model's turn stands in its message."""
    if part.kind == "reasoning":
        return bool(quirks.reasoning_field and part.text)
    return part.kind != "opaque" or part.dialect == NAME


def from_result(part: Part) -> Fields:
    legacy = part.tool == "legacy"
    who: Fields = {"role": "function", "name": part.name} if legacy else {"role": "tool", "tool_call_id": part.id}
    texts = [from_part(inner) for inner in part.parts if inner.kind == "text"]
    texts = [*texts[:-1], *(marked(text, part.cache) for text in texts[-1:])]
    return {**who, **({"name": part.name} if part.name else {}), "content": plain(texts) or ""}


def from_parts(role: str, parts: tuple[Part, ...], name: str, quirks: Quirks) -> Fields:
    fields: Fields = {"role": role, **({"name": name} if name else {})}
    content: list[Fields] = []
    for part in parts:
        match part.kind, part.tool:
            case "tool_call", "legacy":
                fields["function_call"] = {"name": part.name, "arguments": part.text}
            case "tool_call", tool:
                more = part.extra if part.dialect == NAME else {}
                fields.setdefault("tool_calls", []).append({**call(tool, part), **from_signature(part, quirks), **more})
            case "refusal", _:
                fields["refusal"] = part.text
            case "reasoning", _:
                if quirks.reasoning_field and part.text:
                    fields[quirks.reasoning_field] = fields.get(quirks.reasoning_field, "") + part.text
            case "opaque", _:
                content += [part.extra] if part.dialect == NAME else []
            case _:
                content.append(from_part(part))
                fields |= from_signature(part, quirks)
    return {**fields, "content": plain(content)}


def from_signature(part: Part, quirks: Quirks) -> Fields:
    """What signs a part, for those who know such a field."""
    return signed(part.signature, part.dialect) if quirks.google_signatures else {}


def plain(content: list[Fields]) -> str | list[Fields] | None:
    """Content that is nothing but one text, as a string."""
    alone = len(content) == 1 and content[0].keys() == {"type", "text"}
    return content[0]["text"] if alone else content or None


def call(tool: str, part: Part) -> Fields:
    body = {"name": part.name, "input": part.text} if tool == "custom" else {"name": part.name, "arguments": part.text}
    return {"id": part.id, "type": tool or "function", tool or "function": body}


def from_part(part: Part) -> Fields:
    return marked(from_unmarked(part), part.cache)


def from_unmarked(part: Part) -> Fields:
    extra = part.extra if part.dialect == NAME else {}
    match part.kind:
        case "image":
            image: Fields = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
            return {"type": "image_url", "image_url": image | extra}
        case "audio":
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": audio_format(part.media_type)}}
        case "file":
            data = f"data:{part.media_type};base64,{part.data}" if part.data else ""
            named = {"file_id": part.id, "filename": part.name, "file_data": data}
            return {"type": "file", "file": {k: v for k, v in named.items() if v}}
    return {"type": "text", "text": part.text, **extra}


def audio_format(media_type: str) -> str:
    """`wav` or `mp3`, by the several names that these types of media have."""
    name = media_type.removeprefix("audio/").removeprefix("x-")
    return {"mpeg": "mp3", "wave": "wav", "vnd.wave": "wav"}.get(name, name)


def from_tool(tool: Tool) -> Fields:
    if tool.kind != "function":
        return tool.extra
    function: Fields = {"name": tool.name}
    for name, value in (("description", tool.description or None), ("parameters", tool.schema), ("strict", tool.strict)):
        if value is not None:
            function[name] = value
    return {"type": "function", "function": function}


def from_choice(choice: ToolChoice | None) -> str | Fields | None:
    if choice is None or choice.extra:
        return choice.extra if choice else None
    functions: list[Fields] = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if len(functions) == 1 and choice.mode == "required":
        return functions[0]
    if functions:
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": functions}}
    return choice.mode


def from_format(format: Format | None) -> Fields | None:
    if format is None:
        return None
    kind = next(k for k, v in FORMATS.items() if v == format.kind)
    if kind != "json_schema":
        return {"type": kind}
    named = {
        "name": format.name or SCHEMA_NAME,
        "description": format.description or None,
        "schema": format.schema,
        "strict": format.strict,
    }
    return {"type": kind, kind: {k: v for k, v in named.items() if v is not None}}
