"""Rows of the matrix that need an address of their own: what a port does, a name that nobody knows, a certificate; and who leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.client import connect, send
from gateway.house import House, gateway
from gateway.speech import CLIENTS, asked
from telex.generation.traffic import Traffic
from telex.testing import FAULTS, ScriptedUpstream
from upstream.certificates import make_certificate, serving

from .conftest import LIMITS, each_client, each_delivery, each_upstream
from .rows import PORTS, Seen


@pytest.fixture(scope="module")
async def addresses(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A gateway with a model for every address and dialect, as `row01-refuses-anthropic`."""
    certificate = make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")
    with ExitStack() as stack:
        refuses, hangs = (stack.enter_context(ScriptedUpstream(FAULTS[id]())) for id in ("row01-refuses", "row03-connect-hangs"))
        plain, strange = stack.enter_context(ScriptedUpstream()), stack.enter_context(ScriptedUpstream(tls=serving(certificate)))
        urls = {
            "row01-refuses": refuses.url,
            "row02-dns-failure": "http://a..b.invalid/v1",  # what resolvers refuse without asking anybody
            "row03-connect-hangs": hangs.url,
            "row04-certificate-of-a-stranger": strange.url,
            "row04-no-tls-there": plain.url.replace("http:", "https:"),
        }
        pairs = [(id, up) for id in urls for up in CLIENTS]
        providers = {f"{id}-{up}": {"dialect": up, "base_url": urls[id], "api_key": "k"} for id, up in pairs}
        models = {
            name: {"targets": [{"provider": name, "model": "m"}], "timeouts": LIMITS.get(PORTS[id][0].limit, {})}
            for (id, _), name in zip(pairs, providers, strict=True)
        }
        async with gateway(providers=providers, models=models) as house:
            yield house
        assert (plain.calls, strange.calls) == ([], [])


@each_delivery
@each_upstream
@each_client
@pytest.mark.parametrize("id", PORTS)
async def test_fault(
    id: str, client: str, up: str, stream: bool, addresses: House, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telex.routing.policy.BACKOFF", 0.01)
    monkeypatch.setattr(addresses.process.engine, "traffic", Traffic())
    row, failure = PORTS[id]
    answer = await send(addresses.port, asked(client, f"{id}-{up}", stream))
    [line] = logged
    row.check(Seen(client, answer, [], line))
    assert {attempt["failure"] for attempt in line["attempts"]} == {failure}


@each_delivery
@each_upstream
@each_client
async def test_row36_a_client_that_half_closes_has_left(
    client: str, up: str, stream: bool, upstream: ScriptedUpstream, house: House, logged: list[dict[str, Any]]
) -> None:
    upstream.play(FAULTS["row25-stall-mid-stream"]())
    before = len(upstream.calls)
    async with connect(house.port) as connection:
        connection.send(asked(client, f"{up}/m", stream))
        call = (await upstream.until(before + 1))[-1]
        if stream:
            assert (await connection.head())[0] == 200
        connection.half_close()
        await call.until("left_at")
        await connection.end()
    assert [line["ending"] for line in logged] == ["cancelled"]
