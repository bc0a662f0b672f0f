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
from telex.dialects.openai_responses.reply import IN_BACKGROUND, status_object
from telex.gateway.access import key_of
from telex.gateway.archive import Archive, unreadable
from telex.gateway.asgi import error_response
from telex.gateway.conversations import Conversations, Held, input_list
from telex.gateway.deliver import read_reply
from telex.gateway.entries import Entry, Live, Past
from telex.gateway.following import Following
from telex.gateway.generations import STOPPED, read_number
from telex.generation.engine import new_id
from telex.stores.ports import StoreError

ROOT = "/v1/responses"
NAME = openai_responses.NAME
PREFIX = openai_responses.REPLY_ID

STATUSES = {"queued": "queued", "running": "in_progress", "cancelled": "cancelled"}
"""What this dialect calls the states of a generation that is not complete; all others have failed."""

NO_EVENTS = "Its events are not here: only those of a response with 'background' are kept."


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
        streams = request.query_params.get("stream") == "true"
        try:
            found = await self._find(request)
            if isinstance(found, Live | Past) and not streams:
                return answer(await response_of(found))
        except StoreError as error:
            return refuse(unreadable(error))
        if isinstance(found, Failure):
            return refuse(found)
        if isinstance(found, Held):
            return refuse(wrong(NO_EVENTS, "stream")) if streams else answer(found.response)
        return stream(found, request.query_params.get("starting_after"))

    async def _delete(self, request: HttpRequest) -> Response:
        id = request.path_params["id"]
        try:
            found = await self._find(request)
            if isinstance(found, Failure):
                return refuse(found)
            if isinstance(found, Live) and not found.ended:
                return refuse(wrong("It still runs: cancel it first."))
            await self._conversations.drop(key_of(request.scope).id, id)
            if isinstance(found, Live | Past):
                await self._archive.forget(found.id)
        except StoreError as error:
            return refuse(unreadable(error))
        return answer({"id": id, "object": "response.deleted", "deleted": True})

    async def _input_items(self, request: HttpRequest) -> Response:
        id = request.path_params["id"]
        try:
            input = await self._conversations.find_input(key_of(request.scope).id, id)
        except StoreError as error:
            return refuse(unreadable(error))
        page = input_list(input, id, dict(request.query_params)) if input is not None else unknown(request)
        return refuse(page) if isinstance(page, Failure) else answer(page)

    async def _cancel(self, request: HttpRequest) -> Response:
        """The response, once it has ended: whatever came first. Those that somebody waited for can't be cancelled."""
        try:
            found = await self._find(request)
            if isinstance(found, Live) and not found.ended:
                found.generation.stop(STOPPED)
                await found.generation.finished()
                found = await self._find(request)
            if isinstance(found, Live | Past):
                return answer(await response_of(found))
        except StoreError as error:
            return refuse(unreadable(error))
        return refuse(found if isinstance(found, Failure) else wrong("Only a response with 'background' can be cancelled."))

    async def _find(self, request: HttpRequest) -> Entry | Held | Failure:
        """The generation behind a response that was asked for with `background`; of others the response itself. Raises `StoreError`."""
        found = await self._in_background(request)
        if not isinstance(found, Failure) or found.kind == "busy":
            return found
        return await self._conversations.find(key_of(request.scope).id, request.path_params["id"]) or found

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


async def response_of(entry: Entry) -> Fields:
    """As far as it is known: what it says only once it is complete. Raises `StoreError`."""
    record, reading = entry.record, entry.outline.reading
    if record["status"] == "complete":
        response: Fields = json.decode(await read_reply(entry, replace(reading, whole=True)))
        return response | IN_BACKGROUND
    head = {"id": reading.name, "object": "response", "created_at": reading.created, "model": record["model"]}
    return status_object(head, STATUSES.get(record["status"], "failed"), entry.outline.failure)


def stream(entry: Entry, starting_after: str | None) -> Response:
    """Its events behind that number, and then what comes."""
    after = read_number(starting_after, "starting_after")
    if isinstance(after, Failure):
        return refuse(replace(after, param="starting_after"))
    return Following(entry, replace(entry.outline.reading, whole=False), 0 if after is None else after + 1, False)


def unknown(request: HttpRequest) -> Failure:
    return Failure("not_found", f"There is no response '{request.path_params['id']}' here.", "id", code="not_found")


def wrong(why: str, param: str = "") -> Failure:
    return Failure("bad_request", why, param, code="invalid_value")


def answer(value: object) -> Response:
    return Response(json.encode(value), media_type="application/json")


def refuse(failure: Failure, headers: Mapping[str, str] = {}) -> Response:
    return error_response(DIALECTS[NAME], failure, dict(headers), new_id())
