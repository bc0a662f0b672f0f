"""Events to Anthropic Messages: the frames of a stream.

Shapes that the official SDK needs: `message_start` first, every event with its name, blocks one after another and numbered from 0,
`usage` in `message_delta`.
"""

from __future__ import annotations

from msgspec.structs import replace

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import OpenPart, merge
from telex.core.messages import Fields, Finish, Part, PartKind, Token, Usage
from telex.dialects.anthropic.body import opaque_block
from telex.dialects.anthropic.citations import from_citation
from telex.dialects.anthropic.errors import error_object
from telex.dialects.anthropic.reply import (
    NOTHING,
    blocks_of,
    encrypted,
    reply_fields,
    signature_of,
    signed,
    stop_fields,
    tool_use,
    usage_object,
)
from telex.dialects.anthropic.words import from_input, is_own
from telex.dialects.refrain import Echo
from telex.dialects.sequence import Sequencer

DELTA_FIELDS = ("stop_details", "container", "native_finish_reason")
"""Fields of a reply that a stream says in the delta of its `message_delta`; the others stand beside that."""

DELTAS: dict[PartKind, tuple[str, str]] = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
}
"""How more of a part is said, and in which field; all others stream JSON."""


class Encoder:
    """Events of one choice (nobody can ask for more) to frames, each as bytes. `id` stands in where the upstream gave none."""

    def __init__(self, include_usage: bool = True, id: str = "", created: int = 0) -> None:
        self._id = id
        self._dialect = ""
        self._ended = False
        self._echo = Echo()
        self._sequencer = Sequencer()
        self._blocks = 0
        self._part: OpenPart | None = None
        self._flows = False  # the part's block is open, and what comes of it is said at once
        self._kinds: set[PartKind] = set()
        self._finish: Finish | None = None
        self._usage: Usage = NOTHING
        self._extra: Fields = {}
        self._choice_extra: Fields = {}
        self._text_logprobs: list[Token] = []
        self._refusal_logprobs: list[Token] = []

    def resume(self, start: Start, last: bytes) -> None:
        """What says that a stream broke is the same wherever it breaks."""

    def feed(self, event: Event) -> list[bytes]:
        if (echoed := self._echo.say(event)) is not None:
            return [echoed]
        frames = self._encode(event)
        flows = self._flows and self._part is not None and self._part.start.kind == "text"
        self._echo.learn(event, frames if flows else [])
        return frames

    def _encode(self, event: Event) -> list[bytes]:
        if self._ended or (isinstance(event, PartStart | PartDelta | Cite | PartEnd | Logprobs | Extra | Finish) and event.choice > 0):
            return []
        return [frame for one in self._sequencer.feed(event) for frame in self._say(one)]

    def _say(self, event: Event) -> list[bytes]:
        match event:
            case PartDelta():
                return self._delta(event)
            case PartStart():
                return self._start_part(event)
            case PartEnd():
                return self._end_part()
            case Cite():
                return [self._block_delta("citations_delta", {"citation": from_citation(event.citation)})] if self._flows else []
            case Start():
                return [self._message_start(event)]
            case Done():
                self._ended = True
                return [self._message_delta(), frame("message_stop", {})]
            case Failure():
                self._ended = True
                return [sse.encode(json.encode(error_object(event, self._id)), "error")]
        self._keep(event)
        return []

    def _keep(self, event: Event) -> None:
        """What is said with the last words."""
        match event:
            case Usage():
                self._usage = event
            case Finish():
                self._finish = event
            case Extra():
                merge(self._choice_extra, event.fields) if event.choice >= 0 else self._extra.update(event.fields)
            case Logprobs():
                self._text_logprobs += event.text
                self._refusal_logprobs += event.refusal

    def _message_start(self, start: Start) -> bytes:
        """What is known of the usage by now stands in it; the rest follows in the end."""
        self._dialect = start.dialect
        known: Fields = {}
        if is_own(start.dialect):
            known, self._extra = self._extra, {}
        message: Fields = {
            "id": start.id or self._id,
            "type": "message",
            "role": "assistant",
            "model": start.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(self._usage, self._dialect),
        }
        return frame("message_start", {"message": {**known, **message}})

    def _start_part(self, start: PartStart) -> list[bytes]:
        self._part = OpenPart(start)
        self._kinds.add(start.kind)
        part = self._whole(self._part)
        extra = part.extra if is_own(part.dialect) else {}
        match start.kind:
            case "text" | "refusal":
                return [self._open({"type": "text", "text": "", **extra})]
            case "tool_call" if start.tool != "custom":
                return [self._open(tool_use(part, extra))]
            case "opaque" if is_own(part.dialect) and start.tool != "compaction":
                return [self._open(opaque_block(part))]
        return []

    def _delta(self, event: PartDelta) -> list[bytes]:
        if (part := self._part) is None:
            return []
        frames: list[bytes] = []
        if part.start.kind == "reasoning" and event.text and not self._flows:
            frames.append(self._open({"type": "thinking", "thinking": "", "signature": ""}))
        if not self._flows:
            part.feed(event)
            return frames
        if event.data or event.signature:
            part.feed(PartDelta(event.choice, event.index, "", event.data, event.signature, event.dialect))
        if event.text:
            kind, field = DELTAS.get(part.start.kind, ("input_json_delta", "partial_json"))
            frames.append(self._block_delta(kind, {field: event.text}))
        return frames

    def _end_part(self) -> list[bytes]:
        """A part is whole: what could not be said of it before is said now."""
        if self._part is None:
            return []
        part, self._part = self._whole(self._part), None
        if not self._flows:
            return [one for block in blocks_of(part, self._dialect) for one in self._block(block)]
        frames: list[bytes] = []
        behind = signed(part)
        if part.kind == "reasoning":
            frames += [self._block_delta("signature_delta", {"signature": signature})] if (signature := signature_of(part)) else []
            behind = [encrypted(part)] if part.data and part.signature else []
        frames.append(self._close())
        return [*frames, *(one for block in behind for one in self._block(block))]

    def _whole(self, part: OpenPart) -> Part:
        """The part as far as it was kept; what belongs to no dialect in particular is of the reply's."""
        whole = part.part()
        return whole if whole.dialect else replace(whole, dialect=self._dialect)

    def _block(self, block: Fields) -> list[bytes]:
        """A block that is whole already, said as the provider would say it."""
        rest: list[tuple[str, Fields]] = []
        match block["type"]:
            case "thinking":
                opening = self._open({**block, "signature": ""})
                rest = [("signature_delta", {"signature": block["signature"]})] if block["signature"] else []
            case "compaction":
                said: Fields = {name: block[name] for name in ("content", "encrypted_content") if name in block}
                opening, rest = self._open({**block, **dict.fromkeys(said)}), [("compaction_delta", said)]
            case "tool_use":
                opening = self._open({**block, "input": {}})
                rest = [("input_json_delta", {"partial_json": from_input(block["input"])})]
            case _:
                opening = self._open(block)
        return [opening, *(self._block_delta(kind, fields) for kind, fields in rest), self._close()]

    def _open(self, block: Fields) -> bytes:
        self._flows = True
        return frame("content_block_start", {"index": self._blocks, "content_block": block})

    def _block_delta(self, kind: str, fields: Fields) -> bytes:
        return frame("content_block_delta", {"index": self._blocks, "delta": {"type": kind, **fields}})

    def _close(self) -> bytes:
        self._flows = False
        self._blocks += 1
        return frame("content_block_stop", {"index": self._blocks - 1})

    def _message_delta(self) -> bytes:
        logprobs = tuple(self._text_logprobs), tuple(self._refusal_logprobs)
        fields = reply_fields(self._extra, self._choice_extra, *logprobs, self._dialect)
        delta = stop_fields(self._finish, self._kinds, self._dialect)
        delta |= {name: fields.pop(name) for name in DELTA_FIELDS if name in fields}
        return frame("message_delta", {**fields, "delta": delta, "usage": usage_object(self._usage, self._dialect)})


def frame(kind: str, fields: Fields) -> bytes:
    """An event with its name, which SDKs tell events by."""
    return sse.encode(json.encode({"type": kind, **fields}), kind)
