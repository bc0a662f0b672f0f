"""Which models there are: a name that somebody asks for becomes targets in the order in which they are tried."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct

from telex.config import Config, OnDisconnect, Target, Timeouts, nearest
from telex.core.errors import Failure
from telex.generation.backend import EMBEDDED, Backend
from telex.limits.table import UNLIMITED, Limits
from telex.local.model import LocalModel
from telex.routing.balance import Balance
from telex.tokens.windows import Windows
from telex.upstream.pool import Connections

Lists = dict[str, list[str] | Failure]
"""What each provider lists, or why it does not."""

Allowed = Collection[str] | None
"""The models that there are for whoever asks, by the names by which they are asked for; None: all. Nothing is said of others."""


class Route(Struct, frozen=True):
    """What a model name means. `strict`: nothing of a request may be dropped. `check_context`: prompts that are too long are not sent.
    `headers`: what else the targets are told. `key`: of a call at a gateway (Idempotency-Key), by which it is resumed. `hasty`: the time
    limits that are the caller's own, so that one that is over says nothing of the target. The rest is as in the configuration.
    """

    model: str
    targets: tuple[Target, ...]
    timeouts: Timeouts
    balance: Balance = "weighted"
    retries: int = 1
    hedge: float | None = None
    strict: bool = False
    check_context: bool = True
    on_disconnect: OnDisconnect = "cancel"
    hold: float = 20.0
    headers: dict[str, str] = {}
    key: str = ""
    hasty: frozenset[str] = frozenset()
    limits: Limits = UNLIMITED

    def within(self, limits: Mapping[str, float]) -> Route:
        """It with those of a caller's time limits, in seconds by their names, that are shorter than its own."""
        shorter = {name: seconds for name, seconds in limits.items() if seconds < getattr(self.timeouts, name)}
        return self.over(shorter) if shorter else self

    def over(self, limits: Mapping[str, float]) -> Route:
        """It with these time limits of a caller's in the place of its own."""
        timeouts = msgspec.structs.replace(self.timeouts, **limits)
        return msgspec.structs.replace(self, timeouts=timeouts, hasty=frozenset(limits))


class Catalog:
    """All models of a configuration. `pool`, `local`: for those who await; who blocks asks the providers itself."""

    def __init__(self, config: Config, pool: Connections | None = None, local: LocalModel | None = None) -> None:
        self._config = config
        self._pool = pool
        windows = Windows()
        self.backends = {name: Backend(name, provider, local, windows) for name, provider in config.providers.items()}

    async def find(self, name: str, allowed: Allowed = None) -> Route | Failure:
        """The route of a model: as configured, as `local`, as `provider/model`, or as what exactly one provider lists."""
        if allowed is not None and name not in allowed:
            return unknown(name, allowed)
        return self.known(name) or self.search(name, await self._lists(), allowed)

    def known(self, name: str) -> Route | None:
        """The route of a model for which no provider must be asked."""
        if (model := self._config.models.get(name)) is not None:
            timeouts, strict = self._config.model_timeouts(model), model.unsupported == "refuse"
            targets = tuple(sorted(model.targets, key=lambda target: target.tier))
            return Route(
                name,
                targets,
                timeouts,
                model.balance,
                model.retries,
                model.hedge,
                strict,
                model.check_context,
                model.on_disconnect,
                model.hold,
                limits=model.limits,
            )
        if (backend := self.backends.get(name)) is not None and backend.provider.embedded:
            return self._direct(name, name, EMBEDDED)
        provider, slash, model_name = name.partition("/")
        if slash and model_name and provider in self.backends:
            return self._direct(name, provider, model_name)
        return None

    def search(self, name: str, listed: Lists, allowed: Allowed = None) -> Route | Failure:
        """The route of any other."""
        owners = [owner for owner, models in listed.items() if not isinstance(models, Failure) and name in models]
        if len(owners) == 1:
            return self._direct(name, owners[0], name)
        if owners:
            which = " or ".join(f"'{owner}/{name}'" for owner in owners)
            return Failure("not_found", f"Several providers have a model '{name}': ask for {which}.", "model", code="model_not_found")
        names = [n for n, _ in self._names(listed) if allowed is None or n in allowed]
        for owner, models in listed.items():
            if isinstance(models, Failure):
                unsure = f"No provider lists a model '{name}'{nearest(name, names)}, but '{owner}' could not be asked: {models.message}"
                return msgspec.structs.replace(models, message=unsure)
        return unknown(name, names)

    async def names(self, allowed: Allowed = None) -> list[tuple[str, str]]:
        """(name, owner) of every model that can be asked for by name."""
        return [(name, owner) for name, owner in self._names(await self._lists()) if allowed is None or name in allowed]

    def _names(self, listed: Lists) -> list[tuple[str, str]]:
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

    async def _lists(self) -> Lists:
        assert self._pool is not None
        answers = await asyncio.gather(*(backend.models(self._pool) for backend in self.backends.values()))
        return dict(zip(self.backends, answers, strict=True))

    def _direct(self, name: str, provider: str, model: str) -> Route:
        return Route(name, (Target(provider, model),), self._config.timeouts)


def unknown(name: str, names: Collection[str]) -> Failure:
    return Failure("not_found", f"The model '{name}'{nearest(name, names)} does not exist here.", "model", code="model_not_found")
