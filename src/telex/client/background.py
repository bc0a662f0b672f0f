"""Jobs for programs that block: an awaiting client in a thread of its own does the work, any thread waits for it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, TypeVarTuple, Unpack

import httpx2

from telex.client.awaiting import AsyncClient
from telex.client.hearing import Hearing
from telex.client.jobs import AsyncJob, AsyncJobStream, Status
from telex.client.readable import Readable
from telex.client.reply import Reply
from telex.core.errors import TelexError

T = TypeVar("T")
R = TypeVar("R")
Arguments = TypeVarTuple("Arguments")

CLOSED = "The client is closed."


class Background:
    """The thread, from its first use until `close`, and the client that `make` makes in it."""

    def __init__(self, make: Callable[[], AsyncClient]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._running: tuple[Worker, AsyncClient] | None = None
        self._closed = False

    def client(self) -> AsyncClient:
        """Its awaiting methods are for `wait`."""
        return self._open()[1]

    def wait(self, work: Callable[[Unpack[Arguments]], Coroutine[Any, Any, R]], *arguments: *Arguments) -> R:
        """Do it there, and wait for it here: whoever is interrupted meanwhile ends the work."""
        future = self._open()[0].begin(work(*arguments))
        try:
            return future.result()
        except CancelledError:
            raise TelexError(CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the client and the thread. Who still waits is told."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            worker, client = running
            try:
                worker.begin(client.close()).result()
            finally:
                worker.end()

    def _open(self) -> tuple[Worker, AsyncClient]:
        with self._lock:
            if self._closed:
                raise TelexError(CLOSED)
            if self._running is None:
                self._running = Worker(), self._make()
            return self._running


class Worker:
    """An event loop in a thread, which ends with the program, or when nobody knows this any more."""

    def __init__(self) -> None:
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(live(begun)), name="telex-jobs", daemon=True)
        self._thread.start()
        self._loop, over = begun.result()
        self._stop = weakref.finalize(self, self._loop.call_soon_threadsafe, over.set)
        self._stop.atexit = False

    def begin(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # it has ended at this moment
            work.close()
            raise TelexError(CLOSED) from None

    def end(self) -> None:
        """What is not done is cancelled."""
        self._stop()
        self._thread.join()


async def live(begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    over = asyncio.Event()
    begun.set_result((asyncio.get_running_loop(), over))
    await over.wait()


class Job(Generic[T]):
    """A generation that goes on whoever reads it. `id`: under it the `job` of a client finds it again, of any client of the same gateway;
    in this process, which its jobs end with, of the same client. For any number of threads.
    """

    def __init__(self, job: AsyncJob[T], background: Background) -> None:
        self.id = job.id
        self._job = job
        self._background = background

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def status(self) -> Status:
        """`queued`, `running`, or how it ended: `complete`, `truncated`, `failed`, `rate_limited` or `cancelled`."""
        return self._background.wait(self._job.status)

    def stream(self, after: int = 0) -> JobStream[T]:
        """What it says, from its beginning or behind a stream's `cursor`, and then as it comes, inside a `with` statement. Any number of
        streams may be open."""
        return JobStream(self._job.stream(after), self._background)

    def reply(self, timeout: float | None = None) -> Reply[T]:
        """The whole answer, as soon as it is there. Raises what `generate` would; `Timeout` (its `which` is `reply`) if that is not within
        `timeout` seconds, and then the job goes on."""
        return self._background.wait(self._job.reply, timeout)

    def cancel(self) -> Status:
        """End it, and return how it ended: by this, or before."""
        return self._background.wait(self._job.cancel)


class JobStream(Readable[T]):
    """What a job says, as it comes. Entering it waits for the first content and raises what came instead; leaving it leaves the job as it
    is. It reads as a `Stream` does; where the way to a gateway breaks, it goes on by itself. One thread reads.

    What was read before is heard again, unseen, so that `reply` and `tool_calls` have all of it.
    """

    def __init__(self, stream: AsyncJobStream[T], background: Background) -> None:
        self._stream = stream
        self._background = background

    def __enter__(self) -> Self:
        self._background.wait(self._stream.__aenter__)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._background.wait(self._stream.__aexit__, kind, error, trace)
        except TelexError:  # the client is closed, and this with it
            pass

    @property
    def cursor(self) -> int:
        """How many frames were read, to come back with: `job.stream(after=cursor)` goes on behind them. A frame counts as read when the
        last of its content is, and what `sentences` and `smoothed` hold back counts as well: behind a break in those, come back with 0."""
        return self._stream.cursor

    @property
    def _heard(self) -> Hearing[T]:
        return self._stream._heard

    def _fill(self) -> bool:
        return self._background.wait(self._stream._fill)


def awaiting_transport(transport: httpx2.BaseTransport | None) -> httpx2.AsyncBaseTransport | None:
    """The transport of a blocking client for the awaiting one that its jobs have."""
    if transport is None or isinstance(transport, httpx2.AsyncBaseTransport):
        return transport
    raise TelexError("Jobs need a transport that can be awaited, and this client has one that blocks: submit them with an AsyncClient.")
