"""Everything that generations share in one process: connections, the catalogue of models, the embedded model."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType

from telex.config import Config, OnDisconnect
from telex.config.units import bytes_of
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.generation.catalog import Allowed, Catalog, Route
from telex.generation.counting import count_tokens
from telex.generation.generation import Generation, OnEnd
from telex.generation.kept import KeptLog, Room
from telex.generation.log import Log
from telex.generation.traffic import Traffic
from telex.local.model import LocalModel
from telex.tokens.count import Count
from telex.upstream.pool import Connections, Pool

NO_LIMITS: Mapping[str, float] = MappingProxyType({})


class Engine:
    """Belongs to one event loop. `start` returns at once: the embedded model loads meanwhile."""

    def __init__(
        self,
        config: Config,
        on_end: OnEnd = lambda generation: None,
        pool: Connections | None = None,
        local: LocalModel | None = None,
    ) -> None:
        """`on_end` is called with every generation that ended. Raises `ConfigError` if a provider's key is not where it should be."""
        self._on_end = on_end
        self.pool = pool or Pool()
        self.local = local or LocalModel()
        self.catalog = Catalog(config, self.pool, self.local)
        self.traffic = Traffic()
        self.room = Room(bytes_of(config.retention.max_bytes))

    @property
    def has_local(self) -> bool:
        return any(backend.provider.embedded for backend in self.catalog.backends.values())

    async def start(self) -> None:
        if self.has_local:
            await self.local.start()

    async def use(self, config: Config) -> None:
        """From now on begin generations as this configuration says; those that run go on as theirs said. Raises `ConfigError`, and then
        nothing has changed. What was learned of targets stays, and so does an embedded model that is not named any more."""
        self.catalog = Catalog(config, self.pool, self.local)
        await self.start()

    async def stop(self) -> None:
        self.pool.close()
        await self.local.stop()

    async def begin(
        self,
        id: str,
        request: Request,
        limits: Mapping[str, float] = NO_LIMITS,
        on_disconnect: OnDisconnect | None = None,
        allowed: Allowed = None,
        keep: bool = False,
    ) -> Generation | Failure:
        """A generation that is ready to `start`, or why there can be none. `id`: from `new_id`. `limits`: time limits, in seconds by their
        names, which hold where they are shorter than the model's own. `on_disconnect`: instead of the model's. `keep`: what it says, even
        if leaving cancels it."""
        catalog = self.catalog  # of one configuration, also if another is put in its place meanwhile
        route = await catalog.find(request.model, allowed)
        if isinstance(route, Failure):
            return route
        return self._run(id, request, route.within(limits), on_disconnect or route.on_disconnect, keep, catalog)

    def run(self, id: str, request: Request, route: Route, on_disconnect: OnDisconnect = "cancel") -> Generation:
        """A generation over the targets of `route`, ready to `start`. Unless leaving cancels it, what it says is kept."""
        return self._run(id, request, route, on_disconnect, False, self.catalog)

    def _run(self, id: str, request: Request, route: Route, on_disconnect: OnDisconnect, keep: bool, catalog: Catalog) -> Generation:
        log = KeptLog(self.room) if keep or on_disconnect != "cancel" else Log()
        return Generation(id, request, route, catalog.backends, self.traffic, self.pool, log, on_disconnect, self._on_end)

    async def count(self, request: Request, allowed: Allowed = None) -> Count | Failure:
        """How many tokens the prompt of `request` has for its model."""
        catalog = self.catalog
        route = await catalog.find(request.model, allowed)
        return route if isinstance(route, Failure) else await count_tokens(request, route, catalog.backends, self.pool)


def new_id() -> str:
    """An id that nobody can guess."""
    return "gen_" + secrets.token_hex(12)
