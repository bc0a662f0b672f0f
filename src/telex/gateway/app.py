"""The ASGI application: generations straight from the scope, everything else through Starlette."""

from __future__ import annotations

import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from telex.config import Config
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects import DIALECTS, Dialect
from telex.gateway.asgi import Headers, Receive, Scope, Send, error_headers, problem, respond_error
from telex.gateway.deliver import deliver
from telex.gateway.intake import ClientLeft, check_origin, read_body
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation

GENERATE = {"/v1/chat/completions": "openai-chat"}
"""The paths at which generations are asked for, each in its dialect."""


class Gateway:
    """`ready` is what `/readyz` answers; `running` holds the generations that clients wait for."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self.ready = False
        self.running: set[Generation] = set()
        self._config = config
        self._engine = engine
        self._created = int(time.time())
        self._rest = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/readyz", self._readiness),
                Route("/v1/models", self._models),
                Route("/v1/models/{name:path}", self._model),
            ],
            exception_handlers={HTTPException: self._refuse},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        dialect = DIALECTS[GENERATE.get(scope["path"], "openai-chat")]
        if (failure := check_origin(scope, self._config.server)) is not None:
            await respond_error(send, dialect, failure, [])
        elif scope["path"] in GENERATE:
            await self._generate(dialect, scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def _generate(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        id = new_id()
        headers: Headers = [(b"telex-generation", id.encode())]
        if scope["method"] != "POST":
            await respond_error(send, dialect, not_allowed(scope["method"], "POST"), [*headers, (b"allow", b"POST")])
            return
        try:
            generation = await self._accept(id, dialect, scope, receive)
        except ClientLeft:
            return
        if isinstance(generation, Failure):
            await respond_error(send, dialect, generation, headers)
            return
        self.running.add(generation)
        try:
            await deliver(generation, receive, send)
        finally:
            self.running.discard(generation)

    async def _accept(self, id: str, dialect: Dialect, scope: Scope, receive: Receive) -> Generation | Failure:
        body = await read_body(scope, receive, self._config.server.body_limit)
        if isinstance(body, Failure):
            return body
        request = dialect.decode_request(body)
        return await self._engine.begin(id, request) if isinstance(request, Request) else request

    async def _health(self, request: HttpRequest) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def _readiness(self, request: HttpRequest) -> Response:
        if not self.ready:
            return Response(b'{"status":"not ready"}', 503, media_type="application/json")
        return Response(b'{"status":"ready"}', media_type="application/json")

    async def _models(self, request: HttpRequest) -> Response:
        names = await self._engine.catalog.names()
        return Response(DIALECTS["openai-chat"].encode_models(names, self._created), media_type="application/json")

    async def _model(self, request: HttpRequest) -> Response:
        name = request.path_params["name"]
        route = await self._engine.catalog.find(name)
        if isinstance(route, Failure):
            return error_response(route)
        owner = dict(await self._engine.catalog.names()).get(name, route.targets[0].provider)
        return Response(DIALECTS["openai-chat"].encode_model(name, owner, self._created), media_type="application/json")

    async def _refuse(self, request: HttpRequest, error: Exception) -> Response:
        """Paths and methods that are not served: in the dialect where SDKs look, else as problem details."""
        assert isinstance(error, HTTPException)
        path, method = request.scope["path"], request.method
        if path.startswith("/v1/"):
            unknown = Failure("not_found", f"There is no {method} {path} here.", code="unknown_path")
            return error_response(not_allowed(method, "GET") if error.status_code == 405 else unknown, dict(error.headers or {}))
        body = problem(error.status_code, error.detail, f"{method} {path}")
        return Response(body, error.status_code, error.headers, "application/problem+json")


def error_response(failure: Failure, headers: dict[str, str] | None = None) -> Response:
    more = {k.decode(): v.decode() for k, v in error_headers(failure)}
    return Response(DIALECTS["openai-chat"].encode_error(failure), failure.http_status, {**more, **(headers or {})}, "application/json")


def not_allowed(method: str, instead: str) -> Failure:
    return Failure("method_not_allowed", f"{method} is not allowed here; {instead} is.", code="method_not_allowed")
