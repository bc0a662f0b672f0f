"""P9: signs of life in the form that a dialect bears; they stop one of two clocks only. It takes what the clocks take: 5 minutes."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.client import Answer, connect
from gateway.house import gateway
from gateway.speech import ALIVE, CLIENTS, asked, told
from telex.config import Timeouts
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


async def hear(port: int, client: str, question: bytes) -> tuple[list[float], float, bool]:
    """Seconds from one sign of life to the next, the first from the last word; how long until it ended; and whether by an error."""
    async with connect(port) as connection, asyncio.timeout(400):
        connection.send(question)
        status, headers = await connection.head()
        signs, said, last = list[float](), b"", time.monotonic()
        began = last
        while piece := await connection._piece():  # however long it takes
            now = time.monotonic()
            if piece == ALIVE[client]:
                signs.append(now - last)
                last = now
            elif b"Hi" in piece:
                began = last = now
            said += piece
    return signs, time.monotonic() - began, told(client, Answer(status, headers, said, connection.whole)).broken


async def test_p9_signs_of_life_stop_only_one_of_the_clocks() -> None:
    with ScriptedUpstream(breaks_off) as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": "k"} for name in CLIENTS}
        async with gateway(providers=providers) as house:
            pairs = [(name, model) for name in CLIENTS for model in LIMITS]
            heard = await asyncio.gather(
                *(hear(house.port, name, asked(name, f"{name}/{model.split()[0]}", stream=True)) for name, model in pairs)
            )
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
