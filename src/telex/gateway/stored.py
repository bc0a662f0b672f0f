"""`/v1/responses/{id}`: what OpenAI's Responses call stored, and those that run in the background."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.dialects import DIALECTS, openai_responses
from telex.dialects.openai_responses.reply import status_object
from telex.gateway.access import key_of
from telex.gateway.archive import Archive, unreadable
from telex.gateway.asgi import error_response
from telex.gateway.entries import Entry, Live, Past
from telex.gateway.following import Following
from telex.gateway.generations import STOPPED, read_number
from telex.gateway.responses import Conversations, Held, input_list
from telex.generation.engine import new_id
from telex.stores.ports import StoreError

ROOT = "/v1/responses"
NAME = openai_responses.NAME
PREFIX = openai_responses.REPLY_ID

STATUSES = {"queued": "queued", "running": "in_progress", "complete": "completed", "cancelled": "cancelled"}
"""What this dialect calls the states of a generation; all others have failed."""


class StoredResponses:
    """The endpoints, in the words of the dialect. A key finds its own."""

    def __init__(self, conversations: Conversations, archive: Archive) -> None:
        self._conversations = conversations
        self._archive = archive
        one = ROOT + "/{id}"
        self.routes = [
            Route(one, self._retrieve),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/input_items", self._input_items),
            Route(f"{one}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _retrieve(self, request: HttpRequest) -> Response:
        try:
            if request.query_params.get("stream") == "true":
                return await self._stream(request)
            held = await self._held(request)
            found = held.response if held is not None else await self._in_background(request)
        except StoreError as error:
            return refuse(unreadable(error))
        if isinstance(found, Live | Past):
            found = response_of(found)
        return refuse(found) if isinstance(found, Failure) else answer(found)

    async def _stream(self, request: HttpRequest) -> Response:
        """Its events from a number on, and then what comes."""
        entry, after = await self._in_background(request), read_number(request.query_params.get("starting_after"))
        if isinstance(entry, Failure):
            held = await self._held(request)
            whole = "Only a response that was made with 'background' can be streamed later."
            return refuse(entry if held is None else Failure("bad_request", whole, "stream", code="invalid_value"))
        if isinstance(after, Failure):
            return refuse(replace(after, param="starting_after"))
        return Following(entry, replace(entry.outline.reading, whole=False), 0 if after is None else after + 1, False)

    async def _delete(self, request: HttpRequest) -> Response:
        id = request.path_params["id"]
        try:
            entry = await self._in_background(request)
            if isinstance(entry, Live) and not entry.ended:
                return refuse(Failure("bad_request", "It still runs: cancel it first.", code="invalid_value"))
            dropped = await self._conversations.drop(key_of(request.scope).id, id)
            if isinstance(entry, Past):
                await self._archive.forget(entry)
        except StoreError as error:
            return refuse(unreadable(error))
        if not dropped and isinstance(entry, Failure):
            return refuse(entry)
        return answer({"id": id, "object": "response.deleted", "deleted": True})

    async def _input_items(self, request: HttpRequest) -> Response:
        try:
            held = await self._held(request)
        except StoreError as error:
            return refuse(unreadable(error))
        page = input_list(held, request.path_params["id"], dict(request.query_params)) if held is not None else unknown(request)
        return refuse(page) if isinstance(page, Failure) else answer(page)

    async def _cancel(self, request: HttpRequest) -> Response:
        """The response, once it has ended: whatever came first. Those that somebody waited for can't be cancelled."""
        try:
            entry = await self._in_background(request)
            held = await self._held(request)
        except StoreError as error:
            return refuse(unreadable(error))
        if isinstance(entry, Failure):
            over = Failure("bad_request", "Only a response with 'background' can be cancelled.", code="invalid_value")
            return refuse(entry if held is None else over)
        if isinstance(entry, Live):
            entry.generation.stop(STOPPED)
            await entry.generation.finished()
            held = await self._held(request)
        return answer(held.response if held is not None else response_of(entry))

    async def _held(self, request: HttpRequest) -> Held | None:
        return await self._conversations.find(key_of(request.scope).id, request.path_params["id"])

    async def _in_background(self, request: HttpRequest) -> Entry | Failure:
        """The generation behind a response that was asked for with `background`."""
        id = request.path_params["id"]
        if not id.startswith(PREFIX):
            return unknown(request)
        found = await self._archive.find(id.removeprefix(PREFIX), key_of(request.scope).id)
        if isinstance(found, Failure) and found.kind == "busy":
            return found
        if not isinstance(found, Live | Past) or not found.outline.reading.renamed or found.outline.reading.dialect != NAME:
            return unknown(request)
        return found


def response_of(entry: Entry) -> Fields:
    """As far as it is known without what it says: of one that has none, or that has not ended."""
    record, outline = entry.record, entry.outline
    failure = outline.failure if entry.ended else None
    head = {"id": outline.reading.name, "object": "response", "created_at": outline.reading.created, "model": record["model"]}
    return status_object(head, STATUSES.get(record["status"], "failed"), failure)


def unknown(request: HttpRequest) -> Failure:
    return Failure("not_found", f"There is no response '{request.path_params['id']}' here.", "id", code="not_found")


def answer(value: object) -> Response:
    return Response(json.encode(value), media_type="application/json")


def refuse(failure: Failure, headers: Mapping[str, str] = {}) -> Response:
    return error_response(DIALECTS[NAME], failure, dict(headers), new_id())
