"""Parts of a choice one after another, for dialects in which a part can start only when the one before has ended.

In the vocabulary several parts of a choice may be open at once: the arguments of parallel tool calls come in turns.
"""

from __future__ import annotations

import re

from telex.core import json
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, PartDelta, PartEnd, PartStart
from telex.core.messages import Finish

OUTSIDE = re.compile(r'["{}\[\]]')
"""What matters of JSON outside a string,"""
QUOTED = re.compile(r'["\\]')
"""and inside one."""


class Arguments:
    """The arguments of a tool call while they grow: `whole` once they are a JSON object, behind which only white space can follow."""

    def __init__(self) -> None:
        self.whole = False
        self._text: list[str] = []
        self._depth = 0
        self._quoted = self._escaped = self._closed = False

    def feed(self, text: str) -> None:
        if self._closed or not text:
            return
        self._text.append(text)
        place = int(self._escaped)  # an escaped character is none that matters
        self._escaped = False
        while match := (QUOTED if self._quoted else OUTSIDE).search(text, place):
            place = match.end()
            match match[0]:
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    self._escaped = place == len(text)
                    place += 1
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth <= 0:
                        self._close()
                        return

    def _close(self) -> None:
        """The outermost bracket has closed: either this is an object, or it never will be one."""
        self._closed = True
        self.whole = is_object("".join(self._text))
        self._text.clear()


def is_object(text: str) -> bool:
    try:
        return isinstance(json.decode(text.encode("utf-8", "surrogatepass")), dict)
    except json.Malformed:
        return False


class Lane:
    """The parts of one choice: one is open and flows, those that started since wait in the order in which they started."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._open: int | None = None
        self._arguments: Arguments | None = None
        self._waiting: dict[int, list[Event]] = {}

    def feed(self, event: PartStart | PartDelta | Cite | PartEnd) -> list[Event]:
        events: list[Event] = []
        if event.index == self._open:
            self._flow(event, events)
        elif isinstance(event, PartStart):
            self._waiting[event.index] = [event]
        elif event.index in self._waiting:
            self._waiting[event.index].append(event)
        else:  # white space behind arguments that were whole, or the end of them
            return events
        self._advance(events)
        return events

    def _flow(self, event: Event, events: list[Event]) -> None:
        events.append(event)
        if isinstance(event, PartDelta) and self._arguments is not None:
            self._arguments.feed(event.text)
        elif isinstance(event, PartEnd):
            self._open = self._arguments = None

    def _advance(self, events: list[Event]) -> None:
        """Let those that wait flow as far as they may."""
        while self._waiting:
            if self._open is not None:
                if self._arguments is None or not self._arguments.whole:
                    return
                self._end(events)
            index = next(iter(self._waiting))
            held = self._waiting.pop(index)
            start = held[0]
            self._open = index
            function = isinstance(start, PartStart) and start.kind == "tool_call" and start.tool != "custom"
            self._arguments = Arguments() if function else None
            for event in held:
                self._flow(event, events)

    def _end(self, events: list[Event]) -> None:
        if self._open is not None:
            self._flow(PartEnd(self._choice, self._open), events)

    def close(self) -> list[Event]:
        """End what is open, and say and end all that waits."""
        events: list[Event] = []
        self._end(events)
        while self._waiting:
            self._advance(events)
            self._end(events)
        return events


class Sequencer:
    """Events to the same events in an order in which a part starts only when the one before it has ended.

    What is open flows at once; the others wait until it ends, or until it is a tool call whose arguments are whole: many providers
    end calls only with the choice.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}

    def feed(self, event: Event) -> list[Event]:
        match event:
            case PartStart() | PartDelta() | Cite() | PartEnd():
                if (lane := self._lanes.get(event.choice)) is None:
                    lane = self._lanes[event.choice] = Lane(event.choice)
                return lane.feed(event)
            case Finish():
                lane = self._lanes.get(event.choice)
                return [*(lane.close() if lane else ()), event]
            case Done() | Failure():
                return [*(ended for lane in self._lanes.values() for ended in lane.close()), event]
        return [event]
