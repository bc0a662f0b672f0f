"""Coming back to a generation: `/v1/generations`, in Telex's own words, whatever dialect it was asked in."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from telex.core import json
from telex.core.errors import Failure
from telex.gateway.access import key_of
from telex.gateway.archive import NOT_KEPT, Archive, Entry
from telex.gateway.asgi import Receive, Scope, Send, error_response, problem
from telex.gateway.deliver import attending, head, send_stream, wants_numbers
from telex.generation.again import read_whole
from telex.generation.generation import Generation

ROOT = "/v1/generations"

LAST_EVENT_ID = "last-event-id"

MOST_DIGITS = 18
"""Of a cursor."""

STOPPED = Failure("cancelled", "The generation was cancelled.")

UNKEPT = "Its frames are not kept, since its client's leaving cancels it: ask with 'Telex-On-Disconnect: hold' (or 'finish')."


class Generations:
    """The endpoints. What is wrong is said as problem details (RFC 9457); only a reply that failed answers as its dialect does.

    A key finds its own; an admin's also finds the records of others' and cancels them, but reads nothing of what they say.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.routes = [
            Route(ROOT, self._list),
            Route(f"{ROOT}/{{id}}", self._record),
            Route(f"{ROOT}/{{id}}/reply", self._reply),
            Route(f"{ROOT}/{{id}}/stream", self._stream),
            Route(f"{ROOT}/{{id}}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _list(self, request: HttpRequest) -> Response:
        limit = request.query_params.get("limit", "20")
        if not (limit.isdecimal() and 1 <= int(limit) <= 100):
            return problem_response(400, "'limit' must be a number from 1 to 100.")
        found = self._archive.newest(int(limit) + 1, admitted(request))
        records = [entry.record for entry in found[: int(limit)]]
        return json_response({"object": "list", "data": records, "has_more": len(found) > len(records)})

    async def _record(self, request: HttpRequest) -> Response:
        entry = self._find(request, admitted(request))
        return entry if isinstance(entry, Response) else json_response(entry.record)

    async def _cancel(self, request: HttpRequest) -> Response:
        """The record, once it has ended: whatever came first."""
        entry = self._find(request, admitted(request))
        if isinstance(entry, Response):
            return entry
        if (generation := entry.generation) is not None:  # one that only waited has ended, and is let go, as soon as it is stopped
            generation.stop(STOPPED)
            await generation.finished()
        return json_response(entry.record)

    async def _reply(self, request: HttpRequest) -> Response:
        generation = self._find_kept(request)
        if isinstance(generation, Response):
            return generation
        if not generation.ended:
            return problem_response(409, f"It still runs: follow {ROOT}/{generation.id}/stream, or ask again when it has ended.")
        headers = {name.decode(): value.decode() for name, value in head(generation)}
        if generation.failure is not None:
            return error_response(generation.dialect, generation.failure, headers, generation.id)
        reader = generation.join(0)
        try:
            body = await asyncio.to_thread(read_whole, generation, reader)
        finally:
            generation.leave(reader)
        return Response(body, 200, headers, "application/json")

    async def _stream(self, request: HttpRequest) -> Response:
        """What is behind the cursor, and then what comes, in the generation's own dialect."""
        generation, after = self._find_kept(request), read_cursor(request)
        if isinstance(generation, Response):
            return generation
        if isinstance(after, Failure):
            return problem_response(400, after.message)
        if not generation.request.stream:
            return problem_response(
                409, f"It was asked for whole, so there are no frames to follow: {ROOT}/{generation.id}/reply has all of it."
            )
        place = 0 if after is None else after - generation.dialect.FIRST_NUMBER + 1
        numbered = LAST_EVENT_ID in request.headers or wants_numbers(request.headers)
        return Following(generation, place, numbered)

    def _find_kept(self, request: HttpRequest) -> Generation | Response:
        """The generation that a path names, if what it says is kept."""
        entry = self._find(request, key_of(request.scope).id)
        if isinstance(entry, Response):
            return entry
        if entry.generation is None:
            return problem_response(410, NOT_KEPT)
        kept = entry.generation.on_disconnect != "cancel"
        return entry.generation if kept else problem_response(409, UNKEPT)

    def _find(self, request: HttpRequest, owner: str | None) -> Entry | Response:
        id = request.path_params["id"]
        found = self._archive.find(id, owner)
        if found is None:
            return problem_response(404, f"There is no generation '{id}' here.")
        return problem_response(410, found) if isinstance(found, str) else found


class Following(Response):
    """An answer that lasts as long as there is something to come."""

    def __init__(self, generation: Generation, place: int, numbered: bool) -> None:
        self._generation = generation
        self._place = place
        self._numbered = numbered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self._generation
        reader = generation.join(self._place)
        async with attending(generation, reader, receive):
            await send_stream(generation, reader, send, self._numbered)


def admitted(request: HttpRequest) -> str | None:
    """Whose generations a request may know of; None: everybody's."""
    key = key_of(request.scope)
    return None if key.admin else key.id


def read_cursor(request: HttpRequest) -> int | Failure | None:
    """`Last-Event-ID` is the newer one: who reconnects by itself sends the query again that it began with."""
    text = request.headers.get(LAST_EVENT_ID) or request.query_params.get("after")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < MOST_DIGITS):
        return Failure("bad_request", f"'{text[:MOST_DIGITS]}' is no cursor: 'after' and 'Last-Event-ID' are numbers of frames.")
    return int(text)


def json_response(value: object) -> Response:
    return Response(json.encode(value), media_type="application/json")


def problem_response(status: int, detail: str) -> Response:
    return Response(problem(status, HTTPStatus(status).phrase, detail), status, media_type="application/problem+json")
