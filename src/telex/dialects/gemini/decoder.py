"""Replies of Gemini's generateContent, streamed and whole, to events.

A chunk of a stream is shaped like a whole reply, and both are decoded by the same lines; a stream that came as one JSON array is the
list of its chunks. There is no terminator: a stream has ended when its connection has and every candidate has said why it stopped.
That reason may stand on every chunk, so that it counts only at the end.
Source of the format: the reference of the Gemini API, "GenerateContentResponse"; what providers make of it: the recordings in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count as numbers
from typing import Any

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, Start
from telex.core.messages import Fields, Finish
from telex.dialects.gemini.candidate import Candidate
from telex.dialects.gemini.errors import read_error
from telex.dialects.gemini.fields import Node
from telex.dialects.gemini.signatures import NAME
from telex.dialects.gemini.times import is_whole_second, seconds
from telex.dialects.gemini.tokens import read_usage
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.dialects.reading import WrongField
from telex.dialects.refrain import Refrain
from telex.dialects.values import count, meaningful

CHUNK = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime", "promptFeedback"})
"""Fields of which a chunk has at least one."""

SAID = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime", "error"})
"""Fields that have a word."""

NOT_PLAIN = re.compile("[^a-zA-Z0-9]")
ID_LENGTH = 16
"""Characters of a reply's id that are enough to tell it from the others of a conversation."""

BLOCKED = ("blockReason", "blockReasonMessage")


class Decoder:
    """Frames of one stream to events; `ended` once the stream has said its last word."""

    repeated = False
    """Frames have no numbers here."""

    def __init__(self, quirks: Quirks = NO_QUIRKS) -> None:
        self.ended = False
        self._started = False
        self._candidates: dict[int, Candidate] = {}
        self._id = ""
        self._ids = self._name_calls()
        self._extra: Fields = {}
        self._usage: Fields = {}
        self._refrain = Refrain()

    def feed(self, frame: sse.Frame) -> list[Event]:
        if self.ended:
            return []
        if (event := self.glance(frame.raw)) is not None:
            return [event]
        if frame.data == sse.DONE:
            return self.end()
        try:
            chunk = json.decode(frame.data)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's stream holds an event that is not JSON: {error}."))
        events = self._read(chunk)
        learnable = all(candidate.learnable for candidate in self._candidates.values())
        self._refrain.learn(frame.raw, events if learnable else [])
        return events

    def glance(self, raw: bytes) -> PartDelta | None:
        """The one event of a frame that repeats an earlier one but for its text."""
        event = None if self.ended else self._refrain.read(raw)
        if event is not None:
            self._candidates[event.choice].hear(event)
        return event

    @property
    def finished(self) -> bool:
        """Whether the end of the connection would be the end of a whole reply."""
        candidates = self._candidates.values()
        return all(candidate.raw for candidate in candidates) if candidates else self._blocked

    @property
    def _blocked(self) -> bool:
        """Whether the prompt was refused: the only reply that has no candidates."""
        feedback = self._extra.get("promptFeedback")
        return isinstance(feedback, dict) and any(feedback.get(name) for name in BLOCKED)

    def end(self) -> list[Event]:
        """What the end of the connection means."""
        if self.ended:
            return []
        if self.finished:
            return self._guard(self._close)
        return self._fail(Failure("truncated", "The provider's reply ended without a finishReason."))

    def whole(self, body: bytes) -> list[Event]:
        """The events of a reply that came in one piece."""
        try:
            reply = json.decode(body)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's reply is not JSON: {error}."))
        events = self._read(reply)
        said = isinstance(reply, dict) and any(candidate.parts for candidate in self._candidates.values())
        if not self.ended:
            events += self._guard(self._close) if said else self.end()
        return events

    def _read(self, wire: Any) -> list[Event]:
        """A chunk, or several of them in an array."""

        def read(events: list[Event]) -> None:
            for chunk in wire if isinstance(wire, list) else [wire]:
                if not self.ended:
                    self._chunk(chunk, events)

        return self._guard(read)

    def _guard(self, work: Callable[[list[Event]], None]) -> list[Event]:
        events: list[Event] = []
        try:
            work(events)
        except WrongField as error:
            where = f" at '{error.field}'" if error.field else ""
            events += self._fail(Failure("malformed", f"The provider's reply is no answer to generateContent: {error}{where}."))
        except RecursionError:
            events += self._fail(Failure("malformed", "The provider's reply is nested too deeply."))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self.ended = True
        return [failure]

    def _close(self, events: list[Event]) -> None:
        for _, candidate in sorted(self._candidates.items()):
            candidate.close(events)
        if not self._candidates:
            events.append(Finish(0, "content_filter", str(self._extra["promptFeedback"].get("blockReason") or "")))
        self.ended = True
        events.append(Done())

    def _chunk(self, wire: Any, events: list[Event]) -> None:
        node = Node(wire)
        if not wire:  # a sign of life
            return
        if not (wire.keys() & CHUNK or wire.get("error")):
            raise WrongField("", "it has no candidates")
        if not self._started and wire.keys() & CHUNK:
            self._started = True
            created = seconds(wire.get("createTime"))
            self._id = NOT_PLAIN.sub("", node.text("responseId"))[:ID_LENGTH]
            events.append(Start(node.text("responseId"), node.text("modelVersion"), created, NAME))
        for candidate in node.nodes("candidates"):
            index = count(candidate.get("index"))
            if index not in self._candidates:
                self._candidates[index] = Candidate(index, self._ids)
            self._candidates[index].read(candidate, events)
        if (usage := node.object("usageMetadata")) is not None:
            self._count(usage, events)
        if wire.keys() - SAID or "createTime" in wire:
            self._reply_fields(wire, events)
        if error := wire.get("error"):
            events += self._fail(read_error({"error": error}, 0))

    def _name_calls(self) -> Iterator[str]:
        """Ids for calls that have none, each once in a conversation: most other dialects tell calls apart by them."""
        yield from (f"call_{self._id}_{number}" if self._id else f"call_{number}" for number in numbers())

    def _count(self, usage: Fields, events: list[Event]) -> None:
        """Usage grows field by field: what a chunk leaves out still holds."""
        whole = {**self._usage, **{name: value for name, value in usage.items() if value is not None}}
        if whole != self._usage:
            self._usage = whole
            events.append(read_usage(whole))

    def _reply_fields(self, wire: Fields, events: list[Event]) -> None:
        extra = {name: value for name, value in wire.items() if name not in SAID and meaningful(value)}
        if (created := wire.get("createTime")) and not is_whole_second(created):
            extra["createTime"] = created
        extra = {name: value for name, value in extra.items() if self._extra.get(name) != value}
        if extra:
            self._extra |= extra
            events.append(Extra(-1, extra))
