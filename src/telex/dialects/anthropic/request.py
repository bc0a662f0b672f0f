"""Requests of Anthropic Messages to the vocabulary.

What is checked is what this gateway must understand: types, the roles, that there are messages. Whether a number is in a
model's range is the model's to say. Fields unknown here are kept and reach a provider of this dialect untouched.
Source of the format: Anthropic's API reference, "Create a Message".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects.anthropic.blocks import to_parts
from telex.dialects.anthropic.caching import MARK, read_mark
from telex.dialects.anthropic.words import NAME, VERSION
from telex.dialects.operation import GENERATE, Operation
from telex.dialects.reading import WrongField, inner, invalid, rest, said, text

Count = Annotated[int, Meta(ge=0)]
Number = Annotated[float, Meta(ge=0)]


class WireMessage(Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Fields]


class WirePrompt(Struct, kw_only=True):
    """What is counted; an answer's limit may be missing."""

    model: Annotated[str, Meta(min_length=1)]
    max_tokens: Count | None = None
    messages: list[Fields]
    system: str | list[Fields] | None = None
    tools: list[Fields] | None = None
    tool_choice: Fields | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Count | None = None
    stop_sequences: list[str] | None = None
    thinking: Fields | None = None
    output_config: Fields | None = None
    output_format: Fields | None = None
    """What `output_config.format` was called while it was a beta."""
    metadata: Fields | None = None
    stream: bool | None = None


class WireRequest(WirePrompt, kw_only=True):
    max_tokens: Count


_fields = msgspec.json.Decoder(dict[str, Raw])
_decoders: dict[str, msgspec.json.Decoder[WirePrompt]] = {
    "generate": msgspec.json.Decoder(WireRequest),
    "count": msgspec.json.Decoder(WirePrompt),
}
REQUEST_FIELDS = frozenset(WireRequest.__struct_fields__)
SAYS_NOTHING = (b"null", b"[]", b"{}")
HEADERS = ("anthropic-version", "anthropic-beta")
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
CHOICES: dict[str, Literal["auto", "none", "required"]] = {"auto": "auto", "none": "none", "any": "required", "tool": "required"}
DISPLAYS = {"summarized": True, "omitted": False}


class Thinking(Struct, frozen=True):
    """What `thinking` says in the words of `Request`; what those can't say is `extra`."""

    budget: int | None = None
    show: bool | None = None
    extra: Fields = {}


def decode_request(body: bytes, operation: Operation = GENERATE, headers: Mapping[str, str] = MappingProxyType({})) -> Request | Failure:
    """The request that a body and its headers hold, or why they hold none, with the field it is about."""
    version = headers.get("anthropic-version", VERSION)
    if not DATE.fullmatch(version):
        message = f"Invalid 'anthropic-version': '{version}' is no version of this API. Expected a date such as '{VERSION}'."
        return Failure("bad_request", message, "anthropic-version", code="invalid_value")
    betas = headers.get("anthropic-beta", "")
    if not (betas.isascii() and betas.isprintable()):
        return Failure("bad_request", "Invalid 'anthropic-beta': no header may hold that.", "anthropic-beta", code="invalid_value")
    try:
        fields = _fields.decode(body)
        wire = _decoders[operation.kind].decode(body)
        extra = {k: json.decode(v) for k, v in fields.items() if k not in REQUEST_FIELDS and bytes(v) not in SAYS_NOTHING}
        return to_request(wire, extra, body, {"anthropic-version": version, **{k: v for k, v in headers.items() if k in HEADERS}})
    except msgspec.ValidationError as error:
        failure = invalid(str(error))
        return failure if failure.param else Failure("bad_request", f"The body is no request for a message: {error}.", code="invalid_type")
    except RecursionError:
        return Failure("bad_request", "The body is nested too deeply.", code="too_deep")
    except (msgspec.DecodeError, UnicodeDecodeError, json.Malformed) as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")
    except WrongField as error:
        return error.failure


def to_request(wire: WirePrompt, extra: Fields, body: bytes, headers: dict[str, str]) -> Request | Failure:
    messages = to_messages(wire, goes_on=goes_on(extra))
    if isinstance(messages, Failure):
        return messages
    thinking, choice, output, metadata = to_thinking(wire.thinking), wire.tool_choice, wire.output_config or {}, wire.metadata or {}
    serial = said(choice or {}, "disable_parallel_tool_use", "tool_choice", bool)
    if cache := read_mark(extra.get(MARK)):
        extra = rest(extra, MARK)
    beyond = {"output_config": rest(output, "effort", "format"), "metadata": rest(metadata, "user_id"), "thinking": thinking.extra}
    return Request(
        model=wire.model,
        messages=messages,
        tools=tuple(to_tool(tool, f"tools[{i}]") for i, tool in enumerate(wire.tools or ())),
        tool_choice=to_choice(choice),
        parallel_calls=None if serial is None else not serial,
        max_tokens=wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        stop=tuple(wire.stop_sequences or ()),
        format=to_format(said(output, "format", "output_config", dict) or wire.output_format),
        effort=said(output, "effort", "output_config", str),
        thinking_budget=thinking.budget,
        show_thinking=thinking.show,
        user=said(metadata, "user_id", "metadata", str),
        cache=cache,
        stream=bool(wire.stream),
        include_usage=True,
        extra={**extra, **{name: fields for name, fields in beyond.items() if fields}},
        dialect=NAME,
        body=body,
        headers=headers,
    )


def goes_on(extra: Fields) -> bool:
    """Whether the provider holds what was said before, so that only what is new is here (a beta: `thread`)."""
    match extra.get("thread"):
        case {"type": "continue"}:
            return True
    return False


def to_messages(wire: WirePrompt, goes_on: bool) -> tuple[Message, ...] | Failure:
    """`goes_on`: what the results answer may have been said before."""
    if not wire.messages and not goes_on:
        raise WrongField("messages", "expected at least one")
    messages: list[Message] = []
    called: set[str] = set()
    if system := content(wire.system or "", "system"):
        messages.append(Message("system", system))
    for number, fields in enumerate(wire.messages):
        place = f"messages[{number}]"
        try:
            message = msgspec.convert(fields, WireMessage)
        except msgspec.ValidationError as error:
            return invalid(str(error), place)
        parts = content(message.content, f"{place}.content")
        for index, part in enumerate(parts):
            if part.kind == "tool_call":
                called.add(part.id)
            elif part.kind == "tool_result" and (message.role != "user" or not (goes_on or part.id in called)):
                raise WrongField(f"{place}.content[{index}].tool_use_id", "no earlier message of the assistant made this call")
        results = tuple(part for part in parts if part.kind == "tool_result")
        others = tuple(part for part in parts if part.kind != "tool_result")
        messages.append(Message(message.role, results + others, extra=rest(fields, "role", "content")))
    return tuple(messages)


def content(wire: str | list[Fields], place: str) -> tuple[Part, ...]:
    if isinstance(wire, str):
        return (Part("text", wire),) if wire else ()
    return tuple(to_parts(wire, place))


def to_tool(wire: Fields, place: str) -> Tool:
    """A tool of the caller's own, or one that Anthropic defines, which is carried whole."""
    kind = said(wire, "type", place, str) or "custom"
    if kind != "custom":
        return Tool(said(wire, "name", place, str) or "", kind=kind, extra=wire)
    description, strict = said(wire, "description", place, str) or "", said(wire, "strict", place, bool)
    extra = rest(wire, "type", "name", "description", "input_schema", "strict")
    return Tool(text(wire, "name", place), description, inner(wire, "input_schema", place), strict, extra=extra)


def to_choice(wire: Fields | None) -> ToolChoice | None:
    if wire is None:
        return None
    mode = CHOICES.get(text(wire, "type", "tool_choice"))
    if mode is None:
        return ToolChoice("required", extra=wire)
    return ToolChoice(mode, (text(wire, "name", "tool_choice"),) if wire["type"] == "tool" else ())


def to_format(wire: Fields | None) -> Format | None:
    if wire is None:
        return None
    place = "output_config.format"
    if wire.get("type") != "json_schema":
        raise WrongField(f"{place}.type", "expected 'json_schema'")
    return Format("json_schema", schema=inner(wire, "schema", place))


def to_thinking(wire: Fields | None) -> Thinking:
    if wire is None:
        return Thinking()
    kind, display = text(wire, "type", "thinking"), said(wire, "display", "thinking", str)
    show, extra = DISPLAYS.get(display or ""), rest(wire, "type", "budget_tokens", "display")
    match kind:
        case "enabled":
            if type(budget := wire.get("budget_tokens")) is not int or budget < 0:
                raise WrongField("thinking.budget_tokens", "expected a number of tokens")
            return Thinking(budget, show, extra)
        case "adaptive":
            return Thinking(-1, show, extra)
        case "disabled":
            return Thinking(0, None, extra)
    return Thinking(show=show, extra=wire)
