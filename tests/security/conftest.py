"""One gateway for the tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telex.testing import say

from .rooms import Room, room


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Room]:
    async with room() as made:
        yield made


@pytest.fixture
def here(shared: Room) -> Room:
    shared.upstream.play(say("Hello", " world"))
    return shared
