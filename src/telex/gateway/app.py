"""The ASGI application: generations straight from the scope, everything else through Starlette."""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from telex.config import Config
from telex.core import json
from telex.core.errors import Failure
from telex.core.keys import Key
from telex.core.messages import Request
from telex.dialects import Dialect
from telex.dialects.framing import FRAMINGS
from telex.dialects.operation import Operation
from telex.dialects.paths import find_dialect, find_operation
from telex.gateway.access import Access, key_of
from telex.gateway.admission import Admission
from telex.gateway.archive import Archive
from telex.gateway.asgi import (
    CLOSED,
    Receive,
    Scope,
    Send,
    closing,
    error_response,
    identify,
    problem,
    respond,
    respond_error,
    respond_problem,
)
from telex.gateway.deliver import deliver, head, wants_numbers
from telex.gateway.generations import ROOT, Generations
from telex.gateway.intake import ClientLeft, check_origin, check_overrides, headers_of, read_body, read_policy
from telex.gateway.openapi import document
from telex.gateway.record import log_record, record_of
from telex.gateway.responses import Held, Responses, input_list
from telex.gateway.timeouts import read_limits
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.limits.table import Holder, Limits
from telex.stores.ports import Store

STORED = "openai-responses"
"""The dialect whose replies can be asked for again."""

NO_HEADERS: Mapping[str, str] = {}

API = ("/v1/", "/v1beta/")
"""Where SDKs look: what is not served there is said as their dialect says it."""


class Gateway:
    """`ready` is what `/readyz` answers. While `draining`, no generation begins, and each answer is the last of its connection. `end` is to
    be called with every generation that ended."""

    def __init__(self, config: Config, engine: Engine, store: Store) -> None:
        self.ready = self.draining = False
        self._config = config
        self._engine = engine
        self.admission = Admission(config.server)
        self._archive = Archive(config.retention, engine.room)
        self._access = Access(config, store.keys)
        self._responses = Responses()
        self._created = int(time.time())
        self._rest = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/readyz", self._readiness),
                Route("/openapi.json", self._describe),
                Route("/", self._hello, methods=["HEAD"]),
                Route("/v1/responses/{id}", self._response),
                Route("/v1/responses/{id}", self._delete_response, methods=["DELETE"]),
                Route("/v1/responses/{id}/input_items", self._input_items),
                Route("/v1/responses/{id}/cancel", self._cancel_response, methods=["POST"]),
                *Generations(self._archive).routes,
                *(Route(f"{root}models", self._models) for root in API),
                *(Route(f"{root}models/{{name:path}}", self._model) for root in API),
            ],
            exception_handlers={HTTPException: self._refuse},
        )
        self._rest.router.redirect_slashes = False

    async def use(self, config: Config) -> None:
        """Answer new requests as this configuration says. Raises `ConfigError`, and then nothing has changed."""
        await self._engine.use(config)
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self.draining:
            send = closing(send)
        path, query, headers = scope["path"], scope["query_string"].decode("latin-1"), headers_of(scope)
        found = find_operation(path, query)
        dialect = found[0] if found else find_dialect(path, query, headers)
        key = check_origin(scope, self._config.server) or await self._access.admit(scope, headers, query)
        if isinstance(key, Failure):
            await (respond_problem(send, key) if is_own(path) else respond_error(send, dialect, key, [], new_id()))
            return
        scope = {**scope, "telex.dialect": dialect, "telex.key": key}
        if found is None:
            await self._rest(scope, receive, send)
        elif found[1].kind == "count":
            await self._count(dialect, found[1], scope, receive, send)
        else:
            await self._generate(dialect, found[1], scope, receive, send)

    async def _generate(self, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        id = new_id()
        headers, framing = identify(dialect, id), FRAMINGS[operation.framing]()
        if scope["method"] != "POST":
            await respond_error(send, dialect, not_allowed(scope["method"], "POST"), [*headers, (b"allow", b"POST")], id)
            return
        if (failure := self.admission.check()) is not None:
            await respond_error(send, dialect, failure, headers, id, framing)
            return
        try:
            generation = await self._accept(id, dialect, operation, scope, receive)
        except ClientLeft:
            return
        if isinstance(generation, Failure):
            await respond_error(send, dialect, generation, headers, id, framing)
            return
        key = key_of(scope)
        generation.owner = key.id
        self._archive.add(generation)
        if (failure := await self.admission.admit(generation, holder_of(key), receive)) is not None:
            await respond_error(send, dialect, failure, head(generation), id, framing)
            return
        generation.keep = dialect.NAME == STORED
        await deliver(generation, receive, send, wants_numbers(headers_of(scope)))

    @property
    def running(self) -> list[Generation]:
        """Those that have not ended, also those that nobody waits for, or that wait themselves."""
        return self._archive.running

    def end(self, generation: Generation) -> None:
        """Its place for who is next, a line in the log, and what others may come back to."""
        self.admission.leave(generation)
        try:
            self._hold(generation)
        except Exception as bug:  # the answer stands
            generation.bug = bug
        record = record_of(generation)
        log_record(record, generation.bug)
        self._archive.end(generation, record)

    def _hold(self, generation: Generation) -> None:
        """Keep a response that others may go on from."""
        reply = generation.reply
        if reply is not None and reply.failure is None:
            response = json.decode(generation.dialect.encode_reply(reply))
            self._responses.hold(generation.owner, generation.request.body, response, native=reply.dialect == STORED)

    async def _accept(self, id: str, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive) -> Generation | Failure:
        headers = headers_of(scope)
        limits, policy = read_limits(headers), read_policy(headers)
        if isinstance(limits, Failure):
            return limits
        if isinstance(policy, Failure):
            return policy
        request = await self._read(dialect, operation, scope, receive)
        if isinstance(request, Failure):
            return request
        generation = await self._engine.begin(id, request, limits, policy, key_of(scope).models)
        return CLOSED if self.draining and isinstance(generation, Generation) else generation

    async def _read(self, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive) -> Request | Failure:
        body = await read_body(scope, receive, self._config.server.body_limit)
        if dialect.NAME == STORED and isinstance(body, bytes):
            body = self._responses.spell_out(key_of(scope).id, body)
        request = body if isinstance(body, Failure) else dialect.decode_request(body, operation, headers_of(scope))
        return request if isinstance(request, Failure) else check_overrides(request) or request

    async def _count(self, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        """How many tokens a prompt has, and in `Telex-Count` who says so."""
        id = new_id()
        if scope["method"] != "POST":
            await respond_error(send, dialect, not_allowed(scope["method"], "POST"), [(b"allow", b"POST")], id)
            return
        try:
            request = await self._read(dialect, operation, scope, receive)
        except ClientLeft:
            return
        counted = await self._engine.count(request, key_of(scope).models) if isinstance(request, Request) else request
        if isinstance(counted, Failure):
            await respond_error(send, dialect, counted, [], id)
        else:
            await respond(send, 200, dialect.COUNT.encode(counted.tokens), [(b"telex-count", counted.certainty.encode())])

    async def _hello(self, request: HttpRequest) -> Response:
        """Some SDKs look whether anybody is there."""
        return Response()

    async def _health(self, request: HttpRequest) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def _readiness(self, request: HttpRequest) -> Response:
        if not self.ready:
            return Response(b'{"status":"not ready"}', 503, media_type="application/json")
        return Response(b'{"status":"ready"}', media_type="application/json")

    async def _describe(self, request: HttpRequest) -> Response:
        return Response(json.encode(document()), media_type="application/json")

    async def _response(self, request: HttpRequest) -> Response:
        held = self._find(request)
        return Response(json.encode(held.response), media_type="application/json") if isinstance(held, Held) else held

    async def _delete_response(self, request: HttpRequest) -> Response:
        held = self._find(request)
        if isinstance(held, Held):
            id = request.path_params["id"]
            self._responses.drop(key_of(request.scope).id, id)
            return Response(json.encode({"id": id, "object": "response", "deleted": True}), media_type="application/json")
        return held

    async def _input_items(self, request: HttpRequest) -> Response:
        held = self._find(request)
        if not isinstance(held, Held):
            return held
        page = input_list(held, request.path_params["id"], dict(request.query_params))
        if isinstance(page, Failure):
            return refuse(request, page)
        return Response(json.encode(page), media_type="application/json")

    async def _cancel_response(self, request: HttpRequest) -> Response:
        """Those that are held here have ended."""
        held = self._find(request)
        over = Failure("bad_request", "Only a response with 'background' can be cancelled.", code="invalid_value")
        return refuse(request, over) if isinstance(held, Held) else held

    def _find(self, request: HttpRequest) -> Held | Response:
        id = request.path_params["id"]
        unknown = Failure("not_found", f"There is no response '{id}' here.", "id", code="not_found")
        return self._responses.find(key_of(request.scope).id, id) or refuse(request, unknown)

    async def _models(self, request: HttpRequest) -> Response:
        names = await self._engine.catalog.names(key_of(request.scope).models)
        return Response(dialect_of(request).encode_models(names, self._created), media_type="application/json")

    async def _model(self, request: HttpRequest) -> Response:
        name, dialect = request.path_params["name"], dialect_of(request)
        route = await self._engine.catalog.find(name, key_of(request.scope).models)
        if isinstance(route, Failure):
            return refuse(request, route)
        owner = dict(await self._engine.catalog.names()).get(name, route.targets[0].provider)
        return Response(dialect.encode_model(name, owner, self._created), media_type="application/json")

    async def _refuse(self, request: HttpRequest, error: Exception) -> Response:
        """Paths and methods that are not served: in the dialect where SDKs look, else as problem details."""
        assert isinstance(error, HTTPException)
        path, method = request.scope["path"], request.method
        if not is_own(path):
            unknown = Failure("not_found", f"There is no {method} {path} here.", code="unknown_path")
            verb = ":" in path.rpartition("/")[2]  # of Gemini, which is no method of the model before it
            failure = not_allowed(method, "GET") if error.status_code == 405 and not verb else unknown
            return refuse(request, failure, error.headers or NO_HEADERS)
        body = problem(error.status_code, error.detail, f"{method} {path}")
        return Response(body, error.status_code, error.headers, "application/problem+json")


def holder_of(key: Key) -> Holder:
    """Whose limits are a request's; where access is open, all requests are one owner's."""
    return Holder("key", key.name, Limits(key.rpm, key.tpm, key.concurrent), key.id)


def dialect_of(request: HttpRequest) -> Dialect:
    dialect: Dialect = request.scope["telex.dialect"]
    return dialect


def is_own(path: str) -> bool:
    """Whether a path is Telex's own and no dialect's."""
    return not path.startswith(API) or path == ROOT or path.startswith(f"{ROOT}/")


def refuse(request: HttpRequest, failure: Failure, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    """In the words of the client's dialect."""
    return error_response(dialect_of(request), failure, dict(headers), new_id())


def not_allowed(method: str, instead: str) -> Failure:
    return Failure("method_not_allowed", f"{method} is not allowed here; {instead} is.", code="method_not_allowed")
