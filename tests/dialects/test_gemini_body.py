"""What a provider of generateContent is asked, whatever dialect the request came in, and the schemas that its clients write."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given

from strategies import requests
from telex.core.json import encode
from telex.core.messages import Fields, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects.gemini import NAME, decode_request, encode_request
from telex.dialects.gemini.body import UNSIGNED
from telex.dialects.gemini.schema import to_json_schema
from telex.dialects.gemini.signatures import envelope
from telex.dialects.operation import Operation
from telex.dialects.quirks import NO_QUIRKS
from telex.dialects.seal import seal

SIGNATURE = base64.b64encode(b"\x12\x05state").decode()
HELLO = Message("user", (Part("text", "Hello"),))


def ask(*messages: Message, **words: Any) -> Fields:
    request = Request(model="x", messages=messages or (HELLO,), dialect="openai-chat", **words)
    body: Fields = json.loads(encode(encode_request(request, "g", True, NO_QUIRKS)))
    return body


def again(body: dict[str, Any]) -> Fields:
    """The body for a provider of the same dialect."""
    request = decode_request(json.dumps(body).encode(), Operation("m"))
    assert isinstance(request, Request), request
    sent: Fields = json.loads(encode(encode_request(request, "g", True, NO_QUIRKS)))
    return sent


def call(id: str, name: str, text: str = "{}", **more: Any) -> Part:
    return Part("tool_call", text, id, name, "function", **more)


def result(id: str, *parts: Part, **more: Any) -> Message:
    return Message("tool", (Part("tool_result", id=id, parts=parts, **more),))


def test_the_plainest_request_is_one_content() -> None:
    assert ask() == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def test_every_word_has_its_field() -> None:
    body = ask(
        tools=(Tool("f", "F", {"type": "object", "properties": {"b": {}, "a": {}}}), Tool("g")),
        tool_choice=ToolChoice("required", ("f",)), choices=2, max_tokens=9, temperature=0.5, top_p=0.25, top_k=4, stop=("a", "b"), seed=7,
        frequency_penalty=1.0, presence_penalty=-1.0, logprobs=True, top_logprobs=2,
        format=Format("json_schema", schema={"type": "string"}),
        effort="medium", show_thinking=True,
    )  # fmt: skip
    assert body.pop("contents")
    assert body == {
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "description": "F", "parametersJsonSchema": {"type": "object", "properties": {"b": {}, "a": {}}}},
                    {"name": "g"},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 9, "candidateCount": 2, "temperature": 0.5, "topP": 0.25, "topK": 4, "stopSequences": ["a", "b"], "seed": 7,
            "frequencyPenalty": 1.0, "presencePenalty": -1.0, "responseLogprobs": True, "logprobs": 2,
            "thinkingConfig": {"thinkingLevel": "MEDIUM", "includeThoughts": True},
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "string"},
        },
    }  # fmt: skip
    [tool] = body["tools"]
    assert list(tool["functionDeclarations"][0]["parametersJsonSchema"]["properties"]) == ["b", "a"]


@pytest.mark.parametrize(
    ("words", "thinking"),
    [
        ({"effort": "none"}, {"thinkingBudget": 0}),
        ({"effort": "max"}, {"thinkingLevel": "XHIGH"}),
        ({"effort": "minimal", "thinking_budget": 9}, {"thinkingLevel": "MINIMAL"}),
        ({"thinking_budget": -1}, {"thinkingBudget": -1}),
        ({"show_thinking": False}, {"includeThoughts": False}),
    ],
)
def test_how_hard_to_think(words: dict[str, Any], thinking: Fields) -> None:
    assert ask(**words)["generationConfig"] == {"thinkingConfig": thinking}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice(), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("auto", ("a", "b")), {"mode": "VALIDATED", "allowedFunctionNames": ["a", "b"]}),
    ],
)
def test_tool_choices(choice: ToolChoice, config: Fields) -> None:
    assert ask(tools=(Tool("f"),), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}


def test_json_without_a_schema() -> None:
    assert ask(format=Format("json"))["generationConfig"] == {"responseMimeType": "application/json"}
    assert "generationConfig" not in ask(format=Format("text"))


def test_system_and_developer_messages_are_one_instruction_in_their_order() -> None:
    body = ask(Message("system", (Part("text", "A"),)), HELLO, Message("developer", (Part("text", "B"),)))
    assert body["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert [content["role"] for content in body["contents"]] == ["user"]


def test_a_conversation_with_tools() -> None:
    picture = Part("image", data="AAAA", media_type="image/png")
    body = ask(
        HELLO,
        Message("assistant", (Part("reasoning", "Hm"), Part("text", "Let me see."), call("c1", "f", '{"b":1,"a":2}'), call("c2", "g", ""))),
        result("c1", Part("text", '{"x": 1}')),
        result("c2", Part("text", "a"), Part("text", "b"), picture),
        HELLO,
        Message("assistant", (call("c3", "h"),)),
        result("c3", Part("text", "broken"), is_error=True),
    )
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "Hello"}]},
        {
            "role": "model",
            "parts": [
                {"text": "Hm", "thought": True},
                {"text": "Let me see."},
                {"functionCall": {"id": "c1", "name": "f", "args": {"b": 1, "a": 2}}, "thoughtSignature": UNSIGNED},
                {"functionCall": {"id": "c2", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"x": 1}}},
                {
                    "functionResponse": {
                        "id": "c2",
                        "name": "g",
                        "response": {"result": "a\nb"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
                    }
                },
                {"text": "Hello"},
            ],
        },
        {"role": "model", "parts": [{"functionCall": {"id": "c3", "name": "h", "args": {}}, "thoughtSignature": UNSIGNED}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c3", "name": "h", "response": {"error": "broken"}}}]},
    ]
    [names] = [list(p["functionCall"]["args"]) for p in body["contents"][1]["parts"] if p.get("functionCall", {}).get("id") == "c1"]
    assert names == ["b", "a"]


def test_an_id_that_is_used_again_means_the_latest_call() -> None:
    body = ask(
        HELLO, Message("assistant", (call("c", "f"),)), result("c", Part("text", "1")),
        Message("assistant", (call("c", "g"),)), result("c", Part("text", "2")),
    )  # fmt: skip
    assert [content["parts"][0]["functionResponse"]["name"] for content in body["contents"][2::2]] == ["f", "g"]


def test_only_what_gemini_signed_is_shown_to_it() -> None:
    body = ask(
        HELLO,
        Message(
            "assistant",
            (
                Part("reasoning", "Hm", signature="anthropic's", dialect="anthropic"),
                Part("reasoning", data="gAAA", dialect="openai-responses"),
                Part("text", "Well.", signature=SIGNATURE, dialect=NAME),
                call("c1", "f", signature=SIGNATURE, dialect=NAME),
                call("c2", "f", signature="anthropic's", dialect="anthropic"),
                Part("opaque", tool="x", dialect="anthropic", extra={"type": "x"}),
                Part("opaque", tool="executableCode", dialect=NAME, extra={"executableCode": {"code": "1"}}),
            ),
        ),
    )
    assert body["contents"][1]["parts"] == [
        {"text": "Hm", "thought": True},
        {"text": "Well.", "thoughtSignature": SIGNATURE},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": SIGNATURE},
        {"functionCall": {"id": "c2", "name": "f", "args": {}}},
        {"executableCode": {"code": "1"}},
    ]


def test_media_by_data_and_by_url() -> None:
    body = ask(
        Message(
            "user",
            (
                Part("image", url="https://x/a.jpg?b=1"),
                Part("image", url="https://x/a"),
                Part("file", url="https://x/a", media_type="application/pdf", name="a.pdf"),
                Part("audio", data="AAAA", media_type="audio/wav"),
            ),
        )
    )
    assert body["contents"][0]["parts"] == [
        {"fileData": {"fileUri": "https://x/a.jpg?b=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://x/a"}},
        {"fileData": {"fileUri": "https://x/a", "mimeType": "application/pdf", "displayName": "a.pdf"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
    ]


@given(requests())
def test_whatever_is_asked_has_a_body(request: Request) -> None:
    body = encode_request(request, "g", request.stream, NO_QUIRKS)
    assert all(content["parts"] for content in body["contents"])
    roles = [content["role"] for content in body["contents"]]
    assert all(first != second for first, second in pairwise(roles))
    assert json.loads(encode(body))


# ---- the same dialect


def test_the_same_dialect_keeps_its_body() -> None:
    body = {
        "model": "models/x",
        "unknown_field": [1],
        "contents": [{"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "AA-_"}}]}],
        "generation_config": {"topK": 40.0},
    }
    sent = again(body)
    assert list(sent) == ["unknown_field", "contents", "generation_config"]
    assert sent == {name: value for name, value in body.items() if name != "model"}


def test_the_same_dialect_does_not_see_what_others_signed() -> None:
    foreign = {"dialect": "anthropic", "tool": "server_tool_use", "part": {"type": "server_tool_use"}}
    turn = [
        {"text": "Hm", "thought": True, "thought_signature": envelope(seal("anthropic", "s"))},
        {"text": "", "thought": True, "thoughtSignature": envelope(seal("openai-responses", "s", data=True))},
        {"text": "", "partMetadata": {"provider_part": foreign}},
        {"functionCall": {"name": "f"}, "thoughtSignature": envelope(seal("anthropic", "s"))},
        {"functionCall": {"name": "f"}, "thoughtSignature": SIGNATURE},
    ]
    sent = again({"contents": [{"role": "model", "parts": turn, "x": 1}, {"parts": [{"text": "Hello"}]}]})
    assert sent["contents"] == [
        {
            "role": "model",
            "parts": [
                {"text": "Hm", "thought": True},
                {"functionCall": {"name": "f"}, "thoughtSignature": UNSIGNED},
                {"functionCall": {"name": "f"}, "thoughtSignature": SIGNATURE},
            ],
            "x": 1,
        },
        {"parts": [{"text": "Hello"}]},
    ]


# ---- schemas

SCHEMAS: list[tuple[Any, Any]] = [
    ({"type": "OBJECT"}, {"type": "object"}),
    ({"type": "TYPE_UNSPECIFIED", "title": "x"}, {"title": "x"}),
    ({"type": "STRING", "nullable": True, "enum": ["A"]}, {"type": ["string", "null"], "enum": ["A", None]}),
    ({"type": "STRING", "nullable": False}, {"type": "string"}),
    ({"any_of": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"ref": "#/$defs/a", "nullable": True}, {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}),
    ({"type": ["STRING", "NULL"], "nullable": True}, {"type": ["string", "null"], }),
    ({"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "1", "maxItems": 9}, None),
    ({"defs": {"a_b": {"type": "STRING"}}}, {"$defs": {"a_b": {"type": "string"}}}),
    ({"additional_properties": False}, {"additionalProperties": False}),
    ({"additionalProperties": {"type": "NUMBER"}}, {"additionalProperties": {"type": "number"}}),
    ({"type": "STRING", "example": "x", "min_length": "3"}, {"type": "string", "examples": ["x"], "minLength": 3}),
    ({"default": {"any_of": [1]}, "enum": ["TYPE"]}, {"default": {"any_of": [1]}, "enum": ["TYPE"]}),
    (True, True),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), SCHEMAS)
def test_schemas_become_json_schemas(schema: Any, expected: Any) -> None:
    if expected is None:
        expected = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 9}
    assert to_json_schema(schema) == expected


def test_the_order_of_a_schema_is_kept() -> None:
    schema = {"type": "OBJECT", "required": ["b"], "properties": {"a_b": {"type": "STRING"}, "any_of": {}}, "description": "d"}
    assert json.dumps(to_json_schema(schema)) == (
        '{"type": "object", "required": ["b"], "properties": {"a_b": {"type": "string"}, "any_of": {}}, "description": "d"}'
    )
    ordered = to_json_schema({**schema, "property_ordering": ["any_of", "gone", "a_b"]})
    assert list(ordered["properties"]) == ["any_of", "a_b"]
    assert "propertyOrdering" not in ordered
