"""What a reader makes of the events of a generation, whether it awaits or blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from telex.client.errors import NAMES, GenerationError, error_of, through_gateway
from telex.client.reply import Reply, ToolCall
from telex.client.shape import Shape
from telex.client.text import Whole
from telex.core.errors import Failure
from telex.core.events import Event, PartDelta, PartStart
from telex.core.fold import UNENDED, Folder
from telex.core.json import join
from telex.core.messages import Usage
from telex.metering.meter import Certainty, Timing

T = TypeVar("T")


class Measured(Protocol):
    """The figures of a generation; a `Meter` has them."""

    def timing(self, now: float) -> Timing: ...
    def tokens(self, complete: bool) -> tuple[Usage | None, Certainty]: ...


class Source(Protocol):
    """What is heard: a generation, here or in a gateway. `now`: seconds of its own clock. The rest is as of a `Run`."""

    id: str
    bug: Exception | None

    @property
    def failure(self) -> Failure | None: ...
    @property
    def ended(self) -> bool: ...
    @property
    def now(self) -> float: ...
    @property
    def meter(self) -> Measured: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def dropped(self) -> tuple[str, ...]: ...


class OpenCall:
    """A tool call while it grows."""

    def __init__(self, start: PartStart) -> None:
        self.id, self.name = start.id, start.name
        self.fragments: list[str] = []

    def call(self) -> ToolCall:
        return ToolCall(self.id, self.name, join(self.fragments))


class Hearing(Generic[T]):
    """`pending`: events that were heard and not yet read. `gateway`: whether another Telex is asked, not a provider."""

    def __init__(self, run: Source, shape: Shape[T] | None, gateway: bool) -> None:
        self.pending: deque[Event] = deque()
        self._run = run
        self._read = shape.read if shape is not None else None
        self._gateway = gateway
        self._folder = Folder()
        self._texts: set[int] = set()  # the parts of the first choice that are text
        self._calls: dict[int, OpenCall] = {}
        self._whole = Whole()

    def hear(self, events: list[Event]) -> None:
        for event in events:
            self._folder.feed(event)
            if isinstance(event, PartStart) and event.choice == 0 and event.kind == "tool_call":
                self._calls[event.index] = OpenCall(event)
            elif isinstance(event, PartDelta) and event.choice == 0 and event.index in self._calls:
                self._calls[event.index].fragments.append(event.text)
        self.pending.extend(events)

    def text_of(self, event: Event) -> str:
        """What an event that is read adds to the text; half of a surrogate pair waits for the other."""
        if isinstance(event, PartStart) and event.kind == "text" and event.choice == 0:
            self._texts.add(event.index)
        if isinstance(event, PartDelta) and event.choice == 0 and event.index in self._texts and event.text:
            return self._whole.feed(event.text)
        return ""

    def rest(self) -> str:
        return self._whole.end()

    def read_texts(self) -> str:
        """The text of all that is pending."""
        text = ""
        while self.pending:
            text += self.text_of(self.pending.popleft())
        return text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call.call() for _, call in sorted(self._calls.items()))

    @property
    def failure(self) -> Failure | None:
        """How it ended, once it has."""
        failure = self._run.failure
        return through_gateway(failure) if failure is not None and self._gateway else failure

    def reply(self) -> Reply[T]:
        """All that was heard; while the end was not, it is marked as truncated."""
        run = self._run
        failure = self.failure if run.ended else UNENDED
        whole = msgspec.structs.replace(self._folder.reply(), failure=failure)
        usage, certainty = run.meter.tokens(failure is None)
        timing = run.meter.timing(run.now)
        id = run.headers.get("telex-generation", run.id) if self._gateway else run.id
        return Reply(whole, id, timing, usage, certainty, self._dropped(), self._read)

    def _dropped(self) -> tuple[str, ...]:
        """What the target is not told, and what the gateway's target is not."""
        there = self._run.headers.get("telex-dropped", "") if self._gateway else ""
        names = [NAMES.get(name, name) for name in there.split(", ") if name]
        return tuple(dict.fromkeys([*self._run.dropped, *names]))

    def error(self) -> GenerationError | None:
        """What to raise, now that it has ended."""
        failure = self.failure
        if failure is None:
            return None
        error = error_of(failure, self.reply())
        error.__cause__ = self._run.bug
        return error
