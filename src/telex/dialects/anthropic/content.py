"""The blocks of a reply while they grow, as parts."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from telex.core.events import Cite, Event, PartDelta, PartEnd
from telex.core.fold import start_of
from telex.core.messages import Citation, Fields, Part
from telex.dialects.anthropic.blocks import to_opaque, to_part, unsealed
from telex.dialects.anthropic.citations import to_citation

SAID_LATER: dict[str, Fields] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"id": "", "name": "", "input": {}},
}
"""What a block of a reply may leave out, because the stream or nobody says it."""

PARTS = frozenset({"text", "reasoning", "tool_call", "image", "file", "audio", "opaque"})
"""What a reply can hold as a part of the vocabulary."""

LOW_SURROGATES = re.compile("[\udc00-\udfff]")


class WrongShape(Exception):
    """JSON, but not of this dialect."""


class OpenBlock:
    """A block while it grows. `late`: what is said at its end if nothing streams; `held`: a part that starts only then."""

    __slots__ = ("citations", "held", "kind", "late", "part", "start")

    def __init__(self, number: int, part: Part, start: int) -> None:
        self.part = number
        self.kind = part.kind
        self.start = start  # of its text, in characters of the whole text
        self.citations = list(part.citations)
        self.late = part.text if part.kind in ("tool_call", "opaque") else ""
        self.held = part if part.tool == "compaction" else None


class Content:
    """Blocks by their index in the stream. `parts`: how many there were; `called`: one of them is a tool call."""

    def __init__(self) -> None:
        self.parts = 0
        self.called = False
        self._texts: set[int] = set()  # the parts that are text
        self._open: dict[int, OpenBlock] = {}
        self._length = 0  # of the text so far, in characters

    def start(self, index: int, wire: Any, events: list[Event]) -> None:
        if not isinstance(wire, dict):
            raise WrongShape("a block is no object")
        if index in self._open:
            self.stop(index, events)
        part = read_block(wire)
        block = self._open[index] = OpenBlock(self.parts, part, self._length)
        self.parts += 1
        self.called = self.called or part.kind == "tool_call"
        if part.kind == "text":
            self._texts.add(block.part)
        if block.held is not None:
            return
        events.append(start_of(part, 0, block.part))
        if not block.late and (part.text or part.data or part.signature):
            self._say(block, PartDelta(0, block.part, part.text, part.data, part.signature), events)

    def delta(self, index: int, delta: Any, events: list[Event]) -> None:
        if (block := self._open.get(index)) is None:
            raise WrongShape(f"a delta is for block {index}, which is not open")
        if not isinstance(delta, dict):
            raise WrongShape("a delta is no object")
        kind = delta.get("type")
        if kind == "text_delta":
            self._words(block, delta, "text", "text", events)
        elif kind == "thinking_delta":
            self._words(block, delta, "thinking", "reasoning", events)
        elif kind == "input_json_delta":
            if words := string(delta, "partial_json"):
                must_be(block, kind, "tool_call", "opaque")
                block.late = ""  # a placeholder
                events.append(PartDelta(0, block.part, words))
        elif kind == "signature_delta":
            if signature := string(delta, "signature"):
                must_be(block, kind, "reasoning")
                events.append(PartDelta(0, block.part, **unsealed(signature)))
        elif kind == "citations_delta":
            if isinstance(citation := delta.get("citation"), dict):
                block.citations.append(to_citation(citation))
        elif kind == "compaction_delta" and block.held is not None:
            block.late += string(delta, "content")
            more = {name: value for name, value in delta.items() if name not in ("type", "content") and value is not None}
            block.held = replace(block.held, extra={**block.held.extra, **more})

    def _words(self, block: OpenBlock, delta: Fields, field: str, kind: str, events: list[Event]) -> None:
        if words := string(delta, field):
            must_be(block, delta["type"], kind)
            self._say(block, PartDelta(0, block.part, words), events)

    def _say(self, block: OpenBlock, event: PartDelta, events: list[Event]) -> None:
        if block.kind == "text":
            self._length += characters(event.text)
        events.append(event)

    def measure(self, event: PartDelta) -> None:
        """Count a text that was read without being decoded."""
        if event.index in self._texts:
            self._length += characters(event.text)

    def stop(self, index: int, events: list[Event]) -> None:
        """The end of a block, if it is open: what it cites is known only now."""
        if (block := self._open.pop(index, None)) is None:
            return
        if block.held is not None:
            events.append(start_of(block.held, 0, block.part))
        if block.late:
            events.append(PartDelta(0, block.part, block.late))
        if block.kind == "text":
            events += [Cite(0, block.part, ranged(citation, block.start, self._length)) for citation in block.citations]
        events.append(PartEnd(0, block.part))

    def close(self, events: list[Event]) -> None:
        """The end of all blocks: a limit on the output cuts the last one off."""
        for index in list(self._open):
            self.stop(index, events)


def must_be(block: OpenBlock, delta: str, *kinds: str) -> None:
    if block.kind not in kinds:
        raise WrongShape(f"a {delta} is for a block of the kind {block.kind}")


def string(wire: Fields, name: str) -> str:
    value = wire.get(name)
    if value is not None and not isinstance(value, str):
        raise WrongShape(f"the {name} of a delta is not text")
    return value or ""


def read_block(wire: Fields) -> Part:
    """A block of a reply as a part; what a message can't hold as a part of its own is its provider's own. Raises `WrongField`."""
    later = SAID_LATER.get(kind) if isinstance(kind := wire.get("type"), str) else None
    if later is not None:
        wire = {**later, **{name: value for name, value in wire.items() if value is not None}}
    part = to_part(wire, "a block")
    return part if part.kind in PARTS else to_opaque(wire)


def ranged(citation: Citation, start: int, end: int) -> Citation:
    """What a block cites is all of its text, unless the citation says otherwise."""
    return citation if citation.end else replace(citation, start=start, end=end)


def characters(text: str) -> int:
    """How many characters a text has, of which some may come as halves in two deltas."""
    return len(text) if text.isascii() else len(text) - len(LOW_SURROGATES.findall(text))
