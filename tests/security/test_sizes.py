"""Depths: of what clients and providers send. (Lengths are in tests/gateway and tests/upstream; the table says where.)"""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.client import Answer, request, send
from gateway.speech import CLIENTS, asks
from telex.testing import Head, Play, Send
from telex.testing.answers import SSE

from .rooms import Room

each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", CLIENTS)

PLACES: dict[str, list[dict[str, Any]]] = {
    "openai-chat": [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": "HERE"}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": "HERE"}}},
        {"unheard_of": "HERE"},
    ],
    "openai-responses": [
        {"tools": [{"type": "function", "name": "f", "parameters": "HERE"}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "odd": "HERE"}]}]},
        {"metadata": {"x": "HERE"}},
    ],
    "anthropic": [
        {"tools": [{"name": "f", "input_schema": "HERE"}]},
        {"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": "HERE"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "x"}]}]},
    ],
    "gemini": [
        {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": "HERE"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "x", "odd": "HERE"}]}]},
    ],
}  # fmt: skip


def deep(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


async def ask_deep(here: Room, client: str, up: str, fields: dict[str, Any], depth: int, suffix: str = "") -> Answer:
    path, body, headers = asks(client, f"{up}/m", **fields)
    data = json.dumps(body).replace('"HERE"', deep(depth)).encode()
    return await send(here.house.port, request(data, path=path + suffix, headers=headers))


@each_upstream
@each_client
@pytest.mark.parametrize("depth", [40, 200, 470, 900, *range(940, 1000, 7), 5000])
async def test_row38_depth_of_a_request_is_an_answer_or_a_400(here: Room, client: str, up: str, depth: int) -> None:
    for fields in PLACES[client]:
        answer = await ask_deep(here, client, up, fields, depth)
        assert answer.status in (200, 400), answer.body
        assert depth < 1000 or answer.status == 400


@each_client
@pytest.mark.parametrize("depth", [960, 5000])
async def test_row38_depth_of_what_is_counted(here: Room, client: str, depth: int) -> None:
    suffix = {"anthropic": "/count_tokens", "gemini": ""}.get(client, "/input_tokens")
    answer = await ask_deep(here, client, client, PLACES[client][0], depth, suffix)
    assert answer.status in (200, 400), answer.body


def heavy(up: str, depth: int, stream: bool) -> Play:
    """A reply that is nested deeply, in the place where its dialect has the most room for it."""
    inner = deep(depth)
    body = {
        "openai-chat": '{"id":"x","choices":[{"index":0,"message":{"role":"assistant","odd":HERE},"delta":{"odd":HERE}}]}',
        "openai-responses": '{"type":"response.created","response":{"id":"x","output":[HERE]},"id":"x","output":[HERE]}',
        "anthropic": '{"type":"message","id":"x","role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":HERE}]}',
        "gemini": '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":HERE}}]}}]}',
    }[up].replace("HERE", inner)
    kind = SSE if stream else (("content-type", "application/json"),)
    return Head(200, kind), Send(f"data: {body}\n\n".encode() if stream else body.encode())


@each_upstream
@each_client
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("depth", [400, 960, 985, 5000])
async def test_row19_depth_of_a_reply_is_an_answer_or_an_error_of_the_provider(
    here: Room, client: str, up: str, depth: int, stream: bool
) -> None:
    here.upstream.play(heavy(up, depth, stream))
    answer = await here.ask(client, up, stream, {"telex-timeouts": "total=0.3"})
    assert answer.status in (200, 502, 504), answer.body
    assert b"made a mistake" not in answer.body
    assert answer.whole
