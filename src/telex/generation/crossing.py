"""Going on in another dialect: who has the first frames in one reads the rest in another, and the folds of both add up.

What a prefix of frames said is known by decoding them, so it is exact whatever their encoder held back. What would make no sense without
its beginning is said again: that the reply started, each part that was open; and of one that makes sense only whole (a tool call, a
part of the provider's own) all of it so far. Text goes on where it stopped.
"""

from __future__ import annotations

from msgspec import Struct

from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Usage
from telex.dialects import DIALECTS
from telex.dialects.quirks import NO_QUIRKS
from telex.generation.reading import Reading, Renders, Source, is_verbatim

WHOLE = frozenset({"tool_call", "opaque", "audio"})
"""Kinds of parts of which a rest makes no sense."""


class Carry:
    """What of a prefix must be said again."""

    def __init__(self) -> None:
        self._start: Start | None = None
        self._open: dict[tuple[int, int], list[Event]] = {}
        self._last: dict[object, Event] = {}  # said anew each time: the usage, and why a choice stopped

    def note(self, event: Event) -> None:
        match event:
            case Start():
                self._start = event
            case PartStart():
                self._open[event.choice, event.index] = [event]
            case PartDelta():
                part = self._open.get((event.choice, event.index), [])
                if part and isinstance(begun := part[0], PartStart) and begun.kind in WHOLE:
                    part.append(event)
            case PartEnd():
                self._open.pop((event.choice, event.index), None)
            case Finish():
                self._last[event.choice] = event
            case Usage():
                self._last["usage"] = event

    def events(self) -> list[Event]:
        start: list[Event] = [self._start] if self._start is not None else []
        return [*start, *(event for part in self._open.values() for event in part), *self._last.values()]


class Crossing(Struct, frozen=True):
    """`to`: what the reader wants. `of`, `after`: how it read before, and how many frames of that it has."""

    to: Reading
    of: Reading
    after: int

    def render(self, source: Source | None) -> Renders:
        return CrossRendition(self, source)


class CrossRendition:
    def __init__(self, crossing: Crossing, source: Source | None) -> None:
        to, of = crossing.to, crossing.of
        self._before = of.render(source)
        self._frames = sse.Decoder()
        quirks = source.quirks if source is not None and is_verbatim(of, source) else NO_QUIRKS
        self._decoder = DIALECTS[of.dialect].Decoder(quirks)
        self._encoder = DIALECTS[to.dialect].Encoder(to.include_usage, to.name or to.id, to.created)
        self._left = crossing.after
        self._carry: Carry | None = Carry()

    def feed(self, entry: bytes) -> list[bytes]:
        return self._go_on(self._before.feed(entry))

    def end(self, failure: Failure | None) -> list[bytes]:
        frames = self._go_on(self._before.end(failure))
        return [*frames, *self._say(self._ending(failure))]

    def _ending(self, failure: Failure | None) -> list[Event]:
        """What ends the stream, if nothing has: whoever had all of it already is told once more."""
        if failure is not None:
            return [failure]
        if not self._decoder.ended:
            return self._decoder.end()
        return [Done()] if self._carry is not None else []

    def _go_on(self, frames: list[bytes]) -> list[bytes]:
        out: list[bytes] = []
        for raw in frames:
            events = [event for frame in self._frames.feed(raw) for event in self._decoder.feed(frame)]
            events = [event for event in events if not isinstance(event, Failure)]  # it is the ending, and said as it was
            if self._left and self._carry is not None:
                self._left -= 1
                for event in events:
                    self._carry.note(event)
            else:
                out += self._say(events)
        return out

    def _say(self, events: list[Event]) -> list[bytes]:
        if self._carry is not None and events:
            events, self._carry = [*self._carry.events(), *events], None
        return [frame for event in events for frame in self._encoder.feed(event)]
