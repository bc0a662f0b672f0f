"""Readers of a kept log who come at any moment with any cursor, leave when they like and come back, beside the client who asked (P4)."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any, NamedTuple

from telex.dialects import DIALECTS
from telex.generation.crossing import Crossing
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog
from telex.generation.log import Reader
from telex.generation.reading import Reading, Reads

from .listening import reading, undisturbed


class Visit(NamedTuple):
    """What one reader got behind its cursor until it left or was told that this was all (`over`), and where it stood then."""

    reads: Reads
    after: int
    frames: list[Any]
    over: bool
    position: int


def choose(generation: Generation, coin: random.Random) -> Reads:
    """As its client reads, or in some dialect, from one to another, or the events."""
    names = list(DIALECTS)
    to, of = reading(coin.choice(names)), reading(coin.choice(names))
    return coin.choice([generation.reading, to, Reading(""), Crossing(to, of, coin.randint(0, 12)) if to != of else to])


async def visit(generation: Generation, coin: random.Random) -> list[Visit]:
    """One who comes a few times, each time with the cursor that it has, unless it starts again somewhere."""
    visits, reads, after = list[Visit](), choose(generation, coin), coin.choice([0, 0, 3, 50])
    for _ in range(coin.randint(1, 4)):
        await asyncio.sleep(coin.choice([0.0, 0.05, 0.5, 3.0]))
        reader, frames = generation.join(reads, after), list[Any]()
        await follow(reader, frames, coin)
        over = reader.over
        generation.leave(reader)
        visits.append(Visit(reads, after, frames, over, reader.position))
        after = reader.position if coin.random() < 0.8 else coin.randint(0, 20)
    return visits


async def follow(reader: Reader, frames: list[Any], coin: random.Random) -> None:
    """All that comes, until it loses its patience."""
    with suppress(TimeoutError):
        async with asyncio.timeout(coin.choice([0.0, 0.03, 0.5, 0.5, 2.0, 1e6])):
            while not reader.over:
                await reader.wait()
                frames += reader.read()
                await asyncio.sleep(coin.choice([0.0, 0.0, 0.1]))


def check_visits(generation: Generation, visits: list[Visit]) -> None:
    """Nothing was lost, doubled or out of order, whenever anybody came."""
    log, known = generation.log, dict[Reads, list[Any]]()
    assert isinstance(log, KeptLog)
    for reads, after, frames, over, position in visits:
        whole = known.setdefault(reads, undisturbed(log, reads))
        rest = whole[after:] if after <= len(whole) else whole[-1:]
        assert frames == (rest if over else rest[: len(frames)])
        assert position == (len(whole) if over else after + len(frames))
