"""The ASGI application: generations straight from the scope, everything else through Starlette."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from telex.config import Config
from telex.config.units import seconds_of
from telex.core import json
from telex.core.errors import Failure
from telex.dialects import Dialect
from telex.dialects.framing import FRAMINGS
from telex.dialects.operation import Operation
from telex.dialects.paths import find_dialect, find_operation
from telex.gateway.access import Access, key_of
from telex.gateway.admission import Admission
from telex.gateway.archive import Archive, unreadable
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
from telex.gateway.conversations import Conversations
from telex.gateway.deliver import AGAIN, NONE, deliver, wants_numbers
from telex.gateway.generations import ROOT, Generations
from telex.gateway.intake import ClientLeft, check_origin, headers_of, read_body
from telex.gateway.keyed import Keyed
from telex.gateway.later import deliver_later
from telex.gateway.openapi import document
from telex.gateway.reception import Question, Reception
from telex.gateway.record import log_record, record_of
from telex.gateway.steady import steady_time
from telex.gateway.stored import StoredResponses
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.stores.ports import Store, StoreError
from telex.tokens.count import Count

NO_HEADERS: Mapping[str, str] = {}

API = ("/v1/", "/v1beta/")
"""Where SDKs look: what is not served there is said as their dialect says it."""


class Gateway:
    """`ready` is what `/readyz` answers. `end` is to be called with every generation that ended. Once it drains, each answer is the last of
    its connection."""

    def __init__(self, config: Config, engine: Engine, store: Store) -> None:
        self.ready = False
        self._config = config
        self._engine = engine
        self._store = store
        self.admission = Admission(config.server)
        now = steady_time()
        self._archive = Archive(store.generations, config.retention, now)
        self._access = Access(config, store.keys)
        self._conversations = Conversations(store.responses, seconds_of(config.retention.jobs), now)
        self._keyed = Keyed(self._archive)
        self._reception = Reception(lambda: self._config, engine, self._archive, self._keyed, self.admission, self._conversations)
        self._created = int(time.time())
        self._rest = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/readyz", self._readiness),
                Route("/openapi.json", self._describe),
                Route("/", self._hello, methods=["HEAD"]),
                *StoredResponses(self._conversations, self._archive).routes,
                *Generations(self._archive, self._keyed).routes,
                *(Route(f"{root}models", self._models) for root in API),
                *(Route(f"{root}models/{{name:path}}", self._model) for root in API),
            ],
            exception_handlers={HTTPException: self._refuse},
        )
        self._rest.router.redirect_slashes = False

    @property
    def draining(self) -> bool:
        return self._reception.draining

    def drain(self) -> None:
        """Nothing begins any more: what waits for its turn is told, and what nobody waits for is left for another process."""
        self.ready = False
        self._reception.drain()
        self.admission.clear(CLOSED)

    async def start(self) -> None:
        """Go on with what another process left, and keep only what is to be kept. Raises `StoreError`."""
        await self._reception.resume(await asyncio.wrap_future(self._store.keys.list()))
        self._sweeping = asyncio.create_task(self._archive.keeper.sweep())

    async def close(self) -> None:
        """Behind the last generation: return when what is to be kept is."""
        self._sweeping.cancel()
        await self._archive.keeper.close()

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
            accepted = await self._reception.accept(id, dialect, operation, scope, receive)
        except ClientLeft:
            return
        if isinstance(accepted, Failure):
            await respond_error(send, dialect, accepted, headers, id, framing)
            return
        try:
            if accepted.later:
                await deliver_later(accepted, receive, send)
            else:
                await deliver(accepted.entry, receive, send, wants_numbers(headers_of(scope)), AGAIN if accepted.again else NONE)
        except StoreError as error:
            await respond_error(send, dialect, unreadable(error), headers, id, framing)

    @property
    def running(self) -> list[Generation]:
        """Those that have not ended, also those that nobody waits for, but for those of these that have not begun: another process may."""
        return [generation for generation in self._archive.running if generation.begun or not generation.background]

    def end(self, generation: Generation) -> None:
        """Its place for who is next, a line in the log, and what others may come back to."""
        self.admission.leave(generation)
        try:
            self._conversations.end(generation)
        except Exception as bug:  # the answer stands
            generation.bug = bug
        record = record_of(generation)
        log_record(record, generation.bug)
        self._archive.end(generation, record)

    async def _count(self, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        """How many tokens a prompt has, and in `Telex-Count` who says so."""
        id = new_id()
        if scope["method"] != "POST":
            await respond_error(send, dialect, not_allowed(scope["method"], "POST"), [(b"allow", b"POST")], id)
            return
        try:
            counted = await self._count_tokens(dialect, operation, scope, receive)
        except ClientLeft:
            return
        if isinstance(counted, Failure):
            await respond_error(send, dialect, counted, [], id)
        else:
            await respond(send, 200, dialect.COUNT.encode(counted.tokens), [(b"telex-count", counted.certainty.encode())])

    async def _count_tokens(self, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive) -> Count | Failure:
        body = await read_body(scope, receive, self._config.server.body_limit)
        if isinstance(body, Failure):
            return body
        read = await self._reception.read(Question(dialect.NAME, operation, headers_of(scope), body), key_of(scope).id)
        return read if isinstance(read, Failure) else await self._engine.count(read[0], key_of(scope).models)

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
