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
from msgspec.structs import replace

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.dialects.openai_responses import REPLY_ID as RESPONSE_ID
from telex.dialects.openai_responses.reply import IN_BACKGROUND
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

    `native`: its provider speaks Responses itself, and knows the items of its output by their ids; `known`: and it by its own, which is
    not one that Telex gave it.
    """

    def __init__(self, saved: SavedResponse) -> None:
        self.response: Fields = json.decode(saved.body)
        self.input: list[Fields] = json.decode(saved.input)
        self.native = saved.native
        self.known = saved.native and saved.id != RESPONSE_ID + saved.generation

    @property
    def output(self) -> list[Fields]:
        """What it said, as it is sent again."""
        output: list[Fields] = self.response["output"]
        return output if self.native else [without_id(item) for item in output]


class Turn(Struct, frozen=True):
    """What was asked for, and what it goes on from. `body`: as a provider may be sent it. `input`: its items, those in place that it only
    refers to; empty if it refers to none that is here."""

    asked: Asked
    body: bytes
    before: Held | None = None
    input: list[Fields] = []

    @property
    def items(self) -> list[Fields]:
        """The whole conversation that it asks with."""
        before = [*self.before.input, *self.before.output] if self.before is not None else []
        return before + (self.input or input_items(self.asked.input))


_asked = msgspec.json.Decoder(Asked)
_fields = msgspec.json.Decoder(dict[str, Raw])


class Conversations:
    """All of them. `seconds`: how long one is kept. `now`: seconds since 1970. Calls raise `StoreError`."""

    def __init__(self, store: Responses, seconds: float, now: Callable[[], float]) -> None:
        self._store = store
        self._seconds = seconds
        self._now = now
        self._turns: dict[str, tuple[str, Turn]] = {}  # by the generations that answer them, and whose they are
        self._fresh: dict[tuple[str, str], SavedResponse] = {}  # those that the store has not yet

    async def find(self, owner: str, id: str) -> Held | None:
        saved = self._fresh.get((owner, id)) or await asyncio.wrap_future(self._store.find(owner, id))
        return Held(saved) if saved is not None and saved.expires > self._now() else None

    async def find_input(self, owner: str, id: str) -> list[Fields] | None:
        """The items that one was asked with, which may still run."""
        if (turn := self._answering(owner, id)) is not None:
            return turn.items
        held = await self.find(owner, id)
        return held.input if held is not None else None

    async def drop(self, owner: str, id: str) -> bool:
        fresh = self._fresh.pop((owner, id), None)
        return await asyncio.wrap_future(self._store.delete(owner, id)) or fresh is not None

    async def read(self, owner: str, body: bytes) -> Turn | Failure:
        """The body of a request with the conversation that it goes on from written out, if that is known only here; as it was if its
        provider knows it. A failure if it is not the owner's."""
        if (asked := read_asked(body)) is None:
            return Turn(Asked(), body)
        if asked.background and asked.store is False:
            unkept = "'background' needs 'store': nothing else could be asked for later."
            return Failure("bad_request", unkept, "background", code="invalid_value")
        before = await self._before(owner, asked)
        if isinstance(before, Failure):
            return before
        resolved = await self._resolve(owner, asked.input)
        if isinstance(resolved, Failure):
            return resolved
        input, strange = resolved
        turn, known = Turn(asked, body, before, input), before is None or before.known
        if known and not strange and not asked.background:
            return turn
        fields: dict[str, Any] = dict(_fields.decode(body))
        fields.pop("background", None)  # Telex does that itself, whoever answers
        if not known:
            del fields["previous_response_id"]
        if not known or strange:
            fields["input"] = input if known else turn.items
        return replace(turn, body=json.encode(fields))

    def begin(self, generation: Generation, turn: Turn) -> None:
        """What it says will be kept, unless its client asked not to."""
        if turn.asked.store is not False:
            generation.keep = True
            self._turns[generation.id] = generation.owner, turn

    def end(self, generation: Generation) -> None:
        """It has ended."""
        _, turn = self._turns.pop(generation.id, ("", None))
        reply = generation.reply
        if turn is None or reply is None or generation.failure is not None:
            return
        response: Fields = json.decode(generation.dialect.encode_reply(reply))
        if not isinstance(id := response.get("id"), str) or not isinstance(response.get("output"), list):
            return
        if generation.background:
            response |= IN_BACKGROUND
        self._save(generation, id, response, turn.items, reply.dialect == generation.dialect.NAME)

    def _answering(self, owner: str, id: str) -> Turn | None:
        """The turn that a generation of that name answers just now."""
        whose, turn = self._turns.get(id.removeprefix(RESPONSE_ID), ("", None))
        return turn if whose == owner else None

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
        if previous is not None and self._answering(owner, previous) is not None:
            runs = f"The response '{previous}' still runs: go on from it once it has ended."
            return Failure("bad_request", runs, "previous_response_id", code="previous_response_in_progress")
        before = await self.find(owner, previous) if previous else None
        if owner and previous is not None and before is None:
            nothing = f"There is no response '{previous}' here."
            return Failure("not_found", nothing, "previous_response_id", code="previous_response_not_found")
        return before

    async def _resolve(self, owner: str, input: Raw) -> tuple[list[Fields], bool] | Failure:
        """The items of an input with those in place that it only refers to, none if it refers to none that is here; and whether no provider
        knows one of those."""
        if not owner and REFERENCE.encode() not in bytes(input):
            return [], False
        items, found, strange = input_items(input), False, False
        for place, item in enumerate(items):
            if not is_reference(item):
                continue
            held = await self._find_item(owner, id := str(item.get("id")))
            if owner and held is None:
                return Failure("not_found", f"There is no item '{id}' here.", f"input[{place}].id", code="item_not_found")
            if held is not None:
                number = next(number for number, known in enumerate(held.response["output"]) if known.get("id") == id)
                items[place] = held.output[number]
                found, strange = True, strange or not held.native
        return items if found else [], strange

    async def _find_item(self, owner: str, item: str) -> Held | None:
        """The response that has the item of that id in its output."""
        fresh = (saved for (whose, _), saved in self._fresh.items() if whose == owner and item in saved.items)
        saved = next(fresh, None) or await asyncio.wrap_future(self._store.find_item(owner, item))
        return Held(saved) if saved is not None and saved.expires > self._now() else None


def asks_background(body: bytes) -> bool:
    """Whether a request's body says that nobody waits."""
    asked = read_asked(body)
    return asked is not None and asked.background is True


def read_asked(body: bytes) -> Asked | None:
    """None: what is wrong with it is its dialect's to say."""
    try:
        return _asked.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


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


def input_list(input: list[Fields], id: str, query: dict[str, str]) -> Fields | Failure:
    """A page of the items that the response of that id was asked with. `query`: `order` (`desc` if unsaid), `limit` (1 to 100), `after`."""
    limit = query.get("limit", "20")
    if not (limit.isdecimal() and 1 <= int(limit) <= 100):
        return Failure("bad_request", "Invalid 'limit': expected a number from 1 to 100.", "limit", code="invalid_value")
    items = [{"id": f"item_{id.removeprefix('resp_')}_{number}", **item} for number, item in enumerate(input)]
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
