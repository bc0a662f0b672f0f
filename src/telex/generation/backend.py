"""A provider as it can be called, the embedded model among the others."""

from __future__ import annotations

import asyncio

import msgspec

from telex.config import ConfigError, Provider, Secret, Target, read_key
from telex.core import json
from telex.core.errors import Failure
from telex.dialects import DIALECTS, Dialect
from telex.local.model import Endpoint as LocalEndpoint
from telex.local.model import LocalModel, LocalModelError
from telex.tokens.windows import SMALL, Windows
from telex.upstream.endpoint import Endpoint, make_endpoint
from telex.upstream.fetch import Answer, fetch
from telex.upstream.pool import Connections

LIST_SECONDS = 5.0
"""Seconds that a provider may take to list its models."""

FRESH_SECONDS = 300.0
"""Seconds for which a provider's list is believed."""

FAILED_SECONDS = 15.0
"""Seconds for which one that could not be had is not asked for again."""

ENDPOINTS = 1000
"""How many are remembered: in some dialects a path names a model, and names come from clients."""

EMBEDDED = "smollm2-135m"
"""The one model that the embedded provider has."""


class Backend:
    """A provider that can be called."""

    def __init__(self, name: str, provider: Provider, local: LocalModel | None, windows: Windows) -> None:
        """`local`: the embedded model, where it is awaited."""
        self.name = name
        self.provider = provider
        self._key = read_key(provider)
        self._local = local
        self._windows = windows
        try:
            self._generate_at("/", provider.base_url or "http://127.0.0.1", self._key)
        except ValueError as error:
            raise ConfigError(f"The provider '{name}' can't be called: {error}.") from None
        self._endpoints: dict[str, Endpoint] = {}
        self._models: list[str] | Failure = []
        self._stale = float("-inf")  # when the list is to be asked for again
        self._listing = asyncio.Lock()

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.provider.dialect]

    @property
    def has_key(self) -> bool:
        return self._key is not None

    def redact(self, failure: Failure) -> Failure:
        """A failure that it told of, which may repeat the key that it was sent."""
        if (key := self._key) is None:
            return failure
        words = {name: key.redact(getattr(failure, name)) for name in ("message", "param", "type", "code")}
        return msgspec.structs.replace(failure, **words)

    def window(self, target: Target, size: int) -> int | None:
        """The tokens that a target takes, if that is known; `size`: bytes of the body that this is asked for."""
        if (window := target.context or self.provider.context) is not None or size <= SMALL:
            return window
        return self._windows.find(self.provider.base_url, target.model)

    async def endpoint(self, path: str) -> Endpoint | Failure:
        """Where to ask for a generation; of the embedded model, as soon as it is loaded."""
        if not self.provider.embedded:
            return self.remote_endpoint(path)
        assert self._local is not None
        try:
            return self.local_endpoint(path, await self._local.ready())
        except LocalModelError as error:
            return Failure("overloaded", str(error))

    def local_endpoint(self, path: str, local: LocalEndpoint) -> Endpoint:
        return self._generate_at(path, local.base_url, Secret(local.api_key))

    def remote_endpoint(self, path: str) -> Endpoint:
        if (endpoint := self._endpoints.get(path)) is not None:
            return endpoint
        if len(self._endpoints) >= ENDPOINTS:
            self._endpoints.clear()
        endpoint = self._endpoints[path] = self._generate_at(path, self.provider.base_url, self._key)
        return endpoint

    def _generate_at(self, path: str, base_url: str, key: Secret | None) -> Endpoint:
        return make_endpoint("POST", base_url, path, {**self._auth(key), "content-type": "application/json"})

    def _auth(self, key: Secret | None) -> dict[str, str]:
        if key is None:
            return {}
        form = self.provider.auth or self.dialect.AUTH
        return {"authorization": f"Bearer {key.reveal()}"} if form == "bearer" else {form: key.reveal()}

    async def models(self, pool: Connections) -> list[str] | Failure:
        """The models that the provider lists, asked for again when the list is no longer fresh."""
        async with self._listing:
            now = asyncio.get_running_loop().time()
            if (models := self.listed(now)) is None:
                models = self.take_list(await fetch(pool, self.list_endpoint(), b"", LIST_SECONDS), now)
            return models

    def listed(self, now: float) -> list[str] | Failure | None:
        """What is known of its models; None when it must be asked. `now`: seconds of a monotonic clock."""
        return [EMBEDDED] if self.provider.embedded else self._models if now < self._stale else None

    def list_endpoint(self) -> Endpoint:
        return self.ask_at("GET", self.dialect.MODELS)

    def ask_at(self, method: str, path: str) -> Endpoint:
        """Where to ask for something else. `path`: behind the base URL, with its query."""
        headers = {**self._auth(self._key), **self.dialect.request_headers(None)}
        if method == "POST":
            headers["content-type"] = "application/json"
        return make_endpoint(method, self.provider.base_url, path, headers)

    def take_list(self, answer: Answer | Failure, now: float) -> list[str] | Failure:
        """The models in its answer, which is believed for a while."""
        self._models = self._read_list(answer)
        self._stale = now + (FAILED_SECONDS if isinstance(self._models, Failure) else FRESH_SECONDS)
        return self._models

    def _read_list(self, answer: Answer | Failure) -> list[str] | Failure:
        if isinstance(answer, Failure):
            return answer
        if answer.status != 200:
            return self.redact(self.dialect.decode_error(answer.status, answer.headers, answer.body, 0.0))
        try:
            return self.dialect.decode_models(answer.body)
        except json.Malformed as error:
            return Failure("malformed", f"The list of models of '{self.name}' can't be read: {error}.")
