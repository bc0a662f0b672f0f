"""A configuration that is read again while answers run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from telex.config import Config, parse_config
from telex.core.errors import Failure
from telex.testing import Head, ScriptedUpstream, Send, Wait, say
from telex.testing.answers import SSE

from .client import ask, chat, connect, request, send
from .draining import BYE, HI
from .house import House, gateway, provider, serve

SLOW = (Head(200, SSE), Send(HI), Wait(1.0), Send(BYE))


def text(upstream: ScriptedUpstream, more: str = "") -> str:
    return f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n{more}'


async def test_row68_a_signal_reads_it_again_and_open_streams_go_on(tmp_path: Path) -> None:
    file = tmp_path / "telex.toml"
    with ScriptedUpstream(SLOW) as old, ScriptedUpstream(say("New")) as new:
        async with serve(tmp_path, text(old)) as child, connect(child.port) as client:
            client.ask()
            await client.head()
            assert await client.event() == HI
            file.write_text(text(new, '[models.named]\ntargets = [{ provider = "up", model = "m" }]\n[server]\nport = 1\n'))
            child.signal(signal.SIGHUP)
            line = await child.log_line()
            assert (line["event"], line["providers"], line["models"], line["needs_restart"]) == ("reload", ["up"], ["named"], [])
            assert (await ask(child.port, model="named")).text == "New"
            assert ((await child.log_line())["event"], len(old.calls)) == ("generation", 1)
            assert b"".join([await client.event(), await client.event()]) == BYE
            assert (await client.event(), client.whole) == (b"", True)

            file.write_text(text(old).replace("base_url", "base_uri"))
            child.signal(signal.SIGHUP)
            lines = [await child.log_line(), await child.log_line()]  # one is of the stream that has ended
            [refused] = [line for line in lines if line["event"] == "reload"]
            assert (refused["level"], refused["refused"]) == (
                "error",
                "telex.toml, line 3: providers.up.base_uri: this key is not known (did you mean 'base_url'?).",
            )
            assert (await ask(child.port, model="named")).text == "New"
            assert len(old.calls) == 1


# ---- in this process


@pytest.fixture
def old() -> Any:
    with ScriptedUpstream(say("Old")) as upstream:
        yield upstream


@pytest.fixture
def new() -> Any:
    with ScriptedUpstream(say("New")) as upstream:
        yield upstream


@pytest.fixture
async def house(old: ScriptedUpstream) -> AsyncIterator[House]:
    async with gateway(old.url) as house:
        yield house


async def reload(house: House, **tables: Any) -> None:
    await house.process.reload(lambda: msgspec.convert({"store": "memory:", **tables}, Config))


async def test_new_requests_use_the_new_limits_and_keys(
    house: House, new: ScriptedUpstream, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    key = tmp_path / "key"
    row = provider(new.url, api_key={"file": str(key)})
    for secret in ("key-one", "key-two"):
        key.write_text(secret)
        await reload(house, providers={"up": row}, timeouts={"total": 7.0}, server={"body_limit": 1000})
        assert (await ask(house.port)).text == "New"
        assert new.calls[-1].headers["authorization"] == f"Bearer {secret}"
    assert (await send(house.port, request(chat(user="x" * 1000)))).status == 413
    assert (await ask(house.port, model="old/m")).status == 404
    route = house.process.engine.catalog.known("up/m")
    assert route is not None
    assert route.timeouts.total == 7.0
    assert not any(secret in repr(logged) for secret in ("key-one", "key-two"))


async def test_row68_what_cannot_be_used_changes_nothing(house: House, old: ScriptedUpstream, logged: list[dict[str, Any]]) -> None:
    keyless = {"up": provider("http://127.0.0.1:1/v1", api_key={"env": "TELEX_TEST_NO_SUCH_KEY"})}
    await reload(house, providers=keyless, server={"body_limit": 1})
    assert "TELEX_TEST_NO_SUCH_KEY" in logged[0]["refused"]
    assert (await ask(house.port)).text == "Old"

    def unreadable() -> Config:
        return parse_config("[server]\nhost = 1\n", "telex.toml")

    await house.process.reload(unreadable)
    assert logged[-1]["refused"] == "telex.toml, line 2: server.host: expected str, got int."
    assert (await ask(house.port)).text == "Old"


async def test_what_needs_a_restart_is_said(house: House, new: ScriptedUpstream, logged: list[dict[str, Any]]) -> None:
    await reload(house, providers={"up": provider(new.url)}, server={"host": "localhost", "port": 9})
    assert logged[0]["needs_restart"] == ["server.host", "server.port"]
    assert (await ask(house.port)).text == "New"


async def test_a_model_that_is_looked_for_meanwhile_is_that_of_one_configuration(old: ScriptedUpstream, new: ScriptedUpstream) -> None:
    """The provider that lists it is gone before the list comes."""
    async with gateway(providers={"up": provider(old.url)}) as house:
        engine, finding, found = house.process.engine, asyncio.Event(), asyncio.Event()
        find = engine.catalog.find

        async def slowly(name: str, allowed: Any = None) -> Any:
            finding.set()
            await found.wait()
            return await find(name, allowed)

        engine.catalog.find = slowly  # type: ignore[method-assign]
        asked = asyncio.create_task(ask(house.port, model="scripted"))
        await finding.wait()
        await reload(house, providers={"other": provider(new.url)})
        found.set()
        assert (await asked).text == "Old"
        assert not isinstance(await engine.catalog.find("other/scripted"), Failure)
