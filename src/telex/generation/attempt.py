"""One try at one target: what the provider pushes becomes frames in the log, events for the meter, and a verdict."""

from __future__ import annotations

import time
from typing import Any

from telex.config import Timeouts
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Event
from telex.dialects import Dialect, StreamDecoder
from telex.generation.log import HIGH_WATER, REPLY_LIMIT, Entries, Log
from telex.generation.output import Output
from telex.metering.meter import Meter
from telex.upstream.connection import Flow
from telex.upstream.timers import Loop, Promise, Timer

ERROR_LIMIT = 64 << 10
"""Bytes of an error's body that are read."""

HELD_LIMIT = 1 << 20
"""Bytes of frames without content that are held back before the first content."""

FINISHED_SECONDS = 5.0
"""Seconds of silence after which a reply that lacks nothing but the end of its connection has ended."""

LINGER = 1.0
"""Seconds for the connection of a finished stream to end properly, so that it can be used again."""


class Attempt:
    """`verdict` is None once the first content came (or the whole reply), else why it did not. `ended` follows a good verdict.

    It receives what a connection pushes, from `on_connected` on, and never waits: `loop` is an event loop, or stands in for one.
    Frames are held back until `commit`, so that a failed attempt leaves no trace. `headers`: of the answer. `meter`, `output`: fed with
    what came.
    """

    def __init__(
        self,
        loop: Loop,
        dialect: Dialect,
        decoder: StreamDecoder,
        output: Output,
        log: Log,
        meter: Meter,
        timeouts: Timeouts,
        end: float,
        stream: bool,
    ) -> None:
        self._loop = loop
        self.verdict: Promise[Failure | None] = loop.create_future()
        self.ended: Promise[Failure | None] = loop.create_future()
        self.headers: dict[str, str] = {}
        self._dialect = dialect
        self._decoder = decoder
        self._glance = decoder.glance
        self.output = output
        self._log = log
        self.meter = meter
        self._timeouts = timeouts
        self._end = end
        self._stream = stream  # asked the provider to stream
        self._frames = sse.Decoder()
        self._held: list[Any] | None = []  # None once committed
        self._passing = False  # committed, and frames go on as they come
        self._finished = False  # only the end of the connection is missing
        self._body: list[bytes] = []
        self._size = 0
        self._over = False  # nothing that still arrives counts
        self._status = 0
        self._connection: Flow | None = None
        self._timer: Timer | None = None
        self._suspended: float | None = None  # since when

    @property
    def over(self) -> bool:
        """Whether nothing that still arrives counts."""
        return self._over

    @property
    def streams(self) -> bool:
        """Whether what comes is a stream; asked for one, a provider may answer with the whole all the same."""
        return self._stream

    def commit(self) -> None:
        """From now on frames go to the log, those held back first."""
        held, self._held = self._held, None
        self._passing = self.output.follows
        self._write(held or ())
        if self._log.drained == self._resume and not self._log.append(()):
            self._resume()  # it waited for the commit, not for a reader

    def abort(self) -> None:
        """Close the connection. What it may still say counts for nothing."""
        self._over = True
        if self._log.drained == self._resume:
            self._log.drained = None
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.abort()

    def excuse(self, seconds: float) -> None:
        """A silence of the reader's: the clocks that wait for the provider did not run meanwhile."""
        self._began += seconds
        self._last_bytes += seconds
        self._last_content += seconds
        self._rewatch()

    def suspend(self) -> None:
        """Its channel has no connection: until `restore` only the clock of the whole runs."""
        if self._suspended is None:
            self._suspended = self._loop.time()
            self._rewatch()

    def restore(self) -> None:
        now, since, self._suspended = self._loop.time(), self._suspended, None
        if since is not None:
            self.excuse(now - since)
            self._last_bytes = now

    # what the connection says

    def on_connected(self, connection: Flow) -> None:
        self._connection = connection
        self._began = self._last_bytes = self._last_content = self._loop.time()
        self.meter.connected(self._began)
        self._watch()

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        self._status, self.headers = status, headers
        self._last_bytes = self._loop.time()
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if headers.get("content-encoding", "identity") != "identity":
            self._fail(Failure("malformed", "The provider compressed its answer, although it was asked not to."))
        elif 300 <= status < 400:
            self._fail(Failure("redirected", "The provider answered with a redirect, which is not followed.", status=status))
        elif status == 200 and kind == "text/html":
            self._fail(Failure("malformed", "The provider answered with a page of HTML instead of a reply."))
        else:
            self._stream = self._stream and status == 200 and not kind.endswith("json")
            self._rewatch()

    def on_data(self, data: bytes) -> None:
        if self._over:
            return  # behind the terminator nothing counts
        now = self._last_bytes = self._loop.time()
        if self._stream:
            if self._passing and self._frames.between and (event := self._glance(data)) is not None:
                # one more frame like the last, as nearly every read of a long stream is
                self._last_content = now
                self.meter.content(len(event.text), now)
                if self._log.append(self.output.glance(data, event)):
                    self._pause()
            else:
                self._read(data, now)
            return
        if self._status == 200 and not self.verdict.done():  # paid for: never asked for again
            self.verdict.set_result(None)
        self._body.append(data)
        self._size += len(data)
        if self._status != 200:
            if self._size > ERROR_LIMIT:
                self._finish_whole()
        elif self._size > REPLY_LIMIT:
            self._fail(too_long())

    def on_end(self) -> None:
        self._connection = None  # it is the pool's again
        if self._timer is not None:
            self._timer.cancel()
        if self._over:
            return
        if self._stream:
            self._close_stream(None)
        else:
            self._finish_whole()

    def on_failure(self, failure: Failure) -> None:
        self._connection = None
        if self._over:
            return
        if self._stream and self._status == 200:
            self._close_stream(failure)
        else:
            self._fail(failure)

    def on_bug(self, bug: Exception) -> None:
        """A mistake of ours, which the event loop would swallow: it is raised to whoever waits."""
        self.abort()
        for waited in (self.verdict, self.ended):
            if not waited.done():
                waited.set_exception(bug)
                break

    # what becomes of it

    def _read(self, data: bytes, now: float) -> None:
        try:
            frames = self._frames.feed(data)
        except sse.FrameTooLong as error:
            self._fail(Failure("malformed", f"The provider's stream can't be read: {error}."))
        else:
            self._take(frames, now)

    def _take(self, frames: list[sse.Frame], now: float) -> None:
        """The frames of one read make one write."""
        decoder, content = self._decoder, False
        out: list[Any] = []
        events: list[Event] = []
        for frame in frames:
            events = decoder.feed(frame)
            if decoder.repeated:
                continue
            if self.meter.feed(events, now):
                content = True
            out += self.output.frame(frame.raw, events)
            if decoder.ended:
                break
        first = content and not self.verdict.done()
        if content:
            self._last_content = now
            if first:  # whatever else this read holds: what was said counts
                self.verdict.set_result(None)
        self._write(out)
        if self._over:  # the log is full
            return
        if self.output.kept > REPLY_LIMIT:
            self._fail(too_long())
        elif decoder.ended:
            self._close(events[-1])
        elif first or decoder.finished is not self._finished:
            self._finished = decoder.finished
            self._rewatch()

    def _close(self, last: Event) -> None:
        if isinstance(last, Failure):
            self._fail(last)
        else:
            self._succeed()

    def _write(self, frames: Entries) -> None:
        if self._held is not None:
            self._held += frames
            self._size += sum(map(len, frames))
            if self.verdict.done():
                if self._size > HIGH_WATER:  # it can wait for the commit
                    self._pause()
            elif self._size > HELD_LIMIT:
                self._fail(Failure("malformed", f"The provider sent {HELD_LIMIT} bytes without any content."))
        elif self._log.append(frames):
            self._pause()

    def _pause(self) -> None:
        if self._log.full is not None:
            self._fail(self._log.full)
        elif self._connection is not None and not self._over:
            self._log.drained = self._resume
            self._connection.pause()

    def _resume(self) -> None:
        self._log.drained = None
        self._last_bytes = self._last_content = self._loop.time()  # the silence was ours
        if self._connection is not None:
            self._connection.resume()

    def _close_stream(self, failure: Failure | None) -> None:
        """The connection ended: well if the stream had, else with what broke it."""
        self._take(self._frames.end(), self._loop.time())
        if not self._decoder.ended:
            events: list[Event] = [failure] if failure else self._decoder.end()
            self.meter.feed(events, self._loop.time())
            self._write(self.output.frame(b"", events))
            self._close(events[-1])

    def _finish_whole(self) -> None:
        body = b"".join(self._body)
        if self._status != 200:
            self._fail(self._dialect.decode_error(self._status, self.headers, body, time.time()))
            return
        events = self._decoder.whole(body)
        self.meter.feed(events, self._loop.time())
        if isinstance(failure := events[-1], Failure):
            self._fail(failure)
        else:
            self._write(self.output.body(body, events))
            self._succeed()

    def _succeed(self) -> None:
        if self._over:  # the log is full
            return
        self._over = True
        if not self.verdict.done():
            self.verdict.set_result(None)
        self.ended.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.resume()
            self._timer = self._loop.call_later(LINGER, self._connection.abort)

    def _fail(self, failure: Failure) -> None:
        self.abort()
        if not self.verdict.done():
            self.verdict.set_result(failure)
        elif not self.ended.done():
            self.ended.set_result(failure)

    # the clocks

    def _watch(self) -> None:
        """One timer for all clocks: it looks when the earliest could be over, and again if life was seen since."""
        now = self._loop.time()
        which, limit, due = min(self._clocks(), key=lambda clock: clock[2])
        if now >= due and which == "finished":
            self._close_stream(None)
        elif now >= due:
            self._fail(too_slow(which, limit))
        else:
            self._timer = self._loop.call_at(due, self._watch)

    def _rewatch(self) -> None:
        """Other clocks run from now on, and may be over sooner."""
        if self._timer is not None:
            self._timer.cancel()
            self._watch()

    def _clocks(self) -> list[tuple[str, float, float]]:
        """(name, limit in seconds, when it is over) of every clock that runs now. Who waits for the whole has only the total."""
        limits, clocks = self._timeouts, [("total", self._timeouts.total, self._end)]
        if not self._stream or self._suspended is not None:
            return clocks
        if self._log.drained is not None:  # paused by us: look again later
            return [*clocks, ("idle", limits.idle, self._loop.time() + limits.idle)]
        if self._finished:
            clocks.append(("finished", FINISHED_SECONDS, self._last_bytes + FINISHED_SECONDS))
        if not self.output.follows:
            return clocks
        if not self._status:
            clocks.append(("first_byte", limits.first_byte, self._began + limits.first_byte))
        else:
            clocks.append(("idle", limits.idle, self._last_bytes + limits.idle))
        if self.verdict.done():
            clocks.append(("content_idle", limits.content_idle, self._last_content + limits.content_idle))
        else:
            clocks.append(("first_content", limits.first_content, self._began + limits.first_content))
        return clocks


def too_slow(which: str, limit: float) -> Failure:
    """`which`: the time limit that is over, of so many seconds."""
    return Failure("timeout", f"The provider took longer than {limit:g} s (timeouts.{which}).", code=which)


def too_long() -> Failure:
    return Failure("malformed", f"The provider's reply is longer than {REPLY_LIMIT} bytes.")
