"""P4 over real sockets: clients in every dialect, before providers of every dialect, whose connections break at any byte while the reply
still comes, and who come back behind what they have, two at once, in the same dialect or in another."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import Struct, field

from fuzz.targets import NAMES
from gateway.client import Client, connect, request
from gateway.house import House, gateway, in_each_dialect
from gateway.returning import ROOT
from gateway.speech import asks
from generation.adding import add, settle, tally
from generation.listening import read_all_of, read_part
from generation.shapes import check_shape
from generation.speaking import ALONE, speak
from telex.dialects import DIALECTS
from telex.dialects.quirks import NO_QUIRKS
from telex.testing import Call, Script, ScriptedUpstream, perform
from telex.testing.script import cut_script, resolve, size

from .telling import SEED, spread, tell

pytestmark = pytest.mark.soak
ROUNDS = 60
"""Generations of each pair of dialects."""

AT_ONCE = 16
GAP = 0.01
"""Seconds between two frames of a provider."""

LENGTHS = (50, 300, 1500, 20_000)
"""Up to how many bytes of an answer come before its connection breaks."""


def plays(call: Call) -> Script:
    """What a generation's seed, which stands in its prompt, lets its provider say; now and then its connection breaks."""
    found = re.search(rb"seed (\d+)", call.body)
    assert found
    coin = random.Random(int(found[1]))
    script = resolve(perform(speak(coin, call.dialect.NAME), gap=GAP), call)
    return cut_script(script, int(size(script) * coin.uniform(0.5, 0.9))) if coin.random() < 0.15 else script


class Figures(Struct):
    """`waits`: seconds from a question to the first byte of the first frame behind its cursor, of frames that were there."""

    cuts: int = 0
    streams: int = 0
    broken: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


class Got(NamedTuple):
    """The frames of one connection that came whole, and whether it was the end."""

    frames: list[bytes]
    ended: bool
    first: float


async def listen(client: Client, coin: random.Random, cuts: bool) -> Got:
    """Until the end, or until some byte, at which the client's connection breaks."""
    most, body, first = (coin.randint(0, coin.choice(LENGTHS)) if cuts else 1 << 30), b"", 0.0
    while len(body) < most and (piece := await client.piece()):
        first = first or time.monotonic()
        body += piece
    ended = client.whole
    if not ended:
        client.reset() if coin.random() < 0.5 else client.leave()
    *frames, rest = body[:most].split(b"\n\n")
    return Got([frame + b"\n\n" for frame in frames], ended and len(body) <= most and not rest, first)


class Story:
    """One generation, those who read it, and what of it anybody has seen."""

    def __init__(self, house: House, figures: Figures, client: str, up: str, seed: int) -> None:
        self.house, self.figures, self.client = house, figures, client
        self.coin = random.Random(seed)
        self.name = f"seed {seed}: {client} over {up}"
        self.question = f"seed {seed}"
        self.model = f"cut-{up}"
        self.id = ""
        self.seen = 0

    async def tell(self) -> None:
        path, body, headers = asks(self.client, self.model, True, self.question)
        policy = self.coin.choice(["hold", "finish"])
        async with connect(self.house.port) as client:
            client.send(request(json.dumps(body).encode(), path=path, headers={**headers, "telex-on-disconnect": policy}))
            status, answered = await client.head()
            if status != 200:
                return  # it broke before there was anything to come back to
            self.id = answered["telex-generation"]
            got = await listen(client, self.coin, cuts=True)
        self.note(got.frames)
        readers = [random.Random(self.coin.random()) for _ in range(2)]
        first, (second, suffix, dialect) = await asyncio.gather(self.stay(list(got.frames), readers[0]), self.cross(readers[1]))
        await self.check(first, second, suffix, dialect)

    def note(self, frames: list[bytes]) -> None:
        self.seen = max(self.seen, len(frames))
        self.figures.cuts += 1

    async def stay(self, frames: list[bytes], coin: random.Random) -> list[bytes]:
        """Comes back in its own dialect until it has all."""
        while True:
            ended, more = await self.come_back(f"after={self.cursor(frames)}" if frames else "", len(frames) < self.seen, coin)
            frames += more
            if ended:
                return frames
            self.note(frames)

    async def cross(self, coin: random.Random) -> tuple[list[bytes], list[bytes], str]:
        """Begins in its own dialect, and ends in another; of which it begins anew what breaks."""
        frames, dialect = list[bytes](), coin.choice([name for name in NAMES if name != self.client])
        for _ in range(coin.randint(1, 6)):
            ended, more = await self.come_back(f"after={self.cursor(frames)}" if frames else "", len(frames) < self.seen, coin)
            frames += more
            if ended:
                break
            self.note(frames)
        after = self.cursor(frames) if frames else ""
        query = f"after={after}&of={self.client}&dialect={dialect}"
        while True:
            ended, suffix = await self.come_back(query, False, coin)
            if ended:
                return frames, suffix, dialect
            self.figures.cuts += 1

    def cursor(self, frames: list[bytes]) -> int:
        return len(frames) + DIALECTS[self.client].FIRST_NUMBER - 1

    async def come_back(self, query: str, there: bool, coin: random.Random, cuts: bool = True) -> tuple[bool, list[bytes]]:
        """`there`: what it asks for has come already."""
        async with connect(self.house.port) as client:
            began = time.monotonic()
            client.send(request(method="GET", path=f"{ROOT}/{self.id}/stream?{query}"))
            status, _ = await client.head()
            assert status == 200, self.name
            got = await listen(client, coin, cuts)
        if there and got.first:
            self.figures.waits.append(got.first - began)
        return got.ended, got.frames

    async def check(self, first: list[bytes], second: list[bytes], suffix: list[bytes], dialect: str) -> None:
        """Both have seen what one sees who was never disturbed."""
        figures, whole = self.figures, (await self.come_back("", True, self.coin, cuts=False))[1]
        other = (await self.come_back(f"dialect={dialect}", True, self.coin, cuts=False))[1]
        figures.streams += 1
        figures.lost += max(0, len(whole) - len(first))
        figures.doubled += max(0, len(first) - len(whole))
        if first != whole or second != whole[: len(second)]:
            figures.wrong.append(f"{self.name}: not what it was")
        told, choices = read_all_of(dialect, other), 1 if {self.client, dialect} & ALONE else 99
        broken = tally(told).ends == ["failure"]
        figures.broken += broken
        before = tally(read_part(self.client, NO_QUIRKS, second), cut=True, choices=choices)
        sums = settle(add(before, tally(read_all_of(dialect, suffix), choices=choices)), broken)
        expected = settle(tally(told, choices=choices), broken)
        same = (sums.texts, sums.thoughts, sums.ends) == (expected.texts, expected.thoughts, expected.ends)
        if not same or not (broken or (sums.calls, sums.finishes.keys()) == (expected.calls, expected.finishes.keys())):
            figures.wrong.append(f"{self.name}, behind frame {len(second)} in {dialect}: {sums} instead of {expected}")
        check_shape(dialect, suffix)


@pytest.mark.parametrize("store", ["memory:", "sqlite:///{folder}/telex.db"])
async def test_p4_nothing_is_lost_or_doubled_over_any_cut(store: str, tmp_path: Path) -> None:
    figures, places = Figures(), asyncio.Semaphore(AT_ONCE)
    began = time.monotonic()
    with ScriptedUpstream(plays) as upstream:
        rows = in_each_dialect(upstream.url)
        models = {f"cut-{name}": {"targets": [{"provider": name, "model": "m"}], "retries": 0} for name in NAMES}
        async with gateway(providers=rows, models=models, store=store.format(folder=tmp_path)) as house:

            async def tell_one(number: int, client: str, up: str) -> None:
                async with places:
                    await Story(house, figures, client, up, SEED * 1_000_000 + number).tell()

            pairs = list(product(NAMES, NAMES)) * ROUNDS
            async with asyncio.TaskGroup() as group:
                for number, (client, up) in enumerate(pairs):
                    group.create_task(tell_one(number, client, up))
    seconds = time.monotonic() - began
    where = "memory" if store == "memory:" else "the file"
    tell(
        "P4",
        f"kept in {where}: {figures.cuts} connections cut in {seconds:.0f} s, of {figures.streams} streams ({figures.broken} broken "
        f"by their providers), two readers each, of which one went over to another dialect: {figures.lost} frames lost, "
        f"{figures.doubled} doubled, {len(figures.wrong)} readers who read anything else; promised 0",
    )
    tell("P4", f"from coming back to the next frame, {len(figures.waits)} times: {spread(figures.waits)}; promised p50 20 ms")
    assert figures.wrong == []
    assert (figures.lost, figures.doubled) == (0, 0)
    assert figures.cuts > 1000
