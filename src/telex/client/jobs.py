"""Generations in the background: a job goes on whoever reads it, in this process or in a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, cast

from telex.client.errors import error_of
from telex.client.following import Following
from telex.client.hearing import Hearing, Source
from telex.client.place import Ask, Place
from telex.client.readable import AsyncReadable
from telex.client.remote import Remote
from telex.client.reply import Reply
from telex.client.shape import Shape
from telex.core.errors import Ending, Failure, TelexError
from telex.core.events import is_content
from telex.core.messages import Fields
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog, Room
from telex.generation.log import Heard, Reader

T = TypeVar("T")

Status = Literal["queued", "running"] | Ending

KEPT_MOST = 1000
"""Jobs of this process that are kept when they have ended."""

CANCELLED = Failure("cancelled", "The generation was cancelled.")


class Kept(Source, Protocol):
    """A generation that somebody may read who comes late, and leave without ending it."""

    committed: bool

    def join(self) -> Reader: ...
    async def opened(self, reader: Reader) -> None: ...
    def leave(self, reader: Reader) -> None: ...


class Jobs(Protocol):
    """Where jobs are. Ids are those of generations. Raises what the library raises."""

    @property
    def gateway(self) -> bool: ...
    async def submit(self, ask: Ask[Any]) -> str: ...
    async def follow(self, id: str) -> Kept: ...
    async def status(self, id: str) -> Status: ...
    async def cancel(self, id: str) -> Status: ...
    async def close(self) -> None: ...


class LocalJobs:
    """In this process. Those that have ended are kept until they are too many, or half of `room` is used; the first goes first."""

    gateway = False

    def __init__(self, begin: Callable[[Ask[Any]], Awaitable[Generation]], room: Room) -> None:
        self._begin = begin
        self._all: dict[str, Generation] = {}  # the oldest first
        self._room = room

    async def submit(self, ask: Ask[Any]) -> str:
        generation = await self._begin(ask)
        self._all[generation.id] = generation
        generation.background = True
        log_of(generation).written = self._make_room
        self._make_room()
        generation.start()
        return generation.id

    async def follow(self, id: str) -> Generation:
        return self._find(id)

    async def status(self, id: str) -> Status:
        generation = self._find(id)
        return generation.ending if generation.ended else "running"

    async def cancel(self, id: str) -> Status:
        generation = self._find(id)
        generation.stop(CANCELLED)
        await generation.finished()
        return generation.ending

    async def close(self) -> None:
        """The client stops them, as all that runs in it."""

    def _find(self, id: str) -> Generation:
        if (generation := self._all.get(id)) is None:
            why = f"There is no job '{id}' in this process, or it is no longer kept; those of a gateway are found by a client with its URL."
            raise error_of(Failure("not_found", why), None)
        return generation

    def _make_room(self) -> None:
        for generation in list(self._all.values()):
            if not self._room.crowded and len(self._all) <= KEPT_MOST:
                break
            if generation.ended:
                del self._all[generation.id]
                log_of(generation).retire()


def log_of(generation: Generation) -> KeptLog:
    assert isinstance(generation.log, KeptLog)
    return generation.log


class GatewayJobs:
    """In a gateway, where they outlive this process."""

    gateway = True

    def __init__(self, place: Place, remote: Remote) -> None:
        self._place = place
        self._remote = remote
        self._untold: dict[str, tuple[str, ...]] = {}  # of jobs that were submitted here, if anything
        self._following: set[Following] = set()

    async def submit(self, ask: Ask[Any]) -> str:
        route = self._place.route(ask.request.model)
        assert route is not None
        submitted = await self._remote.submit(ask.request, self._place.limit(route, ask.limits))
        if isinstance(submitted, Failure):
            raise error_of(submitted, None)
        record, untold = submitted
        id: str = record["id"]
        if untold:
            self._untold[id] = untold
        return id

    async def follow(self, id: str) -> Following:
        following = Following(self._remote, id, self._untold.get(id, ()), self._following.discard)
        self._following.add(following)
        return following

    async def status(self, id: str) -> Status:
        return status_of(await self._remote.record(id))

    async def cancel(self, id: str) -> Status:
        return status_of(await self._remote.cancel(id))

    async def close(self) -> None:
        for following in list(self._following):
            following.stop()
            await following.finished()


def status_of(record: Fields | Failure) -> Status:
    if isinstance(record, Failure):
        raise error_of(record, None)
    return cast("Status", record["status"])


class AsyncJob(Generic[T]):
    """A generation that goes on whoever reads it. `id`: under it the `job` of a client finds it again, of any client of the same gateway;
    in this process, which its jobs end with, of the same client.
    """

    def __init__(self, id: str, jobs: Callable[[], Jobs], shape: Shape[T] | None = None) -> None:
        """`jobs`: those of the client; raises `TelexError` when that is closed."""
        self.id = id
        self._jobs = jobs
        self._shape = shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def status(self) -> Status:
        """`queued`, `running`, or how it ended: `complete`, `truncated`, `failed`, `rate_limited` or `cancelled`."""
        return await self._jobs().status(self.id)

    def stream(self, after: int = 0) -> AsyncJobStream[T]:
        """What it says, from its beginning or behind a stream's `cursor`, and then as it comes, inside an `async with` statement. Any
        number of streams may be open."""
        return AsyncJobStream(self._jobs, self.id, after, self._shape)

    async def reply(self, timeout: float | None = None) -> Reply[T]:
        """The whole answer, as soon as it is there. Raises what `generate` would; `Timeout` (its `which` is `reply`) if that is not within
        `timeout` seconds, and then the job goes on."""
        try:
            async with asyncio.timeout(timeout), self.stream() as stream:
                reply = await stream.reply()
                stream.check()
                return reply
        except TimeoutError:
            why = f"The job {self.id} has not ended within {timeout:g} s. It goes on."
            raise error_of(Failure("timeout", why, "timeout", code="reply"), None) from None

    async def cancel(self) -> Status:
        """End it, and return how it ended: by this, or before."""
        return await self._jobs().cancel(self.id)


class AsyncJobStream(AsyncReadable[T]):
    """What a job says, as it comes. Entering it waits for the first content and raises what came instead; leaving it leaves the job as it
    is. It reads as an `AsyncStream` does; where the way to a gateway breaks, it goes on by itself.

    What was read before is heard again, unseen, so that `reply` and `tool_calls` have all of it.
    """

    def __init__(self, jobs: Callable[[], Jobs], id: str, after: int, shape: Shape[T] | None) -> None:
        self._jobs = jobs
        self._id = id
        self._after = after
        self._shape = shape
        self._job: Kept | None = None
        self._frames = 0  # that were heard
        self._sizes: list[int] = []  # how many events each of the last of them had, with all that are pending

    async def __aenter__(self) -> Self:
        if self._job is not None:
            raise TelexError("A stream can be entered once.")
        jobs = self._jobs()
        self._job = job = await jobs.follow(self._id)
        self._hearing = Hearing(job, self._shape, jobs.gateway)
        self._reader = job.join()
        try:
            await job.opened(self._reader)
            if job.ended and not job.committed:
                self.check()
        except BaseException:
            job.leave(self._reader)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._job is not None
        self._job.leave(self._reader)

    @property
    def cursor(self) -> int:
        """How many frames were read, to come back with: `job.stream(after=cursor)` goes on behind them. A frame counts as read when the
        last of its content is, and what `sentences` and `smoothed` hold back counts as well: behind a break in those, come back with 0."""
        pending, frames = list(self._heard.pending), self._frames
        unread = len(pending)
        for size in reversed(self._sizes):
            if not unread or (unread < size and not any(map(is_content, pending[:unread]))):
                break
            unread = max(0, unread - size)
            frames -= 1
        return max(frames, self._after)

    def check(self) -> None:
        """Raise what it ended with, unless that was well."""
        self._raise()

    @property
    def _heard(self) -> Hearing[T]:
        if self._job is None:
            raise TelexError("A stream is read inside its with statement.")
        return self._hearing

    async def _fill(self) -> bool:
        """Hear what came next, passing over what was read before. False at the end."""
        hearing = self._heard
        if not hearing.pending:
            self._sizes.clear()
        frames = await take_frames(self._reader)
        for frame in frames:
            hearing.hear(frame.events)
            self._frames += 1
            self._sizes.append(len(frame.events))
            if self._frames <= self._after:
                hearing.read_texts()
                self._sizes.clear()
        return bool(frames)


async def take_frames(reader: Reader) -> list[Heard]:
    """What has come since, as soon as there is something; nothing at the end."""
    while not (frames := reader.read()) and not reader.over:
        await reader.wait()
    return frames
