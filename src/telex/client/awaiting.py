"""The client for asyncio: the same names as the blocking one, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from telex.client.errors import error_of
from telex.client.hearing import Hearing
from telex.client.pacing import paced_async
from telex.client.place import Ask, find_place, make_ask
from telex.client.reply import Reply, ToolCall
from telex.client.request import Options, Prompt
from telex.client.sentences import Sentences
from telex.config import Config
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

    def _make_engine(self) -> Engine:
        pool = None
        if self._transport is not None:
            from telex.upstream.transports import TransportPool

            pool = TransportPool(self._transport)
        return Engine(self._place.config, self._running.discard, pool, OnDemand())

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

    async def _begin(self, ask: Ask[Any]) -> Generation:
        """A generation that is ready to start. Raises what there is to say if there can be none."""
        self._settle()
        route = self._place.route(ask.request.model) or await self._engine.catalog.find(ask.request.model)
        if isinstance(route, Failure):
            raise error_of(route, None)
        if self._closed:
            raise TelexError("The client is closed.")
        generation = self._engine.run(new_id(), ask.request, self._place.limit(route, ask.limits))
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
            self._loop = loop

    async def close(self) -> None:
        """Stop everything that runs, close every connection, end the embedded model."""
        self._closed = True
        for generation in list(self._running):
            await end(generation)
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


class AsyncStream(Generic[T]):
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
            self._raise()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._generation is not None
        await end(self._generation)

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text, as they come."""
        async for event in self.events():
            if text := self._hearing.text_of(event):
                yield text
        if rest := self._hearing.rest():
            yield rest

    async def events(self) -> AsyncIterator[Event]:
        """Everything, in the words of `telex.core.events`."""
        pending = self._heard.pending
        while pending or await self._fill():
            while pending:
                yield pending.popleft()
        self._raise()

    async def sentences(self) -> AsyncIterator[str]:
        """Whole sentences, each as soon as it has ended, with the white space behind it."""
        finder = Sentences()
        try:
            async for text in self:
                for sentence in finder.feed(text):
                    yield sentence
        except TelexError:  # what was said before it broke is not lost
            for sentence in finder.end():
                yield sentence
            raise
        for sentence in finder.end():
            yield sentence

    def smoothed(self, seconds: float = 0.05) -> AsyncIterator[str]:
        """Text for a screen: bursts come as even pieces, none later than `seconds` (0.05 to 0.1) behind its arrival."""
        return paced_async(self._texts(), seconds, asyncio.get_running_loop().time, asyncio.sleep)

    async def _texts(self) -> AsyncIterator[str]:
        """All the text that is there each time."""
        while self._heard.pending or await self._fill():
            if text := self._hearing.read_texts():
                yield text
        if rest := self._hearing.rest():
            yield rest
        self._raise()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls as far as they have come: `arguments` of each is what is known by now."""
        return self._heard.tool_calls

    async def reply(self) -> Reply[T]:
        """The reply, of which the rest is awaited. One that broke off is partial, and its `ending` says so."""
        while await self._fill():
            pass
        return self._hearing.reply()

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

    def _raise(self) -> None:
        if (error := self._hearing.error()) is not None:
            raise error
