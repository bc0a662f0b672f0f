"""What a gateway keeps of a generation, as one reader hears it: connections may break, what is heard is one undisturbed stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from telex.client.errors import NAMES
from telex.client.remote import BROKEN, LONGEST_PAUSE, TRIES, Remote, failure_of, no_gateway, pauses
from telex.config import Timeouts
from telex.core import sse
from telex.core.errors import CONSEQUENCES, Failure
from telex.core.events import Event, is_content
from telex.core.messages import Fields, Usage
from telex.dialects.openai_chat import Decoder
from telex.generation.log import Heard, Log, Reader
from telex.generation.run import CANCELLED
from telex.metering.meter import Certainty, Timing
from telex.upstream.address import render_request
from telex.upstream.connection import Channel
from telex.upstream.fetch import LIMIT, Answer

RESUMES = 10
"""How often in a row it is tried to go on without a sign of life in between; less often if there never was one."""

SILENCE = 45.0
"""Seconds without a byte, three signs of life of a gateway, after which a connection is as good as broken."""

AWAY = frozenset({502, 503, 504})
"""Statuses of a gateway that is not there now, or of what stands before it: a job outlives that."""

ENDED = Failure("truncated", "The gateway's stream ended before the generation did.")
"""Unless its record has another failure: a gateway that was killed may have lost the last frames, and count no more than were heard."""


class Recorded:
    """The figures that a gateway's record has; without one, none."""

    def __init__(self, record: Fields | None = None) -> None:
        self._record = record or {}

    def timing(self, now: float) -> Timing:
        told = self._record.get("timing") or {}
        return Timing(told.get("ttft"), told.get("itl_p50"), told.get("itl_p95"), told.get("e2e") or 0.0, told.get("connect"))

    def tokens(self, complete: bool) -> tuple[Usage | None, Certainty]:
        told = self._record.get("usage")
        return (msgspec.convert(told, Usage) if told else None), self._record.get("certainty", "missing")

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(NAMES.get(name, name) for name in self._record.get("dropped") or ())


class Following:
    """Begins at once, in a task of its own, and asks for the frames behind those that came whenever a connection breaks.

    It has the face of a generation that is kept, for one reader: leaving it ends the following, and nothing in the gateway.
    `untold`: what of its request the gateway was not told.
    """

    def __init__(self, remote: Remote, id: str, untold: tuple[str, ...], on_end: Callable[[Following], None]) -> None:
        self.id = id
        self.bug: Exception | None = None
        self.failure: Failure | None = None
        self.committed = False
        self.headers: Mapping[str, str] = {}
        self.meter = Recorded()
        self.now = 0.0
        self._remote = remote
        self._untold = untold
        self._loop = asyncio.get_running_loop()
        self._log = Log()
        self._count = 0  # frames that were heard
        self._decoder = Decoder(remote.quirks)
        self._opened = asyncio.Event()  # there is content, or none will be
        self._channel: Channel | None = None
        self._listening: Listening | None = None
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(lambda task: on_end(self))

    @property
    def ended(self) -> bool:
        return self._log.closed

    @property
    def dropped(self) -> tuple[str, ...]:
        """What of its request its model is not told, in the library's words."""
        return (*self._untold, *self.meter.dropped)

    def join(self) -> Reader:
        return self._log.reader()

    async def opened(self, reader: Reader) -> None:
        """Return at the first content, or at the end."""
        await self._opened.wait()

    def leave(self, reader: Reader) -> None:
        reader.leave()
        self.stop()

    def stop(self) -> None:
        self._task.cancel()

    async def finished(self) -> None:
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            self.failure = await self._follow()
            record = await self._remote.record(self.id) if self._count else None
            self.meter = Recorded(None if isinstance(record, Failure) else record)
        except asyncio.CancelledError:
            self.failure = CANCELLED
        except Exception as bug:
            self.bug, self.failure = bug, Failure("internal", "Telex made a mistake.")
        self._log.close()
        self._opened.set()

    async def _follow(self) -> Failure | None:
        """How it ended: None if well."""
        waiting, heard = pauses(TRIES), 0
        while (failure := await self._hear()) is not None and self._may_go_on(failure):
            if failure is ENDED and (why := failure_in(await self._remote.record(self.id))) is not None:
                return why
            if self._count > heard or (self._listening is not None and self._listening.lasted > LONGEST_PAUSE):  # it was there
                waiting, heard = pauses(RESUMES), self._count
            if (seconds := next(waiting, None)) is None:
                return lost_sight(failure) if self._count else failure
            await asyncio.sleep(seconds)
        return failure

    def _may_go_on(self, failure: Failure) -> bool:
        """Whether only the way to the gateway broke, and it has said nothing itself."""
        return not self._decoder.ended and (failure.kind in BROKEN or failure.status in AWAY)

    async def _hear(self) -> Failure | None:
        """One connection to its end: None if that is the end of the stream."""
        endpoint, pool = self._remote.stream_at(self.id, self._count), self._remote.pool
        self._listening = None
        channel = pool.take(endpoint.origin) or await pool.open(endpoint.origin, Timeouts().connect)
        if isinstance(channel, Failure):
            return channel
        self._channel, self._listening = channel, (listening := Listening(self._loop, self._take))
        channel.send(render_request(endpoint.head, b""), listening)
        try:
            return await self._watch(listening)
        finally:
            self._channel, self._log.drained = None, None
            if not listening.over:
                channel.abort()

    async def _watch(self, listening: Listening) -> Failure | None:
        """Wait until it has ended, or has been silent for too long."""
        while not listening.ended.done():
            paused = self._log.drained is not None
            left = SILENCE if paused else listening.heard + SILENCE - self._loop.time()
            if left <= 0:
                return Failure("truncated", f"The gateway was silent for {SILENCE:g} s.")
            await asyncio.wait([listening.ended], timeout=left)
        return listening.ended.result()

    def _take(self, frames: list[sse.Frame]) -> tuple[bool, Failure | None]:
        """Whether a stream has said its last word, and whether that is a failure."""
        out: list[Heard] = []
        events: list[Event] = []
        for frame in frames:
            events = self._decoder.feed(frame)
            out.append(Heard([event for event in events if not isinstance(event, Failure)], len(frame.raw)))
            if self._decoder.ended:
                break
        self._count += len(out)
        if not self.committed and any(is_content(event) for heard in out for event in heard.events):
            self.committed = True
            self._opened.set()
        if self._log.append(out) and not self._decoder.ended and self._channel is not None:
            self._log.drained = self._resume
            self._channel.pause()
        return self._decoder.ended, events[-1] if events and isinstance(events[-1], Failure) else None

    def _resume(self) -> None:
        self._log.drained = None
        if self._channel is not None and self._listening is not None:
            self._listening.heard = self._loop.time()  # the silence was ours
            self._channel.resume()


class Listening:
    """Receives one answer. `ended`: None where the stream said its last word, else what came instead. `over`: the exchange is no more.
    `heard`: when the last byte came, in seconds of the loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[list[sse.Frame]], tuple[bool, Failure | None]]) -> None:
        self.ended: asyncio.Future[Failure | None] = loop.create_future()
        self.over = False
        self.heard = self._began = loop.time()
        self._clock = loop.time
        self._take = take
        self._frames: sse.Decoder | None = None  # of a stream
        self._head: tuple[int, dict[str, str]] = 0, {}
        self._body = bytearray()  # of anything else

    @property
    def lasted(self) -> float:
        """Seconds from the question to the last sign of life."""
        return self.heard - self._began

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        self.heard = self._clock()
        self._head = status, headers
        if status == 200 and headers.get("content-type", "").startswith("text/event-stream"):
            self._frames = sse.Decoder()

    def on_data(self, data: bytes) -> None:
        self.heard = self._clock()
        if self._frames is None:
            if len(self._body) <= LIMIT:
                self._body += data
            return
        try:
            self._hand_on(self._frames.feed(data))
        except sse.FrameTooLong as error:
            self._end(Failure("malformed", f"The gateway's stream can't be read: {error}."))

    def on_end(self) -> None:
        self.over = True
        if self._frames is None:
            status, headers = self._head
            self._end(failure_of(Answer(status, headers, bytes(self._body))) if status >= 400 else no_gateway())
        else:
            self._end(ENDED)

    def on_failure(self, failure: Failure) -> None:
        self.over = True
        self._end(failure)

    def on_bug(self, bug: Exception) -> None:
        self.over = True
        if not self.ended.done():
            self.ended.set_exception(bug)

    def _hand_on(self, frames: list[sse.Frame]) -> None:
        if frames and not self.ended.done():
            over, failure = self._take(frames)
            if over:
                self._end(failure)

    def _end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


def lost_sight(failure: Failure) -> Failure:
    """Nothing more can be heard of a job of which something was."""
    return Failure("truncated", f"{failure.message} The job itself may go on: follow it again.")


def failure_in(record: Fields | Failure) -> Failure | None:
    """Why a generation is not complete, as its record has it; None if it is, or may become so, or if nobody knows."""
    if isinstance(record, Failure) or record["status"] in ("queued", "running", "complete"):
        return None
    told = record.get("failure") or {}
    kind = told.get("kind")
    return Failure(kind if kind in CONSEQUENCES else "truncated", str(told.get("message")), retry_after=told.get("retry_after"))
