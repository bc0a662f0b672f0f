"""P9: signs of life in the form that a dialect bears; they stop one of two clocks only. It takes what the clocks take: 5 minutes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from gateway.dialects import DIALECTS as NAMES
from gateway.dialects import asks

from gateway.client import connect, request
from gateway.house import gateway
from telex.config import Timeouts
from telex.core import sse
from telex.core.errors import Failure
from telex.dialects import DIALECTS
from telex.gateway.deliver import KEEP_ALIVE_SECONDS
from telex.testing import Beat, Call, Head, Play, ScriptedUpstream, Send, Stall, render
from telex.testing.answers import SSE, words

from .telling import tell

pytestmark = pytest.mark.soak
LIMITS = {"silent": Timeouts().idle, "without content": Timeouts().content_idle}
"""Seconds that a provider may be so."""


def breaks_off(call: Call) -> Play:
    """One word, and then silence, or nothing but comments, as its model is called."""
    frames = render(words(call, "Hi"), call).flat
    first = next(number for number, frame in enumerate(frames) if b"Hi" in frame)
    after = Stall() if call.model == "silent" else Beat(b": I live\n\n", 5.0)
    return Head(200, SSE), Send(b"".join(frames[: first + 1])), after


async def hear(port: int, name: str, model: str) -> tuple[list[float], float, bool]:
    """Seconds from one sign of life to the next, the first from the last word; how long until it ended; and whether by an error."""
    path, body, headers = asks(name, f"{name}/{model.split()[0]}", stream=True)
    async with connect(port) as client, asyncio.timeout(400):
        client.send(request(json.dumps(body).encode(), path=path, headers=headers))
        await client.head()
        signs, said, last = list[float](), b"", time.monotonic()
        began = last
        while piece := await next_piece(client):
            now = time.monotonic()
            if piece == DIALECTS[name].KEEP_ALIVE:
                signs.append(now - last)
                last = now
            elif b"Hi" in piece:
                began = last = now
            said += piece
    decoder = DIALECTS[name].Decoder()
    events = [event for frame in sse.Decoder().feed(said) for event in decoder.feed(frame)]
    return signs, time.monotonic() - began, isinstance(events[-1], Failure)


async def next_piece(client: Any) -> bytes:
    """However long it takes."""
    piece: bytes = await client._piece()
    return piece


async def test_p9_signs_of_life_stop_only_one_of_the_clocks() -> None:
    with ScriptedUpstream(breaks_off) as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": "k"} for name in NAMES}
        async with gateway(providers=providers) as house:
            pairs = [(name, model) for name in NAMES for model in LIMITS]
            heard = await asyncio.gather(*(hear(house.port, name, model) for name, model in pairs))
    for (name, model), (signs, ended, failed) in zip(pairs, heard, strict=True):
        shown = ", ".join(f"{seconds:.1f}" for seconds in signs) or "none"
        tell(
            "P9", f"{name}, the provider {model}: signs of life after {shown} s, an error after {ended:.1f} s; promised {LIMITS[model]:g} s"
        )
        assert failed
        assert LIMITS[model] - 1 < ended < LIMITS[model] + 60
        if model == "silent":
            assert len(signs) >= 3
            assert max(signs) < 4 * KEEP_ALIVE_SECONDS
