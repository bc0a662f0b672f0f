"""Signs of life in an answer, in front of its first word and between its words: every way of reading it bears them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from google.genai.errors import UnknownApiResponseError

from telex.testing import Call, Script, Wait
from telex.testing.script import resolve

from .readers import COLOURS, FOLLOWING, Colour, Reader
from .scene import Scene, answer, scene

SILENCE = 0.08
"""Seconds in which a sign of life comes several times."""


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telex.gateway.deliver.KEEP_ALIVE_SECONDS", 0.02)
        async with scene() as stage:
            yield stage


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("reader", FOLLOWING, ids=[reader.id for reader in FOLLOWING])
async def test_signs_of_life_are_borne(stage: Scene, reader: Reader, colour: Colour) -> None:
    assert await stage.read(reader, colour, reader.dialect, slow, "gate") is None


async def test_a_form_that_is_not_the_clients_is_not_borne(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they do come, and the form matters."""
    monkeypatch.setattr("telex.dialects.gemini.KEEP_ALIVE", b": keep-alive\n\n")
    [reader, *_] = [reader for reader in FOLLOWING if reader.dialect == "gemini"]
    with pytest.raises(UnknownApiResponseError):
        await stage.read(reader, "async", "gemini", slow, "gate")


def slow(call: Call) -> Script:
    """Silent before the first word and in the middle."""
    head, *frames = resolve(answer(call.dialect.NAME), call)
    middle = len(frames) // 2
    return head, Wait(SILENCE), *frames[:middle], Wait(SILENCE), *frames[middle:]
