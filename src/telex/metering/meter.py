"""Measures one generation: every time is an argument, in seconds of one monotonic clock."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from telex.core.events import Event, PartDelta, PartStart, is_content
from telex.core.messages import Request, Usage

Certainty = Literal["final", "partial", "estimated", "missing"]
"""How sure the tokens are: said by the provider at the end, said before a cut, counted from characters, or not known at all."""

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text (OpenAI's help centre, "What are tokens"); what rests on it is marked as estimated."""


class Timing(Struct, frozen=True):
    """Seconds. `ttft`: from the request to its first content; `itl_p50`, `itl_p95`: of the gaps between content; `e2e`: to the end."""

    ttft: float | None
    itl_p50: float | None
    itl_p95: float | None
    e2e: float
    connect: float | None


class Meter:
    """Fed with the events of the committed attempt as they come; `gaps` holds each gap between two frames with content."""

    def __init__(self, request: Request, now: float) -> None:
        self.request = request
        self._began = now
        self._first: float | None = None
        self._last = now
        self._ended: float | None = None
        self._connected: float | None = None
        self._written = 0
        self.gaps = array("f")
        self.usage: Usage | None = None

    def connected(self, now: float) -> None:
        self._connected = now

    @property
    def reached(self) -> bool:
        """Whether there was a connection to ask on."""
        return self._connected is not None

    def feed(self, events: Iterable[Event], now: float) -> bool:
        """Take in one frame's events. True if there is content among them."""
        content, characters = False, 0
        for event in events:
            if type(event) is PartDelta:
                characters += len(event.text)
                if event.text or event.data:
                    content = True
            elif type(event) is PartStart:
                content = content or is_content(event)
            elif type(event) is Usage:
                self.usage = event
        if content:
            self.content(characters, now)
        return content

    def content(self, characters: int, now: float) -> None:
        """A frame with content came, so many characters of text."""
        self._written += characters
        if self._first is None:
            self._first = now
        else:
            self.gaps.append(now - self._last)
        self._last = now

    def end(self, now: float) -> None:
        self._ended = now

    def timing(self, now: float) -> Timing:
        """As far as it has come; `now` stands in for an end that has not come."""
        gaps = sorted(self.gaps)
        return Timing(
            None if self._first is None else self._first - self._began,
            quantile(gaps, 0.5),
            quantile(gaps, 0.95),
            (now if self._ended is None else self._ended) - self._began,
            None if self._connected is None else self._connected - self._began,
        )

    def tokens(self, complete: bool) -> tuple[Usage | None, Certainty]:
        """The tokens, and how sure they are. What no provider has said is counted from the characters of prompt and answer."""
        if self.usage is not None:
            return self.usage, "final" if complete else "partial"
        if not complete and not self._written:
            return None, "missing"
        prompt = sum(len(part.text) for message in self.request.messages for part in message.parts)
        return Usage(estimate(prompt), estimate(self._written)), "estimated"


def estimate(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The nearest-rank quantile of ordered values, None if there are none."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else None
