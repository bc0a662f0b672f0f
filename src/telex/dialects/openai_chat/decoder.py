"""Replies of Chat Completions, streamed and whole, to events and back.

A chunk of a stream and a whole reply differ in one word, `delta` or `message`, and are decoded by the same lines.
Source of the format: OpenAI's API reference, "Chat" and "Chat streaming"; what other providers make of it: the recordings in the tests.
"""

from __future__ import annotations

from typing import Any

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, Progress, Start
from telex.core.messages import Fields
from telex.dialects.failures import read_failure
from telex.dialects.openai_chat.choice import OpenChoice, WrongShape
from telex.dialects.openai_chat.parts import NAME
from telex.dialects.openai_chat.tokens import read_usage
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.dialects.refrain import Refrain
from telex.dialects.values import count, meaningful

CHUNK_FIELDS = frozenset({"object", "error", "x_groq", "prompt_progress"})


class Decoder:
    """Frames of one stream to events; `ended` once the stream has said its last word."""

    repeated = False
    """Frames have no numbers here."""

    def __init__(self, quirks: Quirks = NO_QUIRKS) -> None:
        self.ended = False
        self._quirks = quirks
        self._started = False
        self._choices: dict[int, OpenChoice] = {}
        self._extra: Fields = {}
        self._rest: Fields = {}
        self._refrain = Refrain()
        self.glance = self._refrain.read

    def feed(self, frame: sse.Frame) -> list[Event]:
        if self.ended:
            return []
        if (event := self._refrain.read(frame.raw)) is not None:
            return [event]
        if frame.data == sse.DONE:
            return self._close()
        try:
            chunk = json.decode(frame.data)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's stream holds an event that is not JSON: {error}."))
        events = self._read(chunk, "delta")
        self._refrain.learn(frame.raw, events)
        return events

    @property
    def finished(self) -> bool:
        """Whether the end of the connection would be the end of a whole reply."""
        choices = self._choices.values()
        return self._quirks.no_done and bool(choices) and all(choice.finish for choice in choices)

    def end(self) -> list[Event]:
        """What the end of the connection means: nothing after the terminator, else a stream cut short."""
        if self.ended:
            return []
        if self.finished:
            return self._close()
        return self._fail(Failure("truncated", "The provider's stream ended without its terminator, [DONE]."))

    def whole(self, body: bytes) -> list[Event]:
        """The events of a reply that came in one piece."""
        try:
            reply = json.decode(body)
        except json.Malformed as error:
            return self._fail(Failure("malformed", f"The provider's reply is not JSON: {error}."))
        events = self._read(reply, "message")
        if not self.ended:
            events += self._close()
        return events

    def _read(self, chunk: Any, body: str) -> list[Event]:
        events: list[Event] = []
        try:
            self._chunk(chunk, body, events)
        except WrongShape as error:
            events += self._fail(Failure("malformed", f"The provider's reply is not a chat completion: {error}."))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self.ended = True
        return [failure]

    def _close(self) -> list[Event]:
        """The terminator was seen. A reply without content or any reason to stop is a provider's fault, never a success."""
        events: list[Event] = []
        for choice in self._choices.values():
            if choice.finish is None and choice.parts:
                choice.stop("", events)
            choice.end_parts(events)  # what came behind the reason to stop
        if not any(choice.finish for choice in self._choices.values()):
            return events + self._fail(Failure("truncated", "The provider ended its reply without content or a finish reason."))
        self.ended = True
        return [*events, Done()]

    def _chunk(self, chunk: Any, body: str, events: list[Event]) -> None:
        """Takes the chunk apart: what is left of it is what no name here stands for, and nearly always what was left of the last one."""
        if not isinstance(chunk, dict):
            raise WrongShape("it is no object")
        choices, usage = chunk.pop("choices", None), chunk.pop("usage", None)
        id, model, created = chunk.pop("id", None), chunk.pop("model", None), chunk.pop("created", None)
        chunk.pop("obfuscation", None)
        if not isinstance(choices, list):
            if not (usage or chunk.get("error") or chunk.get("object") == "error" or "prompt_progress" in chunk):
                raise WrongShape("it has no choices")
            choices = []
        if not self._started and (id or choices):
            self._started = True
            events.append(Start(str(id or ""), str(model or ""), count(created), NAME))
        for choice in choices:
            self._choice(choice, body, events)
        if usage and isinstance(usage, dict):
            events.append(read_usage(usage))
        if chunk != self._rest:
            self._reply_fields(chunk, events)
            self._rest = chunk

    def _reply_fields(self, chunk: Fields, events: list[Event]) -> None:
        extra = {k: v for k, v in chunk.items() if k not in CHUNK_FIELDS and meaningful(v) and self._extra.get(k) != v}
        if extra:
            self._extra |= extra
            events.append(Extra(-1, extra))
        if isinstance(progress := chunk.get("prompt_progress"), dict):
            events.append(Progress(count(progress.get("processed")), count(progress.get("total"))))
        if isinstance(groq := chunk.get("x_groq"), dict) and isinstance(usage := groq.get("usage"), dict):
            events.append(read_usage(usage))
        if (error := chunk.get("error")) or chunk.get("object") == "error":
            events += self._fail(read_failure(chunk if not error else {"error": error}, 0))

    def _choice(self, wire: Any, body: str, events: list[Event]) -> None:
        if not isinstance(wire, dict):
            raise WrongShape("a choice is no object")
        index = wire.pop("index", 0)
        if type(index) is not int or index < 0:
            index = count(index)
        if (choice := self._choices.get(index)) is None:
            choice = self._choices[index] = OpenChoice(index, self._quirks)
        choice.read(wire, body, events)
