"""Requests of generateContent that can't be meant, and how they are refused: by the field, as the caller spelled it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import cut
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects.gemini import decode_request
from telex.dialects.operation import Operation

HELLO: list[Any] = [{"role": "user", "parts": [{"text": "Hello"}]}]
PART, SECOND = "contents[0].parts[0]", "contents[1].parts"
WHOLE: dict[str, Any] = {
    "contents": [*HELLO, {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "AAAA"}]}],
    "system_instruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {"maxOutputTokens": 9, "stopSequences": ["."], "thinking_config": {"includeThoughts": True}},
}


def called(*wires: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": [{"functionCall": wire} for wire in wires]}


def answered(*wires: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"functionResponse": wire} for wire in wires]}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "contents", "missing_required_parameter"),
    ({"contents": []}, "contents", "empty_array"),
    ({"contents": "Hello"}, "contents", "invalid_type"),
    ({"contents": ["Hello"]}, "contents[0]", "invalid_type"),
    ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "contents[0].role", "invalid_value"),
    ({"contents": [{"role": "user", "parts": []}]}, "contents[0].parts", "empty_array"),
    ({"contents": [{"role": "user"}]}, "contents[0].parts", "empty_array"),
    ({"contents": [{"parts": [{"text": 1}]}]}, f"{PART}.text", "invalid_type"),
    ({"contents": [{"parts": [{}]}]}, f"{PART}.text", "invalid_value"),
    ({"contents": [{"parts": [{"text": "x", "thought_signature": 1}]}]}, f"{PART}.thought_signature", "invalid_type"),
    ({"contents": [{"parts": [{"inline_data": {"data": "AAAA"}}]}]}, f"{PART}.inline_data.mimeType", "missing_required_parameter"),
    (
        {"contents": [{"parts": [{"inlineData": {"mime_type": "image/png", "data": "?"}}]}]},
        f"{PART}.inlineData.data", "invalid_value",
    ),
    ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]}, f"{PART}.inlineData.data", "invalid_value"),
    ({"contents": [{"parts": [{"fileData": {}}]}]}, f"{PART}.fileData.fileUri", "missing_required_parameter"),
    ({"contents": [called({"name": "f", "args": "{}"})]}, f"{PART}.functionCall.args", "invalid_type"),
    ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, f"{PART}.functionCall", "invalid_value"),
    ({"contents": [answered({"name": "f", "response": {}})]}, f"{PART}.functionResponse", "invalid_value"),
    ({"contents": [called({"name": "g"}), answered({"name": "f"})]}, f"{SECOND}[0].functionResponse", "invalid_value"),
    ({"contents": [called({"name": "f"}), answered({"name": "f"}, {"name": "f"})]}, f"{SECOND}[1].functionResponse", "invalid_value"),
    ({"contents": [called({"name": "f"}), answered({"name": "f"}, role="model")]}, f"{SECOND}[0].functionResponse", "invalid_value"),
    ({"contents": HELLO, "system_instruction": 1}, "system_instruction", "invalid_type"),
    ({"contents": HELLO, "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name", "missing_required_parameter"),
    (
        {"contents": HELLO, "tools": [{"function_declarations": [{"name": "f", "parameters": []}]}]},
        "tools[0].function_declarations[0].parameters", "invalid_type",
    ),
    ({"contents": HELLO, "toolConfig": {"functionCallingConfig": {"mode": "X"}}}, "toolConfig.functionCallingConfig.mode", "invalid_value"),
    ({"contents": HELLO, "generation_config": {"max_output_tokens": "x"}}, "generation_config.max_output_tokens", "invalid_type"),
    ({"contents": HELLO, "generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens", "invalid_value"),
    ({"contents": HELLO, "generationConfig": {"topK": 1.5}}, "generationConfig.topK", "invalid_value"),
    ({"contents": HELLO, "generationConfig": {"stopSequences": "x"}}, "generationConfig.stopSequences", "invalid_type"),
    ({"contents": HELLO, "generationConfig": []}, "generationConfig", "invalid_type"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field", "code"), REFUSED)
def test_what_can_not_be_meant_is_refused_by_name(body: dict[str, Any], field: str, code: str) -> None:
    failure = decode_request(json.dumps(body).encode(), Operation("m"))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.param, failure.code) == ("bad_request", field, code)
    assert field in failure.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"[" * 9999, b'{"contents":' + b"[" * 9999])
def test_what_is_no_request_at_all(body: bytes) -> None:
    failure = decode_request(body, Operation("m"))
    assert isinstance(failure, Failure)
    assert failure.kind == "bad_request"


@given(st.data())
def test_no_body_breaks_it(data: st.DataObject) -> None:
    """Bodies cut, and with one value in the place of another."""
    whole = json.dumps(WHOLE).encode()
    first, last = cut(whole, [data.draw(st.integers(0, len(whole)))])
    spoilt = first + data.draw(st.sampled_from([b"", b"1", b"null", b'"x"', b"{}", b"[]", b",", b"}"])) + last[1:]
    assert isinstance(decode_request(spoilt, Operation("m")), Request | Failure)
