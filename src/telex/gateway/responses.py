"""Responses that are kept, so that a next one can go on from them and they can be asked for again: what OpenAI calls stored.

Each is its owner's, the id of whose key it carries. Who has a key may go on only from what is known here as theirs, since to the provider
all of them are one; where access is open (the owner is empty), what is not known here may be the provider's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
from msgspec import Raw, Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.generation.generation import Generation
from telex.stores.ports import Responses, SavedResponse
from telex.telemetry.logs import log

NOTHING = Raw(b"null")
REFERENCE = "item_reference"
"""The type of an item that stands for one of an earlier response's output."""


class Asked(Struct):
    """What of a request's body matters here."""

    input: Raw = NOTHING
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None


class Held:
    """One response: as it was answered, and the items that it was asked with, those of the responses before it first.

    `native`: its provider speaks Responses itself, and knows it by its id.
    """

    def __init__(self, saved: SavedResponse) -> None:
        self.response: Fields = json.decode(saved.body)
        self.input: list[Fields] = json.decode(saved.input)
        self.native = saved.native

    @property
    def items(self) -> list[Fields]:
        """The conversation as it stands behind it."""
        return [*self.input, *self.response["output"]]


class Turn(Struct, frozen=True):
    """What was asked for, and what it goes on from. `body`: as a provider may be sent it."""

    asked: Asked
    body: bytes
    before: Held | None = None


_asked = msgspec.json.Decoder(Asked)
_fields = msgspec.json.Decoder(dict[str, Raw])


class Conversations:
    """All of them. `seconds`: how long one is kept. `now`: seconds since 1970. Calls raise `StoreError`."""

    def __init__(self, store: Responses, seconds: float, now: Callable[[], float]) -> None:
        self._store = store
        self._seconds = seconds
        self._now = now
        self._turns: dict[str, Turn] = {}  # by the generations that answer them
        self._fresh: dict[tuple[str, str], SavedResponse] = {}  # those that the store has not yet

    async def find(self, owner: str, id: str) -> Held | None:
        saved = self._fresh.get((owner, id)) or await asyncio.wrap_future(self._store.find(owner, id))
        return Held(saved) if saved is not None and saved.expires > self._now() else None

    async def drop(self, owner: str, id: str) -> bool:
        fresh = self._fresh.pop((owner, id), None)
        return await asyncio.wrap_future(self._store.delete(owner, id)) or fresh is not None

    async def read(self, owner: str, body: bytes) -> Turn | Failure:
        """The body of a request with the conversation that it goes on from written out, if that is known only here; as it was if its
        provider knows it. A failure if it is not the owner's."""
        try:
            asked = _asked.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Turn(Asked(), body)  # what is wrong with it is its dialect's to say
        if asked.background and asked.store is False:
            unkept = "'background' needs 'store': nothing else could be asked for later."
            return Failure("bad_request", unkept, "background", code="invalid_value")
        before = await self._before(owner, asked)
        items = before if isinstance(before, Failure) else await self._resolve(owner, asked.input)
        if isinstance(before, Failure) or isinstance(items, Failure):
            return before if isinstance(before, Failure) else items  # type: ignore[return-value]
        known = before is None or before.native
        if known and items is None and not asked.background:
            return Turn(asked, body, before)
        fields: dict[str, Any] = dict(_fields.decode(body))
        fields.pop("background", None)  # Telex does that itself, whoever answers
        if not known or items is not None:
            new = input_items(asked.input) if items is None else items
            if before is not None and not known:
                del fields["previous_response_id"]
                new = [*map(without_id, before.items), *new]
            fields["input"] = new
        return Turn(asked, json.encode(fields), before)

    def begin(self, generation: Generation, turn: Turn) -> None:
        """What it says will be kept, unless its client asked not to."""
        if turn.asked.store is not False:
            generation.keep = True
            self._turns[generation.id] = turn

    def end(self, generation: Generation) -> None:
        """It has ended."""
        turn, reply = self._turns.pop(generation.id, None), generation.reply
        if turn is None or reply is None or reply.failure is not None:
            return
        response: Fields = json.decode(generation.dialect.encode_reply(reply))
        if not isinstance(id := response.get("id"), str) or not isinstance(response.get("output"), list):
            return
        if generation.background:
            response["background"] = True
        native = reply.dialect == generation.dialect.NAME and not generation.background
        self._save(generation, id, response, [*(turn.before.items if turn.before else ()), *input_items(turn.asked.input)], native)

    def _save(self, generation: Generation, id: str, response: Fields, input: list[Fields], native: bool) -> None:
        items = tuple(item["id"] for item in response["output"] if isinstance(item.get("id"), str))
        now, place = self._now(), (generation.owner, id)
        body, before = json.encode(response), json.encode(input)
        saved = SavedResponse(generation.owner, id, generation.id, body, before, native, items, now, now + self._seconds)
        self._fresh[place] = saved

        def written(done: Future[None]) -> None:
            if self._fresh.get(place) is saved:
                del self._fresh[place]
            if (error := done.exception()) is not None:
                log.warning("store", response_not_kept=str(error))

        loop = asyncio.get_running_loop()
        self._store.save(saved).add_done_callback(lambda done: loop.call_soon_threadsafe(written, done))

    async def _before(self, owner: str, asked: Asked) -> Held | Failure | None:
        """The response that a request goes on from, if that is known here."""
        previous = asked.previous_response_id
        if previous is not None and asked.conversation is not None:
            both = "Send 'previous_response_id' or 'conversation', not both."
            return Failure("bad_request", both, "previous_response_id", code="mutually_exclusive_parameters")
        if owner and asked.conversation is not None:
            return Failure("not_found", "There is no such conversation here.", "conversation", code="conversation_not_found")
        before = await self.find(owner, previous) if previous else None
        if owner and previous is not None and before is None:
            nothing = f"There is no response '{previous}' here."
            return Failure("not_found", nothing, "previous_response_id", code="previous_response_not_found")
        return before

    async def _resolve(self, owner: str, input: Raw) -> list[Fields] | Failure | None:
        """The items of an input with those in place that it only refers to; None if it refers to none that is known only here."""
        if not owner and REFERENCE.encode() not in bytes(input):
            return None
        items, changed = input_items(input), False
        for place, item in enumerate(items):
            if not is_reference(item):
                continue
            held = await self._find_item(owner, id := str(item.get("id")))
            if owner and held is None:
                return Failure("not_found", f"There is no item '{id}' here.", f"input[{place}].id", code="item_not_found")
            if held is not None and not held.native:
                items[place] = without_id(next(known for known in held.response["output"] if known.get("id") == id))
                changed = True
        return items if changed else None

    async def _find_item(self, owner: str, item: str) -> Held | None:
        """The response that has the item of that id in its output."""
        fresh = (saved for (whose, _), saved in self._fresh.items() if whose == owner and item in saved.items)
        saved = next(fresh, None) or await asyncio.wrap_future(self._store.find_item(owner, item))
        return Held(saved) if saved is not None else None


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
