"""Responses that are held in memory, so that a next one can go on from them and they can be asked for again.

What OpenAI's Responses call stored: until the process ends, or many newer ones have come.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
from msgspec import Raw, Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields

MOST = 1000
"""How many are held,"""
MOST_BYTES = 64 << 20
"""and bytes that they may have in all."""


NOTHING = Raw(b"null")
REFERENCE = "item_reference"
"""The type of an item that stands for one of an earlier response's output."""


class Asked(Struct):
    """What of a request's body matters here."""

    input: Raw = NOTHING
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None


class Held(Struct, frozen=True):
    """One response: as it was answered, and the items that it was asked with, those of the responses before it first.

    `native`: its provider speaks Responses itself, so it knows it by its id.
    """

    response: Fields
    input: list[Fields]
    native: bool
    size: int

    @property
    def items(self) -> list[Fields]:
        """The conversation as it stands behind it."""
        return [*self.input, *self.response["output"]]


_asked = msgspec.json.Decoder(Asked)
_fields = msgspec.json.Decoder(dict[str, Raw])


class Responses:
    """All that are held, the oldest first."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._items: dict[str, Fields] = {}  # of those whose provider knows none of them, by their ids
        self._most, self._most_bytes = most, most_bytes
        self._size = 0

    def find(self, id: str) -> Held | None:
        return self._held.get(id)

    def drop(self, id: str) -> bool:
        """Whether there was one of that id."""
        held = self._held.pop(id, None)
        self._size -= held.size if held else 0
        for item in held.response["output"] if held else ():
            self._items.pop(str(item.get("id")), None)
        return held is not None

    def hold(self, body: bytes, response: Fields, native: bool) -> None:
        """Keep what answered a request, unless it asked not to. `body`: of that request, as it came."""
        asked = _asked.decode(body)
        id = response.get("id")
        if asked.store is False or not isinstance(id, str) or not isinstance(response.get("output"), list):
            return
        before = self.find(asked.previous_response_id or "")
        items = [*(before.items if before else ()), *input_items(asked.input)]
        self.drop(id)
        self._held[id] = held = Held(response, items, native, len(body) + len(json.encode(response)) + len(json.encode(items)))
        self._size += held.size
        if not native:
            self._items.update((item["id"], item) for item in response["output"] if isinstance(item.get("id"), str))
        while self._held and (len(self._held) > self._most or self._size > self._most_bytes):
            self.drop(next(iter(self._held)))

    def spell_out(self, body: bytes) -> bytes | Failure:
        """The body of a request with the conversation that it goes on from written out, if that is known only here.

        One that is not may be its provider's: then the body is as it was.
        """
        try:
            asked = _asked.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return body  # what is wrong with it is its dialect's to say
        items = self._resolve(asked.input)
        if asked.previous_response_id is not None and asked.conversation is not None:
            both = "Send 'previous_response_id' or 'conversation', not both."
            return Failure("bad_request", both, "previous_response_id", code="mutually_exclusive_parameters")
        before = self.find(asked.previous_response_id or "")
        if before is not None and before.native:
            before = None
        if before is None and items is None:
            return body
        fields: dict[str, Any] = dict(_fields.decode(body))
        new = input_items(asked.input) if items is None else items
        if before is not None:
            del fields["previous_response_id"]
            new = [*map(without_id, before.items), *new]
        fields["input"] = new
        return json.encode(fields)

    def _resolve(self, input: Raw) -> list[Fields] | None:
        """The items of an input with those in place that it only refers to; None if it refers to none that is known here."""
        if REFERENCE.encode() not in bytes(input):
            return None
        items = input_items(input)
        found = [self._items.get(str(item.get("id"))) if item.get("type") == REFERENCE else None for item in items]
        if not any(found):
            return None
        return [without_id(known) if known else item for item, known in zip(items, found, strict=True)]


def input_items(input: Raw) -> list[Fields]:
    """The items of an input, which may be one string, or may have messages that don't say that they are some."""
    value = json.decode(bytes(input))
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return [{"type": "message", **item} for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def without_id(item: Fields) -> Fields:
    """An item as it is sent again: what answered had no such ids."""
    return {name: value for name, value in item.items() if name != "id"}


def input_list(held: Held, id: str, query: dict[str, str]) -> Fields | Failure:
    """A page of the items that a response was asked with. `query`: `order` (`desc` unless said), `limit` (1 to 100) and `after`."""
    limit = query.get("limit", "20")
    if not (limit.isdecimal() and 1 <= int(limit) <= 100):
        return Failure("bad_request", "Invalid 'limit': expected a number from 1 to 100.", "limit", code="invalid_value")
    items = [{"id": f"item_{id.removeprefix('resp_')}_{number}", **item} for number, item in enumerate(held.input)]
    if query.get("order", "desc") == "desc":
        items.reverse()
    if after := query.get("after"):
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            return Failure("bad_request", f"Invalid 'after': there is no item '{after}'.", "after", code="invalid_value")
        items = items[places[0] + 1 :]
    page = items[: int(limit)]
    edges = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **edges, "has_more": len(items) > len(page)}
