"""Which models there are: a name that somebody asks for becomes targets in the order in which they are tried."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from telex.config import Config, Target, Timeouts, nearest
from telex.core.errors import Failure
from telex.generation.backend import EMBEDDED, Backend
from telex.local.model import LocalModel
from telex.upstream.pool import Pool


class Route(Struct, frozen=True):
    """What a model name means. `strict`: nothing of a request may be dropped."""

    model: str
    targets: tuple[Target, ...]
    timeouts: Timeouts
    retries: int = 1
    strict: bool = False


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
            return Route(name, targets, self._config.model_timeouts(model), model.retries, model.unsupported == "refuse")
        if (backend := self.backends.get(name)) is not None and backend.provider.embedded:
            return self._direct(name, name, EMBEDDED)
        provider, slash, model_name = name.partition("/")
        if slash and model_name and provider in self.backends:
            return self._direct(name, provider, model_name)
        listed = await self._listed()
        owners = [owner for owner, models in listed.items() if not isinstance(models, Failure) and name in models]
        if len(owners) == 1:
            return self._direct(name, owners[0], name)
        if owners:
            which = " or ".join(f"'{owner}/{name}'" for owner in owners)
            return Failure("not_found", f"Several providers have a model '{name}': ask for {which}.", "model", code="model_not_found")
        hint = nearest(name, [n for n, _ in self._names(listed)])
        for owner, models in listed.items():
            if isinstance(models, Failure):
                unsure = f"No provider lists a model '{name}'{hint}, but '{owner}' could not be asked: {models.message}"
                return msgspec.structs.replace(models, message=unsure)
        return Failure("not_found", f"The model '{name}'{hint} does not exist here.", "model", code="model_not_found")

    async def names(self) -> list[tuple[str, str]]:
        """(name, owner) of every model that can be asked for by name."""
        return self._names(await self._listed())

    def _names(self, listed: dict[str, list[str] | Failure]) -> list[tuple[str, str]]:
        names = dict.fromkeys(self._config.models, "telex")
        known = {owner: models for owner, models in listed.items() if not isinstance(models, Failure)}
        for owner, models in known.items():
            if self.backends[owner].provider.embedded:
                names.setdefault(owner, "telex")
                continue
            for model in models:
                alone = sum(model in others for others in known.values()) == 1
                names.setdefault(model if alone else f"{owner}/{model}", owner)
        return list(names.items())

    async def _listed(self) -> dict[str, list[str] | Failure]:
        """What each provider lists, or why it does not."""
        answers = await asyncio.gather(*(backend.models(self._pool) for backend in self.backends.values()))
        return dict(zip(self.backends, answers, strict=True))

    def _direct(self, name: str, provider: str, model: str) -> Route:
        return Route(name, (Target(provider, model),), self._config.timeouts)
