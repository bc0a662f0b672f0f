"""The official SDKs at a gateway that wants keys: each is let in by its own header, and raises its own error where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types

from gateway.house import House
from gateway.keyed import keyed, make_key
from telex.testing import ScriptedUpstream, say

MESSAGES: Any = [{"role": "user", "content": "Hi"}]


class Sdk:
    """`ask`: one answer's text, streamed or whole. `models`: the list's names. `denied`, `missing`: what it raises."""

    def __init__(self, make: Callable[[str, str], Any], denied: type[Exception], missing: type[Exception]) -> None:
        self.make = make
        self.denied = denied
        self.missing = missing

    async def ask(self, client: Any, model: str, stream: bool) -> str:
        raise NotImplementedError

    async def models(self, client: Any) -> list[str]:
        return [row.id async for row in await client.models.list()]

    async def close(self, client: Any) -> None:
        await client.close()

    @asynccontextmanager
    async def at(self, url: str, key: str) -> AsyncIterator[Any]:
        client = self.make(url, key)
        try:
            yield client
        finally:
            await self.close(client)


class OpenAI(Sdk):
    async def ask(self, client: Any, model: str, stream: bool) -> str:
        if not stream:
            return str((await client.chat.completions.create(model=model, messages=MESSAGES)).choices[0].message.content)
        chunks = await client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


class Responses(Sdk):
    async def ask(self, client: Any, model: str, stream: bool) -> str:
        if not stream:
            return str((await client.responses.create(model=model, input="Hi")).output_text)
        events = await client.responses.create(model=model, input="Hi", stream=True)
        return "".join([event.delta async for event in events if event.type == "response.output_text.delta"])


class Anthropic(Sdk):
    async def ask(self, client: Any, model: str, stream: bool) -> str:
        if not stream:
            return str((await client.messages.create(model=model, messages=MESSAGES, max_tokens=9)).content[0].text)
        async with client.messages.stream(model=model, messages=MESSAGES, max_tokens=9) as events:
            return str(await events.get_final_text())

    async def models(self, client: Any) -> list[str]:
        return [row.id async for row in client.models.list()]


class Google(Sdk):
    async def ask(self, client: Any, model: str, stream: bool) -> str:
        if not stream:
            return str((await client.aio.models.generate_content(model=model, contents="Hi")).text)
        return "".join([str(chunk.text) async for chunk in await client.aio.models.generate_content_stream(model=model, contents="Hi")])

    async def models(self, client: Any) -> list[str]:
        return [str(row.name).removeprefix("models/") async for row in await client.aio.models.list()]

    async def close(self, client: Any) -> None:
        await client.aio.aclose()
        client.close()


def azure(url: str, key: str) -> Any:
    return openai.AsyncAzureOpenAI(base_url=f"{url}/v1", api_key=key, api_version="2026-01-01", max_retries=0)


def google(url: str, key: str) -> Any:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))


OURS = (openai.AuthenticationError, openai.NotFoundError)
THEIRS = (anthropic.AuthenticationError, anthropic.NotFoundError)
SDKS: dict[str, tuple[str, Sdk]] = {
    "openai": ("authorization", OpenAI(lambda u, k: openai.AsyncOpenAI(base_url=f"{u}/v1", api_key=k, max_retries=0), *OURS)),
    "responses": ("authorization", Responses(lambda u, k: openai.AsyncOpenAI(base_url=f"{u}/v1", api_key=k, max_retries=0), *OURS)),
    "azure": ("api-key", Responses(azure, *OURS)),
    "anthropic": ("", Anthropic(lambda u, k: anthropic.AsyncAnthropic(base_url=u, api_key=k, max_retries=0), *THEIRS)),
    "anthropic-x": (
        "x-api-key",
        Anthropic(lambda u, k: anthropic.AsyncAnthropic(base_url=u, default_headers={"x-api-key": k}, max_retries=0), *THEIRS),
    ),
    "anthropic-token": (
        "authorization",
        Anthropic(lambda u, k: anthropic.AsyncAnthropic(base_url=u, auth_token=k, max_retries=0), *THEIRS),
    ),
    "google": ("x-goog-api-key", Google(google, google_errors.ClientError, google_errors.ClientError)),
}
"""In which header each sends its key; empty: that depends on its version."""

each = pytest.mark.parametrize("name", SDKS)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(models=["mini"]) as upstream:
        yield upstream


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    models = {name: {"targets": [{"provider": "up", "model": "mini"}]} for name in ("chat", "secret")}
    async with keyed(tmp_path_factory.mktemp("keys"), upstream.url, models=models) as house:
        yield house


@pytest.fixture(scope="module")
async def token(house: House) -> str:
    return await make_key(house.process.store, "web", models=("chat",))


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def at(house: House) -> str:
    return f"http://127.0.0.1:{house.port}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@each
async def test_its_key_lets_it_in(name: str, stream: bool, house: House, token: str, upstream: ScriptedUpstream) -> None:
    _, sdk = SDKS[name]
    upstream.play(say("Hello"))
    async with sdk.at(at(house), token) as client:
        assert await sdk.ask(client, "chat", stream) == "Hello"
        assert await sdk.models(client) == ["chat"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@each
async def test_any_other_raises_its_own_error(name: str, stream: bool, house: House, token: str, upstream: ScriptedUpstream) -> None:
    _, sdk = SDKS[name]
    before = len(upstream.calls)
    for wrong in (f"{token}x", "none"):
        async with sdk.at(at(house), wrong) as client:
            with pytest.raises(sdk.denied) as raised:
                await sdk.ask(client, "chat", stream)
            with pytest.raises(sdk.denied):
                await sdk.models(client)
        assert (getattr(raised.value, "status_code", None) or getattr(raised.value, "code", None)) == 401
        assert "A key is needed that is valid here" in str(raised.value)
        assert wrong == "none" or wrong not in str(raised.value)
    assert len(upstream.calls) == before


@each
async def test_a_model_that_is_not_the_keys_is_not_there(name: str, house: House, token: str) -> None:
    _, sdk = SDKS[name]
    async with sdk.at(at(house), token) as client:
        with pytest.raises(sdk.missing) as raised:
            await sdk.ask(client, "secret", False)
    assert (getattr(raised.value, "status_code", None) or getattr(raised.value, "code", None)) == 404


@each
async def test_the_header_is_the_one_that_is_meant_here(name: str) -> None:
    """Else these tests would say less than they seem to."""
    header, sdk = SDKS[name]
    with ScriptedUpstream(say("Hello")) as upstream:
        async with sdk.at(upstream.url.removesuffix("/v1"), "canary") as client:
            await sdk.ask(client, "m", False)
        found = {name for name, value in upstream.calls[0].headers.items() if value in ("canary", "Bearer canary")}
    assert found == {header} if header else len(found) == 1
