"""Requests of Gemini's generateContent to the vocabulary.

What is checked is what this gateway must understand: types, the roles, that something was said, which call a result answers. Whether
a number is in a model's range is the model's to say. Fields unknown here are kept and reach a provider of this dialect untouched.
Source of the format: the reference of the Gemini API, "Generating content", and Vertex AI's of the same method.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec
from msgspec import Raw

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields, Format, Request, Tool, ToolChoice
from telex.dialects.gemini.contents import to_messages
from telex.dialects.gemini.fields import Node, camel
from telex.dialects.gemini.schema import to_json_schema
from telex.dialects.gemini.signatures import NAME
from telex.dialects.operation import GENERATE, Operation
from telex.dialects.reading import WrongField

TOP = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model")
CONFIG = (
    "maxOutputTokens", "candidateCount", "temperature", "topP", "topK", "stopSequences", "seed", "frequencyPenalty", "presencePenalty",
    "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
)  # fmt: skip
MODES: dict[str, Literal["auto", "none", "required"]] = {
    "": "auto", "MODE_UNSPECIFIED": "auto", "AUTO": "auto", "VALIDATED": "auto", "NONE": "none", "ANY": "required",
}  # fmt: skip
"""`VALIDATED` is `AUTO` but for which functions may be called and how strictly."""

JSON, PLAIN = "application/json", "text/plain"
WHOLE = "generateContentRequest"

_fields = msgspec.json.Decoder(dict[str, Raw])


def decode_request(body: bytes, operation: Operation = GENERATE, headers: Mapping[str, str] = MappingProxyType({})) -> Request | Failure:
    """The request that a body and its path make, or why they make none, with the field it is about."""
    try:
        body, place = unwrap(body) if operation.kind == "count" else (body, "")
        wire = json.decode(body)
        if not isinstance(wire, dict):
            return Failure("bad_request", "The body is not a generateContent request: it is no object.", place, code="invalid_type")
        return to_request(Node(wire, place), operation, body)
    except json.Malformed as error:
        return Failure("bad_request", f"The body is not JSON: {error}.", code="invalid_json")
    except WrongField as error:
        return error.failure
    except RecursionError:
        return Failure("bad_request", "The body is nested too deeply.", code="too_deep")


def unwrap(body: bytes) -> tuple[bytes, str]:
    """The request whose tokens are to be counted, and the field that it stands in: it may be the whole body."""
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body, ""  # whoever reads it next says why
    name = next((name for name in fields if camel(name) == WHOLE), "")
    return (bytes(fields[name]), name) if name else (body, "")


def to_request(root: Node, operation: Operation, body: bytes) -> Request:
    config = root.node("generationConfig") or Node({}, "generationConfig")
    thinking = config.node("thinkingConfig") or Node({})
    tool_config = root.node("toolConfig") or Node({})
    calling = tool_config.node("functionCallingConfig")
    return Request(
        model=operation.model,
        messages=to_messages(root),
        tools=tuple(tool for node in root.nodes("tools") for tool in to_tools(node)),
        tool_choice=to_choice(calling) if calling else None,
        choices=config.integer("candidateCount", 1) or 1,
        max_tokens=config.integer("maxOutputTokens", 1),
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        stop=config.texts("stopSequences"),
        seed=config.integer("seed"),
        frequency_penalty=config.number("frequencyPenalty"),
        presence_penalty=config.number("presencePenalty"),
        logprobs=config.flag("responseLogprobs"),
        top_logprobs=config.integer("logprobs"),
        format=to_format(config),
        effort=to_effort(thinking),
        thinking_budget=thinking.integer("thinkingBudget"),
        show_thinking=thinking.flag("includeThoughts"),
        stream=operation.stream,
        include_usage=True,
        framing=operation.framing,
        extra=further(root, config, tool_config, calling),
        dialect=NAME,
        body=body,
    )


def further(root: Node, config: Node, tool_config: Node, calling: Node | None) -> Fields:
    """Fields without a word; those inside others by their path."""
    extra = root.rest(*TOP)
    inside = config.rest(*CONFIG)
    if inside.get("responseModalities") in (["TEXT"], ["text"], []):
        del inside["responseModalities"]
    if config.get("responseMimeType") not in (None, "", JSON, PLAIN):
        inside["responseMimeType"] = config.get("responseMimeType")
    extra |= {f"generationConfig.{name}": value for name, value in inside.items()}
    extra |= {f"toolConfig.{name}": value for name, value in tool_config.rest("functionCallingConfig").items()}
    if calling:
        own = calling.rest("mode", "allowedFunctionNames")
        extra |= {f"toolConfig.functionCallingConfig.{name}": value for name, value in own.items()}
    return extra


def to_tools(node: Node) -> list[Tool]:
    """The functions that an entry of `tools` declares, and the provider's own tools that it names."""
    functions = [to_function(declaration) for declaration in node.nodes("functionDeclarations")]
    return [*functions, *(Tool(kind=name, extra={name: value}) for name, value in node.rest("functionDeclarations").items())]


def to_function(node: Node) -> Tool:
    if not (name := node.text("name")):
        raise node.missing("name")
    schema = node.object("parametersJsonSchema")
    if schema is None:
        schema = to_json_schema(node.object("parameters"))
    extra = node.rest_as_spelled("name", "description", "parameters", "parametersJsonSchema")
    return Tool(name, node.text("description"), schema, extra=extra)


def to_choice(node: Node) -> ToolChoice:
    mode = MODES.get(node.text("mode").upper())
    if mode is None:
        raise node.wrong("mode", "expected AUTO, ANY, NONE or VALIDATED")
    return ToolChoice(mode, node.texts("allowedFunctionNames"))


def to_format(config: Node) -> Format | None:
    media_type, schema = config.text("responseMimeType"), json_schema_of(config)
    if media_type not in ("", JSON):
        return Format("text") if media_type == PLAIN else None
    if schema is not None:
        return Format("json_schema", schema=schema)
    return Format("json") if media_type else None


def json_schema_of(config: Node) -> Fields | None:
    """`responseJsonSchema` as it is, or what `responseSchema` says."""
    if (schema := config.object("responseJsonSchema")) is not None:
        return schema
    converted: Fields | None = to_json_schema(config.object("responseSchema"))
    return converted


def to_effort(thinking: Node) -> str | None:
    level = thinking.text("thinkingLevel").lower()
    return None if level in ("", "thinking_level_unspecified") else level
