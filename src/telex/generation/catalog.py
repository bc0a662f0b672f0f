"""Which models there are: a name that somebody asks for becomes targets in the order in which they are tried."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from telex.config import Config, ConfigError, Provider, Secret, Target, Timeouts, nearest, read_key
from telex.core import json
from telex.core.errors import Failure
from telex.dialects import DIALECTS, Dialect
from telex.local.model import LocalModel, LocalModelError
from telex.upstream.fetch import fetch
from telex.upstream.pool import Pool
from telex.upstream.provider import Endpoint, auth, endpoint, generate_endpoint

LIST_SECONDS = 5.0
"""Seconds that a provider may take to list its models."""

FRESH_SECONDS = 300.0
"""Seconds for which a provider's list is believed."""

FAILED_SECONDS = 15.0
"""Seconds for which one that could not be had is not asked for again."""

EMBEDDED = "smollm2-135m"
"""The one model that the embedded provider has."""


class Route(Struct, frozen=True):
    """What a model name means."""

    model: str
    targets: tuple[Target, ...]
    timeouts: Timeouts
    retries: int = 1


class Backend:
    """A provider that can be called."""

    def __init__(self, name: str, provider: Provider, local: LocalModel) -> None:
        self.name = name
        self.provider = provider
        self._key = read_key(provider)
        self._local = local
        try:
            self._endpoint = None if provider.embedded else generate_endpoint(provider, provider.base_url, self._key)
        except ValueError as error:
            raise ConfigError(f"The provider '{name}' can't be called: {error}.") from None
        self._models: list[str] | Failure = []
        self._stale = float("-inf")  # when the list is to be asked for again
        self._listing = asyncio.Lock()

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.provider.dialect]

    async def endpoint(self) -> Endpoint | Failure:
        """Where to ask for a generation; of the embedded model, as soon as it is loaded."""
        if self._endpoint is not None:
            return self._endpoint
        try:
            local = await self._local.ready()
        except LocalModelError as error:
            return Failure("overloaded", str(error))
        return generate_endpoint(self.provider, local.base_url, Secret(local.api_key))

    async def models(self, pool: Pool) -> list[str] | Failure:
        """The models that the provider lists, asked for again when the list is no longer fresh."""
        if self.provider.embedded:
            return [EMBEDDED]
        async with self._listing:
            now = asyncio.get_running_loop().time()
            if now >= self._stale:
                self._models = await self._list(pool)
                self._stale = now + (FAILED_SECONDS if isinstance(self._models, Failure) else FRESH_SECONDS)
            return self._models

    async def _list(self, pool: Pool) -> list[str] | Failure:
        where = endpoint("GET", self.provider.base_url, "/models", auth(self.provider, self._key))
        answer = await fetch(pool, where, b"", LIST_SECONDS)
        if isinstance(answer, Failure):
            return answer
        if answer.status != 200:
            return self.dialect.decode_error(answer.status, answer.headers, answer.body, 0.0)
        try:
            return self.dialect.decode_models(answer.body)
        except json.Malformed as error:
            return Failure("malformed", f"The list of models of '{self.name}' can't be read: {error}.")


class Catalog:
    """All models of a configuration."""

    def __init__(self, config: Config, pool: Pool, local: LocalModel) -> None:
        self._config = config
        self._pool = pool
        self.backends = {name: Backend(name, provider, local) for name, provider in config.providers.items()}

    async def find(self, name: str) -> Route | Failure:
        """The route of a model: as configured, as `local`, as `provider/model`, or as what exactly one provider lists."""
        if (model := self._config.models.get(name)) is not None:
            targets = tuple(sorted(model.targets, key=lambda target: target.tier))
            return Route(name, targets, self._config.model_timeouts(model), model.retries)
        if (backend := self.backends.get(name)) is not None and backend.provider.embedded:
            return self._direct(name, name, EMBEDDED)
        provider, slash, model_name = name.partition("/")
        if slash and model_name and provider in self.backends:
            return self._direct(name, provider, model_name)
        listed = await self._listed()
        owners = [owner for owner, models in listed.items() if name in models]
        if len(owners) == 1:
            return self._direct(name, owners[0], name)
        if owners:
            which = " or ".join(f"'{owner}/{name}'" for owner in owners)
            return Failure("not_found", f"Several providers have a model '{name}': ask for {which}.", "model", code="model_not_found")
        hint = nearest(name, [n for n, _ in self._names(listed)])
        return Failure("not_found", f"The model '{name}'{hint} does not exist here.", "model", code="model_not_found")

    async def names(self) -> list[tuple[str, str]]:
        """(name, owner) of every model that can be asked for by name."""
        return self._names(await self._listed())

    def _names(self, listed: dict[str, list[str]]) -> list[tuple[str, str]]:
        names = dict.fromkeys(self._config.models, "telex")
        for owner, models in listed.items():
            if self.backends[owner].provider.embedded:
                names.setdefault(owner, "telex")
                continue
            for model in models:
                alone = sum(model in others for others in listed.values()) == 1
                names.setdefault(model if alone else f"{owner}/{model}", owner)
        return list(names.items())

    async def _listed(self) -> dict[str, list[str]]:
        """What each provider lists; one that does not answer lists nothing."""
        answers = await asyncio.gather(*(backend.models(self._pool) for backend in self.backends.values()))
        return {n: [] if isinstance(a, Failure) else a for n, a in zip(self.backends, answers, strict=True)}

    def _direct(self, name: str, provider: str, model: str) -> Route:
        return Route(name, (Target(provider, model),), self._config.timeouts)
