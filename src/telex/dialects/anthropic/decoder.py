"""Replies of Anthropic Messages, streamed and whole, to events.

A whole reply is decoded as what a stream says with `message_start`, since that may hold whole blocks too.
Source of the format: Anthropic's API reference, "Streaming Messages"; what its relays make of it: the recordings in the tests.
"""

from __future__ import annotations

from typing import Any

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, Start
from telex.core.messages import Fields, Finish, Usage
from telex.dialects.anthropic.content import Content, WrongShape
from telex.dialects.anthropic.errors import read_error
from telex.dialects.anthropic.words import NAME, REASONS
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.dialects.reading import WrongField
from telex.dialects.refrain import Refrain
from telex.dialects.values import count, meaningful

MESSAGE_FIELDS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
USAGE_FIELDS = frozenset(
    {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens_details"}
)


class Decoder:
    """Frames of one stream to events; `ended` once the stream has said its last word."""

    repeated = False
    """Frames have no numbers here."""

    def __init__(self, quirks: Quirks = NO_QUIRKS) -> None:
        self.ended = False
        self._quirks = quirks
        self._started = False
        self._content = Content()
        self._usage: Fields = {}
        self._extra: Fields = {}
        self._stop: tuple[str, str] = ("", "")  # as the message's start has it
        self._finished = False
        self._refrain = Refrain()

    @property
    def finished(self) -> bool:
        """Whether the end of the connection would be the end of a whole reply."""
        return self._quirks.no_done and self._finished

    def glance(self, raw: bytes) -> PartDelta | None:
        """The one event of a frame that says the same as the one before, but for a text."""
        if (event := self._refrain.read(raw)) is not None:
            self._content.measure(event)
        return event

    def feed(self, frame: sse.Frame) -> list[Event]:
        if self.ended:
            return []
        if (event := self.glance(frame.raw)) is not None:
            return [event]
        if frame.data == sse.DONE:  # relays append it
            return []
        try:
            data = json.decode(frame.data)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's stream holds an event that is not JSON: {error}."))
        events: list[Event] = []
        try:
            self._event(frame.event, data, events)
        except (WrongShape, WrongField) as error:
            events += self._fail(malformed(error))
        said = all(type(event) is PartDelta and event.text for event in events)
        self._refrain.learn(frame.raw, events if said else [])
        return events

    def end(self) -> list[Event]:
        """What the end of the connection means: nothing after the terminator, else a stream cut short."""
        if self.ended:
            return []
        events: list[Event] = []
        if self.finished:
            self._close(events)
            return events
        return self._fail(Failure("truncated", "The provider's stream ended without its terminator, message_stop."))

    def whole(self, body: bytes) -> list[Event]:
        """The events of a reply that came in one piece."""
        try:
            message = json.decode(body)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's reply is not JSON: {error}."))
        events: list[Event] = []
        try:
            if isinstance(message, dict) and (message.get("type") == "error" or message.get("error")):
                return self._fail(read_error(message))
            if not isinstance(message, dict) or not isinstance(message.get("content"), list):
                raise WrongShape("it has no content")
            self._message(message, events)
            self._close(events)
        except (WrongShape, WrongField) as error:
            events += self._fail(malformed(error))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self.ended = True
        self._refrain.learn(b"", [])
        return [failure]

    def _event(self, name: str, data: Any, events: list[Event]) -> None:
        """One event by the type in its data, where that is missing by its name. Types unknown here say nothing."""
        if not isinstance(data, dict):
            raise WrongShape("an event is no object")
        kind = type if isinstance(type := data.get("type"), str) else name
        if "error" in (kind, name) or (kind == "" and data.get("error")):
            events += self._fail(read_error(data))
        elif name == "ping":
            return
        elif kind == "message_start":
            if not isinstance(message := data.get("message"), dict):
                raise WrongShape("its message_start has no message")
            if not self._started:  # some relays say it twice, even in the middle
                self._message(message, events)
        elif kind == "content_block_start":
            if not self._started:
                self._start("", "", events)
            self._content.start(block_index(data), data.get("content_block"), events)
        elif kind == "content_block_delta":
            self._content.delta(block_index(data), data.get("delta"), events)
        elif kind == "content_block_stop":
            self._content.stop(block_index(data), events)
        elif kind == "message_delta":
            self._message_delta(data, events)
        elif kind == "message_stop":
            self._close(events)

    def _message(self, message: Fields, events: list[Event]) -> None:
        self._read_usage(message.get("usage"), events)
        self._fields(message, MESSAGE_FIELDS, events)
        self._start(str(message.get("id") or ""), str(message.get("model") or ""), events)
        blocks = message.get("content") or []
        if not isinstance(blocks, list):
            raise WrongShape("the content of its message is no list")
        for number, block in enumerate(blocks):
            self._content.start(-1 - number, block, events)
            self._content.stop(-1 - number, events)
        self._stop = str(message.get("stop_reason") or ""), str(message.get("stop_sequence") or "")

    def _start(self, id: str, model: str, events: list[Event]) -> None:
        self._started = True
        events.append(Start(id, model, dialect=NAME))

    def _message_delta(self, data: Fields, events: list[Event]) -> None:
        delta = data.get("delta")
        if not isinstance(delta, dict):
            delta = {}
        self._fields(delta, MESSAGE_FIELDS, events)
        self._fields(data, frozenset({"type", "delta", "usage"}), events)
        self._read_usage(data.get("usage"), events)
        if word := delta.get("stop_reason"):
            self._finish(str(word), str(delta.get("stop_sequence") or ""), events)

    def _fields(self, wire: Fields, known: frozenset[str], events: list[Event]) -> None:
        extra = {k: v for k, v in wire.items() if k not in known and meaningful(v) and self._extra.get(k) != v}
        if extra:
            self._extra |= extra
            events.append(Extra(-1, extra))

    def _read_usage(self, wire: Any, events: list[Event]) -> None:
        """Its numbers are totals: each that is said replaces the one before."""
        if isinstance(wire, dict) and wire:
            self._usage |= {name: value for name, value in wire.items() if value is not None}
            events.append(read_usage(self._usage))

    def _finish(self, word: str, sequence: str, events: list[Event]) -> None:
        if self._finished:  # some say it twice
            return
        self._finished = True
        self._content.close(events)
        reason = REASONS.get(word, "stop")
        events.append(Finish(0, "tool_calls" if self._content.called and reason == "stop" else reason, word, sequence))

    def _close(self, events: list[Event]) -> None:
        """The terminator was seen. A reply without content or any reason to stop is a provider's fault, never a success."""
        word, sequence = self._stop
        if word or self._content.parts:
            self._finish(word, sequence, events)
        self._content.close(events)
        if not self._finished:
            events += self._fail(Failure("truncated", "The provider ended its reply without content or a reason to stop."))
            return
        self.ended = True
        events.append(Done())


def malformed(error: Exception) -> Failure:
    where = f"{error.field}: " if isinstance(error, WrongField) else ""
    return Failure("malformed", f"The provider's reply is not a message: {where}{error}.")


def block_index(data: Fields) -> int:
    if type(index := data.get("index")) is not int or index < 0:
        raise WrongShape("a block has no index")
    return index


def read_usage(wire: Fields) -> Usage:
    """Tokens: `input_tokens` is without those that were read from a cache or written to one, `output_tokens` with those of thinking."""
    read, written = count(wire.get("cache_read_input_tokens")), count(wire.get("cache_creation_input_tokens"))
    extra = {name: value for name, value in wire.items() if name not in USAGE_FIELDS and meaningful(value)}
    details = value if isinstance(value := wire.get("output_tokens_details"), dict) else {}
    if more := {name: value for name, value in details.items() if name != "thinking_tokens" and meaningful(value)}:
        extra["output_tokens_details"] = more
    total = count(wire.get("input_tokens")) + read + written
    return Usage(total, count(wire.get("output_tokens")), read, written, count(details.get("thinking_tokens")), extra)
