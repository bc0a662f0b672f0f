"""Events to Responses: the frames of a stream, and the response that they add up to.

Shapes that the official SDK's accumulator needs: `response.created` first, an item added before anything of it is said, each
`output_index` added once, an item's id and type the same from its beginning to its end and unlike those of the others.
"""

from __future__ import annotations

from msgspec.structs import replace

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import merge, unfold
from telex.core.messages import Fields, Finish, Reply, Token, Usage
from telex.dialects.openai_responses import brackets
from telex.dialects.openai_responses.brackets import Events
from telex.dialects.openai_responses.errors import encode_error, error_object, error_of_response
from telex.dialects.openai_responses.output import PREFIXES, TEXT_KINDS, Item, Piece, item_fields, item_object, item_type
from telex.dialects.openai_responses.parts import NAME
from telex.dialects.openai_responses.reply import ending, is_foreign, response_object, usage_object
from telex.dialects.seal import seal

RESPONSE_ID = "resp_"
UNSTARTED = {"text": -1, "refusal": -2}
"""Indexes of the pieces for log probabilities of words that no part has."""


class Encoder:
    """Events to frames, each as bytes. `id` stands in where the upstream gave none that is a response's, `created` where it gave none. A
    reply has one choice here.

    `response`: the whole of it, once it has ended.
    """

    def __init__(self, include_usage: bool = True, id: str = "", created: int = 0) -> None:
        self.response: Fields = {}
        self._head: Fields = {"id": response_id(id), "object": "response", "created_at": created, "model": ""}
        self._dialect = ""
        self._sequence = 0
        self._items: list[Item] = []
        self._pieces: dict[int, Piece] = {}
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._extra: Fields = {}
        self._over = False

    def feed(self, event: Event) -> list[bytes]:
        if self._over or getattr(event, "choice", 0) > 0:
            return []
        return [self._frame(type, fields) for type, fields in self._events(event)]

    def resume(self, start: Start, last: bytes) -> None:
        """Go on with its name and behind its number."""
        self._start(start)
        for frame in sse.Decoder().feed(last):
            number = json.decode(frame.data).get("sequence_number")
            self._sequence = number + 1 if isinstance(number, int) else 0

    def _frame(self, type: str, fields: Fields) -> bytes:
        data = {"type": type, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse.encode(json.encode(data), type)

    def _events(self, event: Event) -> Events:
        match event:
            case PartDelta():
                return self._delta(event)
            case PartStart():
                return self._part(event)
            case PartEnd():
                return self._end(self._pieces[event.index])
            case Cite():
                piece = self._pieces[event.index]
                piece.open.citations.append(event.citation)
                return brackets.cite(piece, event.citation) if piece.start.kind == "text" else []
            case Logprobs():
                return [*self._tokens("text", event.text), *self._tokens("refusal", event.refusal)]
            case Finish():
                self._finish = event
            case Extra():
                merge(self._extra, event.fields) if is_foreign(self._dialect) else self._extra.update(event.fields)
            case Usage():
                self._usage = event
            case Start():
                return self._start(event)
            case Done():
                return self._complete()
            case Failure():
                return self._fail(event)
        return []

    def _start(self, event: Start) -> Events:
        self._dialect = event.dialect
        id = event.id if event.dialect == NAME and event.id else self._head["id"] or response_id(event.id)
        self._head.update(id=id, created_at=event.created or self._head["created_at"], model=event.model)
        begun = {"response": response_object(self._head, "in_progress", [], {})}
        return [("response.created", begun), ("response.in_progress", begun)]

    def _part(self, start: PartStart) -> Events:
        if not start.dialect and is_foreign(self._dialect):
            start = replace(start, dialect=self._dialect)
        last, events = self._items[-1] if self._items else None, Events()
        if last is None or not last.takes(start):
            events += self._close(last) if last is not None else []
            last = self._item(item_type(start), str(item_fields(start).get("id") or (start.id if start.kind == "reasoning" else "")))
        piece = self._pieces[start.index] = Piece(last, start, self._offset())
        last.pieces.append(piece)
        if len(last.pieces) == 1:
            events += brackets.add(last, piece)
        return [*events, *brackets.begin(piece)] if start.kind in TEXT_KINDS else events

    def _last(self, kind: str) -> Piece | None:
        return next((piece for piece in reversed(self._pieces.values()) if piece.start.kind == kind), None)

    def _offset(self) -> int:
        """Characters of the text so far."""
        last = self._last("text")
        return last.offset + len(last.open.part().text) if last is not None else 0

    def _item(self, type: str, id: str) -> Item:
        """The next item: under its own id, unless it has none or another has it too."""
        index = len(self._items)
        if not id or any(item.id == id for item in self._items):
            id = f"{PREFIXES.get(type, 'item')}_{self._head['id'].removeprefix(RESPONSE_ID)}_{index}"
        self._items.append(item := Item(type, id, index))
        return item

    def _delta(self, event: PartDelta) -> Events:
        piece = self._pieces[event.index]
        piece.open.feed(event)
        events = brackets.more(piece, event.text) if event.text else []
        if event.signature and piece.start.kind != "reasoning":
            events += self._sign(event.signature, piece.open.dialect or NAME)
        return events

    def _sign(self, signature: str, dialect: str) -> Events:
        """What signs a part that is no reasoning stands in reasoning without words, right behind the part's item."""
        piece = Piece(self._item("reasoning", ""), PartStart(0, 0, "reasoning"), 0)
        piece.item.pieces.append(piece)
        piece.open.data.append(seal(dialect, signature))
        return [*brackets.add(piece.item, piece), *self._end(piece)]

    def _end(self, piece: Piece) -> Events:
        """A part is whole, and so is its item, unless what comes next may belong to it."""
        piece.ended = True
        waits = piece.item is self._items[-1] and piece.item.type in ("message", "reasoning")
        return brackets.end(piece) + ([] if waits else self._close(piece.item))

    def _close(self, item: Item, status: str = "completed") -> Events:
        if item.closed or not all(piece.ended for piece in item.pieces):
            return []
        item.closed, item.status = True, status
        return brackets.finish(item)

    def _tokens(self, kind: str, tokens: tuple[Token, ...]) -> Events:
        """Log probabilities belong to the last words of their kind; where there are none, to empty ones."""
        if not tokens:
            return []
        events, piece = Events(), self._last(kind)
        if piece is None:
            events = self._part(PartStart(0, UNSTARTED[kind], "text" if kind == "text" else "refusal"))
            piece = self._pieces[UNSTARTED[kind]]
            events += self._end(piece)
        piece.tokens += tokens
        return events + brackets.more(piece, "", tokens)

    def _complete(self) -> Events:
        status, details = ending(self._finish, self._dialect)
        events = Events()
        for item in self._items:
            events += [event for piece in item.pieces if not piece.ended for event in self._end(piece)]
            events += self._close(item, status)
        self._end_response(status, details)
        return [*events, (f"response.{status}", {"response": self.response})]

    def _fail(self, failure: Failure) -> Events:
        """The error is nested, which is what the official SDKs raise on."""
        self._end_response("failed", {"error": error_of_response(failure)})
        return [("error", error_object(failure)), ("response.failed", {"response": self.response})]

    def _end_response(self, status: str, details: Fields) -> None:
        foreign = is_foreign(self._dialect)
        usage = {"usage": usage_object(self._usage, foreign)} if self._usage else {}
        extra = {"provider_fields": self._extra} if foreign and self._extra else self._extra
        output = [item_object(item) for item in self._items]
        self.response, self._over = response_object(self._head, status, output, {**extra, **details, **usage}), True


def response_id(id: str) -> str:
    """The id that a response with another dialect's id has here."""
    return id if not id or id.startswith(RESPONSE_ID) else RESPONSE_ID + id


def encode_reply(reply: Reply) -> bytes:
    """The body of a whole reply; of one that failed, the error."""
    if reply.failure is not None:
        return encode_error(reply.failure)
    encoder = Encoder()
    for event in unfold(reply):
        encoder.feed(event)
    return json.encode(encoder.response)
