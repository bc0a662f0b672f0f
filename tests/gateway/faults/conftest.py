"""One provider that speaks every dialect, a gateway before it, and one request at a time against one play."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.client import send
from gateway.house import House, gateway, in_each_dialect
from gateway.speech import CLIENTS, asked
from telex.generation.traffic import Traffic
from telex.testing import Play, ScriptedUpstream

from .rows import Seen

each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", CLIENTS)
each_pair = pytest.mark.parametrize(("client", "up"), [(c, CLIENTS[n - other]) for n, c in enumerate(CLIENTS) for other in (0, 1)])
"""For what takes time: each dialect with itself and with another."""
each_delivery = pytest.mark.parametrize("stream", [True, False], ids=["streaming", "non-streaming"])

SOON = 0.15
"""Seconds of the time limits that a row waits for."""

LIMITS: dict[str, dict[str, float]] = {
    **{name: {name: SOON} for name in ("connect", "first_byte", "first_content", "content_idle", "idle", "total")},
    "gate": {"gate": 0.02},
    "gate-first_content": {"gate": 0.02, "first_content": 2 * SOON},
}


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    """With a provider of each dialect, and a model of each with each limit short, as `anthropic-idle`."""
    providers = in_each_dialect(upstream.url)
    models = {
        f"{name}-{limit}": {"targets": [{"provider": name, "model": "m"}], "timeouts": seconds}
        for name in CLIENTS
        for limit, seconds in LIMITS.items()
    }
    async with gateway(providers=providers, models=models) as house:
        yield house


class Rig:
    """What the client got of a play, what the provider saw, what the log says."""

    def __init__(self, house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]]) -> None:
        self._house = house
        self._upstream = upstream
        self._logged = logged

    def forget(self) -> None:
        """What was learnt of providers and spent on retries."""
        self._house.process.engine.traffic = Traffic()

    async def run(self, client: str, up: str, stream: bool, *plays: Play, limit: str = "") -> Seen:
        """`client`, `up`: the dialects of both sides."""
        self._upstream.play(*plays)
        before = len(self._upstream.calls)
        model = f"{up}-{limit}" if limit else f"{up}/m"
        answer = await send(self._house.port, asked(client, model, stream))
        line = self._logged.pop()
        assert not self._logged
        return Seen(client, answer, self._upstream.calls[before:], line)


@pytest.fixture
def rig(house: House, upstream: ScriptedUpstream, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Rig:
    """No test gets a connection that another has spoilt, nor pays for its retries, and nobody waits longer than must be."""
    monkeypatch.setattr("telex.upstream.pool.IDLE_SECONDS", 0.0)
    monkeypatch.setattr("telex.routing.policy.BACKOFF", 0.01)
    rig = Rig(house, upstream, logged)
    rig.forget()
    return rig
