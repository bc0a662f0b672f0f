"""The output of a response that is read, to events: what begins, what is said more of it, and what is said once more when it is whole."""

from __future__ import annotations

from typing import Any

from telex.core import json
from telex.core.events import Cite, Event, Logprobs, PartDelta, PartEnd, PartStart
from telex.core.messages import Fields, Part
from telex.dialects.openai_chat.choice import WrongShape
from telex.dialects.openai_chat.parts import to_provider_part
from telex.dialects.openai_chat.tokens import read_tokens
from telex.dialects.openai_responses.parts import CONTENT_TYPE, NAME, extras, to_citation, to_picture
from telex.dialects.openai_responses.pieces import CALLS, FLOWS, KINDS, Item, Piece, unseen
from telex.dialects.reading import WrongField, rest
from telex.dialects.seal import unseal
from telex.dialects.values import count, meaningful

PIECE_FIELDS = ("type", "text", "refusal", "annotations", "logprobs")


class Output:
    """Its items by their `output_index`. What it reads becomes events at the end of the list that it is given."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.pieces: list[Piece] = []  # a part each, by the index of the part
        self._length = 0  # characters of the text that is over

    def item(self, verb: str, wire: Fields, events: list[Event]) -> None:
        """An item begins (`added`), or is whole (`done`)."""
        body = wire.get("item")
        if not isinstance(body, dict):
            raise WrongShape("an item of its output is no object")
        index = count(wire.get("output_index"))
        if (item := self.items.get(index)) is None:
            item = self.items[index] = Item(body)
            self._call(item, body, events)
        if verb == "done":
            self._done(item, body, events)

    def words(self, family: str, verb: str, wire: Fields, events: list[Event]) -> None:
        """More words (`delta`), or all of them (`done`)."""
        type, kind = FLOWS[family]
        item = self._item(wire, type)
        if item.type != type or (type in CALLS and not item.pieces):
            return  # of a call whose name is not known yet: all of it comes with the item
        words = wire.get("delta") if verb == "delta" else wire.get("refusal" if kind == "refusal" else kind, wire.get("text"))
        if not words and KINDS[kind] == "reasoning":
            return
        piece = self._piece(item, kind, 0 if type in CALLS else place(wire), events)
        if verb == "delta":
            self._say(piece, words, events)
        else:
            self._settle(piece, words, events)
        self._tokens(piece, wire.get("logprobs"), verb == "delta", events)

    def part(self, verb: str, wire: Fields, events: list[Event]) -> None:
        """A piece of content begins (`added`), or is whole (`done`)."""
        part = wire.get("part")
        kind = KINDS.get(str(part.get("type"))) if isinstance(part, dict) else None
        type = "reasoning" if kind == "reasoning" else "message"
        if isinstance(part, dict) and kind is not None and (item := self._item(wire, type)).type == type:
            self._content(item, part, place(wire), events, whole=verb == "done")

    def source(self, wire: Fields, events: list[Event]) -> None:
        item = self._item(wire, "message")
        if item.type == "message":
            self._cite(self._piece(item, "output_text", place(wire), events), [wire.get("annotation")], events)

    def fill(self, output: object, events: list[Event]) -> None:
        """All of the output, once more: what of it was not said is said now."""
        pairs, others = unseen(self.items, output if isinstance(output, list) else [])
        for item, wire in pairs:
            self._done(item, wire, events)
        for item in self.items.values():
            self._done(item, {} if item.pieces else item.wire, events)
        for wire in others:
            self._done(Item(wire), wire, events)

    @property
    def called(self) -> bool:
        """Whether the model called a tool of the caller's."""
        return any(piece.kind == "tool_call" for piece in self.pieces)

    def _item(self, wire: Fields, type: str) -> Item:
        """The item that an event is about; one that was never announced begins now."""
        index = count(wire.get("output_index"))
        if index not in self.items:
            self.items[index] = Item({"type": type, "id": wire.get("item_id")})
        return self.items[index]

    def _piece(self, item: Item, kind: str, number: int, events: list[Event], more: Fields | None = None) -> Piece:
        """Piece `number` of its kind; if it begins now, the one before it is over."""
        if (piece := item.pieces.get((kind, number))) is None:
            self._end_piece(item, events)
            piece = item.pieces[kind, number] = item.current = Piece(len(self.pieces), KINDS[kind], self._length)
            self.pieces.append(piece)
            events.append(part_start(piece, kind, item, more))
        return piece

    def _end_piece(self, item: Item, events: list[Event]) -> None:
        if (piece := item.current) is not None:
            item.current, piece.ended = None, True
            self._length += len(piece.text) if piece.kind == "text" else 0
            events.append(PartEnd(0, piece.part))

    def _say(self, piece: Piece, text: object, events: list[Event]) -> None:
        if not text:
            return
        if not isinstance(text, str):
            raise WrongShape(f"{piece.kind} is not text")
        if piece.ended:
            raise WrongShape(f"{piece.kind} goes on after its end")
        piece.said.append(text)
        events.append(PartDelta(0, piece.part, text))

    def _settle(self, piece: Piece, whole: object, events: list[Event]) -> None:
        """All that a piece says, once more: what was not said before is said now. Of words that differ those that were streamed stand;
        a call that differs is none to trust."""
        if isinstance(whole, dict) and piece.kind == "tool_call":
            whole = json.encode(whole).decode()
        if whole is None:
            return
        if not isinstance(whole, str):
            raise WrongShape(f"{piece.kind} is not text")
        whole, text = json.join([whole]), piece.text
        if whole.startswith(text):
            self._say(piece, whole[len(text) :], events)
        elif piece.kind == "tool_call":
            raise WrongShape("a call is not what was streamed of it")

    def _tokens(self, piece: Piece, wire: object, add: bool, events: list[Event]) -> None:
        """Log probabilities; unless they are to `add`, only those that were not told."""
        if piece.kind not in ("text", "refusal") or not (tokens := read_tokens(wire)[0 if add else piece.tokens :]):
            return
        piece.tokens += len(tokens)
        events.append(Logprobs(0, text=tokens) if piece.kind == "text" else Logprobs(0, refusal=tokens))

    def _cite(self, piece: Piece, wires: list[Any], events: list[Event]) -> None:
        if not piece.ended:
            piece.sources += len(wires)
            events += [Cite(0, piece.part, to_citation(wire, piece.offset)) for wire in wires if isinstance(wire, dict)]

    def _content(self, item: Item, part: Fields, number: int, events: list[Event], whole: bool = True) -> None:
        """A piece of a message or of reasoning, which begins or is `whole`. Reasoning has none without words."""
        kind = str(part.get("type"))
        words = part.get("refusal" if kind == "refusal" else "text")
        if KINDS[kind] == "reasoning" and not words:
            return
        more = {k: v for k, v in part.items() if k not in PIECE_FIELDS and meaningful(v)}
        piece = self._piece(item, kind, number, events, more)
        if whole or words:
            self._settle(piece, words, events)
        if isinstance(sources := part.get("annotations"), list) and kind == "output_text":
            self._cite(piece, sources[piece.sources :], events)
        self._tokens(piece, part.get("logprobs"), False, events)

    def _call(self, item: Item, wire: Fields, events: list[Event], whole: bool = False) -> None:
        """A call begins as soon as its name is known, and at the latest when it is `whole`."""
        if item.type in CALLS and not item.pieces and (whole or wire.get("name")):
            if not wire.get("name"):  # words of an item that never came
                raise WrongShape("a call has no name")
            item.wire = wire
            self._piece(item, CALLS[item.type], 0, events)

    def _done(self, item: Item, wire: Fields, events: list[Event]) -> None:
        """An item is whole: what of it was not said is said now. It is what it became, if nothing was said of what it began as."""
        if item.done:
            return
        item.done = True
        if not item.pieces and isinstance(became := wire.get("type"), str):
            item.type = became
        match item.type:
            case "message":
                self._contents(item, wire.get("content"), events)
            case "reasoning":
                self._contents(item, wire.get("summary"), events)
                self._contents(item, wire.get("content"), events)
                self._encrypted(item, wire, events)
            case "function_call" | "custom_tool_call":
                self._call(item, wire, events, whole=True)
                self._settle(item.pieces[CALLS[item.type], 0], wire.get(CALLS[item.type]), events)
            case _:
                self._other(wire, events)
        self._end_piece(item, events)

    def _contents(self, item: Item, parts: object, events: list[Event]) -> None:
        for number, part in enumerate(parts if isinstance(parts, list) else ()):
            if not isinstance(part, dict):
                continue
            if str(part.get("type")) in KINDS:
                self._content(item, part, number, events)
            elif item.type == "message":  # content without a word stands in a message of its own
                self._end_piece(item, events)
                alone: Fields = {"type": "message", "status": "completed", "role": "assistant", "content": [part]}
                self._whole_part(Part("opaque", tool=str(part.get("type")), dialect=NAME, extra=alone), events)

    def _encrypted(self, item: Item, wire: Fields, events: list[Event]) -> None:
        """What only a provider can read of a thought is part of its last piece; a thought without words has one for it."""
        piece = item.current or self._piece(item, "summary_text", len(item.pieces), events)
        if isinstance(encrypted := wire.get("encrypted_content"), str) and encrypted:
            dialect, value, data = unseal(encrypted)
            named = {"data": value} if data or not dialect else {"signature": value}
            events.append(PartDelta(0, piece.part, dialect=dialect or NAME, **named))

    def _other(self, wire: Fields, events: list[Event]) -> None:
        """An item that is a part whole: a picture, a part of another provider, or what only this one understands."""
        part: Part | None = None
        if wire.get("type") == "image_generation_call":
            part = to_picture(wire)
        elif wire.get("type") == "provider_part":
            try:
                part = to_provider_part(wire, "provider_part")
            except WrongField as error:
                raise WrongShape(f"{error.field}: {error}") from None
        self._whole_part(part or Part("opaque", tool=str(wire.get("type") or ""), dialect=NAME, extra=wire), events)

    def _whole_part(self, part: Part, events: list[Event]) -> None:
        piece = Piece(len(self.pieces), part.kind, self._length)
        self.pieces.append(piece)
        start = PartStart(0, piece.part, part.kind, "", "", part.tool, part.url, part.media_type, part.dialect, part.extra)
        said = [PartDelta(0, piece.part, part.text, part.data)] if part.text or part.data else []
        events += [start, *said, PartEnd(0, piece.part)]


def place(wire: Fields) -> int:
    """Which piece of its item an event is about."""
    return count(wire.get("summary_index", wire.get("content_index")))


def part_start(piece: Piece, kind: str, item: Item, more: Fields | None) -> PartStart:
    fields = item.fields
    if piece.kind == "tool_call":
        id, name = (str(item.wire.get(field) or "") for field in ("call_id", "name"))
        return PartStart(0, piece.part, "tool_call", id, name, "custom" if kind == "input" else "function", **extras(fields))
    if piece.kind == "reasoning":
        shown = {"type": CONTENT_TYPE} if kind == CONTENT_TYPE else {}
        return PartStart(0, piece.part, "reasoning", item.id, **extras(rest(fields, "id") | shown))
    return PartStart(0, piece.part, piece.kind, **extras(fields | ({"content": more} if more else {})))
