"""A way of reading for tests in which what is read does not matter: entries are frames as they are, and nothing is said at the end."""

from __future__ import annotations

from typing import Any

from telex.core.errors import Failure
from telex.generation.reading import Source


class Plainly:
    """It is its own rendition: it has no state. `last`: what it says at the end, if anything."""

    def __init__(self, last: bytes = b"") -> None:
        self._last = last

    def render(self, source: Source | None) -> Plainly:
        return self

    def feed(self, entry: bytes) -> list[Any]:
        return [entry] if entry else []

    def end(self, failure: Failure | None) -> list[Any]:
        return [self._last] if self._last else []


PLAINLY = Plainly()
