"""Requests of generateContent, in every spelling that its clients use, to the vocabulary."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.messages import Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects.gemini import NAME, decode_request
from telex.dialects.gemini.signatures import envelope
from telex.dialects.operation import Operation
from telex.dialects.seal import seal

PNG = base64.b64encode(bytes(range(250, 256)) + b"~~").decode()
URL_SAFE = PNG.replace("+", "-").replace("/", "_").rstrip("=")
PATH = Operation("m")
HELLO: list[Any] = [{"role": "user", "parts": [{"text": "Hello"}]}]
SIGNATURE = base64.b64encode(b"\x12\x05state").decode()


def decode(body: Any, operation: Operation = PATH) -> Request:
    request = decode_request(json.dumps(body).encode(), operation)
    assert isinstance(request, Request), request
    return request


def ask(contents: Any = None, **fields: Any) -> Request:
    return decode({"contents": HELLO if contents is None else contents, **fields})


def parts(*wires: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return ask([{"role": role, "parts": list(wires)}]).messages[-1].parts


def configured(**config: Any) -> Request:
    return ask(generationConfig=config)


def called(*wires: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": [{"functionCall": wire} for wire in wires]}


def answered(*wires: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"functionResponse": wire} for wire in wires]}


# ---- spelling


def test_the_path_says_the_model_and_how_it_is_streamed() -> None:
    request = decode({"model": "models/other", "contents": HELLO}, Operation("m", True, "json-array"))
    assert (request.model, request.stream, request.framing, request.include_usage) == ("m", True, "json-array", True)
    assert (request.dialect, json.loads(request.body)["contents"]) == (NAME, HELLO)
    assert request.extra == {}


CAMEL: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"max_items": 1}}, "thoughtSignature": SIGNATURE}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"the_answer": 42}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "additionalProperties": False}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {"maxOutputTokens": 9, "stopSequences": ["."], "thinkingConfig": {"includeThoughts": True}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    "labels": {"my_label": "x"},
}
KEPT = {"max_items", "the_answer", "my_label", "additionalProperties"}
"""The caller's own words, which nobody may spell anew."""


def snake(value: Any) -> Any:
    if isinstance(value, list):
        return [snake(one) for one in value]
    if isinstance(value, dict):
        return {k if k in KEPT else "".join(f"_{c.lower()}" if c.isupper() else c for c in k): snake(v) for k, v in value.items()}
    return value


def test_snake_case_says_the_same_at_every_level() -> None:
    camel, other = decode(CAMEL), decode(snake(CAMEL))
    for name in ("messages", "tools", "tool_choice", "max_tokens", "stop", "show_thinking", "extra"):
        assert getattr(other, name) == getattr(camel, name)
    assert camel.messages == (
        Message("system", (Part("text", "Be brief."),)),
        Message("user", (Part("text", "Look"), Part("image", data=PNG, media_type="image/png"))),
        Message("assistant", (Part("tool_call", '{"max_items":1}', "call_0", "f", "function", signature=SIGNATURE, dialect=NAME),)),
        Message("tool", (Part("tool_result", id="call_0", name="f", parts=(Part("text", '{"the_answer":42}'),)),)),
    )
    assert camel.tools == (Tool("f", schema={"type": "object", "additionalProperties": False}),)
    assert camel.tool_choice == ToolChoice("required", ("f",))
    assert camel.extra == {"safetySettings": CAMEL["safetySettings"], "labels": {"my_label": "x"}}


@given(st.data())
def test_spellings_may_be_mixed(data: st.DataObject) -> None:
    mixed = {**CAMEL, **data.draw(st.fixed_dictionaries({name: st.sampled_from([CAMEL[name], snake(CAMEL[name])]) for name in CAMEL}))}
    assert decode(mixed).messages == decode(CAMEL).messages
    assert decode(mixed).tools == decode(CAMEL).tools


# ---- words


def test_every_word_of_the_configuration() -> None:
    request = configured(
        maxOutputTokens="100", candidateCount=2, temperature=1, topP="0.5", topK=40.0, stopSequences=["a", "b"], seed=-7,
        frequencyPenalty=0.25, presencePenalty=-1.5, responseLogprobs=True, logprobs=3,
        thinkingConfig={"thinkingLevel": "HIGH", "thinkingBudget": -1, "include_thoughts": False},
    )  # fmt: skip
    assert (request.max_tokens, request.choices, request.temperature, request.top_p, request.top_k) == (100, 2, 1.0, 0.5, 40)
    assert (request.stop, request.seed, request.frequency_penalty, request.presence_penalty) == (("a", "b"), -7, 0.25, -1.5)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert (request.effort, request.thinking_budget, request.show_thinking) == ("high", -1, False)
    assert request.extra == {}


def test_what_is_not_said_is_not_known() -> None:
    request = ask(generationConfig={"temperature": None, "thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}})
    assert request == Request(
        model="m", messages=(Message("user", (Part("text", "Hello"),)),), include_usage=True, dialect=NAME, body=request.body
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "application/json"}, Format("json")),
        ({"responseMimeType": "text/plain"}, Format("text")),
        ({"responseMimeType": "application/json", "responseJsonSchema": {"$ref": "#"}}, Format("json_schema", schema={"$ref": "#"})),
        (
            {"response_mime_type": "application/json", "response_schema": {"type": "STRING"}},
            Format("json_schema", schema={"type": "string"}),
        ),
        ({"responseSchema": {"type": "OBJECT"}, "responseJsonSchema": {"type": "array"}}, Format("json_schema", schema={"type": "array"})),
        ({"responseMimeType": "text/x.enum"}, None),
    ],
)
def test_formats(config: dict[str, Any], expected: Format | None) -> None:
    assert configured(**config).format == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ToolChoice()),
        ({"mode": "AUTO"}, ToolChoice()),
        ({"mode": "MODE_UNSPECIFIED"}, ToolChoice()),
        ({"mode": "none"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowed_function_names": ["a", "b"]}, ToolChoice("required", ("a", "b"))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}, ToolChoice("auto", ("a",))),
    ],
)
def test_tool_choices(config: dict[str, Any], expected: ToolChoice) -> None:
    assert ask(toolConfig={"functionCallingConfig": config}).tool_choice == expected


def test_tools_of_several_entries_and_of_googles_own() -> None:
    tools = [
        {"functionDeclarations": [{"name": "a", "description": "A"}, {"name": "b", "response": {"type": "STRING"}}]},
        {"googleSearch": {}, "function_declarations": [{"name": "c", "parameters": {"type": "OBJECT", "properties": {}}}]},
        {"code_execution": {"x": 1}},
    ]
    assert ask(tools=tools).tools == (
        Tool("a", "A"),
        Tool("b", extra={"response": {"type": "STRING"}}),
        Tool("c", schema={"type": "object", "properties": {}}),
        Tool(kind="googleSearch", extra={"googleSearch": {}}),
        Tool(kind="codeExecution", extra={"codeExecution": {"x": 1}}),
    )


def test_fields_without_a_word_are_kept_under_their_paths() -> None:
    request = ask(
        cachedContent="cachedContents/1",
        generation_config={"response_modalities": ["IMAGE"], "responseMimeType": "text/x.enum"},
        toolConfig={"retrievalConfig": {"x": 1}, "functionCallingConfig": {"streamFunctionCallArguments": True}},
    )
    assert request.extra == {
        "cachedContent": "cachedContents/1",
        "generationConfig.responseModalities": ["IMAGE"],
        "generationConfig.responseMimeType": "text/x.enum",
        "toolConfig.retrievalConfig": {"x": 1},
        "toolConfig.functionCallingConfig.streamFunctionCallArguments": True,
    }
    assert configured(responseModalities=["TEXT"]).extra == {}


# ---- contents


@pytest.mark.parametrize(
    "system",
    ["Be brief.", {"parts": [{"text": "Be brief."}]}, [{"text": "Be brief."}], {"text": "Be brief."}, {"parts": {"text": "Be brief."}}],
)
def test_system_instructions_of_any_shape(system: Any) -> None:
    assert ask(systemInstruction=system).messages[0] == Message("system", (Part("text", "Be brief."),))


def test_one_content_and_one_part_alone_are_lists_of_one() -> None:
    assert ask({"parts": {"text": "Hello"}}).messages == (Message("user", (Part("text", "Hello"),)),)


PARTS: list[tuple[dict[str, Any], Part]] = [
    ({"text": ""}, Part("text")),
    ({"inlineData": {"mimeType": "image/png", "data": URL_SAFE}}, Part("image", data=PNG, media_type="image/png")),
    ({"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}}, Part("audio", data="AAAA", media_type="audio/wav")),
    (
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        Part("file", name="a.pdf", data="AAAA", media_type="application/pdf"),
    ),
    ({"fileData": {"fileUri": "https://x/y", "mimeType": "image/jpeg"}}, Part("image", url="https://x/y", media_type="image/jpeg")),
    ({"file_data": {"file_uri": "https://x/y.png?z"}}, Part("image", url="https://x/y.png?z", media_type="image/png")),
    ({"fileData": {"fileUri": "https://youtu.be/x"}}, Part("file", url="https://youtu.be/x")),
    (
        {"fileData": {"fileUri": "https://x/v.mp4"}, "videoMetadata": {"fps": 1}},
        Part("file", url="https://x/v.mp4", media_type="video/mp4", dialect=NAME, extra={"videoMetadata": {"fps": 1}}),
    ),
    ({"executableCode": {"code": "1"}}, Part("opaque", tool="executableCode", dialect=NAME, extra={"executableCode": {"code": "1"}})),
    ({"hologram": 1, "thought": True}, Part("opaque", tool="hologram", dialect=NAME, extra={"hologram": 1, "thought": True})),
    (
        {"text": "", "partMetadata": {"provider_part": {"dialect": "anthropic", "tool": "x", "part": {"a": 1}, "text": "{}"}}},
        Part("opaque", "{}", tool="x", dialect="anthropic", extra={"a": 1}),
    ),
    ({"text": "a", "partMetadata": {"b": 1}}, Part("text", "a", dialect=NAME, extra={"partMetadata": {"b": 1}})),
]


@pytest.mark.parametrize(("wire", "part"), PARTS)
def test_parts(wire: dict[str, Any], part: Part) -> None:
    assert parts(wire) == (part,)


def test_what_the_model_thought_and_signed() -> None:
    encrypted = envelope(seal("openai-responses", "gAAA", data=True))
    assert parts(
        {"text": "Hm", "thought": True, "thoughtSignature": envelope(seal("anthropic", "Er+/="))},
        {"text": "", "thought": True, "thought_signature": encrypted},
        {"text": "No", "partMetadata": {"refusal": True}},
        {"text": "4", "thoughtSignature": SIGNATURE},
        role="model",
    ) == (
        Part("reasoning", "Hm", signature="Er+/=", dialect="anthropic"),
        Part("reasoning", data="gAAA", dialect="openai-responses"),
        Part("refusal", "No"),
        Part("text", "4", signature=SIGNATURE, dialect=NAME),
    )


def test_a_turn_that_was_streamed_comes_back_as_one_message() -> None:
    chunks = [
        {"text": "Let me ", "thought": True}, {"text": "see.", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": envelope(seal("anthropic", "sig"))},
        {"text": "It "}, {"text": "is 4."}, {"text": ""},
    ]  # fmt: skip
    contents = [*HELLO, *({"role": "model", "parts": [chunk]} for chunk in chunks), *HELLO]
    assert ask(contents).messages[1:-1] == (
        Message("assistant", (Part("reasoning", "Let me see.", signature="sig", dialect="anthropic"), Part("text", "It is 4."))),
    )


def test_calls_without_ids_are_numbered_and_answered_by_name_in_order() -> None:
    contents = [
        called({"name": "f", "args": {"a": 1}}, {"name": "g"}, {"name": "f"}),
        answered({"name": "f", "response": {"result": "1"}}, {"name": "f", "response": {"output": [2]}}, role="function"),
        answered({"name": "g", "response": {"error": "broken"}}),
        called({"name": "f", "id": "mine"}, {"name": "f"}),
        answered({"name": "f", "response": {}}, {"id": "mine", "response": {"result": 1, "b": 2}}),
    ]
    messages = ask(contents).messages
    assert [[(p.id, p.name, p.text) for p in m.parts] for m in messages if m.role == "assistant"] == [
        [("call_0", "f", '{"a":1}'), ("call_1", "g", "{}"), ("call_2", "f", "{}")],
        [("mine", "f", "{}"), ("call_3", "f", "{}")],
    ]
    results = [(p.id, p.name, p.parts[0].text, p.is_error) for m in messages if m.role == "tool" for p in m.parts]
    assert results == [
        ("call_0", "f", "1", False), ("call_2", "f", "[2]", False), ("call_1", "g", "broken", True),
        ("mine", "f", "{}", False), ("mine", "f", '{"result":1,"b":2}', False),
    ]  # fmt: skip


def test_results_come_first_and_may_hold_media() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    result = {"functionResponse": {"name": "f", "response": {"result": "see"}, "parts": [picture], "scheduling": "SILENT"}}
    message = ask([called({"name": "f"}), {"parts": [{"text": "Here:"}, result]}]).messages[-1]
    held = (Part("text", "see"), Part("image", data=PNG, media_type="image/png"))
    answer = Part("tool_result", id="call_0", name="f", parts=held, dialect=NAME, extra={"scheduling": "SILENT"})
    assert message == Message("user", (answer, Part("text", "Here:")))
