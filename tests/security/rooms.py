"""A gateway in front of one scripted provider that speaks every dialect, and requests to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.client import Answer, request, send
from gateway.house import House, gateway
from gateway.speech import CLIENTS, asks
from telex.core.messages import Fields
from telex.testing import ScriptedUpstream, say

KEY = "sk-the-providers-own-canary"


class Room:
    def __init__(self, upstream: ScriptedUpstream, house: House) -> None:
        self.upstream = upstream
        self.house = house

    async def ask(self, client: str, up: str, stream: bool = False, headers: Fields | None = None, fields: Fields | None = None) -> Answer:
        path, body, usual = asks(client, f"{up}/m", stream, **(fields or {}))
        return await send(self.house.port, request(json.dumps(body).encode(), path=path, headers={**usual, **(headers or {})}))


@asynccontextmanager
async def room(**tables: Any) -> AsyncIterator[Room]:
    with ScriptedUpstream(say("Hello", " world")) as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": KEY} for name in CLIENTS}
        async with gateway(providers=providers, **tables) as house:
            yield Room(upstream, house)
