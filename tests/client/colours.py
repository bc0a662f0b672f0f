"""One suite for both colours of client and both places: what blocks runs in threads, so that a test can watch and interfere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, Protocol, Self, cast

import msgspec

from gateway.house import gateway
from telex import AsyncClient, AsyncStream, Client, Job, JobStream, Reply, Stream, ToolCall
from telex.config import Config
from telex.core.events import Event
from telex.testing import ScriptedUpstream

Colour = Literal["async", "blocking"]
Place = Literal["here", "gateway"]

PATIENT = 30.0
"""Seconds that anything may take: for slow machines, not for behaviour."""

COLOURS: tuple[Colour, ...] = ("async", "blocking")
PLACES: tuple[Place, ...] = ("here", "gateway")
QUESTION = "Why is the sky blue?"


class Heard(Protocol):
    """A stream of either colour, inside its with statement."""

    def __aiter__(self) -> AsyncIterator[str]: ...
    def events(self) -> AsyncIterator[Event]: ...
    def sentences(self) -> AsyncIterator[str]: ...
    def smoothed(self, seconds: float = ...) -> AsyncIterator[str]: ...
    @property
    def tool_calls(self) -> tuple[ToolCall, ...]: ...
    async def reply(self) -> Reply[Any]: ...


class Read(Heard, Protocol):
    """A stream of a job."""

    @property
    def cursor(self) -> int: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: Any) -> None: ...


class Worked(Protocol):
    """A job of either colour."""

    id: str

    async def status(self) -> str: ...
    def stream(self, after: int = 0) -> Read: ...
    async def reply(self, timeout: float | None = None) -> Reply[Any]: ...
    async def cancel(self) -> str: ...


class Speaker(Protocol):
    """A client of either colour, used as the awaiting one is."""

    async def generate(self, prompt: Any, *, model: str, **options: Any) -> Reply[Any]: ...
    def stream(self, prompt: Any, *, model: str, **options: Any) -> Any: ...
    async def submit(self, prompt: Any, *, model: str, **options: Any) -> Worked: ...
    def job(self, id: str) -> Worked: ...
    async def close(self) -> None: ...


END = object()


class Threaded:
    """The blocking client: each call runs in a thread."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def generate(self, prompt: Any, *, model: str, **options: Any) -> Reply[Any]:
        return await asyncio.to_thread(lambda: self._client.generate(prompt, model=model, **options))

    def stream(self, prompt: Any, *, model: str, **options: Any) -> ThreadedStream:
        return ThreadedStream(self._client.stream(prompt, model=model, **options))

    async def submit(self, prompt: Any, *, model: str, **options: Any) -> ThreadedJob:
        return ThreadedJob(await asyncio.to_thread(lambda: self._client.submit(prompt, model=model, **options)))

    def job(self, id: str) -> ThreadedJob:
        return ThreadedJob(self._client.job(id))

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)


class ThreadedJob:
    """A blocking job, likewise."""

    def __init__(self, job: Job[Any]) -> None:
        self.id = job.id
        self._job = job

    async def status(self) -> str:
        return await asyncio.to_thread(self._job.status)

    def stream(self, after: int = 0) -> ThreadedJobStream:
        return ThreadedJobStream(self._job.stream(after))

    async def reply(self, timeout: float | None = None) -> Reply[Any]:
        return await asyncio.to_thread(self._job.reply, timeout)

    async def cancel(self) -> str:
        return await asyncio.to_thread(self._job.cancel)


class ThreadedReading:
    """A blocking way of reading: each step runs in a thread."""

    def __init__(self, stream: Stream[Any] | JobStream[Any]) -> None:
        self._stream = stream

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._stream.__enter__)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await asyncio.to_thread(self._stream.__exit__, *error)

    def __aiter__(self) -> AsyncIterator[str]:
        return stepped(iter(self._stream))

    def events(self) -> AsyncIterator[Event]:
        return stepped(self._stream.events())

    def sentences(self) -> AsyncIterator[str]:
        return stepped(self._stream.sentences())

    def smoothed(self, seconds: float = 0.05) -> AsyncIterator[str]:
        return stepped(self._stream.smoothed(seconds))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self._stream.tool_calls

    async def reply(self) -> Reply[Any]:
        return await asyncio.to_thread(self._stream.reply)


class ThreadedStream(ThreadedReading):
    def __init__(self, stream: Stream[Any]) -> None:
        super().__init__(stream)
        self.cancel = stream.cancel


class ThreadedJobStream(ThreadedReading):
    def __init__(self, stream: JobStream[Any]) -> None:
        super().__init__(stream)
        self._own = stream

    @property
    def cursor(self) -> int:
        return self._own.cursor


async def stepped(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    while (item := await asyncio.to_thread(next, iterator, END)) is not END:
        yield item


def provider(dialect: str, url: str) -> dict[str, Any]:
    needed = {"defaults": {"max_tokens": 8192}} if dialect == "anthropic" else {}
    return {"dialect": dialect, "base_url": url, "api_key": "k", **needed}


def configured(url: str, dialect: str = "openai-chat", **tables: Any) -> dict[str, Any]:
    """A provider `up` of that dialect, and whatever further tables."""
    return {"providers": {"up": provider(dialect, url)}, **tables}


@asynccontextmanager
async def speaking(colour: Colour, place: Place, tables: dict[str, Any]) -> AsyncIterator[Speaker]:
    """A client that has what `tables` configure, in this process or through a gateway that has it."""
    async with AsyncExitStack() as stack:
        url, config = None, None
        if place == "gateway":
            house = await stack.enter_async_context(gateway(**tables))
            url = f"http://127.0.0.1:{house.port}"
        else:
            config = msgspec.convert(tables, Config)
        client = speaker(colour, url, config=config)
        try:
            yield client
        finally:
            await client.close()


def speaker(colour: Colour, url: str | None = None, **options: Any) -> Speaker:
    if colour == "async":
        return cast("Speaker", AsyncClient(url, **options))
    return Threaded(Client(url, **options))


async def read(stream: Heard | AsyncStream[Any]) -> list[str]:
    return [text async for text in stream]


@asynccontextmanager
async def asked(
    colour: Colour, place: Place, *plays: Any, dialect: str = "openai-chat", **tables: Any
) -> AsyncIterator[tuple[Speaker, ScriptedUpstream]]:
    """A client and its provider, which plays these."""
    with ScriptedUpstream(*plays) as upstream:
        async with speaking(colour, place, configured(upstream.url, dialect, **tables)) as client:
            yield client, upstream


async def eventually(holds: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(PATIENT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
