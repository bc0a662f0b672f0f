"""No answer that broke off looks complete to an official SDK, whichever of its ways of reading it is, over a provider of any dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telex.core.errors import Failure, Kind
from telex.testing import FAULTS, Call, Play, Wait
from telex.testing.script import resolve

from .readers import COLOURS, FOLLOWING, READERS, WAITING, Colour, Reader
from .scene import UPSTREAMS, Scene, cuts, scene, torn

each_colour = pytest.mark.parametrize("colour", COLOURS)
each_upstream = pytest.mark.parametrize("up", UPSTREAMS)
each_follower = pytest.mark.parametrize("reader", FOLLOWING, ids=[reader.id for reader in FOLLOWING])
each_waiter = pytest.mark.parametrize("reader", WAITING, ids=[reader.id for reader in WAITING])


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Scene]:
    async with scene() as stage:
        yield stage


@each_colour
@each_upstream
@each_follower
async def test_a_stream_that_is_cut_behind_any_event_or_inside_it(stage: Scene, reader: Reader, up: str, colour: Colour) -> None:
    """Its connection ends as if all had been said, which no SDK notices by itself."""
    number, unheard = await stage.silent(reader, colour, up, cuts(await stage.whole(reader, colour, up)))
    assert unheard == []
    assert number > 6


@each_colour
@each_upstream
@each_waiter
async def test_a_whole_reply_that_is_torn(stage: Scene, reader: Reader, up: str, colour: Colour) -> None:
    number, unheard = await stage.silent(reader, colour, up, torn(await stage.whole(reader, colour, up)))
    assert unheard == []
    assert number == 16


KINDS: tuple[Kind, ...] = ("rate_limited", "quota_exhausted", "overloaded", "upstream_error", "timeout")


@each_colour
@each_upstream
@pytest.mark.parametrize("reader", READERS, ids=[reader.id for reader in READERS])
async def test_an_error_inside_an_answer(stage: Scene, reader: Reader, up: str, colour: Colour) -> None:
    broken = [FAULTS["row13-error-mid-stream"](failure=Failure(kind, "It broke.")) for kind in KINDS]
    for play in broken:
        raised = await stage.read(reader, colour, up, play)
        assert "It broke." in str(raised)


@each_colour
@each_follower
@pytest.mark.parametrize("native", [True, False], ids=["same-dialect", "another-dialect"])
@pytest.mark.parametrize("id", ["row12-error-first", "row14-fin-without-terminator"])
async def test_an_answer_that_breaks_behind_the_gate_before_any_word(
    stage: Scene, id: str, native: bool, reader: Reader, colour: Colour
) -> None:
    """Its headers have said 200, and nothing else has come."""
    up = UPSTREAMS[UPSTREAMS.index(reader.dialect) - (not native)]

    def late(call: Call) -> Play:
        head, *steps = resolve(FAULTS[id](**({"after": 0} if id.startswith("row14") else {})), call)
        return head, Wait(0.1), *steps

    raised = await stage.read(reader, colour, up, late, "gate")
    assert raised is not None
    assert getattr(raised, "status_code", 200) == 200
