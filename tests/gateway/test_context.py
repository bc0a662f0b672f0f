"""Prompts that are too long to be sent at all."""

from __future__ import annotations

from typing import Any

import anthropic
import msgspec
import openai
import pytest

from telex.config import Config, Target
from telex.generation.engine import Engine
from telex.testing import FAULTS, ScriptedUpstream, say

from .client import Answer, send
from .house import House, gateway
from .speech import asked
from .test_counting import WORDS, each_client

LONG = "word " * 1000
"""A thousand tokens, 4000 letters."""


async def generate(house: House, client: str, model: str, text: str = LONG, stream: bool = False) -> Answer:
    return await send(house.port, asked(client, model, stream, text=text))


def target(model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    return {"provider": "up", "model": model, **fields}


def models(**named: Any) -> dict[str, Any]:
    return {name: {"targets": targets} for name, targets in named.items()}


@each_client
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "words"), [("exact", "1001 tokens > 500 maximum"), ("estimated", "1000 tokens > 400 maximum")])
async def test_no_call_is_spent_on_it(client: str, stream: bool, model: str, words: str) -> None:
    table = models(exact=[target(context=500)], estimated=[target("other", context=400)])
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url, models=table) as house:
            answer = await generate(house, client, model, stream=stream)
        assert not upstream.connections
    error = answer.json["error"]
    assert answer.status == 400
    assert words in error["message"]
    assert f"maximum context length is {words.split()[3]}" in error["message"]
    match client:
        case "openai-chat" | "openai-responses":
            assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
            assert error["param"] == WORDS[client]
        case "anthropic":
            assert error["type"] == "invalid_request_error"
        case "gemini":
            assert error["status"] == "INVALID_ARGUMENT"


async def test_the_official_sdks_raise_it() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url, models=models(m=[target(context=500)])) as house:
            url, said = f"http://127.0.0.1:{house.port}", {"role": "user", "content": LONG}
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
                with pytest.raises(openai.BadRequestError) as raised:
                    await client.chat.completions.create(model="m", messages=[said])  # type: ignore[list-item]
            assert raised.value.code == "context_length_exceeded"
            async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as sdk:
                with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 1001 tokens > 500 maximum"):
                    await sdk.messages.create(model="m", max_tokens=9, messages=[said])  # type: ignore[list-item]
        assert not upstream.connections


@pytest.mark.parametrize(
    ("text", "targets", "off"),
    [
        (LONG, [target(context=1001)], False),
        (LONG, [target("other", context=501)], False),
        (LONG, [target()], False),
        (LONG, [target(context=100)], True),
        ("short", [target(context=100)], False),
    ],
    ids=["it fits", "an estimate that is not far beyond", "a window that is not known", "switched off", "a short one"],
)
async def test_what_may_fit_is_sent(text: str, targets: list[Any], off: bool) -> None:
    table = {"m": {"targets": targets, "check_context": not off}}
    with ScriptedUpstream(say("Hello")) as upstream:
        async with gateway(upstream.url, models=table) as house:
            assert (await generate(house, "openai-chat", "m", text)).text == "Hello"


async def test_the_next_target_is_tried() -> None:
    """One that is too small is passed over without a call, and one that says so itself as well."""
    with ScriptedUpstream(FAULTS["row11-context-too-long"](), say("Hello")) as upstream:
        async with gateway(
            upstream.url, models=models(m=[target(context=500), target("says-no", tier=2), target("says-yes", tier=3)])
        ) as house:
            assert (await generate(house, "openai-chat", "m")).text == "Hello"
        assert [call.model for call in upstream.calls] == ["says-no", "says-yes"]


async def test_the_last_word_is_that_it_is_too_long() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url, models=models(m=[target(context=500), target(context=700, tier=2)])) as house:
            answer = await generate(house, "openai-chat", "m")
    assert (answer.status, "> 700 maximum" in answer.error["message"]) == (400, True)


async def test_a_provider_says_it_for_all_its_models() -> None:
    with ScriptedUpstream(say("Hello")) as upstream:
        row = {"dialect": "openai-chat", "base_url": upstream.url, "context": 500}
        async with gateway(providers={"up": row}, models=models(wider=[target(context=2000)])) as house:
            assert (await generate(house, "openai-chat", "up/gpt-4o")).status == 400
            assert (await generate(house, "openai-chat", "wider")).text == "Hello"


async def test_known_windows_are_looked_up_at_the_providers_place() -> None:
    """From the table, once a body is long enough to need it."""
    engine = Engine(msgspec.convert({"providers": {"openai": {"dialect": "openai-chat", "base_url": "https://api.openai.com/v1"}}}, Config))
    backend, wanted = engine.catalog.backends["openai"], Target("openai", "gpt-4")
    assert backend.window(wanted, 100) is None
    assert backend._windows._loading is None
    assert backend.window(wanted, 100_000) is None
    backend._windows.load().join()
    assert backend.window(wanted, 100_000) == 8192
    await engine.stop()
