"""One candidate of a reply while it grows: its parts as events, and what can be said of it only when it has ended."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from telex.core import json
from telex.core.events import Cite, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart
from telex.core.fold import merge, start_of
from telex.core.messages import Fields, Finish, Part, PartKind, Reason
from telex.dialects.gemini.arguments import StreamedArguments
from telex.dialects.gemini.citations import PROVIDER, SOURCES, read_citations, sources_of
from telex.dialects.gemini.fields import Node
from telex.dialects.gemini.parts import FLOWING, INVALID_JSON, nodes_of, to_part
from telex.dialects.gemini.tokens import read_logprobs
from telex.dialects.values import meaningful

REASONS: dict[str, Reason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
         "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter",
    ),
    **dict.fromkeys(
        ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
        "broken_call",
    ),
}  # fmt: skip
STOP_SEQUENCE = "stop_sequence"
UNFINISHED = ("", "FINISH_REASON_UNSPECIFIED")
SAID = frozenset({"content", "index", "finishReason", "tokenCount"})
"""Fields of a candidate that have a word; `tokenCount` is usage said twice."""

GROWING = frozenset({"citationMetadata", "logprobsResult"})
"""Fields that each chunk says more of; of all others the last one holds."""

SOURCED = ("groundingMetadata", "citationMetadata")
"""Fields that, even when empty, tell that sources will be named, perhaps of words said long before."""


class OpenCall:
    """A call whose arguments are streamed."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.signature, self.dialect = "", ""
        self.arguments = StreamedArguments()


class Candidate:
    """`ids` names calls that came without an id. `raw`: the reason why it stopped, as it was last said; empty while it goes on.

    `learnable`: what it was fed last changes nothing if it is fed again, but that its text is said again.
    """

    def __init__(self, index: int, ids: Iterator[str]) -> None:
        self.index = index
        self.parts = 0
        self.raw = ""
        self.learnable = True
        self._ids = ids
        self._flow: tuple[PartKind, Fields] | None = None
        self._flow_part = -1
        self._call: OpenCall | None = None
        self._called = False
        self._sourced = False
        self._texts: dict[int, tuple[int, bool]] = {}  # where each part of text begins in the whole, and whether it is open
        self._spoken: list[str] = []
        self._length = 0
        self._extra: Fields = {}

    def read(self, node: Node, events: list[Event]) -> None:
        """One chunk's piece of it. Raises `WrongField` for what can't be meant."""
        self.learnable = True
        wire = node.wire
        self._sourced = self._sourced or any(name in wire for name in SOURCED)
        if (content := node.node("content")) is not None:
            parts = content.wire.get("parts")
            if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() == {"text"}:
                self._flow_on("text", {}, content.nodes("parts")[0].text("text"), events)
            else:
                for part in nodes_of(content):
                    self._part(part, events)
        if tokens := read_logprobs(wire.get("logprobsResult")):
            events.append(Logprobs(self.index, tokens))
        if (reason := str(wire.get("finishReason") or "")) not in UNFINISHED:
            self.raw = reason
        if wire.keys() - SAID:
            self._keep({name: value for name, value in wire.items() if name not in SAID and meaningful(value)})

    def hear(self, event: PartDelta) -> None:
        """Text that was read without this candidate."""
        if event.index in self._texts:
            self._spoken.append(event.text)
            self._length += len(event.text)

    def _keep(self, fields: Fields) -> None:
        for name, value in fields.items():
            if name in GROWING and isinstance(value, dict):
                self.learnable = False
                merge(self._extra, {name: value})
            else:
                self._extra[name] = value

    def _part(self, node: Node, events: list[Event]) -> None:
        if next(iter(node), None) is None:  # it says nothing
            return
        if "functionCall" in node:
            self._function_call(node, events)
            return
        part = to_part(node)
        if part.kind in FLOWING:
            self._flow_on(part.kind, part.extra, part.text, events, part)
        else:
            self._whole(part, events)

    def _flow_on(self, kind: PartKind, extra: Fields, text: str, events: list[Event], signed: Part | None = None) -> None:
        """Text of some kind: it continues the part it flows into, or opens another. What signs a part ends it."""
        signs = signed is not None and bool(signed.signature or signed.data)
        if not (text or signs or extra):
            return
        if self._flow != (kind, extra):
            self._end_flow(events)
            self._flow, self._flow_part = (kind, extra), self.parts
            self.parts += 1
            events.append(PartStart(self.index, self._flow_part, kind, dialect="gemini" if extra else "", extra=extra))
            if kind == "text":
                self._texts[self._flow_part] = self._length, True
        if signs and signed is not None:
            events.append(PartDelta(self.index, self._flow_part, text, signed.data, signed.signature, signed.dialect))
        elif text:
            events.append(PartDelta(self.index, self._flow_part, text))
        if kind == "text":
            self._spoken.append(text)
            self._length += len(text)
        if signs:
            self._end_flow(events)

    def _end_flow(self, events: list[Event]) -> None:
        """The part is over; a text of which sources may yet be named stays open."""
        if self._flow is not None and not (self._sourced and self._flow[0] == "text"):
            self._end(self._flow_part, events)
        self._flow = None

    def _end(self, part: int, events: list[Event]) -> None:
        if part in self._texts:
            self._texts[part] = self._texts[part][0], False
        events.append(PartEnd(self.index, part))

    def _open(self, part: Part, events: list[Event]) -> int:
        self._end_flow(events)
        events.append(start_of(part, self.index, self.parts))
        self.parts += 1
        return self.parts - 1

    def _whole(self, part: Part, events: list[Event]) -> None:
        """A part that came in one piece."""
        own = part if part.extra or part.kind == "opaque" else replace(part, dialect="")
        index = self._open(own, events)
        if part.text or part.data or part.signature:
            dialect = part.dialect if part.signature else ""
            events.append(PartDelta(self.index, index, part.text, part.data, part.signature, dialect))
        events.append(PartEnd(self.index, index))

    def _function_call(self, node: Node, events: list[Event]) -> None:
        """A call, whole or the next piece of one that is streamed: it goes on as long as it says so."""
        body = node.node("functionCall") or Node({})
        goes_on, pieces = body.flag("willContinue"), body.nodes("partialArgs")
        if self._call is None or "name" in body:
            self._end_call(events)
            if not body.wire:
                return
            part = to_part(node)
            part = replace(part, id=part.id or next(self._ids), text=arguments_of(part.text))
            self._called = True
            if not (goes_on or pieces):
                self._whole(part, events)
                return
            start = replace(part, dialect=part.dialect if part.extra else "")
            self._call = OpenCall(self._open(start, events))
        else:
            part = to_part(node)
        if part.signature:
            self._call.signature, self._call.dialect = part.signature, part.dialect
        for piece in pieces:
            self._call.arguments.feed(piece)
        if not goes_on:
            self._end_call(events)

    def _end_call(self, events: list[Event]) -> None:
        """Its last piece was seen, or is missing."""
        if (call := self._call) is not None:
            self._call = None
            text = json.encode(call.arguments.whole()).decode("utf-8", "surrogatepass")
            events.append(PartDelta(self.index, call.index, text, signature=call.signature, dialect=call.dialect))
            events.append(PartEnd(self.index, call.index))

    def close(self, events: list[Event]) -> None:
        """The reply has ended."""
        self._end_call(events)
        self._cite(events)
        self._sourced = False
        self._end_flow(events)
        for part, (_, is_open) in self._texts.items():
            if is_open:
                self._end(part, events)
        finish = self._finish()
        if extra := without_foreign(self._extra):
            events.append(Extra(self.index, extra))
        if finish.raw or self.parts:
            events.append(finish)

    def _finish(self) -> Finish:
        """Why it stopped. The stop sequence that was met is said only by Telex."""
        sequence = self._extra.pop(STOP_SEQUENCE, "")
        reason = REASONS.get(self.raw, "stop")
        if reason == "stop":
            reason = "tool_calls" if self._called else "stop_sequence" if sequence else "stop"
        return Finish(self.index, reason, self.raw, str(sequence))

    def _cite(self, events: list[Event]) -> None:
        """Each source at the part whose words it has, if that is still open, else at the last one that is."""
        places = [(start, part) for part, (start, is_open) in self._texts.items() if is_open]
        if not places:
            return
        for citation in read_citations(self._extra, "".join(self._spoken)):
            part = next((part for start, part in reversed(places) if start <= citation.start), places[-1][1])
            events.append(Cite(self.index, part, citation))


def arguments_of(text: str) -> str:
    """Arguments as the model wrote them, also those that were no JSON object."""
    if INVALID_JSON not in text:
        return text
    value = json.decode(text.encode("utf-8", "surrogatepass"))
    raw = value.get(INVALID_JSON)
    return raw if len(value) == 1 and isinstance(raw, str) else text


def without_foreign(extra: Fields) -> Fields:
    """A candidate's further fields, without the citations of other dialects: those are told one by one."""
    if not any(PROVIDER in source for source in sources_of(extra)):
        return extra
    metadata: Fields = dict(extra["citationMetadata"])
    for name in SOURCES:
        if isinstance(sources := metadata.get(name), list):
            metadata[name] = [source for source in sources if not (isinstance(source, dict) and PROVIDER in source)]
    metadata = {name: value for name, value in metadata.items() if meaningful(value)}
    rest = {name: value for name, value in extra.items() if name != "citationMetadata"}
    return rest | ({"citationMetadata": metadata} if metadata else {})
