"""Many open streams and a SIGTERM: what each of their clients saw, and when what happened."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from telex.testing import Call, Head, Play, ScriptedUpstream, Send, Stall, Wait
from telex.testing.answers import SSE

from .client import PATIENT, Client, connect, request
from .house import Child, serve

HI = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
BYE = b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
NEVER: Play = (Head(200, SSE), Send(HI), Stall())


class Drained(NamedTuple):
    """Streams that ended whole, with an error that says why, and without either; seconds from the signal until readiness said no and
    until the process was gone."""

    whole: int
    told: int
    silent: int
    not_ready: float
    gone: float
    code: int


def config(upstream: ScriptedUpstream, drain: float = 30.0) -> str:
    return f'[server]\ndrain = {drain}\n[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'


async def get(port: int, path: str) -> int:
    async with connect(port) as client:
        client.send(request(method="GET", path=path))
        return (await client.answer()).status


async def drain_many(folder: Path, streams: int, drain: float, short: float) -> Drained:
    """Half of the streams end by themselves after `short` seconds, the other half never would."""

    def play(call: Call) -> Play:
        return (Head(200, SSE), Send(HI), Wait(short), Send(BYE)) if call.json["seed"] % 2 else NEVER

    with ScriptedUpstream(play) as upstream:
        async with serve(folder, config(upstream, drain)) as child, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connect(child.port)) for _ in range(streams)]
            for number, client in enumerate(clients):
                client.ask(seed=number)
            for client in clients:
                await client.head()
            began = time.monotonic()
            child.signal(signal.SIGTERM)
            seen = asyncio.gather(*(ending(client) for client in clients))
            not_ready = await until_not_ready(child) - began
            endings = await seen
            code, _, _ = await child.end()
            gone = time.monotonic() - began
    return Drained(endings.count("whole"), endings.count("told"), endings.count("silent"), not_ready, gone, code)


async def until_not_ready(child: Child) -> float:
    async with asyncio.timeout(PATIENT):
        while await get(child.port, "/readyz") != 503:
            pass
    return time.monotonic()


async def ending(client: Client) -> str:
    events = []
    while event := await client.event():
        events.append(event)
    if not client.whole:
        return "silent"
    if events[-1] == b"data: [DONE]\n\n":
        return "whole"
    error = json.loads(events[-1].removeprefix(b"data: ")).get("error", {})
    return "told" if error.get("code") == "shutting_down" else "silent"
