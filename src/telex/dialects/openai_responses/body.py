"""The vocabulary to requests of Responses."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from telex.core.messages import Fields, Format, Message, Request, Tool, ToolChoice
from telex.dialects.openai_chat.body import SCHEMA_NAME, from_user
from telex.dialects.openai_chat.caching import OPTIONS
from telex.dialects.openai_chat.request import FORMATS
from telex.dialects.openai_responses.history import History
from telex.dialects.openai_responses.parts import NAME
from telex.dialects.openai_responses.request import ENCRYPTED, LOGPROBS
from telex.dialects.quirks import Quirks

NO_ARGUMENTS: Fields = {"type": "object", "properties": {}}
"""The schema of a tool that came without one: here it must have one."""

_fields = msgspec.json.Decoder(dict[str, Raw])


def encode_request(request: Request, model: str, stream: bool, quirks: Quirks) -> Fields:
    """The body for a provider of this dialect, under the provider's name for the model.

    A request that came in this dialect keeps its own bytes, field order and unknown fields.
    """
    fields: dict[str, Any] = dict(_fields.decode(request.body)) if request.dialect == NAME else from_request(request)
    fields["model"] = model
    if stream or "stream" in fields:
        fields["stream"] = stream
    if not stream:
        fields.pop("stream_options", None)
    return fields


def from_request(request: Request) -> Fields:
    instructions, messages = leading(request.messages)
    history = History()
    for message in messages:
        history.add(message)
    fields: Fields = {"model": request.model, "input": history.items, "store": False}
    for name, value in (
        ("instructions", instructions),
        ("include", includes(request, history) or None),
        ("tools", [from_tool(tool) for tool in request.tools if tool.kind == "function" or not request.dialect] or None),
        ("tool_choice", from_choice(request.tool_choice)),
        ("parallel_tool_calls", request.parallel_calls),
        ("max_output_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("top_logprobs", request.top_logprobs),
        ("text", from_format(request.format)),
        ("reasoning", from_effort(request)),
        ("safety_identifier", from_user(request.user)),
        ("prompt_cache_key", request.cache_key),
        ("prompt_cache_options", OPTIONS[request.cache]),
    ):
        if value is not None:
            fields[name] = value
    return fields


def leading(messages: tuple[Message, ...]) -> tuple[str | None, tuple[Message, ...]]:
    """The instructions that a conversation begins with, if they are one text without a mark, and the rest of it, if that is anything."""
    first = messages[0] if len(messages) > 1 else None
    if first is not None and first.role in ("system", "developer") and len(first.parts) == 1:
        [part] = first.parts
        if part.kind == "text" and part.cache is None:
            return part.text, messages[1:]
    return None, messages


def includes(request: Request, history: History) -> list[str]:
    """What the reply must have that it would not: what was encrypted once must be so again, since nothing is stored."""
    encrypted = request.effort not in (None, "none") or any(item.get("encrypted_content") for item in history.items)
    return [name for name, wanted in ((ENCRYPTED, encrypted), (LOGPROBS, request.logprobs)) if wanted]


def from_tool(tool: Tool) -> Fields:
    """`strict` is said always: elsewhere a schema is a hint unless it is called strict, here it is strict unless it is not."""
    if tool.kind != "function":
        return tool.extra
    described = {"description": tool.description} if tool.description else {}
    schema = NO_ARGUMENTS if tool.schema is None else tool.schema
    return {"type": "function", "name": tool.name, **described, "parameters": schema, "strict": bool(tool.strict)}


def from_choice(choice: ToolChoice | None) -> str | Fields | None:
    if choice is None or choice.extra:
        return choice.extra if choice else None
    functions: list[Fields] = [{"type": "function", "name": name} for name in choice.names]
    if len(functions) == 1 and choice.mode == "required":
        return functions[0]
    if functions:
        return {"type": "allowed_tools", "mode": choice.mode, "tools": functions}
    return choice.mode


def from_format(format: Format | None) -> Fields | None:
    if format is None:
        return None
    kind = next(k for k, v in FORMATS.items() if v == format.kind)
    if kind != "json_schema":
        return {"format": {"type": kind}}
    named = {
        "type": kind,
        "name": format.name or SCHEMA_NAME,
        "description": format.description or None,
        "schema": format.schema,
        "strict": format.strict,
    }
    return {"format": {k: v for k, v in named.items() if v is not None}}


def from_effort(request: Request) -> Fields | None:
    effort = {"effort": request.effort} if request.effort is not None else {}
    summary = {"summary": "auto"} if request.show_thinking else {}
    return effort | summary or None
