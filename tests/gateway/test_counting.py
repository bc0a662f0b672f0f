"""Counting before a call, as the official SDKs ask for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from telex.testing import Close, Head, Play, Refuse, ScriptedUpstream, Send, Stall, status, tokens
from telex.testing.answers import JSON

from .client import Answer, request, send
from .house import House, gateway

PATHS = {
    "openai-chat": "/v1/chat/completions/input_tokens",
    "openai-responses": "/v1/responses/input_tokens",
    "anthropic": "/v1/messages/count_tokens",
    "gemini": "/v1beta/models/{}:countTokens",
}
UPSTREAM_PATHS = {name: path.removeprefix("/v1") for name, path in PATHS.items()} | {"gemini": "/models/m:countTokens"}
FIELD = dict.fromkeys(PATHS, "input_tokens") | {"gemini": "totalTokens"}
WORDS = dict.fromkeys(PATHS, "messages") | {"gemini": "contents", "openai-responses": "input"}
"""Where the dialect has what is said."""

each_client = pytest.mark.parametrize("client", PATHS)
each_upstream = pytest.mark.parametrize("up", PATHS)


class Scene:
    """A gateway before one provider of each dialect, all of them the same upstream, which counts 42."""

    def __init__(self, upstream: ScriptedUpstream, house: House) -> None:
        self.upstream = upstream
        self.house = house
        self.url = f"http://127.0.0.1:{house.port}"

    async def ask(self, client: str, model: str, body: dict[str, Any] | None = None) -> Answer:
        path = PATHS[client].format(model)
        return await send(self.house.port, request(json.dumps(body or prompt(client, model)).encode(), path=path))


def prompt(client: str, model: str, text: str = "How are you?", **fields: Any) -> dict[str, Any]:
    if client == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}
    if client == "openai-responses":
        return {"model": model, "input": text, **fields}
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def rows(url: str) -> dict[str, Any]:
    named: dict[str, dict[str, Any]] = {name: {"dialect": name, "base_url": url, "api_key": "k"} for name in PATHS}
    named["openai-chat"]["quirks"] = {"counting": "beside"}
    flat = {"dialect": "gemini", "base_url": url, "api_key": "k", "quirks": {"counting": "flat"}}
    return {**named, "silent": {"dialect": "openai-chat", "base_url": url}, "vertex": flat}


@pytest.fixture(scope="module")
async def scene() -> AsyncIterator[Scene]:
    with ScriptedUpstream(counting=tokens(42)) as upstream:
        async with gateway(providers=rows(upstream.url)) as house:
            yield Scene(upstream, house)


# ---- the official SDKs


@each_upstream
async def test_anthropics_sdk_counts(scene: Scene, up: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=scene.url, api_key="none", max_retries=0) as client:
        message: Any = {"role": "user", "content": "Hi"}
        counted = await client.messages.count_tokens(model=f"{up}/m", messages=[message], system="Be brief.")
    assert counted.input_tokens == 42
    assert scene.upstream.count_calls[-1].path == f"/v1{UPSTREAM_PATHS[up]}"


@each_upstream
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_googles_sdk_counts(scene: Scene, up: str, version: str) -> None:
    options = types.HttpOptions(base_url=scene.url, api_version=version)
    async with genai.Client(api_key="none", http_options=options).aio as client:
        counted = await client.models.count_tokens(model=f"{up}/m", contents="Hi")
    assert counted.total_tokens == 42


@each_upstream
async def test_openais_sdk_counts(scene: Scene, up: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{scene.url}/v1", api_key="none", max_retries=0) as client:
        counted = await client.responses.input_tokens.count(model=f"{up}/m", input="Hi")
    assert counted.input_tokens == 42


@each_client
async def test_errors_are_raised_by_the_sdks(scene: Scene, client: str) -> None:
    """An unknown model, as a count is asked for."""
    answer = await scene.ask(client, "nobodys/model")
    assert answer.status == 404
    assert "nobodys/model" in json.dumps(answer.json["error"])
    if client == "anthropic":
        async with anthropic.AsyncAnthropic(base_url=scene.url, api_key="none", max_retries=0) as sdk:
            with pytest.raises(anthropic.NotFoundError):
                await sdk.messages.count_tokens(model="nobodys/model", messages=[{"role": "user", "content": "Hi"}])


# ---- who counts


@each_client
@each_upstream
async def test_the_provider_is_asked_in_its_own_dialect(scene: Scene, client: str, up: str) -> None:
    answer = await scene.ask(client, f"{up}/m")
    assert (answer.status, answer.json[FIELD[client]], answer.headers["telex-count"]) == (200, 42, "provider")
    call = scene.upstream.count_calls[-1]
    assert (call.path, call.dialect.NAME) == (f"/v1{UPSTREAM_PATHS[up]}", up)
    assert "How are you?" in call.body.decode()
    assert not scene.upstream.calls


@pytest.mark.parametrize(
    ("client", "body", "sent"),
    [
        ("anthropic", {"model": "anthropic/m", "messages": [{"role": "user", "content": "Hi"}], "odd": [1]}, {"model": "m", "odd": [1]}),
        ("openai-responses", {"model": "openai-responses/m", "input": "Hi", "odd": 1}, {"model": "m"}),
        ("openai-chat", {"model": "openai-chat/m", "messages": [{"role": "user", "content": "Hi"}], "odd": 1}, {"model": "m", "odd": 1}),
    ],
)
async def test_a_body_of_the_same_dialect_passes(scene: Scene, client: str, body: dict[str, Any], sent: dict[str, Any]) -> None:
    await scene.ask(client, body["model"], body)
    assert scene.upstream.count_calls[-1].json == {**body, **sent}


CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
SYSTEM = {"parts": [{"text": "Be brief."}]}


@pytest.mark.parametrize("whole", ["generateContentRequest", "generate_content_request"])
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
async def test_googles_shapes(scene: Scene, provider: str, whole: str) -> None:
    """Contents alone pass as they are; with a system instruction the Gemini API wants a whole request, Vertex AI flat fields."""
    await scene.ask("gemini", f"{provider}/m", {"contents": CONTENTS})
    assert scene.upstream.count_calls[-1].json == {"contents": CONTENTS}
    inner = {"contents": CONTENTS, "systemInstruction": SYSTEM, "safetySettings": []}
    await scene.ask("gemini", f"{provider}/m", {whole: {"model": "models/else", **inner}})
    flat = {"contents": CONTENTS, "systemInstruction": SYSTEM}
    wrapped = {"generateContentRequest": {"model": "models/m", **inner}}
    assert scene.upstream.count_calls[-1].json == (flat if provider == "vertex" else wrapped)


async def test_what_is_no_part_of_the_prompt_is_not_asked_about(scene: Scene) -> None:
    """Anthropic refuses it where tokens are counted."""
    body = prompt("openai-chat", "anthropic/m", temperature=1, max_completion_tokens=5, stop=["x"], user="me", stream=True)
    assert (await scene.ask("openai-chat", "anthropic/m", body)).status == 200
    call = scene.upstream.count_calls[-1]
    assert call.json == {"model": "m", "messages": [{"role": "user", "content": "How are you?"}]}
    assert call.headers["anthropic-version"]


@each_client
@pytest.mark.parametrize(("model", "certainty"), [("gpt-4o", "exact"), ("gpt-5", "estimated"), ("other", "estimated")])
async def test_where_no_provider_counts_telex_does(scene: Scene, client: str, model: str, certainty: str) -> None:
    answer = await scene.ask(client, f"silent/{model}")
    assert (answer.status, answer.headers["telex-count"]) == (200, certainty)
    assert 9 <= answer.json[FIELD[client]] <= 13


UNABLE: dict[str, Play] = {
    "it has no such path": status(404, {"error": "not found"}),
    "it is limited": status(429),
    "it is down": status(500),
    "it hangs up": (Close(),),
    "it says something else": (Head(200, JSON, "length"), Send(b'{"tokens": 5}')),
    "it says no JSON": (Head(200, JSON, "length"), Send(b"<html>")),
    "it says nothing": (Head(200, JSON, "length"), Send(b'{"input_tokens": 0}')),
}


@pytest.mark.parametrize("play", UNABLE.values(), ids=UNABLE)
async def test_where_the_provider_cannot_telex_does(play: Play) -> None:
    with ScriptedUpstream(counting=play) as upstream:
        async with gateway(providers=rows(upstream.url)) as house:
            answer = await Scene(upstream, house).ask("anthropic", "anthropic/m")
    assert (answer.status, answer.headers["telex-count"]) == (200, "estimated")


async def test_a_provider_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.generation.counting.SECONDS", 0.1)
    with ScriptedUpstream(counting=(Stall(),)) as upstream:
        async with gateway(providers=rows(upstream.url)) as house:
            answer = await Scene(upstream, house).ask("gemini", "anthropic/m")
            await upstream.count_calls[0].until("left_at")
    assert (answer.status, answer.headers["telex-count"]) == (200, "estimated")


async def test_nobody_there_is_no_matter() -> None:
    with ScriptedUpstream((Refuse(),)) as upstream:
        async with gateway(providers=rows(upstream.url)) as house:
            assert (await Scene(upstream, house).ask("anthropic", "anthropic/m")).headers["telex-count"] == "estimated"


@each_client
@pytest.mark.parametrize(("code", "shown"), [(400, 400), (401, 502)])
async def test_what_the_provider_has_against_it_is_said(client: str, code: int, shown: int) -> None:
    with ScriptedUpstream(counting=status(code)) as upstream:
        async with gateway(providers=rows(upstream.url)) as house:
            answer = await Scene(upstream, house).ask(client, "anthropic/m")
    assert answer.status == shown
    assert "telex-count" not in answer.headers
    assert answer.json["error"]["message"]


@each_client
async def test_bad_input_is_refused_in_the_clients_own_shape(scene: Scene, client: str) -> None:
    before = len(scene.upstream.count_calls)
    place = WORDS[client]
    for body in ({"model": f"{client}/m", place: []}, {"model": f"{client}/m"}, {"model": f"{client}/m", place: 5}):
        answer = await scene.ask(client, f"{client}/m", body)
        assert answer.status == 400
        assert place in json.dumps(answer.json["error"])
    assert len(scene.upstream.count_calls) == before


async def test_a_wrapped_request_is_told_where_it_is_wrong(scene: Scene) -> None:
    for inner, place in (({"contents": [{"role": "wizard"}]}, "generateContentRequest.contents[0].role"), (5, "generateContentRequest")):
        answer = await scene.ask("gemini", "gemini/m", {"generateContentRequest": inner})
        assert answer.status == 400
        assert place in answer.json["error"]["message"]


@each_client
async def test_only_post_counts(scene: Scene, client: str) -> None:
    answer = await send(scene.house.port, request(method="GET", path=PATHS[client].format("gemini/m")))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.json["error"]["message"]


async def test_a_target_that_cannot_be_told_is_passed_over(scene: Scene) -> None:
    """A model counts for the first target that an answer would come from."""
    targets = [{"provider": "anthropic", "model": "m"}, {"provider": "gemini", "model": "m"}]
    with ScriptedUpstream(counting=tokens(9)) as upstream:
        async with gateway(providers=rows(upstream.url), models={"both": {"targets": targets}}) as house:
            answer = await Scene(upstream, house).ask("openai-chat", "both", prompt("openai-chat", "both", n=2))
            assert (answer.json["input_tokens"], upstream.count_calls[-1].dialect.NAME) == (9, "gemini")
