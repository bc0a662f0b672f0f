"""Events to chunks of a generateContent stream.

What the official SDK needs: lines of `data: ` and nothing else, a content with parts in every chunk, calls in one piece, the reason to
stop and the usage in the last chunk, camelCase.
"""

from __future__ import annotations

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold, merge
from telex.core.messages import Fields, Finish, Part, Usage
from telex.dialects.gemini.errors import encode_error
from telex.dialects.gemini.parts import FLOWING
from telex.dialects.gemini.reply import Ending, candidate, extra_fields, head, is_blocked, is_foreign, last_fields, write_part, write_text
from telex.dialects.gemini.signatures import write_signatures
from telex.dialects.gemini.tokens import write_usage


class OpenPart:
    """A part while it is said. `kept`: its start, and all of it that can be said only when it is whole."""

    __slots__ = ("kept", "part")

    def __init__(self, start: PartStart) -> None:
        self.part = Part(start.kind, dialect=start.dialect, extra=start.extra)
        self.kept: list[Event] = [start]

    def whole(self) -> Part:
        return fold(self.kept).choices[0].parts[0]


class Encoder:
    """Events to frames, each as bytes. `id` and `created` stand in where the upstream gave none."""

    def __init__(self, include_usage: bool = True, id: str = "", created: int = 0) -> None:
        self._include_usage = include_usage
        self._id, self._created = id, created
        self._head = head(id, "", created)
        self._foreign = False
        self._parts: dict[tuple[int, int], OpenPart] = {}
        self._said: set[int] = set()
        self._endings: dict[int, Ending] = {}
        self._usage: Usage | None = None
        self._extra: Fields = {}

    def resume(self, start: Start, last: bytes) -> None:
        """What says that a stream broke is the same wherever it breaks."""

    def feed(self, event: Event) -> list[bytes]:
        match event:
            case PartDelta():
                return self._delta(event)
            case PartStart():
                self._ending(event.choice)
                self._parts[event.choice, event.index] = OpenPart(event)
            case PartEnd():
                return self._end(event.choice, event.index)
            case Finish():
                self._ending(event.choice).finish = event
                return self._end_all(event.choice)
            case Done():
                return [*self._end_all(), self._last()]
            case Failure():
                return [sse.encode(encode_error(event))]
            case Start():
                self._foreign = is_foreign(event.dialect)
                self._head = head(event.id or self._id, event.model, event.created or self._created)
            case _:
                self._keep(event)
        return []

    def _keep(self, event: Event) -> None:
        """What the last chunk says."""
        match event:
            case Cite():
                self._ending(event.choice).citations.append(event.citation)
            case Logprobs():
                self._ending(event.choice).logprobs += [*event.text, *event.refusal]
            case Usage():
                self._usage = event
            case Extra() if event.choice < 0:
                self._extra |= event.fields
            case Extra():
                merge(self._ending(event.choice).extra, event.fields)

    def _ending(self, choice: int) -> Ending:
        return self._endings.setdefault(choice, Ending())

    def _delta(self, event: PartDelta) -> list[bytes]:
        open_part = self._parts[event.choice, event.index]
        part = open_part.part
        if part.kind not in FLOWING:
            open_part.kept.append(event)
            return []
        if event.data or event.signature:
            open_part.kept.append(PartDelta(event.choice, event.index, "", event.data, event.signature, event.dialect))
        if not event.text:
            return []
        if part.kind == "text":
            self._ending(event.choice).text.append(event.text)
        return [self._chunk(event.choice, write_text(part, event.text))]

    def _end(self, choice: int, index: int) -> list[bytes]:
        """A part is whole: what could not be said of it before is said now."""
        if (open_part := self._parts.pop((choice, index), None)) is None:
            return []
        part = open_part.whole()
        if part.kind not in FLOWING:
            return [self._chunk(choice, wire) for wire in write_part(part)]
        return [self._chunk(choice, {**write_text(part, ""), "thoughtSignature": signature}) for signature in write_signatures(part)]

    def _end_all(self, choice: int | None = None) -> list[bytes]:
        """Parts that nobody ended, of one choice or of all."""
        return [frame for key in list(self._parts) if choice in (None, key[0]) for frame in self._end(*key)]

    def _chunk(self, choice: int, part: Fields) -> bytes:
        self._said.add(choice)
        return sse.encode(json.encode({"candidates": [candidate(choice, [part])], **self._head}))

    def _last(self) -> bytes:
        chunk: Fields = {}
        if not is_blocked(self._extra, bool(self._said), self._foreign):
            endings = sorted(self._endings.items())
            chunk["candidates"] = [candidate(index, []) | last_fields(ending, self._foreign) for index, ending in endings]
        if self._include_usage and self._usage is not None:
            chunk["usageMetadata"] = write_usage(self._usage, self._foreign)
        return sse.encode(json.encode(chunk | self._head | extra_fields(self._extra, self._foreign)))
