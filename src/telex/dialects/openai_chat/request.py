"""Requests of Chat Completions to the vocabulary.

What is checked is what this gateway must understand: types, the roles, that there are messages. Whether a number is in a
model's range is the model's to say. Fields unknown here are kept and reach a provider of this dialect untouched.
Source of the format: OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields, Format, Message, Part, Request, Role, Tool, ToolChoice
from telex.dialects.marks import hoist_marks
from telex.dialects.openai_chat.caching import read_options
from telex.dialects.openai_chat.parts import NAME, to_call, to_citation, to_part, to_provider_part
from telex.dialects.openai_chat.signatures import read_details, read_signature
from telex.dialects.operation import GENERATE, Operation
from telex.dialects.reading import WrongField, inner, invalid, rest, said, text

Positive = Annotated[int, Meta(ge=1)]


class WireMessage(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Fields] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[Fields] | None = None
    tool_call_id: str | None = None
    function_call: Fields | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Fields] | None = None
    annotations: list[Fields] | None = None
    provider_parts: list[Fields] | None = None


class WireStreamOptions(Struct):
    include_usage: bool | None = None


class WireRequest(Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Fields], Meta(min_length=1)]
    tools: list[Fields] | None = None
    tool_choice: str | Fields | None = None
    parallel_tool_calls: bool | None = None
    n: Positive | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0)] | None = None
    response_format: Fields | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Fields | None = None
    stream: bool | None = None
    stream_options: WireStreamOptions | None = None


_fields = msgspec.json.Decoder(dict[str, Raw])
_request = msgspec.json.Decoder(WireRequest)
REQUEST_FIELDS = frozenset(WireRequest.__struct_fields__)
MESSAGE_FIELDS = WireMessage.__struct_fields__
FORMATS: dict[str, Literal["text", "json", "json_schema"]] = {"text": "text", "json_object": "json", "json_schema": "json_schema"}
NOTHING_SAID = (("modalities", ["text"]),)
"""Fields that ask for what happens anyway."""

MODES: tuple[Literal["auto", "none", "required"], ...] = ("auto", "none", "required")


def decode_request(body: bytes, operation: Operation = GENERATE, headers: Mapping[str, str] = MappingProxyType({})) -> Request | Failure:
    """The request that a body holds, or why it holds none, with the field it is about. Path and headers say nothing of it."""
    try:
        fields = _fields.decode(body)
        wire = _request.decode(body)
        extra = {k: json.decode(v) for k, v in fields.items() if k not in REQUEST_FIELDS}
        return to_request(wire, {k: v for k, v in extra.items() if v is not None and (k, v) not in NOTHING_SAID}, body)
    except msgspec.ValidationError as error:
        return invalid(str(error))
    except RecursionError:
        return Failure("bad_request", "The body is nested too deeply.", code="too_deep")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")
    except WrongField as error:
        return error.failure
    except json.Malformed as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")


def to_request(wire: WireRequest, extra: Fields, body: bytes) -> Request | Failure:
    messages = to_messages(wire.messages)
    if isinstance(messages, Failure):
        return messages
    stop = [wire.stop] if isinstance(wire.stop, str) else wire.stop or []
    options = wire.stream_options
    cache, _, unsaid = read_options(wire.prompt_cache_options or {})
    if options and not wire.stream:
        raise WrongField("stream_options", "it is only allowed when 'stream' is true")
    return Request(
        model=wire.model,
        messages=messages,
        tools=tuple(to_tool(t, f"tools[{i}]") for i, t in enumerate(wire.tools or ())),
        tool_choice=to_choice(wire.tool_choice),
        parallel_calls=wire.parallel_tool_calls,
        choices=wire.n or 1,
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        stop=tuple(stop),
        seed=wire.seed,
        frequency_penalty=wire.frequency_penalty,
        presence_penalty=wire.presence_penalty,
        logprobs=wire.logprobs,
        top_logprobs=wire.top_logprobs,
        format=to_format(wire.response_format),
        effort=wire.reasoning_effort,
        user=wire.safety_identifier or wire.user,
        cache_key=wire.prompt_cache_key,
        cache=cache,
        stream=bool(wire.stream),
        include_usage=bool(options and options.include_usage),
        extra={**extra, **{f"prompt_cache_options.{name}": value for name, value in unsaid.items()}},
        dialect=NAME,
        body=body,
    )


def to_messages(wires: list[Fields]) -> tuple[Message, ...] | Failure:
    messages: list[Message] = []
    called: set[str] = set()
    for number, wire in enumerate(wires):
        place = f"messages[{number}]"
        try:
            message = to_message(msgspec.convert(wire, WireMessage), rest(wire, *MESSAGE_FIELDS), place)
        except msgspec.ValidationError as error:
            return invalid(str(error), place)
        for part in message.parts:
            if part.kind == "tool_call":
                called.add(part.id if part.tool != "legacy" else f"name:{part.name}")
            if part.kind == "tool_result" and (part.id if part.tool != "legacy" else f"name:{part.name}") not in called:
                raise WrongField(f"{place}.tool_call_id", "no earlier message of the assistant made this call")
        messages.append(message)
    return tuple(messages)


def to_message(wire: WireMessage, extra: Fields, place: str) -> Message:
    content = [{"type": "text", "text": wire.content}] if isinstance(wire.content, str) else wire.content or []
    parts = [to_part(piece, f"{place}.content[{i}]") for i, piece in enumerate(content)]
    role: Role = "tool" if wire.role == "function" else wire.role
    if role == "tool":
        if not wire.tool_call_id and wire.role == "tool":
            raise WrongField(f"{place}.tool_call_id", "a tool's message must say which call it answers")
        legacy = "legacy" if wire.role == "function" else ""
        result = Part("tool_result", id=wire.tool_call_id or "", name=wire.name or "", tool=legacy, parts=tuple(parts))
        return Message(role, (hoist_marks(result),), extra=extra)
    if role == "assistant":
        sign(parts, extra)
        cite(parts, wire.annotations or [])
        parts = [*to_reasoning(wire), *parts]
    if wire.refusal:
        parts.append(Part("refusal", wire.refusal))
    parts += [to_provider_part(p, f"{place}.provider_parts[{i}]") for i, p in enumerate(wire.provider_parts or ())]
    parts += [to_call(c, f"{place}.tool_calls[{i}]") for i, c in enumerate(wire.tool_calls or ())]
    if wire.function_call:
        parts.append(to_call({"type": "legacy", "id": "", "legacy": wire.function_call}, f"{place}.function_call"))
    return Message(role, tuple(parts), wire.name or "", extra)


def to_reasoning(wire: WireMessage) -> list[Part]:
    """What the model thought, as precisely as the message brings it back."""
    if wire.reasoning_details and (details := read_details(wire.reasoning_details)):
        return details
    name = "reasoning_content" if wire.reasoning_content else "reasoning"
    thought = wire.reasoning_content or wire.reasoning
    return [Part("reasoning", thought, name=name)] if thought else []


def sign(parts: list[Part], extra: Fields) -> None:
    """The signature beside a message is that of its text."""
    if (signature := read_signature(extra)) and (last := last_text(parts)) is not None:
        del extra["extra_content"]
        parts[last] = msgspec.structs.replace(parts[last], signature=signature, dialect="gemini")


def cite(parts: list[Part], annotations: list[Fields]) -> None:
    citations = tuple(filter(None, map(to_citation, annotations)))
    if citations and (last := last_text(parts)) is not None:
        parts[last] = msgspec.structs.replace(parts[last], citations=citations)


def last_text(parts: list[Part]) -> int | None:
    return next((i for i in reversed(range(len(parts))) if parts[i].kind == "text"), None)


def to_tool(wire: Fields, place: str) -> Tool:
    if wire.get("type", "function") != "function":
        return Tool(kind=str(wire["type"]), extra=wire)
    body, place = inner(wire, "function", place), f"{place}.function"
    schema, strict = said(body, "parameters", place, dict), said(body, "strict", place, bool)
    description = said(body, "description", place, str) or ""
    extra = {**rest(wire, "type", "function"), **rest(body, "name", "description", "parameters", "strict")}
    return Tool(text(body, "name", place), description, schema, strict, extra=extra)


def to_choice(wire: str | Fields | None) -> ToolChoice | None:
    if wire is None:
        return None
    if isinstance(wire, str):
        if wire not in MODES:
            raise WrongField("tool_choice", f"expected one of {', '.join(MODES)}, or an object")
        return ToolChoice(wire)
    match wire:
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("required", (name,))
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(tools)}}:
            names = [tool_name(tool) for tool in tools]
            if all(names):
                return ToolChoice(mode, tuple(names))
    return ToolChoice("required", extra=wire)


def tool_name(tool: object) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return name
    return ""


def to_format(wire: Fields | None) -> Format | None:
    if wire is None:
        return None
    kind = FORMATS.get(str(wire.get("type")))
    if kind is None:
        raise WrongField("response_format.type", f"expected one of {', '.join(FORMATS)}")
    if kind != "json_schema":
        return Format(kind)
    body, place = inner(wire, kind, "response_format"), f"response_format.{kind}"
    schema, strict = said(body, "schema", place, dict), said(body, "strict", place, bool)
    return Format(kind, text(body, "name", place), said(body, "description", place, str) or "", schema, strict)
