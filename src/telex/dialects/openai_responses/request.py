"""Requests of Responses to the vocabulary.

What is checked is what this gateway must understand: types, the roles, that there is an input. Whether a number is in a model's
range is the model's to say. Fields unknown here are kept and reach a provider of this dialect untouched.
Source of the format: OpenAI's API reference, "Create a model response".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields, Format, Keeping, Message, Part, Request, Tool, ToolChoice
from telex.dialects.openai_chat.caching import read_options
from telex.dialects.openai_chat.request import FORMATS, MODES, Positive, tool_name
from telex.dialects.openai_responses.conversation import Conversation
from telex.dialects.openai_responses.parts import NAME
from telex.dialects.operation import GENERATE, Operation
from telex.dialects.reading import WrongField, rest, said, text

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"


class WireRequest(Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: str | Annotated[list[Fields], Meta(min_length=1)] | None = None
    instructions: str | None = None
    tools: list[Fields] | None = None
    tool_choice: str | Fields | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0)] | None = None
    include: list[str] | None = None
    text: Fields | None = None
    reasoning: Fields | None = None
    safety_identifier: str | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Fields | None = None
    stream: bool | None = None
    stream_options: Fields | None = None


_fields = msgspec.json.Decoder(dict[str, Raw])
_request = msgspec.json.Decoder(WireRequest)
REQUEST_FIELDS = frozenset(WireRequest.__struct_fields__)
ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""Fields that say where more of the input is."""
NOTHING_SAID = {"background": False, "store": False, "truncation": "disabled"}
"""What these fields ask for any other dialect does anyway."""


def decode_request(body: bytes, operation: Operation = GENERATE, headers: Mapping[str, str] = MappingProxyType({})) -> Request | Failure:
    """The request that a body holds, or why it holds none, with the field it is about. Path and headers say nothing of it."""
    try:
        fields = _fields.decode(body)
        wire = _request.decode(body)
        return to_request(wire, {k: json.decode(v) for k, v in fields.items() if k not in REQUEST_FIELDS}, body)
    except msgspec.ValidationError as error:
        return invalid(str(error))
    except RecursionError:
        return Failure("bad_request", "The body is nested too deeply.", code="too_deep")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")
    except WrongField as error:
        return Failure("bad_request", f"Invalid '{error.field}': {error}.", error.field, code="invalid_value")
    except json.Malformed as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")


def invalid(message: str) -> Failure:
    """msgspec says "Expected `int`, got `str` - at `$.top_p`"; callers want to hear about 'top_p'."""
    what, _, path = message.partition(" - at ")
    field = path.strip("`").removeprefix("$").removeprefix(".")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        return required(missing[1])
    if field == "input" and "length" in what:
        return Failure("bad_request", "Invalid 'input': empty. Expected at least one item.", field, code="empty_array")
    if not field:
        return Failure("bad_request", f"The body is not a request for a response: {what}.", code="invalid_type")
    what = what[:1].lower() + what[1:].replace("`", "")
    return Failure("bad_request", f"Invalid '{field}': {what}.", field, code="invalid_type" if "got" in what else "invalid_value")


def required(field: str) -> Failure:
    return Failure("bad_request", f"Missing required field '{field}'.", field, code="missing_required_parameter")


def to_request(wire: WireRequest, extra: Fields, body: bytes) -> Request | Failure:
    elsewhere = any(extra.get(name) for name in ELSEWHERE)
    if wire.input is None and not elsewhere:
        return required("input")
    if wire.stream_options and not wire.stream:
        raise WrongField("stream_options", "it is only allowed when 'stream' is true")
    include = wire.include or []
    logprobs = LOGPROBS in include or bool(wire.top_logprobs)
    reasoning = wire.reasoning or {}
    cache, usual, unsaid = read_options(wire.prompt_cache_options or {})
    return Request(
        model=wire.model,
        messages=to_messages(wire, not elsewhere, usual),
        tools=tuple(to_tool(tool, f"tools[{i}]") for i, tool in enumerate([*(wire.tools or ()), *later_tools(wire.input)])),
        tool_choice=to_choice(wire.tool_choice),
        parallel_calls=wire.parallel_tool_calls,
        max_tokens=wire.max_output_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        logprobs=logprobs or None,
        top_logprobs=wire.top_logprobs if logprobs else None,
        format=to_format(said(wire.text or {}, "format", "text", dict)),
        effort=said(reasoning, "effort", "reasoning", str),
        show_thinking=bool(said(reasoning, "summary", "reasoning", str)) or None,
        user=wire.safety_identifier or wire.user,
        cache_key=wire.prompt_cache_key,
        cache=cache,
        stream=bool(wire.stream),
        include_usage=True,
        extra=said_beyond(wire, include, extra) | {f"prompt_cache_options.{name}": value for name, value in unsaid.items()},
        dialect=NAME,
        body=body,
    )


def later_tools(input: str | list[Fields] | None) -> list[Fields]:
    """Tools that came in the middle of a conversation: other dialects know them only beside it."""
    items = input if isinstance(input, list) else []
    lists = (item.get("tools") for item in items if item.get("type") == "additional_tools")
    return [tool for tools in lists if isinstance(tools, list) for tool in tools if isinstance(tool, dict)]


def said_beyond(wire: WireRequest, include: list[str], extra: Fields) -> Fields:
    """What has no word, by where it stands; what changes nothing is not said."""
    fields = {name: value for name, value in extra.items() if value is not None and NOTHING_SAID.get(name) != value}
    fields |= {f"text.{name}": value for name, value in (wire.text or {}).items() if name != "format" and value is not None}
    more = rest(wire.reasoning or {}, "effort", "summary")
    fields |= {f"reasoning.{name}": value for name, value in more.items() if value is not None}
    if others := [name for name in include if name != LOGPROBS]:
        fields["include"] = others
    return fields


def to_messages(wire: WireRequest, whole: bool, usual: Keeping) -> tuple[Message, ...]:
    conversation = Conversation(whole, usual)
    if wire.instructions is not None:
        conversation.messages.append(Message("system", (Part("text", wire.instructions),)))
    if isinstance(wire.input, str):
        conversation.messages.append(Message("user", (Part("text", wire.input),)))
    else:
        for number, item in enumerate(wire.input or ()):
            conversation.add(item, f"input[{number}]")
    conversation.close()
    return tuple(conversation.messages)


def to_tool(wire: Fields, place: str) -> Tool:
    kind = text(wire, "type", place)
    if kind != "function":
        return Tool(kind=kind, extra=wire)
    schema, strict = said(wire, "parameters", place, dict), said(wire, "strict", place, bool)
    description = said(wire, "description", place, str) or ""
    extra = rest(wire, "type", "name", "description", "parameters", "strict")
    return Tool(text(wire, "name", place), description, schema, strict, extra=extra)


def to_choice(wire: str | Fields | None) -> ToolChoice | None:
    if wire is None:
        return None
    if isinstance(wire, str):
        if wire not in MODES:
            raise WrongField("tool_choice", f"expected one of {', '.join(MODES)}, or an object")
        return ToolChoice(wire)
    match wire:
        case {"type": "function", "name": str(name)}:
            return ToolChoice("required", (name,))
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(tools)}:
            names = [tool_name(tool) for tool in tools]
            if names and all(names):
                return ToolChoice(mode, tuple(names))
    return ToolChoice("required", extra=wire)


def to_format(wire: dict[str, Any] | None) -> Format | None:
    if wire is None:
        return None
    kind, place = FORMATS.get(str(wire.get("type"))), "text.format"
    if kind is None:
        raise WrongField(f"{place}.type", f"expected one of {', '.join(FORMATS)}")
    if kind != "json_schema":
        return Format(kind)
    schema, strict = said(wire, "schema", place, dict), said(wire, "strict", place, bool)
    return Format(kind, text(wire, "name", place), said(wire, "description", place, str) or "", schema, strict)
