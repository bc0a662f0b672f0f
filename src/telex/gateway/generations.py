"""Coming back to a generation: `/v1/generations`, in Telex's own words, whatever dialect it was asked in."""

from __future__ import annotations

from http import HTTPStatus

from msgspec.structs import replace
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from telex.core import json
from telex.core.errors import Failure
from telex.dialects import DIALECTS
from telex.gateway.access import key_of
from telex.gateway.archive import Archive, unreadable
from telex.gateway.asgi import error_headers, error_response, problem
from telex.gateway.deliver import read_reply, wants_numbers
from telex.gateway.entries import Bare, Live, Past
from telex.gateway.following import Following
from telex.gateway.keyed import Keyed
from telex.generation.crossing import Crossing
from telex.generation.reading import Reading
from telex.stores.ports import StoreError

ROOT = "/v1/generations"

LAST_EVENT_ID = "last-event-id"

MOST_DIGITS = 18
"""Of a cursor."""

STOPPED = Failure("cancelled", "The generation was cancelled.")

NOT_KEPT = "It has ended, and nothing of it was kept: ask with 'Telex-On-Disconnect: hold' (or 'finish') for what can be come back to."
UNKEPT = "Its frames are not kept, since its client's leaving cancels it: ask with 'Telex-On-Disconnect: hold' (or 'finish')."


class Generations:
    """The endpoints. What is wrong is said as problem details (RFC 9457); only a reply that failed answers as its dialect does.

    A key finds its own; an admin's also finds the records of others' and cancels them, but reads nothing of what they say.
    """

    def __init__(self, archive: Archive, keyed: Keyed) -> None:
        self._archive = archive
        self._keyed = keyed
        self.routes = [
            Route(ROOT, self._list),
            Route(f"{ROOT}/{{id}}", self._record),
            Route(f"{ROOT}/{{id}}/reply", self._reply),
            Route(f"{ROOT}/{{id}}/stream", self._stream),
            Route(f"{ROOT}/{{id}}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _list(self, request: HttpRequest) -> Response:
        query = request.query_params
        limit, delivery = query.get("limit", "20"), query.get("delivery")
        if not (limit.isdecimal() and 1 <= int(limit) <= 100):
            return problem_response(wrong("'limit' must be a number from 1 to 100."))
        if delivery not in (None, "background"):
            return problem_response(wrong("'delivery' must be 'background', or not be there."))
        background = None if delivery is None else True
        found = await self._archive.newest(int(limit) + 1, admitted(request), query.get("before") or None, background)
        if isinstance(found, Failure):
            return problem_response(found)
        return json_response({"object": "list", "data": found[: int(limit)], "has_more": len(found) > int(limit)})

    async def _record(self, request: HttpRequest) -> Response:
        entry = await self._find(request, admitted(request))
        return problem_response(entry) if isinstance(entry, Failure) else json_response(entry.record)

    async def _cancel(self, request: HttpRequest) -> Response:
        """The record, once it has ended: whatever came first. Who has no id yet names it by its Idempotency-Key."""
        named = await self._keyed.find(key_of(request.scope).id, request.path_params["id"])
        entry = self._archive.live(named) if named is not None else await self._find(request, admitted(request))
        if isinstance(entry, Failure):
            return problem_response(entry)
        if isinstance(entry, Live):
            entry.generation.stop(STOPPED)
            await entry.generation.finished()
        return json_response(entry.record)

    async def _reply(self, request: HttpRequest) -> Response:
        entry = await self._find_kept(request)
        dialect = read_dialect(request, "dialect", entry)
        if isinstance(entry, Failure) or isinstance(dialect, Failure):
            return problem_response(first_failure(entry, dialect))
        if not entry.ended:
            return problem_response(Failure("conflict", f"It still runs: follow {ROOT}/{entry.id}/stream, or ask again when it has ended."))
        reading = reading_in(entry, dialect, whole=True)
        headers = {name.decode(): value.decode() for name, value in entry.headers}
        if (failure := entry.outline.failure) is not None:
            return error_response(DIALECTS[dialect], failure, headers, entry.id)
        try:
            body = await read_reply(entry, reading)
        except StoreError as error:
            return problem_response(unreadable(error))
        return Response(body, 200, headers, "application/json")

    async def _stream(self, request: HttpRequest) -> Response:
        """What is behind the cursor, and then what comes: in the dialect in which it was asked for, or in another."""
        entry, (after, newest) = await self._find_kept(request), read_cursors(request)
        dialect = read_dialect(request, "dialect", entry)
        of = read_dialect(request, "of", entry) if "of" in request.query_params else dialect
        if isinstance(entry, Failure):
            return problem_response(entry)
        if isinstance(after, Failure) or isinstance(newest, Failure) or isinstance(dialect, Failure) or isinstance(of, Failure):
            return problem_response(first_failure(after, newest, dialect, of))
        reading, numbered = reading_in(entry, dialect, whole=False), LAST_EVENT_ID in request.headers or wants_numbers(request.headers)
        place = frames_up_to(after, of)
        if of == dialect or not place:
            return Following(entry, reading, place if newest is None else frames_up_to(newest, dialect), numbered)
        return Following(
            entry, reading, frames_up_to(newest, dialect), numbered, Crossing(reading, reading_in(entry, of, whole=False), place)
        )

    async def _find_kept(self, request: HttpRequest) -> Live | Past | Failure:
        """The generation that a path names, if what it says is kept."""
        entry = await self._find(request, key_of(request.scope).id)
        if isinstance(entry, Bare):
            return Failure("gone", NOT_KEPT, code="gone")
        return Failure("conflict", UNKEPT, code="not_kept") if isinstance(entry, Live) and not entry.kept else entry

    async def _find(self, request: HttpRequest, owner: str | None) -> Live | Past | Bare | Failure:
        return await self._archive.find(request.path_params["id"], owner)


def reading_in(entry: Live | Past, dialect: str, whole: bool) -> Reading:
    """Its client's own way of reading, but for the dialect and the form. Of another dialect it has not said what it need not be told."""
    own = entry.outline.reading
    if dialect == own.dialect:
        return replace(own, whole=whole, include_usage=own.include_usage or own.whole)
    prefix = DIALECTS[dialect].REPLY_ID
    return replace(own, dialect=dialect, whole=whole, include_usage=True, name=prefix + entry.id if prefix else "")


def read_dialect(request: HttpRequest, name: str, entry: Live | Past | Failure) -> str | Failure:
    """The dialect that a parameter names, else the one in which the generation was asked for."""
    own = entry.outline.reading.dialect if not isinstance(entry, Failure) else ""
    dialect = request.query_params.get(name, own)
    return dialect if dialect in DIALECTS or not own else wrong(f"'{name}' must be one of {', '.join(DIALECTS)}.")


def admitted(request: HttpRequest) -> str | None:
    """Whose generations a request may know of; None: everybody's."""
    key = key_of(request.scope)
    return None if key.admin else key.id


def read_cursors(request: HttpRequest) -> tuple[int | Failure | None, int | Failure | None]:
    """`after`, and `Last-Event-ID`: the newer one, of the stream that is asked for, since who reconnects by itself sends the query again
    that it began with."""
    return read_number(request.query_params.get("after"), "after"), read_number(request.headers.get(LAST_EVENT_ID), "Last-Event-ID")


def frames_up_to(cursor: int | None, dialect: str) -> int:
    """How many frames of a dialect somebody has who has that one."""
    return 0 if cursor is None else cursor - DIALECTS[dialect].FIRST_NUMBER + 1


def read_number(text: str | None, name: str) -> int | Failure | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < MOST_DIGITS):
        return wrong(f"'{text[:MOST_DIGITS]}' is no cursor: '{name}' is a number of frames.")
    return int(text)


def wrong(why: str) -> Failure:
    return Failure("bad_request", why, code="invalid_value")


def first_failure(*values: object) -> Failure:
    return next(value for value in values if isinstance(value, Failure))


def json_response(value: object) -> Response:
    return Response(json.encode(value), media_type="application/json")


def problem_response(failure: Failure) -> Response:
    status = failure.http_status
    headers = {name.decode(): value.decode() for name, value in error_headers(failure)}
    return Response(problem(status, HTTPStatus(status).phrase, failure.message), status, headers, "application/problem+json")
