"""Requests of Chat Completions to the vocabulary.

What is checked is what this gateway must understand: types, the roles, that there are messages. Whether a number is in a
model's range is the model's to say. Fields unknown here are kept and reach a provider of this dialect untouched.
Source of the format: OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields, Format, Message, Part, Request, Role, Tool

T = TypeVar("T")
TYPES: dict[type, str] = {str: "str", bool: "bool", dict: "object"}
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


class WireStreamOptions(Struct):
    include_usage: bool | None = None


class WireRequest(Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
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
    stream: bool | None = None
    stream_options: WireStreamOptions | None = None


_fields = msgspec.json.Decoder(dict[str, Raw])
_request = msgspec.json.Decoder(WireRequest)
REQUEST_FIELDS = frozenset(WireRequest.__struct_fields__)
FORMATS: dict[str, Literal["text", "json", "json_schema"]] = {"text": "text", "json_object": "json", "json_schema": "json_schema"}


def decode_request(body: bytes) -> Request | Failure:
    """The request that a body holds, or why it holds none, with the field it is about."""
    try:
        fields = _fields.decode(body)
        wire = _request.decode(body)
    except msgspec.ValidationError as error:
        return invalid(str(error))
    except RecursionError:
        return Failure("bad_request", "The body is nested too deeply.", code="too_deep")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")
    try:
        return to_request(wire, {k: json.decode(v) for k, v in fields.items() if k not in REQUEST_FIELDS}, body)
    except WrongField as error:
        return Failure("bad_request", f"Invalid '{error.field}': {error}.", error.field, code="invalid_value")
    except json.Malformed as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")


class WrongField(Exception):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def invalid(message: str) -> Failure:
    """msgspec says "Expected `int`, got `str` - at `$.max_tokens`"; callers want to hear about 'max_tokens'."""
    what, _, path = message.partition(" - at ")
    field = path.strip("`").removeprefix("$").removeprefix(".")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        field = f"{field}.{missing[1]}" if field else missing[1]
        return Failure("bad_request", f"Missing required field '{field}'.", field, code="missing_required_parameter")
    if field == "messages" and "length" in what:
        return Failure("bad_request", "Invalid 'messages': empty. Expected at least one message.", field, code="empty_array")
    if not field:
        return Failure("bad_request", f"The body is not a chat completion request: {what}.", code="invalid_type")
    what = what[:1].lower() + what[1:].replace("`", "")
    return Failure("bad_request", f"Invalid '{field}': {what}.", field, code="invalid_type" if "got" in what else "invalid_value")


def to_request(wire: WireRequest, extra: Fields, body: bytes) -> Request:
    stop = [wire.stop] if isinstance(wire.stop, str) else wire.stop or []
    options = wire.stream_options
    if options and not wire.stream:
        raise WrongField("stream_options", "it is only allowed when 'stream' is true")
    return Request(
        model=wire.model,
        messages=tuple(to_message(m, f"messages[{i}]") for i, m in enumerate(wire.messages)),
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
        stream=bool(wire.stream),
        include_usage=bool(options and options.include_usage),
        extra=extra,
        dialect="openai-chat",
        body=body,
    )


def to_message(wire: WireMessage, place: str) -> Message:
    content = [{"type": "text", "text": wire.content}] if isinstance(wire.content, str) else wire.content or []
    parts = [to_part(piece, f"{place}.content[{i}]") for i, piece in enumerate(content)]
    if wire.reasoning_content:
        parts.insert(0, Part("reasoning", wire.reasoning_content, name="reasoning_content"))
    if wire.refusal:
        parts.append(Part("refusal", wire.refusal))
    parts += [to_call(c, f"{place}.tool_calls[{i}]") for i, c in enumerate(wire.tool_calls or ())]
    if wire.function_call:
        parts.append(to_call({"type": "legacy", "id": "", "legacy": wire.function_call}, f"{place}.function_call"))
    role: Role = "tool" if wire.role == "function" else wire.role
    if role == "tool":
        if not wire.tool_call_id and wire.role == "tool":
            raise WrongField(f"{place}.tool_call_id", "a tool's message must say which call it answers")
        legacy = "legacy" if wire.role == "function" else ""
        return Message(role, (Part("tool_result", id=wire.tool_call_id or "", name=wire.name or "", tool=legacy, parts=tuple(parts)),))
    return Message(role, tuple(parts), wire.name or "")


def to_part(wire: Fields, place: str) -> Part:
    kind = wire.get("type")
    if not isinstance(kind, str):
        raise WrongField(f"{place}.type", "expected str")
    match kind:
        case "text":
            return Part("text", text(wire, "text", place), extra=rest(wire, "type", "text"))
        case "refusal":
            return Part("refusal", text(wire, "refusal", place))
        case "image_url":
            image = inner(wire, kind, place)
            media_type, data = split_data_url(url := text(image, "url", f"{place}.{kind}"))
            more = {**rest(wire, "type", kind), **rest(image, "url")}
            return Part("image", url="" if data else url, data=data, media_type=media_type, extra=more)
        case "input_audio":
            audio = inner(wire, kind, place)
            format = text(audio, "format", f"{place}.{kind}")
            return Part("audio", data=text(audio, "data", f"{place}.{kind}"), media_type=f"audio/{format}")
        case "file":
            file = inner(wire, kind, place)
            id, name, url = (said(file, field, f"{place}.{kind}", str) or "" for field in ("file_id", "filename", "file_data"))
            media_type, data = split_data_url(url)
            return Part("file", id=id, name=name, data=data, media_type=media_type)
    return Part("opaque", extra=wire)


def to_call(wire: Fields, place: str) -> Part:
    tool = next((t for t in ("custom", "legacy") if t in wire), "function")
    body = inner(wire, tool, place)
    field = "input" if tool == "custom" else "arguments"
    arguments = text(body, field, f"{place}.{tool}") if body.get(field) is not None else ""
    name = text(body, "name", f"{place}.{tool}")
    return Part("tool_call", arguments, text(wire, "id", place), name, tool, extra=rest(wire, "type", "id", tool))


def to_tool(wire: Fields, place: str) -> Tool:
    if wire.get("type", "function") != "function":
        return Tool(kind=str(wire["type"]), extra=wire)
    body, place = inner(wire, "function", place), f"{place}.function"
    schema, strict = said(body, "parameters", place, dict), said(body, "strict", place, bool)
    return Tool(text(body, "name", place), said(body, "description", place, str) or "", schema, strict)


def to_choice(wire: str | Fields | None) -> str | Fields | None:
    """`{"type": "function", "function": {"name": …}}` is the name of that tool; rarer forms stay as they are."""
    if isinstance(wire, dict) and wire.get("type") == "function" and isinstance(wire.get("function"), dict):
        return {"name": wire["function"].get("name")}
    return wire


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


def inner(wire: Fields, name: str, place: str) -> Fields:
    if not isinstance(value := wire.get(name), dict):
        raise WrongField(f"{place}.{name}", "expected object")
    return value


def text(wire: Fields, name: str, place: str) -> str:
    if not isinstance(value := wire.get(name), str):
        raise WrongField(f"{place}.{name}", "expected str")
    return value


def said(wire: Fields, name: str, place: str, type: type[T]) -> T | None:
    """A field that may be left out or null."""
    value = wire.get(name)
    if value is not None and not isinstance(value, type):
        raise WrongField(f"{place}.{name}", f"expected {TYPES[type]}")
    return value


def rest(wire: Fields, *known: str) -> Fields:
    return {k: v for k, v in wire.items() if k not in known}


def split_data_url(url: str) -> tuple[str, str]:
    """(media type, base64) of a `data:` URL; two empty strings of any other."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        return "", ""
    return head.removeprefix("data:").removesuffix(";base64"), data
