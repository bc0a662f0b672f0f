"""P4: whoever's connection is cut behind any frame goes on behind it, in the same dialect or in another, and nothing is lost, doubled or
out of order. 10,000 cuts; one that fails says its seed, and `TELEX_SEED=n` tries that seed's alone.
"""

from __future__ import annotations

import os
import random
from itertools import product
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from telex.core.errors import Failure
from telex.dialects import DIALECTS
from telex.dialects.quirks import NO_QUIRKS
from telex.generation.crossing import Crossing
from telex.generation.kept import KeptLog, Room
from telex.generation.reading import Reading, Reads, Source, is_verbatim

from .adding import add, settle, tally
from .listening import read_all, read_all_of, read_part, reading, undisturbed
from .shapes import check_shape
from .speaking import ALONE, Told, draw, recordings, write, written

SEED = os.environ.get("TELEX_SEED")
STREAMS = 20
"""Of each provider's dialect, for each client's."""

CUTS = 32
"""Of each of them: half go on in the same dialect, half in others."""

assert len(DIALECTS) ** 2 * STREAMS * CUTS >= 10_000
RECORDED = recordings(200_000)


# ---- going on in the same dialect


def replay(told: Told, log: KeptLog, reads: Reads, after: int, coin: random.Random) -> list[Any]:
    """It comes when all is over."""
    return read_all(log.join(reads, after))


def restore(told: Told, log: KeptLog, reads: Reads, after: int, coin: random.Random) -> list[Any]:
    """It comes when nothing is left but what a store has."""
    again = KeptLog(Room(1 << 30))
    again.source = msgspec.msgpack.decode(msgspec.msgpack.encode(log.source), type=Source | None)
    again.append(list(log.entries))
    again.close(msgspec.msgpack.decode(msgspec.msgpack.encode(log.failure), type=Failure | None))
    return read_all(again.join(reads, after))


def follow(told: Told, log: KeptLog, reads: Reads, after: int, coin: random.Random) -> list[Any]:
    """It comes at some time while the provider speaks, and reads now and then beside another."""
    reader, other, got = None, None, list[Any]()
    for growing in write(told, random.Random(coin.random()), coin.randint(1, 20)):
        other = other or growing.join(reads)
        if reader is None and (growing.closed or coin.random() < 0.3):
            reader = growing.join(reads, after)
        if reader is not None and coin.random() < 0.5:
            got += reader.read()
            other.read()
    assert reader is not None
    return [*got, *read_all(reader)]


WAYS = replay, restore, follow


def check_same(told: Told, log: KeptLog, reads: Reads, coin: random.Random, cuts: int) -> None:
    frames = undisturbed(log, reads)
    for _ in range(cuts):
        after, way = coin.randint(0, len(frames) + 2), coin.choice(WAYS)
        expected = frames[after:] if after <= len(frames) else frames[-1:]
        assert way(told, log, reads, after, coin) == expected, (way.__name__, after)


# ---- going on in another


def check_other(told: Told, log: KeptLog, of: str, coin: random.Random, cuts: int) -> None:
    own = reading(of)
    quirks = told.quirks if is_verbatim(own, log.source) else NO_QUIRKS
    frames, broken = undisturbed(log, own), log.failure is not None
    others = {name: read_all_of(name, undisturbed(log, Crossing(reading(name), own, 0))) for name in DIALECTS if name != of}
    for _ in range(cuts):
        after, way, dialect = coin.randint(0, len(frames) + 2), coin.choice(WAYS), coin.choice(list(others))
        note = f"behind frame {after} of {len(frames)}, in {dialect}, {way.__name__}"
        choices = 1 if {of, dialect} & ALONE else 99
        suffix = way(told, log, Crossing(reading(dialect), own, after), 0, coin)
        seen, heard = (
            tally(read_part(of, quirks, frames[:after]), cut=True, choices=choices),
            tally(read_all_of(dialect, suffix), choices=choices),
        )
        assert heard.ends == ["failure" if broken else "done"], note
        check_shape(dialect, suffix)
        sums, expected = settle(add(seen, heard), broken), settle(tally(others[dialect], choices=choices), broken)
        assert sums == expected, f"{note}:\n{sums}\n{expected}"
        said = settle(tally(read_part(of, quirks, frames), choices=choices), broken)
        assert (sums.texts, sums.thoughts) == (said.texts, said.thoughts), note
        assert broken or sums.calls == said.calls, note  # not in every dialect can half a call be said


# ---- ten thousand


def check(told: Told, client: str, seed: int, cuts: int) -> None:
    coin = random.Random(seed)
    try:
        log = written(told, coin)
        wanted = replace(reading(client), include_usage=coin.random() < 0.7, renamed=coin.random() < 0.3)
        check_same(told, log, wanted, coin, cuts // 2)
        check_other(told, log, client, coin, cuts - cuts // 2)
    except BaseException as error:
        error.add_note(f"TELEX_SEED={seed}: {told.dialect} ({told.name}) for {client}")
        raise


@pytest.mark.parametrize(("provider", "client"), list(product(DIALECTS, DIALECTS)))
def test_cuts(provider: str, client: str) -> None:
    for seed in [int(SEED)] if SEED else range(STREAMS):
        check(draw(seed, provider), client, seed, CUTS)


@pytest.mark.parametrize("client", DIALECTS)
def test_cuts_of_recordings(client: str) -> None:
    for seed, told in enumerate(RECORDED):
        check(told, client, seed, 6)


@pytest.mark.parametrize("provider", DIALECTS)
def test_cuts_of_readers_of_events(provider: str) -> None:
    for seed in range(STREAMS):
        coin, told = random.Random(seed), draw(seed, provider)
        check_same(told, written(told, coin), Reading(""), coin, CUTS)
