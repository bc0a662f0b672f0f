"""Replies of Responses, streamed and whole, to events.

A whole response is read as the last event of a stream of which nothing else was seen: what such an event holds that no event
before it said is said then. Source of the format: OpenAI's API reference, "Responses streaming"; what other providers make of it:
the recordings in the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, Start
from telex.core.messages import Fields, Finish, Reason, Usage
from telex.dialects.openai_chat.choice import WrongShape
from telex.dialects.openai_responses.errors import read_error
from telex.dialects.openai_responses.items import Output
from telex.dialects.openai_responses.parts import NAME
from telex.dialects.openai_responses.pieces import FLOWS
from telex.dialects.openai_responses.reply import COMPLETED, DEFAULTS, INCOMPLETE
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.dialects.refrain import Refrain
from telex.dialects.values import count, meaningful

LAST_EVENTS = {
    "response.completed": COMPLETED,
    "response.incomplete": INCOMPLETE,
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
"""What ends a stream, and the status that it means."""

READ = frozenset({"output_item", "output_text.annotation", "content_part", "reasoning_summary_part", *FLOWS})
"""Families of events that are read; what all others say, an item says when it is done."""

REASONS: dict[str, Reason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
RESPONSE_FIELDS = frozenset({"id", "object", "created_at", "model", "status", "output", "usage", "error", "incomplete_details"})
USAGE_FIELDS = frozenset({"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"})
USAGE_DETAILS = {
    "input_tokens_details": frozenset({"cached_tokens", "cache_write_tokens"}),
    "output_tokens_details": frozenset({"reasoning_tokens"}),
}


class Decoder:
    """Frames of one stream to events; `ended` once the stream has said its last word."""

    finished = False
    """The end of the connection is no terminator here."""

    def __init__(self, quirks: Quirks = NO_QUIRKS) -> None:
        self.ended = False
        self.repeated = False
        self._number = 0  # of the last event
        self._started = False
        self._output = Output()
        self._refrain = Refrain()

    def feed(self, frame: sse.Frame) -> list[Event]:
        self.repeated = False
        if self.ended:
            return []
        if (event := self.glance(frame.raw)) is not None:
            return [event]
        if frame.data == sse.DONE:
            return self.end()
        try:
            wire = json.decode(frame.data)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's stream holds an event that is not JSON: {error}."))
        number = wire.get("sequence_number") if isinstance(wire, dict) else None
        if isinstance(number, int):
            self.repeated = number == self._number > 0
            self._number = number
        events = [] if self.repeated else self._read(wire, frame.event)
        self._refrain.learn(frame.raw, events if number is None else [])  # a number makes every frame another
        return events

    def glance(self, raw: bytes) -> PartDelta | None:
        """The one event of a frame that repeats the one before it but for a text."""
        if self.ended or (event := self._refrain.read(raw)) is None:
            return None
        self._output.pieces[event.index].said.append(event.text)
        return event

    def end(self) -> list[Event]:
        """The end of the connection means nothing behind the last event, else a stream cut short."""
        if self.ended:
            return []
        return self._fail(Failure("truncated", "The provider's stream ended without its last event, such as response.completed."))

    def whole(self, body: bytes) -> list[Event]:
        """The events of a reply that came in one piece."""
        try:
            response = json.decode(body)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's reply is not JSON: {error}."))
        if not isinstance(response, dict) or not (isinstance(response.get("output"), list) or response.get("error")):
            return self._fail(Failure("malformed", "The provider's reply is not a response: it has no output."))
        return self._guarded(lambda events: self._last(response, "", events))

    def _read(self, wire: Any, name: str) -> list[Event]:
        if not isinstance(wire, dict):
            return self._fail(Failure("malformed", "The provider's stream holds an event that is no object."))
        kind = wire.get("type")
        return self._guarded(lambda events: self._event(kind if isinstance(kind, str) else name, wire, events))

    def _guarded(self, read: Callable[[list[Event]], None]) -> list[Event]:
        events: list[Event] = []
        try:
            read(events)
        except WrongShape as error:
            events += self._fail(Failure("malformed", f"The provider's reply is not a response: {error}."))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self.ended = True
        return [failure]

    def _event(self, kind: str, wire: Fields, events: list[Event]) -> None:
        _, _, name = kind.partition(".")
        family, _, verb = name.rpartition(".")
        if kind in LAST_EVENTS:
            self._last(wire.get("response"), LAST_EVENTS[kind], events)
        elif not kind.startswith("response."):
            if kind == "error" or wire.get("error") or wire.get("object") == "error":
                events += self._fail(read_error(wire))
        elif not family:
            self._start(wire.get("response"), events)
        elif family in READ:
            self._start(None, events)
            self._read_output(family, verb, wire, events)

    def _read_output(self, family: str, verb: str, wire: Fields, events: list[Event]) -> None:
        match family:
            case "output_item":
                self._output.item(verb, wire, events)
            case "output_text.annotation":
                self._output.source(wire, events)
            case "content_part" | "reasoning_summary_part":
                self._output.part(verb, wire, events)
            case _:
                self._output.words(family, verb, wire, events)

    def _start(self, response: object, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            known = response if isinstance(response, dict) else {}
            id, model = (str(known.get(name) or "") for name in ("id", "model"))
            events.append(Start(id, model, count(known.get("created_at")), NAME))

    def _last(self, response: object, status: str, events: list[Event]) -> None:
        """The whole response: it says how it ended, and what no event before it said."""
        if not isinstance(response, dict):
            raise WrongShape("its last event holds none")
        self._start(response, events)
        status = str(response.get("status") or status)
        if status in ("failed", "cancelled") or (response.get("error") and status != INCOMPLETE):
            self._failed(response, status, events)
            return
        self._output.fill(response.get("output"), events)
        if status not in ("", COMPLETED, INCOMPLETE):
            events += self._fail(Failure("truncated", f"The provider's reply has not ended: its status is '{status}'."))
        elif not (status or self._output.pieces):
            events += self._fail(Failure("truncated", "The provider ended its reply without content or a status."))
        else:
            self._about(response, events)
            self.ended = True
            events += [self._finish(response, status), Done()]

    def _about(self, response: Fields, events: list[Event]) -> None:
        if extra := {k: v for k, v in response.items() if k not in RESPONSE_FIELDS and says_something(k, v)}:
            events.append(Extra(-1, extra))
        if isinstance(usage := response.get("usage"), dict):
            events.append(read_usage(usage))

    def _finish(self, response: Fields, status: str) -> Finish:
        details = response.get("incomplete_details")
        if status == INCOMPLETE:
            raw = str((isinstance(details, dict) and details.get("reason")) or INCOMPLETE)
            return Finish(0, REASONS.get(raw, "stop"), raw)
        return Finish(0, "tool_calls" if self._output.called else "stop", status)

    def _failed(self, response: Fields, status: str, events: list[Event]) -> None:
        if not self._output.items:
            self._output.fill(response.get("output"), events)
        self._about(response, events)
        if status == "cancelled":
            events += self._fail(Failure("cancelled", "The provider says that the response was cancelled."))
        else:
            events += self._fail(read_error({"error": response.get("error") or {}}))


def says_something(name: str, value: object) -> bool:
    """Whether a field of a response is not as it would be where nothing is known of it."""
    return value != DEFAULTS[name] if name in DEFAULTS else meaningful(value)


def read_usage(wire: Fields) -> Usage:
    """Tokens: `input_tokens` includes what was cached, `output_tokens` what was reasoned, unless the total says that it does not."""
    details: dict[str, Fields] = {}
    extra = {k: v for k, v in wire.items() if k not in USAGE_FIELDS and meaningful(v)}
    for name, known in USAGE_DETAILS.items():
        details[name] = value if isinstance(value := wire.get(name), dict) else {}
        if more := {k: v for k, v in details[name].items() if k not in known and meaningful(v)}:
            extra[name] = more
    before, after = details["input_tokens_details"], details["output_tokens_details"]
    input, output = count(wire.get("input_tokens")), count(wire.get("output_tokens"))
    reasoning, total = count(after.get("reasoning_tokens")), count(wire.get("total_tokens"))
    if reasoning and total == input + output + reasoning:
        output += reasoning
    elif total and total != input + output:
        extra["total_tokens"] = total
    return Usage(input, output, count(before.get("cached_tokens")), count(before.get("cache_write_tokens")), reasoning, extra)
