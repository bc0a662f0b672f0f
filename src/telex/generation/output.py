"""What the reader gets of what the upstream sent: the same bytes where both speak one dialect, else the client's own words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, Progress, Start
from telex.core.fold import Folder
from telex.core.messages import Usage
from telex.dialects import Dialect

ABOUT_REPLY = frozenset({Start, Extra, Usage, Progress})
"""Events of frames that may hold nothing for a reader who did not ask."""


class Output(Protocol):
    """`frame`: what one frame of a stream, with its events, becomes; its bytes are empty where the end of the connection said something.
    `glance`: the same of a frame that is one piece of text. `body`: of a whole reply.

    `follows`: each frame becomes something at once. `kept`: bytes that are kept until the end.
    """

    follows: bool
    kept: int

    def frame(self, raw: bytes, events: list[Event]) -> list[bytes]: ...
    def glance(self, raw: bytes, event: PartDelta) -> list[bytes]: ...
    def body(self, raw: bytes, events: list[Event]) -> list[bytes]: ...


class StreamOutput:
    """Frames for a reader who follows.

    `verbatim`: both sides speak one dialect, so frames pass byte for byte. Not so pass: usage and progress that Telex asked for
    and the reader did not, and errors, which take the form that the official SDKs understand.
    """

    follows = True

    def __init__(self, dialect: Dialect, verbatim: bool, include_usage: bool, id: str, created: int) -> None:
        self._verbatim = verbatim
        self.kept = 0
        self._dialect = dialect
        self._encoder = dialect.Encoder(include_usage, id, created)
        self._include_usage = include_usage

    def frame(self, raw: bytes, events: list[Event]) -> list[bytes]:
        if not self._verbatim:
            return self._encode(events)
        for event in events:
            if type(event) not in ABOUT_REPLY or (isinstance(event, Extra) and event.choice >= 0):
                return self._pass(raw, events[-1])
        return [] if any(map(self._unasked, events)) else [raw]

    def glance(self, raw: bytes, event: PartDelta) -> list[bytes]:
        return [raw] if self._verbatim else self._encoder.feed(event)

    def body(self, raw: bytes, events: list[Event]) -> list[bytes]:
        return self._encode(events)

    def _pass(self, raw: bytes, last: Event) -> list[bytes]:
        if isinstance(last, Failure):
            return []
        frame = raw or (self._dialect.TERMINATOR if isinstance(last, Done) else b"")
        return [frame] if frame else []

    def _encode(self, events: Iterable[Event]) -> list[bytes]:
        return [frame for event in events if not isinstance(event, Failure) for frame in self._encoder.feed(event)]

    def _unasked(self, event: Event) -> bool:
        return isinstance(event, Progress) or (isinstance(event, Usage) and not self._include_usage)


class WholeOutput:
    """One body for a reader who waits, folded from whatever came. A reply that did not complete has none."""

    follows = False

    def __init__(self, dialect: Dialect, verbatim: bool) -> None:
        self._dialect = dialect
        self._verbatim = verbatim
        self.kept = 0
        self._folder = Folder()

    def frame(self, raw: bytes, events: list[Event]) -> list[bytes]:
        self.kept += len(raw)
        for event in events:
            self._folder.feed(event)
        return [self._dialect.encode_reply(self._folder.reply())] if events and isinstance(events[-1], Done) else []

    def glance(self, raw: bytes, event: PartDelta) -> list[bytes]:
        return self.frame(raw, [event])

    def body(self, raw: bytes, events: list[Event]) -> list[bytes]:
        return [raw] if self._verbatim else self.frame(raw, events)
