"""The client for asyncio: the same names as the blocking one, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from telex.client.errors import error_of
from telex.client.hearing import Hearing
from telex.client.jobs import AsyncJob, GatewayJobs, LocalJobs
from telex.client.place import GATEWAY, Ask, find_place, make_ask
from telex.client.readable import AsyncReadable
from telex.client.remote import Remote
from telex.client.reply import Reply
from telex.client.request import Options, Prompt
from telex.config import Config, OnDisconnect
from telex.core.errors import Failure, TelexError
from telex.core.events import Event
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.generation.log import Reader
from telex.local.model import Endpoint, LocalModel, State

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


class OnDemand(LocalModel):
    """The embedded model, loaded when it is first asked for."""

    async def ready(self) -> Endpoint:
        if self.state in (State.STOPPED, State.FAILED):
            await self.start()
        return await super().ready()


class AsyncClient:
    """Asks any model, from one event loop. Without a `url` the generations run in this process: by `config` (a telex.toml's path, or a
    `Config`), else by the telex.toml in the current directory, else by the environment. With one they run in the gateway there.

    `transport`: carries the requests instead of Telex's own connections. Raises `ConfigError`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        config: Config | Path | str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._place = find_place(url, api_key, config)
        self._transport = transport
        self._running: set[Generation] = set()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine = self._make_engine()
        self._jobs = self._make_jobs()

    def _make_engine(self) -> Engine:
        pool = None
        if self._transport is not None:
            from telex.upstream.transports import TransportPool

            pool = TransportPool(self._transport)
        return Engine(self._place.config, self._running.discard, pool, OnDemand())

    def _make_jobs(self) -> LocalJobs | GatewayJobs:
        engine = self._engine
        if self._place.gateway:
            return GatewayJobs(self._place, Remote(engine.catalog.backends[GATEWAY], engine.pool))
        return LocalJobs(lambda ask: self._begin(ask, "finish"), engine.room)

    @overload
    async def generate(self, prompt: Prompt, *, model: str, response_format: type[T], **options: Unpack[Options]) -> Reply[T]: ...
    @overload
    async def generate(
        self, prompt: Prompt, *, model: str, response_format: Mapping[str, Any] | str | None = None, **options: Unpack[Options]
    ) -> Reply[Any]: ...
    async def generate(self, prompt: Prompt, *, model: str, response_format: Any = None, **options: Unpack[Options]) -> Reply[Any]:
        """The whole answer. `response_format`: a JSON schema, or a type that has one, of which `parsed` of the reply then is.

        Raises the errors of `telex.client.errors`. Cancelled, it closes the provider's connection.
        """
        ask = make_ask(prompt, model, response_format, options, stream=False)
        generation = await self._begin(ask)
        hearing = Hearing(generation, ask.shape, self._place.gateway)
        reader = generation.join()
        generation.start()
        try:
            while events := await take(reader):
                hearing.hear(events)
                hearing.pending.clear()
        finally:
            await end(generation)
        if (error := hearing.error()) is not None:
            raise error
        return hearing.reply()

    @overload
    def stream(self, prompt: Prompt, *, model: str, response_format: type[T], **options: Unpack[Options]) -> AsyncStream[T]: ...
    @overload
    def stream(
        self, prompt: Prompt, *, model: str, response_format: Mapping[str, Any] | str | None = None, **options: Unpack[Options]
    ) -> AsyncStream[Any]: ...
    def stream(self, prompt: Prompt, *, model: str, response_format: Any = None, **options: Unpack[Options]) -> AsyncStream[Any]:
        """The answer as it comes, inside an `async with` statement. The arguments are those of `generate`."""
        ask = make_ask(prompt, model, response_format, options, stream=True)
        return AsyncStream(ask, self._begin, self._place.gateway)

    @overload
    async def submit(self, prompt: Prompt, *, model: str, response_format: type[T], **options: Unpack[Options]) -> AsyncJob[T]: ...
    @overload
    async def submit(
        self, prompt: Prompt, *, model: str, response_format: Mapping[str, Any] | str | None = None, **options: Unpack[Options]
    ) -> AsyncJob[Any]: ...
    async def submit(self, prompt: Prompt, *, model: str, response_format: Any = None, **options: Unpack[Options]) -> AsyncJob[Any]:
        """Begin it in the background, where it goes on whoever reads it: in the gateway, or in this process until `close`. The arguments
        are those of `generate`. Raises what there is to say if it can't begin.
        """
        ask = make_ask(prompt, model, response_format, options, stream=True)
        return AsyncJob(await self._own_jobs().submit(ask), self._own_jobs, ask.shape)

    def job(self, id: str) -> AsyncJob[Any]:
        """The job of that id, also one that another process submitted to the gateway. Nobody is asked yet whether there is one."""
        return AsyncJob(id, self._own_jobs)

    def _own_jobs(self) -> LocalJobs | GatewayJobs:
        self._settle()
        return self._jobs

    async def _begin(self, ask: Ask[Any], on_disconnect: OnDisconnect = "cancel") -> Generation:
        """A generation that is ready to start. Raises what there is to say if there can be none."""
        self._settle()
        route = self._place.route(ask.request.model) or await self._engine.catalog.find(ask.request.model)
        if isinstance(route, Failure):
            raise error_of(route, None)
        if self._closed:
            raise TelexError("The client is closed.")
        generation = self._engine.run(new_id(), ask.request, self._place.limit(route, ask.limits), on_disconnect)
        self._running.add(generation)
        return generation

    def _settle(self) -> None:
        """Belong to the running loop; what belonged to one that is gone is gone with it."""
        if self._closed:
            raise TelexError("The client is closed.")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise TelexError("An AsyncClient belongs to one event loop: make one for each.")
            if self._loop is not None:
                self._running.clear()
                self._engine = self._make_engine()
                self._jobs = self._make_jobs()
            self._loop = loop

    async def close(self) -> None:
        """Stop everything that runs, close every connection, end the embedded model."""
        self._closed = True
        for generation in list(self._running):
            await end(generation)
        await self._jobs.close()
        await self._engine.stop()
        if self._transport is not None:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def take(reader: Reader) -> list[Event]:
    """What has come since, as soon as there is something; nothing at the end."""
    while not (events := reader.take_events()) and not reader.over:
        await reader.wait()
    return events


async def end(generation: Generation) -> None:
    """Stop it, unless it has ended, and see it end: the provider's connection is closed then."""
    generation.stop()
    await generation.finished()


class AsyncStream(AsyncReadable[T]):
    """An answer as it comes. Entering it waits for the first content and raises what came instead; leaving it ends the generation, closing
    the provider's connection if there is more to come.

    Every way of reading pulls: beyond 24 KiB what is not read stays with the provider. After a break each goes on where the last one
    stopped, and each raises `Interrupted` where the answer broke off, or `Cancelled` where it was stopped. One task reads; any `cancel`s.
    """

    def __init__(self, ask: Ask[T], begin: Callable[[Ask[T]], Awaitable[Generation]], gateway: bool) -> None:
        self._ask = ask
        self._begin = begin
        self._gateway = gateway
        self._generation: Generation | None = None
        self._entered = self._cancelled = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise TelexError("A stream can be entered once.")
        self._entered = True
        self._generation = generation = await self._begin(self._ask)
        self._hearing = Hearing(generation, self._ask.shape, self._gateway)
        self._reader = generation.join()
        generation.start()
        if self._cancelled:  # by another task, before there was anything to stop
            generation.stop()
        try:
            await generation.opened(self._reader)
        except BaseException:
            await end(generation)
            raise
        if generation.ended and not generation.committed:
            await end(generation)
            self._raise()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._generation is not None
        await end(self._generation)

    def cancel(self) -> None:
        """Stop the model, from any task of the loop. Whoever reads gets `Cancelled`."""
        self._cancelled = True
        if self._generation is not None:
            self._generation.stop()

    @property
    def _heard(self) -> Hearing[T]:
        if self._generation is None:
            raise TelexError("A stream is read inside its async with statement.")
        return self._hearing

    async def _fill(self) -> bool:
        """Hear what came next. False at the end."""
        hearing = self._heard
        events = await take(self._reader)
        hearing.hear(events)
        return bool(events)
