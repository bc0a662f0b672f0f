"""Going on with a generation in another dialect, over HTTP. That it adds up behind every frame is for tests/generation and tests/soak."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from generation.adding import add, settle, tally
from generation.listening import read_all_of, read_part
from generation.shapes import check_shape
from telex.dialects import DIALECTS
from telex.dialects.quirks import NO_QUIRKS
from telex.testing import ScriptedUpstream, say

from .client import send
from .house import House, gateway, in_each_dialect
from .returning import ROOT, get
from .test_generations import TEXTS, asked, frames_of

PAIRS = [(of, dialect) for of in DIALECTS for dialect in DIALECTS if of != dialect]


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    async with gateway(providers=in_each_dialect(upstream.url)) as house:
        yield house


def numbers(body: bytes) -> list[int]:
    return [int(line[4:]) for line in body.splitlines() if line.startswith(b"id: ")]


def bare(body: bytes) -> bytes:
    """Without the ids."""
    return b"".join(line for line in body.splitlines(keepends=True) if not line.startswith(b"id: "))


@pytest.mark.parametrize(("of", "dialect"), PAIRS)
async def test_what_was_seen_and_what_follows_in_another_dialect_add_up(
    house: House, upstream: ScriptedUpstream, of: str, dialect: str
) -> None:
    upstream.play(say(*TEXTS))
    answer = await send(house.port, asked(of, "openai-chat"))
    id, frames, first = answer.headers["telex-generation"], frames_of(answer.body), DIALECTS[of].FIRST_NUMBER
    whole = settle(tally(read_all_of(of, frames)), broken=False)
    for count in range(1, len(frames) + 2):
        rest = await get(house.port, f"{ROOT}/{id}/stream?after={count + first - 1}&of={of}&dialect={dialect}")
        suffix = frames_of(rest.body)
        check_shape(dialect, suffix)
        seen = tally(read_part(of, NO_QUIRKS, frames[:count]), cut=True)
        assert settle(add(seen, tally(read_all_of(dialect, suffix))), broken=False) == whole


@pytest.mark.parametrize(("of", "dialect"), PAIRS)
async def test_who_reconnects_by_itself_goes_on_in_the_other_dialect(
    house: House, upstream: ScriptedUpstream, of: str, dialect: str
) -> None:
    """It sends the query again that it began with, and the id of the last event of what that gave."""
    upstream.play(say(*TEXTS))
    answer = await send(house.port, asked(of, "openai-chat"))
    after = len(frames_of(answer.body)) // 2 + DIALECTS[of].FIRST_NUMBER - 1
    path = f"{ROOT}/{answer.headers['telex-generation']}/stream?after={after}&of={of}&dialect={dialect}"
    begun = await get(house.port, path, {"telex-event-ids": "true"})
    suffix, ids = frames_of(bare(begun.body)), numbers(begun.body)
    assert len(ids) == len(suffix) > 2
    for place, number in enumerate(ids, 1):
        again = await get(house.port, path, {"last-event-id": str(number)})
        assert (frames_of(bare(again.body)), numbers(again.body)) == (suffix[place:], ids[place:])
