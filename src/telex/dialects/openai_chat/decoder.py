"""Replies of Chat Completions, streamed and whole, to events and back.

A chunk of a stream and a whole reply differ in one word, `delta` or `message`, and are decoded by the same lines.
Source of the format: OpenAI's API reference, "Chat" and "Chat streaming"; what other providers make of it: the recordings in the tests.
"""

from __future__ import annotations

import math
from typing import Any

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Progress, Start
from telex.core.messages import Fields, Finish, PartKind, Reason, Usage
from telex.dialects.openai_chat.errors import read_failure
from telex.dialects.openai_chat.refrain import Refrain
from telex.dialects.quirks import NO_QUIRKS, Quirks

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
CHUNK_FIELDS = frozenset({"object", "error", "x_groq", "prompt_progress"})
DELTA_FIELDS = frozenset({"refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio", "index"})
USAGE_FIELDS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"})
USAGE_DETAILS = {
    "prompt_tokens_details": frozenset({"cached_tokens", "cache_write_tokens"}),
    "completion_tokens_details": frozenset({"reasoning_tokens"}),
}
LEGACY = -1
"""The index of the one call that a reply could hold before calls had indexes."""


class WrongShape(Exception):
    """JSON, but not of this dialect."""


class OpenCall:
    """A tool call while it grows: it starts as soon as it has a name or arguments."""

    __slots__ = ("id", "part")

    def __init__(self, id: str) -> None:
        self.id = id
        self.part = -1


class OpenChoice:
    """What is known of one choice: the part that text flows into, the calls by their index, how it ended."""

    __slots__ = ("audio", "calls", "finish", "flow", "flow_part", "index", "parts")

    def __init__(self, index: int) -> None:
        self.index = index
        self.parts = 0
        self.flow: tuple[PartKind, str] | None = None
        self.flow_part = -1
        self.audio = -1
        self.calls: dict[int | str, OpenCall] = {}
        self.finish: Finish | None = None


class Decoder:
    """Frames of one stream to events; `ended` once the stream has said its last word."""

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

    def end(self) -> list[Event]:
        """What the end of the connection means: nothing after the terminator, else a stream cut short."""
        if self.ended:
            return []
        finished = [choice.finish is not None for choice in self._choices.values()]
        if self._quirks.no_done and finished and all(finished):
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
                self._finish(choice, "", events)
            self._end_flow(choice, events)  # text behind the finish reason
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
            events.append(Start(str(id or ""), str(model or ""), count(created)))
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
            choice = self._choices[index] = OpenChoice(index)
        delta, finish = wire.pop(body, None), wire.pop("finish_reason", None)
        if isinstance(delta, dict):
            message = self._delta(choice, delta, body, events)
        elif delta is None:
            message = None
        else:
            raise WrongShape(f"a {body} is no object")
        if message or any(wire.values()):
            extra = {k: v for k, v in wire.items() if k not in ("delta", "message") and meaningful(v)}
            if message:
                extra["message"] = message
            if extra:
                events.append(Extra(index, extra))
        if finish:
            self._finish(choice, str(finish), events)

    def _delta(self, choice: OpenChoice, delta: Fields, body: str, events: list[Event]) -> Fields | None:
        """What the delta says; what it holds beyond that is returned."""
        content = delta.pop("content", None)
        delta.pop("role", None)
        more = any(delta.values())
        if more:
            name = "reasoning_content" if delta.get("reasoning_content") else "reasoning"
            if text := delta.get(name):
                self._flow(choice, "reasoning", name, text, events)
        if isinstance(content, list):
            self._pieces(choice, content, events)
        elif content:
            self._flow(choice, "text", "", content, events)
        if not more:
            return None
        if text := delta.get("refusal"):
            self._flow(choice, "refusal", "", text, events)
        if isinstance(audio := delta.get("audio"), dict):
            self._audio(choice, audio, events)
        self._calls(choice, delta, body, events)
        return {k: v for k, v in delta.items() if k not in DELTA_FIELDS and meaningful(v)}

    def _calls(self, choice: OpenChoice, delta: Fields, body: str, events: list[Event]) -> None:
        calls = delta.get("tool_calls") or []
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise WrongShape("its tool calls are no list of objects")
        for place, call in enumerate(calls):
            self._call(choice, {**call, "index": place} if body == "message" else call, events)
        if isinstance(function := delta.get("function_call"), dict):
            self._call(choice, {"index": LEGACY, "legacy": function}, events)

    def _flow(self, choice: OpenChoice, kind: PartKind, name: str, text: object, events: list[Event]) -> None:
        """Text of some kind: it continues the part it flows into, or opens another."""
        if not isinstance(text, str):
            raise WrongShape(f"{name or kind} is not text")
        if choice.flow != (kind, name):
            self._end_flow(choice, events)
            choice.flow, choice.flow_part = (kind, name), choice.parts
            choice.parts += 1
            events.append(PartStart(choice.index, choice.flow_part, kind, name=name))
        events.append(PartDelta(choice.index, choice.flow_part, text))

    def _end_flow(self, choice: OpenChoice, events: list[Event]) -> None:
        if choice.flow is not None:
            events.append(PartEnd(choice.index, choice.flow_part))
            choice.flow = None

    def _pieces(self, choice: OpenChoice, pieces: list[Any], events: list[Event]) -> None:
        """Content as a list of typed pieces (text, thinking, and others that are carried as they are)."""
        for piece in pieces:
            kind = piece.get("type") if isinstance(piece, dict) else None
            if kind == "text":
                self._flow(choice, "text", "", piece.get("text"), events)
            elif kind == "thinking":
                thought = piece.get("thinking")
                texts = [t.get("text") if isinstance(t, dict) else t for t in thought] if isinstance(thought, list) else [thought]
                for text in texts:
                    self._flow(choice, "reasoning", "", text, events)
            else:
                events.append(Extra(choice.index, {"message": {"content_parts": [piece]}}))

    def _audio(self, choice: OpenChoice, audio: Fields, events: list[Event]) -> None:
        if choice.audio < 0:
            choice.audio = choice.parts
            choice.parts += 1
            events.append(PartStart(choice.index, choice.audio, "audio", id=str(audio.get("id") or "")))
        text, data = audio.get("transcript") or "", audio.get("data") or ""
        if text or data:
            events.append(PartDelta(choice.index, choice.audio, str(text), str(data)))
        if expires := audio.get("expires_at"):
            events.append(Extra(choice.index, {"message": {"audio": {"expires_at": expires}}}))

    def _call(self, choice: OpenChoice, wire: Fields, events: list[Event]) -> None:
        """A piece of a tool call. `index` tells calls apart; servers that give every call the same one have a quirk for it."""
        tool = next((t for t in ("custom", "legacy") if t in wire), "function")
        body = wire.get(tool) or {}
        if not isinstance(body, dict):
            raise WrongShape(f"the {tool} of a tool call is no object")
        id, key = str(wire.get("id") or ""), wire.get("index")
        if not isinstance(key, int) or self._quirks.calls_by_id:
            key = id or (next(reversed(choice.calls)) if choice.calls else 0)
        if (call := choice.calls.get(key)) is None:
            call = choice.calls[key] = OpenCall(id)
        call.id = call.id or id
        name, text = str(body.get("name") or ""), body.get("input" if tool == "custom" else "arguments") or ""
        if not isinstance(text, str):
            text = json.encode(text).decode()
        if call.part < 0 and (name or text):
            self._end_flow(choice, events)
            call.part = choice.parts
            choice.parts += 1
            events.append(PartStart(choice.index, call.part, "tool_call", call.id, name, tool))
        if text:
            events.append(PartDelta(choice.index, call.part, text))

    def _finish(self, choice: OpenChoice, raw: str, events: list[Event]) -> None:
        if choice.finish is not None:  # some say it twice
            return
        self._end_flow(choice, events)
        calls = [call.part for call in choice.calls.values() if call.part >= 0]
        events += [PartEnd(choice.index, part) for part in (*calls, choice.audio) if part >= 0]
        reason = REASONS.get(raw, "stop")
        choice.finish = Finish(choice.index, "tool_calls" if calls and reason == "stop" else reason, raw)
        events.append(choice.finish)


def read_usage(wire: Fields) -> Usage:
    """Tokens: `prompt_tokens` includes what was cached, `completion_tokens` what was reasoned."""
    details: dict[str, Fields] = {}
    extra = {k: v for k, v in wire.items() if k not in USAGE_FIELDS and meaningful(v)}
    for name, known in USAGE_DETAILS.items():
        details[name] = value if isinstance(value := wire.get(name), dict) else {}
        if more := {k: v for k, v in details[name].items() if k not in known and meaningful(v)}:
            extra[name] = more
    prompt, completion = details["prompt_tokens_details"], details["completion_tokens_details"]
    tokens = count(wire.get("prompt_tokens")), count(wire.get("completion_tokens"))
    if (total := count(wire.get("total_tokens"))) and total != sum(tokens):
        extra["total_tokens"] = total
    cached, written = count(prompt.get("cached_tokens")), count(prompt.get("cache_write_tokens"))
    return Usage(*tokens, cached, written, count(completion.get("reasoning_tokens")), extra)


def count(value: object) -> int:
    """A number of things that some provider sent: anything else counts as none."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return max(0, value) if isinstance(value, int) else 0


def meaningful(value: object) -> bool:
    return value is not None and value != {} and value != []
