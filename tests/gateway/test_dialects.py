"""What the gateway owes each dialect beyond its words: paths, lists, ids, errors, framings, and the names of what it drops."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from telex.testing import FAULTS, Call, ScriptedUpstream, Wait, say
from telex.testing.answers import SSE
from telex.testing.script import Head, Send, resolve

from .client import Answer, connect, request, send
from .house import House, gateway, in_each_dialect
from .speech import ALIVE, CLIENTS, KEYS, asked, asks, error_of

DIALECTS = ("openai-chat", "anthropic", "gemini")
each_dialect = pytest.mark.parametrize("client", DIALECTS)
each_upstream = pytest.mark.parametrize("up", DIALECTS)


@pytest.fixture(scope="module")
def upstream() -> Any:
    with ScriptedUpstream(models=("scripted", "other")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    providers = in_each_dialect(upstream.url)
    strict = {"targets": [{"provider": "anthropic", "model": "m"}], "unsupported": "refuse"}
    second = {"targets": [{"provider": "anthropic", "model": "m"}, {"provider": "openai-chat", "model": "m"}]}
    async with gateway(providers=providers, models={"strict": strict, "second": second}) as house:
        yield house


async def ask(house: House, client: str, model: str, stream: bool = False, path: str = "", **fields: Any) -> Answer:
    return await send(house.port, asked(client, model, stream, path, **fields))


def message_of(client: str, answer: Answer) -> tuple[str, str]:
    """(type or status word, message) of an error in the client's own shape."""
    error = error_of(client, answer)
    return error["status" if client == "gemini" else "type"], error["message"]


# ---- paths, lists, ids


@each_dialect
@pytest.mark.parametrize("root", ["/v1", "/v1beta"])
async def test_models_are_listed_as_the_client_knows_lists(house: House, client: str, root: str) -> None:
    """Under /v1 the headers tell whose list it is; /v1beta is Google's alone."""
    answer = await send(house.port, request(method="GET", path=f"{root}/models", headers=KEYS[client]))
    body = answer.json
    if client == "gemini" or root == "/v1beta":
        assert {"models/strict", "models/openai-chat/scripted"} <= {model["name"] for model in body["models"]}
        return
    assert {"strict", "openai-chat/scripted"} <= {model["id"] for model in body["data"]}
    assert ("has_more" in body) is (client == "anthropic")


@pytest.mark.parametrize("query", ["?key=none", "?pageSize=10"])
async def test_googles_parameters_tell_too(house: House, query: str) -> None:
    answer = await send(house.port, request(method="GET", path=f"/v1/models{query}"))
    assert "models" in answer.json


@each_dialect
async def test_one_model_is_found(house: House, client: str) -> None:
    answer = await send(house.port, request(method="GET", path="/v1/models/strict", headers=KEYS[client]))
    assert answer.json["name" if client == "gemini" else "id"] == ("models/strict" if client == "gemini" else "strict")


async def test_somebody_is_there(house: House) -> None:
    async with connect(house.port) as client:
        client.send(request(method="HEAD", path="/"))
        assert (await client.head())[0] == 200


@pytest.mark.parametrize("path", ["/v1/messages?beta=true", "/v1/messages"])
async def test_anthropics_path_with_and_without_its_query(house: House, upstream: ScriptedUpstream, path: str) -> None:
    upstream.play(say("Hello"))
    assert (await ask(house, "anthropic", "anthropic/m", path=path)).json["content"][0]["text"] == "Hello"


@pytest.mark.parametrize("path", ["/v1/models/{}:generateContent", "/v1beta/models/{}:generateContent", "/v1/models/{}%3AgenerateContent"])
async def test_googles_paths(house: House, upstream: ScriptedUpstream, path: str) -> None:
    upstream.play(say("Hello"))
    answer = await ask(house, "gemini", "", path=path.format("gemini/m"))
    assert answer.json["candidates"][0]["content"]["parts"][0]["text"] == "Hello"


@each_dialect
async def test_the_generation_has_an_id_where_the_sdk_looks(house: House, upstream: ScriptedUpstream, client: str) -> None:
    upstream.play(say("Hello"))
    answer = await ask(house, client, f"{client}/m")
    id = answer.headers["telex-generation"]
    header = {"openai-chat": "x-request-id", "anthropic": "request-id"}.get(client)
    assert header is None or answer.headers[header] == id


async def test_versions_and_betas_of_anthropic_pass_to_anthropic_alone(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hello"))
    _, body, _ = asks("anthropic", "anthropic/m")
    headers = {"authorization": "Bearer k", "anthropic-version": "2026-10-21", "anthropic-beta": "a,b", "x-stainless-lang": "python"}
    await send(house.port, request(json.dumps(body).encode(), path="/v1/messages", headers=headers))
    seen = upstream.calls[-1].headers
    assert (seen["anthropic-version"], seen["anthropic-beta"]) == ("2026-10-21", "a,b")
    assert "x-stainless-lang" not in seen
    assert "authorization" not in seen
    await ask(house, "openai-chat", "anthropic/m")
    assert upstream.calls[-1].headers["anthropic-version"] == "2023-06-01"


# ---- errors


@each_dialect
async def test_an_unknown_path_is_an_error_of_the_clients_dialect(house: House, client: str) -> None:
    answer = await send(house.port, request(b"{}", path="/v1/unheard-of", headers=KEYS[client]))
    assert answer.status == 404
    assert "/v1/unheard-of" in message_of(client, answer)[1]


async def test_an_unknown_verb_of_googles_is_no_wrong_method(house: House) -> None:
    answer = await send(house.port, request(b"{}", path="/v1beta/models/m:embedContent", headers=KEYS["gemini"]))
    assert (answer.status, answer.json["error"]["status"]) == (404, "NOT_FOUND")


@each_dialect
async def test_two_credentials_that_differ_are_refused(house: House, upstream: ScriptedUpstream, client: str) -> None:
    path, body, _ = asks(client, f"{client}/m")
    before = len(upstream.calls)
    other = {"openai-chat": {"x-api-key": "b"}, "anthropic": {"authorization": "Bearer b"}, "gemini": {"authorization": "Bearer b"}}[client]
    answer = await send(house.port, request(json.dumps(body).encode(), path=path, headers={**KEYS[client], **other}))
    assert answer.status == 400
    assert "credentials" in message_of(client, answer)[1]
    assert len(upstream.calls) == before


@each_dialect
async def test_the_same_credential_twice_is_one(house: House, upstream: ScriptedUpstream, client: str) -> None:
    upstream.play(say("Hello"))
    path, body, _ = asks(client, f"{client}/m")
    twice = {**KEYS[client], "authorization": "Bearer none", "x-api-key": "none"}
    assert (await send(house.port, request(json.dumps(body).encode(), path=path, headers=twice))).status == 200


@each_upstream
@each_dialect
async def test_too_long_a_prompt_has_the_clients_own_error(house: House, upstream: ScriptedUpstream, client: str, up: str) -> None:
    upstream.play(FAULTS["row11-context-too-long"]())
    answer = await ask(house, client, f"{up}/m")
    kind, message = message_of(client, answer)
    assert (answer.status, "9001" in message) == (400, True)
    assert kind == {"openai-chat": "invalid_request_error", "anthropic": "invalid_request_error", "gemini": "INVALID_ARGUMENT"}[client]
    if client == "openai-chat":
        assert answer.error["code"] == "context_length_exceeded"


@each_upstream
@pytest.mark.parametrize(("client", "status"), [("openai-chat", 503), ("anthropic", 529), ("gemini", 503)])
async def test_overload_has_the_status_that_the_client_knows(
    house: House, upstream: ScriptedUpstream, client: str, status: int, up: str
) -> None:
    upstream.play(FAULTS["row09-529-overloaded"]())
    answer = await ask(house, client, f"{up}/m")
    assert answer.status == status
    assert message_of(client, answer)[0] in ("service_unavailable_error", "overloaded_error", "UNAVAILABLE")


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "openai-chat": [
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [image("data:image/png;base64,%%")]}]}, "messages[0].content[0].image_url"),
        ({"messages": [{"role": "user", "content": [image("data:text/plain;base64,AAAA")]}]}, "messages[0].content[0].image_url"),
        ({"messages": []}, "messages"),
    ],
    "anthropic": [
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "x"}]}]}, "messages[0]"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": "x"}]}]}, "input"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "%%"}}]}]}, "messages[0].content[0]"),
        ({"messages": []}, "messages"),
        ({"max_tokens": None}, "max_tokens"),
    ],
    "gemini": [
        ({"contents": [{"role": "wizard", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": "x"}}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "%%"}}]}]}, "contents[0].parts[0]"),
        ({"contents": []}, "contents"),
    ],
}  # fmt: skip


@each_upstream
@pytest.mark.parametrize(("client", "fields", "place"), [(client, *case) for client, cases in BAD.items() for case in cases])
async def test_bad_input_is_refused_in_the_clients_own_shape(
    house: House, upstream: ScriptedUpstream, client: str, fields: dict[str, Any], place: str, up: str
) -> None:
    before = len(upstream.calls)
    answer = await ask(house, client, f"{up}/m", **fields)
    assert answer.status == 400
    kind, message = message_of(client, answer)
    assert kind in ("invalid_request_error", "INVALID_ARGUMENT")
    assert place in message
    assert len(upstream.calls) == before


# ---- what a target can't be told


async def test_what_is_dropped_is_named(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hello"))
    fields: dict[str, Any] = {"seed": 7, "logit_bias": {"5": 1}, "frequency_penalty": 0.5, "temperature": 0.5}
    for stream in (False, True):
        answer = await ask(house, "openai-chat", "anthropic/m", stream, **fields)
        assert answer.status == 200
        assert answer.headers["telex-dropped"] == "seed, frequency_penalty, logit_bias"
        assert upstream.calls[-1].json["temperature"] == 0.5
        assert "seed" not in upstream.calls[-1].json


async def test_nothing_is_dropped_in_the_same_dialect(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hello"))
    answer = await ask(house, "openai-chat", "openai-chat/m", seed=7, logit_bias={"5": 1}, unheard_of=[1])
    assert "telex-dropped" not in answer.headers
    assert upstream.calls[-1].json["unheard_of"] == [1]


async def test_a_model_that_lets_nothing_go_refuses(house: House, upstream: ScriptedUpstream) -> None:
    before = len(upstream.calls)
    answer = await ask(house, "openai-chat", "strict", seed=7)
    assert (answer.status, answer.error["param"], answer.error["code"]) == (400, "seed", "unsupported_parameter")
    assert len(upstream.calls) == before


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("openai-chat", "anthropic", {"n": 2}, "n"),
    ("openai-chat", "anthropic", {"logprobs": True}, "logprobs"),
    ("openai-chat", "anthropic", {"response_format": {"type": "json_object"}}, "response_format"),
    ("openai-chat", "anthropic", {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
    ("openai-chat", "gemini", {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]"),
    ("openai-chat", "gemini", {"modalities": ["text", "audio"]}, "modalities"),
    ("anthropic", "openai-chat", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
    ("gemini", "anthropic", {"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
    ("gemini", "openai-chat", {"tools": [{"googleSearch": {}}]}, "tools[0]"),
    ("gemini", "openai-chat", {"cachedContent": "cachedContents/x"}, "cachedContent"),
]


@pytest.mark.parametrize(("client", "up", "fields", "field"), REFUSED)
async def test_what_would_change_the_answer_is_refused_by_name(
    house: House, upstream: ScriptedUpstream, client: str, up: str, fields: dict[str, Any], field: str
) -> None:
    before = len(upstream.calls)
    answer = await ask(house, client, f"{up}/m", **fields)
    assert answer.status == 400
    assert field in message_of(client, answer)[1] or (client == "openai-chat" and answer.error["param"].startswith(field))
    assert len(upstream.calls) == before


async def test_a_thread_is_refused_as_the_tool_runners_of_its_sdks_must_be_told(house: House) -> None:
    answer = await ask(house, "anthropic", "openai-chat/m", thread={"type": "continue", "previous_message_id": "msg_1"})
    assert (answer.status, answer.json["error"]["details"]) == (
        400,
        {"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
    )


async def test_arguments_that_are_no_object_are_refused_where_only_objects_go(house: House) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]
    answer = await ask(house, "openai-chat", "anthropic/m", messages=messages)
    assert (answer.status, answer.error["param"]) == (400, "messages[1].tool_calls[0]")


async def test_another_target_that_can_be_told_is_tried(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hello"))
    answer = await ask(house, "openai-chat", "second", n=2)
    assert answer.status == 200
    assert upstream.calls[-1].json["n"] == 2


# ---- framings and signs of life


async def test_a_stream_without_alt_sse_is_one_json_array(house: House, upstream: ScriptedUpstream) -> None:
    for up in DIALECTS:
        upstream.play(say("Hel", "lo", " {}"))
        answer = await ask(house, "gemini", "", path=f"/v1beta/models/{up}/m:streamGenerateContent")
        assert answer.headers["content-type"].startswith("application/json")
        parts = [part for chunk in answer.json for c in chunk.get("candidates", ()) for part in c.get("content", {}).get("parts", ())]
        assert "".join(part.get("text", "") for part in parts) == "Hello {}"
        assert answer.json[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_an_error_instead_of_an_array_is_in_an_array(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(FAULTS["row10-403"]())
    answer = await ask(house, "gemini", "", path="/v1beta/models/gemini/m:streamGenerateContent")
    [error] = answer.json
    assert error["error"]["code"] == answer.status == 403


async def test_an_error_inside_an_array_is_its_last_element(house: House, upstream: ScriptedUpstream) -> None:
    upstream.play(FAULTS["row14-eof-without-terminator"](after=3))
    answer = await ask(house, "gemini", "", path="/v1beta/models/gemini/m:streamGenerateContent")
    assert answer.status == 200
    assert "error" in answer.json[-1]


@pytest.mark.parametrize("client", CLIENTS)
async def test_silence_is_filled_as_the_client_can_bear(
    house: House, upstream: ScriptedUpstream, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the first words the provider says nothing for a while."""
    monkeypatch.setattr("telex.gateway.deliver.KEEP_ALIVE_SECONDS", 0.03)

    def play(call: Call) -> Any:
        head, *steps = resolve(say("Hello", " world"), call)
        return (head, *steps[:-2], Wait(0.3), *steps[-2:])

    upstream.play(play)
    answer = await ask(house, client, f"{client}/m", True)
    alive = ALIVE[client]
    assert alive in answer.body
    assert answer.body.replace(alive, b"").strip()
    assert answer.whole


async def test_frames_of_the_same_dialect_pass_byte_for_byte(house: House, upstream: ScriptedUpstream) -> None:
    """Unknown fields, spaces and events in between too."""
    wire = {
        "anthropic": (
            b'event: message_start\ndata: {"type":"message_start", "message":{"id":"m","type":"message","role":"assistant","model":"x",'
            b'"content":[],"odd":1,"usage":{"input_tokens":1,"output_tokens":1}}   }\n\n'
            b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
            b'event: ping\ndata: {"type": "ping"}\n\n'
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}  }\n\n'
            b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0  }\n\n'
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
            b'"usage":{"output_tokens":2},"new":[1]}\n\n'
            b'event: message_stop\ndata: {"type":"message_stop"   }\n\n'
        ),
        "gemini": (
            b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}],"role": "model"},"odd": 1}],'
            b'"usageMetadata": {"promptTokenCount": 1}}\r\n\r\n'
            b'data: {"candidates": [{"content": {"parts": [{"text": "!"}]},"finishReason": "STOP"}],"new": {"a": [1]}}\r\n\r\n'
        ),
    }
    for dialect, data in wire.items():
        upstream.play((Head(200, SSE), Send(data)))
        assert (await ask(house, dialect, f"{dialect}/m", True)).body == data
