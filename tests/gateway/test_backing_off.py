"""The official SDKs at a gateway whose limit is reached: they wait for as long as it says, ask no more than they should, and stop where
waiting is no use. Their pauses are counted, not slept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import anyio
import openai
import pytest
from google import genai
from google.genai.errors import ClientError
from google.genai.types import GenerateContentConfig, HttpOptions, HttpRetryOptions

from telex.testing import ScriptedUpstream, status

from .client import ask
from .house import House, gateway

RETRIES = 2
HI: Any = [{"role": "user", "content": "Hi"}]


async def ask_openai(url: str, max_tokens: int) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=RETRIES) as client:
        await client.chat.completions.create(model="m", messages=HI, max_tokens=max_tokens)


async def ask_responses(url: str, max_tokens: int) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=RETRIES) as client:
        await client.responses.create(model="m", input="Hi", max_output_tokens=max_tokens)


async def ask_anthropic(url: str, max_tokens: int) -> None:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=RETRIES) as client:
        await client.messages.create(model="m", messages=HI, max_tokens=max_tokens)


Ask = Callable[[str, int], Awaitable[None]]
SDKS: dict[str, tuple[Ask, type[Exception]]] = {
    "openai": (ask_openai, openai.RateLimitError),
    "openai-responses": (ask_responses, openai.RateLimitError),
    "anthropic": (ask_anthropic, anthropic.RateLimitError),
}
each_sdk = pytest.mark.parametrize("sdk", SDKS)


async def ask_gemini(url: str, max_tokens: int, retry: HttpRetryOptions | None = None) -> None:
    options = HttpOptions(base_url=url, retry_options=retry)
    async with genai.Client(api_key="none", http_options=options).aio as client:
        await client.models.generate_content(model="m", contents="Hi", config=GenerateContentConfig(max_output_tokens=max_tokens))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that an SDK would have waited."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    return slept


@asynccontextmanager
async def limited(**limits: int) -> AsyncIterator[tuple[House, ScriptedUpstream]]:
    with ScriptedUpstream() as upstream:
        models = {"m": {"targets": [{"provider": "up", "model": "t"}], **limits}}
        async with gateway(upstream.url, models=models) as house:
            yield house, upstream


def refusals(logged: list[dict[str, Any]]) -> int:
    return sum(line["failure"] == "limited" for line in logged)


@each_sdk
async def test_it_waits_for_as_long_as_it_is_told(sdk: str, pauses: list[float], logged: list[dict[str, Any]]) -> None:
    once, error = SDKS[sdk]
    async with limited(rpm=1) as (house, upstream):
        assert (await ask(house.port, model="m")).status == 200
        with pytest.raises(error, match="rpm = 1"):
            await once(f"http://127.0.0.1:{house.port}", 9)
        assert len(upstream.calls) == 1
    assert refusals(logged) == 1 + RETRIES
    assert pauses == [pytest.approx(60, abs=5)] * RETRIES


@each_sdk
async def test_it_is_served_when_it_comes_back(sdk: str, monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]]) -> None:
    once, _ = SDKS[sdk]
    async with limited(rpm=1) as (house, upstream):
        assert (await ask(house.port, model="m")).status == 200
        shift = 0.0

        async def sleep(seconds: float) -> None:
            nonlocal shift
            shift += seconds

        monkeypatch.setattr(anyio, "sleep", sleep)
        table = house.process.engine.traffic.limits
        take = table.take
        monkeypatch.setattr(table, "take", lambda holders, need, now: take(holders, need, now + shift))
        await once(f"http://127.0.0.1:{house.port}", 9)
        assert 55 < shift <= 60
        assert len(upstream.calls) == 2
    assert refusals(logged) == 1


@each_sdk
async def test_it_stops_where_waiting_is_no_use(sdk: str, pauses: list[float], logged: list[dict[str, Any]]) -> None:
    once, error = SDKS[sdk]
    async with limited(tpm=100) as (house, upstream):
        with pytest.raises(error, match="it will never fit"):
            await once(f"http://127.0.0.1:{house.port}", 1000)
        assert not upstream.calls
    assert (refusals(logged), pauses) == (1, [])


@each_sdk
async def test_it_does_not_sleep_for_hours(sdk: str, pauses: list[float]) -> None:
    """Anthropic's would: what asks for more than two minutes is not worth another try."""
    once, error = SDKS[sdk]
    with ScriptedUpstream(status(429, headers=[("retry-after", "7200")])) as upstream:
        async with gateway(upstream.url, models={"m": {"targets": [{"provider": "up", "model": "t"}], "retries": 0}}) as house:
            with pytest.raises(error):
                await once(f"http://127.0.0.1:{house.port}", 9)
        assert (len(upstream.calls), pauses) == (1, [])


@pytest.mark.parametrize("attempts", [None, 3])
async def test_google_asks_as_often_as_it_was_told_to(attempts: int | None, logged: list[dict[str, Any]]) -> None:
    """By default once; and its own pauses, whatever it is told."""
    retry = HttpRetryOptions(attempts=attempts, initial_delay=0.01, max_delay=0.02) if attempts else None
    async with limited(rpm=1) as (house, upstream):
        assert (await ask(house.port, model="m")).status == 200
        with pytest.raises(ClientError, match="rpm = 1") as caught:
            await ask_gemini(f"http://127.0.0.1:{house.port}", 9, retry)
        assert len(upstream.calls) == 1
    details = caught.value.details["error"]["details"]
    assert 55 < float(next(detail["retryDelay"] for detail in details if "retryDelay" in detail).removesuffix("s")) <= 60
    assert refusals(logged) == (attempts or 1)
