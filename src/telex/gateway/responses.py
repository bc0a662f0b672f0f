"""Responses that are held in memory, so that a next one can go on from them and they can be asked for again.

What OpenAI's Responses call stored: until the process ends, or many newer ones have come. Each is its owner's, the id of whose key it
carries. Who has a key may go on only from what is known here as theirs, since to the provider all of them are one; where access is open
(the owner is empty), what is not known here may be the provider's.
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
        self._held: OrderedDict[tuple[str, str], Held] = OrderedDict()  # by owner and id: providers may give an id twice
        self._of_item: dict[tuple[str, str], Held] = {}  # which response has the item of that id in its output
        self._most, self._most_bytes = most, most_bytes
        self._size = 0

    def find(self, owner: str, id: str) -> Held | None:
        return self._held.get((owner, id))

    def drop(self, owner: str, id: str) -> None:
        held = self._held.pop((owner, id), None)
        self._size -= held.size if held else 0
        for item in held.response["output"] if held else ():
            self._of_item.pop((owner, str(item.get("id"))), None)

    def hold(self, owner: str, body: bytes, response: Fields, native: bool) -> None:
        """Keep what answered a request, unless it asked not to. `body`: of that request, as it came."""
        asked = _asked.decode(body)
        id = response.get("id")
        if asked.store is False or not isinstance(id, str) or not isinstance(response.get("output"), list):
            return
        before = self.find(owner, asked.previous_response_id or "")
        items = [*(before.items if before else ()), *input_items(asked.input)]
        self.drop(owner, id)
        size = len(body) + len(json.encode(response)) + len(json.encode(items))
        self._held[owner, id] = held = Held(response, items, native, size)
        self._size += held.size
        self._of_item.update(((owner, item["id"]), held) for item in response["output"] if isinstance(item.get("id"), str))
        while self._held and (len(self._held) > self._most or self._size > self._most_bytes):
            self.drop(*next(iter(self._held)))

    def spell_out(self, owner: str, body: bytes) -> bytes | Failure:
        """The body of a request with the conversation that it goes on from written out, if that is known only here; as it was if its
        provider knows it. A failure if it is not the owner's."""
        try:
            asked = _asked.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return body  # what is wrong with it is its dialect's to say
        previous = asked.previous_response_id
        if previous is not None and asked.conversation is not None:
            both = "Send 'previous_response_id' or 'conversation', not both."
            return Failure("bad_request", both, "previous_response_id", code="mutually_exclusive_parameters")
        if owner and asked.conversation is not None:
            return Failure("not_found", "There is no such conversation here.", "conversation", code="conversation_not_found")
        before = self.find(owner, previous or "")
        if owner and previous is not None and before is None:
            nothing = f"There is no response '{previous}' here."
            return Failure("not_found", nothing, "previous_response_id", code="previous_response_not_found")
        items = self._resolve(owner, asked.input)
        if isinstance(items, Failure):
            return items
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

    def _resolve(self, owner: str, input: Raw) -> list[Fields] | Failure | None:
        """The items of an input with those in place that it only refers to; None if it refers to none that is known only here."""
        if not owner and REFERENCE.encode() not in bytes(input):
            return None
        items, changed = input_items(input), False
        for place, item in enumerate(items):
            if not is_reference(item):
                continue
            held = self._of_item.get((owner, id := str(item.get("id"))))
            if owner and held is None:
                return Failure("not_found", f"There is no item '{id}' here.", f"input[{place}].id", code="item_not_found")
            if held is not None and not held.native:
                items[place] = without_id(next(known for known in held.response["output"] if known.get("id") == id))
                changed = True
        return items if changed else None


def input_items(input: Raw) -> list[Fields]:
    """The items of an input, which may be one string, or may have messages that don't say that they are some."""
    value = json.decode(bytes(input))
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return [{"type": "message", **item} for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def is_reference(item: Fields) -> bool:
    """Whether an item is only the id of another, which it need not say."""
    return "id" in item and (item["type"] in (REFERENCE, None) or (item["type"] == "message" and "role" not in item))


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
