"""The vocabulary to requests of Gemini's generateContent."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from telex.core import json
from telex.core.messages import Fields, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects.gemini.fields import camel
from telex.dialects.gemini.parts import guess_type
from telex.dialects.gemini.request import JSON
from telex.dialects.gemini.signatures import NAME, read_signature
from telex.dialects.quirks import Quirks

UNSIGNED = "skip_thought_signature_validator"
"""What Gemini takes for the signature of a call that it did not make itself."""

_fields = msgspec.json.Decoder(dict[str, Raw])


def encode_request(request: Request, model: str, stream: bool, quirks: Quirks) -> Fields:
    """The body for a provider of this dialect; its name for the model and whether it streams are in the path.

    A request that came in this dialect keeps its own bytes, field order and unknown fields, but for state of other providers.
    """
    if request.dialect != NAME:
        return from_request(request)
    fields: dict[str, Any] = {name: value for name, value in _fields.decode(request.body).items() if name != "model"}
    if any(part.dialect not in ("", NAME) for message in request.messages for part in message.parts):
        fields["contents"] = [without_foreign(content) for content in json.decode(bytes(fields["contents"]))]
    return fields


def without_foreign(content: Fields) -> Fields:
    """A content as it came, without what other providers signed, encrypted or alone understand."""
    parts: list[Any] = []
    for part in content.get("parts") or ():
        names = {camel(name): name for name in part}
        signature = names.get("thoughtSignature", "")
        if signature and read_signature(str(part[signature]))[2] != NAME:
            part = {name: value for name, value in part.items() if name != signature}
            if "functionCall" in names and not any("functionCall" in other or "function_call" in other for other in parts):
                part["thoughtSignature"] = UNSIGNED
        metadata = part.get(names.get("partMetadata", ""))
        carries = isinstance(metadata, dict) and "provider_part" in metadata
        if not carries and (part.get("text") != "" or "thoughtSignature" in map(camel, part)):
            parts.append(part)
    return {**content, "parts": parts}


def from_request(request: Request) -> Fields:
    config = {name: value for name, value in from_config(request).items() if value is not None}
    fields: Fields = {"contents": from_messages(request.messages)}
    system = [part for message in request.messages if message.role in ("system", "developer") for part in from_parts(message)]
    if system and not fields["contents"]:  # there must be one
        fields["contents"] = [{"role": "user", "parts": system}]
        system = []
    for name, value in (
        ("systemInstruction", {"parts": system} if system else None),
        ("tools", from_tools(request.tools)),
        ("toolConfig", from_choice(request.tool_choice) if request.tools else None),
        ("generationConfig", config or None),
    ):
        if value is not None:
            fields[name] = value
    return fields


def from_config(request: Request) -> Fields:
    return {
        "maxOutputTokens": request.max_tokens,
        "candidateCount": request.choices if request.choices > 1 else None,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
        "responseLogprobs": request.logprobs,
        "logprobs": request.top_logprobs,
        "thinkingConfig": from_thinking(request),
        **from_format(request.format),
    }


def from_thinking(request: Request) -> Fields | None:
    """A level or a budget: the API takes only one of them."""
    thinking: Fields = {}
    if request.effort == "none":
        thinking["thinkingBudget"] = 0
    elif request.effort:
        thinking["thinkingLevel"] = "XHIGH" if request.effort == "max" else request.effort.upper()
    elif request.thinking_budget is not None:
        thinking["thinkingBudget"] = request.thinking_budget
    if request.show_thinking is not None:
        thinking["includeThoughts"] = request.show_thinking
    return thinking or None


def from_format(format: Format | None) -> Fields:
    if format is None or format.kind == "text":
        return {}
    return {"responseMimeType": JSON, "responseJsonSchema": format.schema}


def from_tools(tools: tuple[Tool, ...]) -> list[Fields] | None:
    functions = [from_function(tool) for tool in tools if tool.kind == "function"]
    return [{"functionDeclarations": functions}] if functions else None


def from_function(tool: Tool) -> Fields:
    function: Fields = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parametersJsonSchema"] = tool.schema
    return function


def from_choice(choice: ToolChoice | None) -> Fields | None:
    """Which functions may be called can be said only where one must be, or where calls are validated."""
    if choice is None or choice.extra:
        return None
    mode = {"auto": "VALIDATED" if choice.names else "AUTO", "none": "NONE", "required": "ANY"}[choice.mode]
    names = {"allowedFunctionNames": list(choice.names)} if choice.names and choice.mode != "none" else {}
    return {"functionCallingConfig": {"mode": mode, **names}}


def from_messages(messages: tuple[Message, ...]) -> list[Fields]:
    """Contents in which the roles alternate: all results of one turn are in one."""
    contents: list[Fields] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role in ("system", "developer"):
            continue
        names |= {part.id: part.name for part in message.parts if part.kind == "tool_call"}
        if not (parts := from_parts(message, names)):
            continue
        role = "model" if message.role == "assistant" else "user"
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def from_parts(message: Message, names: dict[str, str] | None = None) -> list[Fields]:
    """The parts of a message. `names`: of the functions that were called, by the ids of the calls."""
    parts: list[Fields] = []
    for part in message.parts:
        if part.kind == "tool_call":
            first = not any("functionCall" in other for other in parts)
            parts.append(from_call(part, first))
        elif part.kind == "tool_result":
            parts.append(from_result(part, names or {}))
        elif (body := from_part(part)) is not None:
            parts.append(body)
    return parts


def from_part(part: Part) -> Fields | None:
    """Text or media; None for what there is nothing to say of."""
    own = part.dialect == NAME
    more = {"thoughtSignature": part.signature} if own and part.signature else {}
    match part.kind:
        case "text" | "refusal":
            return {"text": part.text, **more} if part.text or more else None
        case "reasoning":
            return {"text": part.text, "thought": True, **more} if part.text or more else None
        case "image" | "audio" | "file":
            return from_media(part) | more
        case "opaque":
            return part.extra if own else None
    return None


def from_media(part: Part) -> Fields:
    named = {"displayName": part.name} if part.name else {}
    if part.url:
        media_type = part.media_type or guess_type(part.url)
        return {"fileData": {"fileUri": part.url, **({"mimeType": media_type} if media_type else {}), **named}}
    return {"inlineData": {"mimeType": part.media_type, "data": part.data, **named}}


def from_call(part: Part, first: bool) -> Fields:
    """`first`: of its turn, whose signature Gemini wants to see. What a free-text tool was given is an argument here."""
    body: Fields = {
        **({"id": part.id} if part.id else {}),
        "name": part.name,
        "args": {"input": part.text} if part.tool == "custom" else arguments(part.text),
    }
    signature = part.signature if part.dialect == NAME else ""
    if not signature and first:
        signature = UNSIGNED
    return {"functionCall": body, **({"thoughtSignature": signature} if signature else {})}


def arguments(text: str) -> Fields:
    value = as_object(text) if text else {}
    return {} if value is None else value


def as_object(text: str) -> Fields | None:
    """The object that a text is as JSON; None if it is none."""
    try:
        value = json.decode(text.encode("utf-8", "surrogatepass"))
    except json.Malformed:
        return None
    return value if isinstance(value, dict) else None


def from_result(part: Part, names: dict[str, str]) -> Fields:
    text = "\n".join(inner.text for inner in part.parts if inner.kind == "text")
    media = [from_media(inner) for inner in part.parts if inner.kind in ("image", "audio", "file")]
    response = {"error": text} if part.is_error else as_object(text)
    body: Fields = {"id": part.id} if part.id else {}
    body |= {"name": names.get(part.id) or part.name, "response": {"result": text} if response is None else response}
    return {"functionResponse": {**body, **({"parts": media} if media else {})}}
