"""The client for programs that block: everything happens in the thread that calls, when it calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import httpx2

from telex.client.awaiting import AsyncClient
from telex.client.background import Background, Job, awaiting_transport
from telex.client.errors import error_of
from telex.client.hearing import Hearing
from telex.client.place import Ask, find_place, make_ask
from telex.client.readable import Readable
from telex.client.reply import Reply
from telex.client.request import Options, Prompt
from telex.config import Config
from telex.core.errors import Failure, TelexError
from telex.generation.blocking import BlockingEngine, BlockingGeneration
from telex.generation.engine import new_id

T = TypeVar("T")

CLOSING = 1.0
"""Seconds that `close` waits for other threads to leave the generations that it stopped."""


class Client:
    """Asks any model, for any number of threads. Without a `url` the generations run in this process: by `config` (a telex.toml's path,
    or a `Config`), else by the telex.toml in the current directory, else by the environment. With one they run in the gateway there.

    `transport`: carries the requests instead of Telex's own connections. Raises `ConfigError`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        config: Config | Path | str | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._place = find_place(url, api_key, config)
        self._lock = threading.Lock()
        self._running: set[BlockingGeneration] = set()
        self._closed = False
        self._engine = BlockingEngine(self._place.config, self._forget, transport)
        self._background = Background(lambda: self._make_awaiting(url, api_key, transport))

    def _make_awaiting(self, url: str | None, api_key: str | None, transport: httpx2.BaseTransport | None) -> AsyncClient:
        """The client that its jobs have. Limits, and what is learned of targets, are the same for all that this one does."""
        config = self._place.config if url is None else None
        client = AsyncClient(url, api_key=api_key, config=config, transport=awaiting_transport(transport))
        client._engine.traffic = self._engine.traffic
        return client

    @overload
    def generate(self, prompt: Prompt, *, model: str, response_format: type[T], **options: Unpack[Options]) -> Reply[T]: ...
    @overload
    def generate(
        self, prompt: Prompt, *, model: str, response_format: Mapping[str, Any] | str | None = None, **options: Unpack[Options]
    ) -> Reply[Any]: ...
    def generate(self, prompt: Prompt, *, model: str, response_format: Any = None, **options: Unpack[Options]) -> Reply[Any]:
        """The whole answer. `response_format`: a JSON schema, or a type that has one, of which `parsed` of the reply then is.

        Raises the errors of `telex.client.errors`.
        """
        ask = make_ask(prompt, model, response_format, options, stream=False)
        generation = self._begin(ask)
        hearing = Hearing(generation, ask.shape, self._place.gateway)
        try:
            generation.open()
            while events := generation.take():
                hearing.hear(events)
                hearing.pending.clear()
        finally:
            generation.close()
        if (error := hearing.error()) is not None:
            raise error
        return hearing.reply()

    @overload
    def stream(self, prompt: Prompt, *, model: str, response_format: type[T], **options: Unpack[Options]) -> Stream[T]: ...
    @overload
    def stream(
        self, prompt: Prompt, *, model: str, response_format: Mapping[str, Any] | str | None = None, **options: Unpack[Options]
    ) -> Stream[Any]: ...
    def stream(self, prompt: Prompt, *, model: str, response_format: Any = None, **options: Unpack[Options]) -> Stream[Any]:
        """The answer as it comes, inside a `with` statement. The arguments are those of `generate`."""
        ask = make_ask(prompt, model, response_format, options, stream=True)
        return Stream(ask, self._begin, self._place.gateway)

    @overload
    def submit(self, prompt: Prompt, *, model: str, response_format: type[T], **options: Unpack[Options]) -> Job[T]: ...
    @overload
    def submit(
        self, prompt: Prompt, *, model: str, response_format: Mapping[str, Any] | str | None = None, **options: Unpack[Options]
    ) -> Job[Any]: ...
    def submit(self, prompt: Prompt, *, model: str, response_format: Any = None, **options: Unpack[Options]) -> Job[Any]:
        """Begin it in the background, where it goes on whoever reads it: in the gateway, or in this process until `close`. The arguments
        are those of `generate`. Raises what there is to say if it can't begin.
        """
        submit = partial(self._background.client().submit, prompt, model=model, response_format=response_format, **options)
        return Job(self._background.wait(submit), self._background)

    def job(self, id: str) -> Job[Any]:
        """The job of that id, also one that another process submitted to the gateway. Nobody is asked yet whether there is one."""
        return Job(self._background.client().job(id), self._background)

    def _begin(self, ask: Ask[Any]) -> BlockingGeneration:
        """A generation that is ready to open. Raises what there is to say if there can be none."""
        route = self._place.route(ask.request.model) or self._engine.find(ask.request.model)
        if isinstance(route, Failure):
            raise error_of(route, None)
        generation = self._engine.run(new_id(), ask.request, self._place.limit(route, ask.limits))
        with self._lock:
            if self._closed:
                raise TelexError("The client is closed.")
            self._running.add(generation)
        return generation

    def _forget(self, generation: BlockingGeneration) -> None:
        with self._lock:
            self._running.discard(generation)

    @property
    def fetching(self) -> tuple[int, int] | None:
        """How many bytes of the embedded model's weights have come, and how many there are, while they are fetched: once, at first use."""
        return self._engine.fetching

    def close(self) -> None:
        """Stop everything that runs, close every connection, end the embedded model."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        self._background.close()
        for generation in running:
            generation.stop()
        end = time.monotonic() + CLOSING
        for generation in running:
            generation.idle.wait(max(0.0, end - time.monotonic()))
        self._engine.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Stream(Readable[T]):
    """An answer as it comes. Entering it waits for the first content and raises what came instead; leaving it ends the generation, closing
    the provider's connection if there is more to come.

    Every way of reading pulls: what is not read stays with the provider. After a break each goes on where the last one stopped, and each
    raises `Interrupted` where the answer broke off, or `Cancelled` where it was stopped. One thread reads; any may `cancel`.
    """

    def __init__(self, ask: Ask[T], begin: Callable[[Ask[T]], BlockingGeneration], gateway: bool) -> None:
        self._ask = ask
        self._begin = begin
        self._gateway = gateway
        self._generation: BlockingGeneration | None = None
        self._cancelled = False

    def __enter__(self) -> Self:
        if self._generation is not None:
            raise TelexError("A stream can be entered once.")
        self._generation = generation = self._begin(self._ask)
        self._hearing = Hearing(generation, self._ask.shape, self._gateway)
        if self._cancelled:  # by another thread, before there was anything to stop
            generation.stop()
        generation.open()
        if generation.ended and not generation.committed:
            self._raise()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._generation is not None
        self._generation.close()

    def cancel(self) -> None:
        """Stop the model, from any thread. Whoever reads gets `Cancelled`."""
        self._cancelled = True
        if (generation := self._generation) is not None:
            generation.stop()

    @property
    def _heard(self) -> Hearing[T]:
        if self._generation is None:
            raise TelexError("A stream is read inside its with statement.")
        return self._hearing

    def _fill(self) -> bool:
        """Hear what came next. False at the end."""
        hearing = self._heard
        assert self._generation is not None
        events = self._generation.take()
        hearing.hear(events)
        return bool(events)
