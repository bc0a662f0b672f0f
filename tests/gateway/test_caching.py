"""What a provider keeps of a prompt is found by its bytes: the same question is asked of it in the same ones, on whichever way it came."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest

from telex.testing import ScriptedUpstream, say

from .client import request, send
from .house import House, gateway, in_each_dialect

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
SCHEMA = {"type": "object", "properties": {"zone": {"type": "string"}, "area": {"type": "integer"}}, "required": ["zone", "area"]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"zone":"x"}'}}
FUNCTION = {"name": "f", "description": "Finds.", "parameters": SCHEMA}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
                     {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1", "content": "4"}],
        "tools": [{"type": "function", "function": FUNCTION}]}),
    "openai-responses": ("/v1/responses", {
        "instructions": "Be brief.", "store": False,
        "input": [{"role": "user", "content": "Hi"},
                  {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"zone":"x"}'},
                  {"type": "function_call_output", "call_id": "call_1", "output": "4"}],
        "tools": [{"type": "function", **FUNCTION}]}),
    "anthropic": ("/v1/messages", {
        "max_tokens": 9, "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi"},
                     {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"zone": "x"}}]},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "4"}]}],
        "tools": [{"name": "f", "description": "Finds.", "input_schema": SCHEMA}]}),
    "gemini": ("/v1beta/models/{}:generateContent", {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]},
                     {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"zone": "x"}}}]},
                     {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "4"}}}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "Finds.", "parametersJsonSchema": SCHEMA}]}]}),
}  # fmt: skip
"""One conversation in each dialect: the path and the body."""


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    async with gateway(providers=in_each_dialect(upstream.url)) as house:
        yield house


@pytest.mark.parametrize(("client", "up"), list(product(DIALECTS, repeat=2)))
async def test_the_same_question_is_asked_in_the_same_bytes(house: House, upstream: ScriptedUpstream, client: str, up: str) -> None:
    """No time and no id of a generation is in them, and the keys of a schema are in their order."""
    upstream.play(say("Hello"))
    path, body = ASKED[client]
    asked = json.dumps(body if client == "gemini" else {"model": f"{up}/m", **body}).encode()
    for _ in range(2):
        answer = await send(house.port, request(asked, path=path.format(f"{up}/m")))
        assert answer.status == 200, answer.body
    first, second = (call.body for call in upstream.calls[-2:])
    assert first == second
    assert json.dumps(SCHEMA, separators=(",", ":")).encode() in first.replace(b": ", b":").replace(b", ", b",")
