"""What the reader gets of what the upstream sent: the same bytes where both speak one dialect, else the client's own words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, Progress, Start
from telex.core.fold import Folder
from telex.core.messages import Reply, Usage
from telex.dialects import Dialect
from telex.generation.log import Entries, Heard

ABOUT_REPLY = frozenset({Start, Extra, Usage, Progress})
"""Events of frames that may hold nothing for a reader who did not ask."""


class Output(Protocol):
    """`frame`: what one frame of a stream, with its events, becomes; its bytes are empty where the end of the connection said something.
    `glance`: the same of a frame that is one piece of text. `body`: of a whole reply. `fail`: what says that the stream broke.

    `follows`: each frame becomes something at once. `kept`: bytes that are kept until the end.
    """

    @property
    def follows(self) -> bool: ...
    @property
    def kept(self) -> int: ...
    def frame(self, raw: bytes, events: list[Event]) -> Entries: ...
    def glance(self, raw: bytes, event: PartDelta) -> Entries: ...
    def body(self, raw: bytes, events: list[Event]) -> Entries: ...
    def fail(self, failure: Failure) -> Entries: ...


class Naming(Struct, frozen=True):
    """What a reply is called: `id` and `created` (seconds since 1970) where its provider says nothing, `name` whatever it says."""

    id: str
    created: int
    name: str = ""


class SourceOutput:
    """What the provider sent, as it sent it, for a log that is read later, each time anew. `follows`: somebody may read as it comes."""

    def __init__(self, follows: bool) -> None:
        self.follows = follows
        self.kept = 0

    def frame(self, raw: bytes, events: list[Event]) -> list[bytes]:
        return [raw] if raw else []

    def glance(self, raw: bytes, event: PartDelta) -> list[bytes]:
        return [raw]

    def body(self, raw: bytes, events: list[Event]) -> list[bytes]:
        return [raw]

    def fail(self, failure: Failure) -> list[bytes]:
        return []


class StreamOutput:
    """Frames for a reader who follows.

    `verbatim`: both sides speak one dialect, so frames pass byte for byte. Not so pass: usage and progress that Telex asked for
    and the reader did not, and errors, which take the form that the official SDKs understand.
    """

    follows = True

    def __init__(self, dialect: Dialect, verbatim: bool, include_usage: bool, naming: Naming) -> None:
        self._verbatim = verbatim
        self.kept = 0
        self._dialect = dialect
        self._encoder = dialect.Encoder(include_usage, naming.name or naming.id, naming.created)
        self._include_usage = include_usage
        self._start = Start("", "")
        self._last = b""  # that passed

    def frame(self, raw: bytes, events: list[Event]) -> list[bytes]:
        if not self._verbatim:
            return self._encode(events)
        for event in events:
            if type(event) not in ABOUT_REPLY or (isinstance(event, Extra) and event.choice >= 0):
                return self._pass(raw, events[-1])
            if type(event) is Start:
                self._start = event
        if any(map(self._unasked, events)):
            return []
        self._last = raw
        return [raw]

    def glance(self, raw: bytes, event: PartDelta) -> list[bytes]:
        return [raw] if self._verbatim else self._encoder.feed(event)

    def body(self, raw: bytes, events: list[Event]) -> list[bytes]:
        return self._encode(events)

    def fail(self, failure: Failure) -> list[bytes]:
        if self._last:
            self._encoder.resume(self._start, self._last)
        return self._encoder.feed(failure)

    def _pass(self, raw: bytes, last: Event) -> list[bytes]:
        if isinstance(last, Failure):
            return []
        frame = self._last = raw or (self._dialect.TERMINATOR if isinstance(last, Done) else b"")
        return [frame] if frame else []

    def _encode(self, events: Iterable[Event]) -> list[bytes]:
        return [frame for event in events if not isinstance(event, Failure) for frame in self._encoder.feed(event)]

    def _unasked(self, event: Event) -> bool:
        return isinstance(event, Progress) or (isinstance(event, Usage) and not self._include_usage)


class WholeOutput:
    """One body for a reader who waits, folded from whatever came. A reply that did not complete has none."""

    follows = False

    def __init__(self, dialect: Dialect, verbatim: bool, naming: Naming) -> None:
        self._dialect = dialect
        self._verbatim = verbatim
        self._naming = naming
        self.kept = 0
        self._folder = Folder()

    def frame(self, raw: bytes, events: list[Event]) -> list[bytes]:
        self.kept += len(raw)
        for event in events:
            self._folder.feed(event)
        if not (events and isinstance(events[-1], Done)):
            return []
        return [self._dialect.encode_reply(call(self._folder.reply(), self._naming))]

    def glance(self, raw: bytes, event: PartDelta) -> list[bytes]:
        return self.frame(raw, [event])

    def body(self, raw: bytes, events: list[Event]) -> list[bytes]:
        return [raw] if self._verbatim else self.frame(raw, events)

    def fail(self, failure: Failure) -> list[bytes]:
        return []


class FoldingOutput:
    """What another output makes, and the reply that it adds up to, for whoever asks for it later."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._folder = Folder()
        self.follows = output.follows

    @property
    def kept(self) -> int:
        return self._output.kept

    def frame(self, raw: bytes, events: list[Event]) -> Entries:
        for event in events:
            self._folder.feed(event)
        return self._output.frame(raw, events)

    def glance(self, raw: bytes, event: PartDelta) -> Entries:
        self._folder.feed(event)
        return self._output.glance(raw, event)

    def body(self, raw: bytes, events: list[Event]) -> Entries:
        for event in events:
            self._folder.feed(event)
        return self._output.body(raw, events)

    def fail(self, failure: Failure) -> Entries:
        return self._output.fail(failure)

    def reply(self) -> Reply:
        return self._folder.reply()


def call(reply: Reply, naming: Naming) -> Reply:
    """A reply under the name that it has here."""
    return replace(reply, id=naming.name or reply.id or naming.id, created=reply.created or naming.created)


class EventOutput:
    """The events themselves, frame by frame, for a reader in this process. `fold`: it waits for the whole, so all of it is kept."""

    def __init__(self, fold: bool) -> None:
        self.follows = not fold
        self.kept = 0
        self._fold = fold

    def frame(self, raw: bytes, events: list[Event]) -> list[Heard]:
        if self._fold:
            self.kept += len(raw)
        said: list[Event] = [event for event in events if not isinstance(event, Failure)]  # a failure is the generation's ending
        return [Heard(said, len(raw))] if raw or said else []

    def glance(self, raw: bytes, event: PartDelta) -> list[Heard]:
        return [Heard([event], len(raw))]

    def body(self, raw: bytes, events: list[Event]) -> list[Heard]:
        return self.frame(raw, events)

    def fail(self, failure: Failure) -> list[Heard]:
        return []
