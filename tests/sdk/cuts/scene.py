"""A provider that breaks off, a gateway before it, and the official SDKs before that: what they make of an answer cut anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Literal

from gateway.house import House, gateway
from sdk.matrix.cells import said, text
from sdk.matrix.speakers import TOOLS
from telex.core.events import Event, PartDelta, PartEnd, PartStart
from telex.generation.traffic import Traffic
from telex.testing import Call, Close, Play, Script, ScriptedUpstream, Send
from telex.testing.script import resolve

from .readers import Colour, Reader, Sdks

UPSTREAMS = ("openai-chat", "openai-responses", "anthropic", "gemini")
Model = Literal["once", "gate"]
LIMITS: dict[Model, dict[str, float]] = {"once": {}, "gate": {"gate": 0.001}}
"""The models, all of which are tried but once: one of them sends its headers before anything has come."""

ARGUMENTS = ('{"zebra": "Oslo",', ' "apple": 1}')


def answer(up: str) -> Play:
    """Two words and a call, so that there is much to lose."""
    start = PartStart(0, 1, "tool_call", "call_1", TOOLS[0], "function")
    call: list[Event] = [start, *(PartDelta(0, 1, piece) for piece in ARGUMENTS), PartEnd(0, 1)]
    return said(up, *text("Hello", " there"), *call, reason="tool_calls")


def cuts(script: Script, then: Script = ()) -> Iterator[Script]:
    """A stream that ends behind each of its frames but the last, and inside each; `then` does what more there is."""
    head, *frames = script
    for number, frame in enumerate(frames):
        assert isinstance(frame, Send)
        yield head, *frames[:number], *then
        yield head, *frames[:number], Send(frame.data[: len(frame.data) // 2]), *then


def torn(script: Script, pieces: int = 8) -> Iterator[Script]:
    """A whole reply of which only some eighths come, whether its connection ends as it should or not."""
    head, body = script
    assert isinstance(body, Send)
    for number in range(pieces):
        piece = Send(body.data[: len(body.data) * number // pieces])
        yield head, piece, Close()
        yield piece, Close()


class Scene:
    def __init__(self, upstream: ScriptedUpstream, house: House, sdks: Sdks) -> None:
        self._upstream = upstream
        self._house = house
        self._sdks = sdks

    async def read(self, reader: Reader, colour: Colour, up: str, play: Play, model: Model = "once") -> Exception | None:
        """What the SDK raised. A provider that broke off before is asked all the same, and once."""
        self._upstream.play(play)
        self._house.process.engine.traffic = Traffic()
        before = len(self._upstream.calls)
        raised = await self._sdks.read(reader, colour, f"{up}-{model}")
        assert len(self._upstream.calls) == before + 1
        return raised

    async def whole(self, reader: Reader, colour: Colour, up: str) -> Script:
        """The answer that is not cut, which the reader must believe."""
        scripts: list[Script] = []

        def play(call: Call) -> Script:
            scripts.append(resolve(answer(up), call))
            return scripts[-1]

        assert await self.read(reader, colour, up, play) is None
        return scripts[-1]

    async def silent(self, reader: Reader, colour: Colour, up: str, plays: Iterable[Play]) -> tuple[int, list[int]]:
        """How many were played, and the numbers of those of which the reader did not say that they broke."""
        unheard = [await self.read(reader, colour, up, play) is None for play in plays]  # an error that is kept keeps its connection
        return len(unheard), [number for number, silent in enumerate(unheard) if silent]


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """With a provider of each dialect, and two models of each, as `anthropic-once`."""
    with ScriptedUpstream() as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": "k"} for name in UPSTREAMS}
        models = {
            f"{name}-{model}": {"targets": [{"provider": name, "model": "m"}], "retries": 0, "timeouts": limits}
            for name in UPSTREAMS
            for model, limits in LIMITS.items()
        }
        async with gateway(providers=providers, models=models) as house:
            sdks = Sdks(f"http://127.0.0.1:{house.port}")
            try:
                yield Scene(upstream, house, sdks)
            finally:
                await sdks.close()
