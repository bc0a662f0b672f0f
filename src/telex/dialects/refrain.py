"""What the frames of a stream repeat word for word around their text, so that mostly only the text is read.

Providers send `data: {…"delta":{"content":"` and `"},"finish_reason":null}]}` with every word. When a frame decoded to nothing but
text, and the rest of the next one is the same bytes, the next one decodes to nothing but text too, at the same place: JSON in
which only a plain string differs. At 50 events/s a stream, with cold caches, that is a third of what an event costs here.
"""

from __future__ import annotations

import re
from typing import TypeGuard

from telex.core import json
from telex.core.events import Event, PartDelta

NOT_PLAIN = re.compile(rb'["\\\x00-\x1f]')
"""Bytes that end a JSON string or mean something other than themselves in it."""

NOWHERE = (-1, -1)
PATIENCE = 8
"""Frames in a row that may be learned in vain before it is given up: some providers pad every one with noise."""


def is_words(event: Event) -> TypeGuard[PartDelta]:
    """Whether an event is a piece of text and nothing else."""
    return type(event) is PartDelta and bool(event.text) and not (event.data or event.signature)


class Refrain:
    """Belongs to one stream. `learn` from every frame that was decoded, `read` every one before decoding it: all of its bytes."""

    def __init__(self) -> None:
        self._known: PartDelta | None = None
        self._before = self._behind = self._end = b""
        self._start = 0  # where the text begins
        self._patience = PATIENCE

    def read(self, raw: bytes) -> PartDelta | None:
        """The one event of a frame that repeats what is known; None if it does not, and must be decoded."""
        known = self._known
        if known is None or not raw.startswith(self._before):
            return None
        stop = self._stop(raw)
        words = raw[self._start : stop - len(self._behind)]
        if not words or not raw.endswith(self._behind, self._start, stop) or not raw.endswith(self._end) or NOT_PLAIN.search(words):
            return None
        try:
            text = words.decode()
        except UnicodeDecodeError:
            return None
        self._patience = PATIENCE
        return PartDelta(known.choice, known.index, text)

    def learn(self, raw: bytes, events: list[Event]) -> None:
        """Remember what surrounds the text of a frame that is nothing but text, if it is certain where in it that text stands.

        Without any backslash in the frame a string stands there as it reads, so the only place where it does is its own.
        """
        self._known = None
        if not self._patience or len(events) != 1 or not is_words(event := events[0]) or b"\\" in raw:
            return
        self._patience -= 1
        literal = json.encode(event.text)
        start = raw.find(literal)
        if start >= 0 and raw.find(literal, start + 1) < 0:
            self._known, self._before, self._start = event, raw[: start + 1], start + 1
            self._behind, self._end = raw[start + len(literal) - 1 : self._stop(raw)], raw[raw.rfind(b"}") :]

    @staticmethod
    def _stop(raw: bytes) -> int:
        """Where what is not noise ends: some providers pad each frame with spaces before its last bracket."""
        end = raw.rfind(b"}")
        while raw.endswith(b" ", 0, end):
            end -= 1
        return end


class Echo:
    """The same for what is written: the frame of one more piece of text is the last one with another text in it.

    Belongs to one stream in one dialect. `learn` from every event that was encoded and its frames, `say` every piece of text.
    """

    def __init__(self) -> None:
        self._place = NOWHERE
        self._before = self._behind = b""

    def say(self, event: Event) -> bytes | None:
        """The frame of an event that says more in the same place; None if it does not, and must be encoded."""
        if not is_words(event) or (event.choice, event.index) != self._place:
            return None
        return self._before + json.encode(event.text) + self._behind

    def learn(self, event: Event, frames: list[bytes]) -> None:
        """Remember what surrounds the text of a frame, if it is certain where in it that stands. Any other event makes it forget."""
        self._place = NOWHERE
        if len(frames) != 1 or not is_words(event):
            return
        literal, frame = json.encode(event.text), frames[0]
        start = frame.find(literal)
        if start >= 0 and frame.find(literal, start + 1) < 0:
            self._place, self._before, self._behind = (event.choice, event.index), frame[:start], frame[start + len(literal) :]
