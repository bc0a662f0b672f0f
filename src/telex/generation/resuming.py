"""One answer of a gateway over as many connections as it takes: the attempt that hears it believes in a single one.

It stands between the connection of the moment and the attempt, as the receiver of the one and the channel of the other. It hands on whole
frames only and counts them; when the connection breaks before the end, it says what to ask next, and when. Whoever opens connections (see
`carrying`) asks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from telex.core import sse
from telex.core.errors import Failure
from telex.generation.asking import Asking, Next
from telex.generation.attempt import Attempt
from telex.generation.log import REPLY_LIMIT
from telex.generation.silence import Silence
from telex.upstream.address import Origin
from telex.upstream.connection import Channel
from telex.upstream.endpoint import Endpoint
from telex.upstream.timers import Loop

SILENCE = 45.0
"""Seconds without a byte behind which a stream's connection counts as broken: a gateway sends a sign of life every 15."""

BACKOFF, LONGEST_PAUSE = 0.1, 5.0
"""Seconds of the second pause and of the longest one: there is none before the first try, then each is twice as long; full jitter."""

TRIES = 10
"""Connections in a row that bring no frame, and no signs of life for longer than the longest pause."""

FIRST_TRIES = 4
"""The same as long as there never was one: nothing was begun, and the address may be wrong."""

AWAY = 20.0
"""Seconds without an answer after which it is given up: a gateway holds a generation that long for who left."""

GENERATION = "telex-generation"
"""The header that names the generation."""

ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

ABSENT = frozenset({502, 503, 504})
"""What something before a gateway says that is not there now: nobody's word about a generation."""


class Resuming:
    """`over`: nothing more will be asked. `frames`: handed on. `lost`: it was given up, although there may be more. `doubtful`: the gateway
    itself ended the stream early, and its record may know why; whoever learns it may `conclude`. `stirred` is called when a connection
    broke, and when it is over."""

    def __init__(self, loop: Loop, attempt: Attempt, asking: Asking, stream: bool, random: Callable[[], float]) -> None:
        """`stream`: whether that is asked for. `random`: gives numbers from 0 to 1."""
        self.over = self.lost = self.doubtful = False
        self.frames = 0
        self.stirred: Callable[[], None] = lambda: None
        self._loop = loop
        self._attempt = attempt
        self._asking = asking
        self._stream = stream
        self._random = random
        self._connection: Channel | None = None
        self._met = False  # there was a connection
        self._passing = False  # it is what it is: not to be resumed
        self._following = asking.id  # the generation whose stream this is
        self._headed = False  # the attempt has a head
        self._head: tuple[int, dict[str, str]] | None = None  # of a whole reply that is not all there
        self._body: list[bytes] = []
        self._size = 0
        self._name = asking.key  # of the generation, as well as it is known, if it is to be ended
        self._decoder = sse.Decoder()
        self._telling = self._left = False
        self._tries = 0
        self._due = loop.time()
        self._lost: tuple[float, Failure] | None = None  # when there was an answer last, and what broke it
        self._silence = Silence(loop, SILENCE, self._fall_silent)

    # what those ask who open connections

    @property
    def next(self) -> Next:
        request = self._asking.behind(self._following, self.frames) if self._following else self._asking.call
        return Next(request, self._due, fresh=self._tries > 0)

    @property
    def origin(self) -> Origin:
        return self._asking.origin

    @property
    def farewell(self) -> Endpoint | None:
        """Where to say that nobody wants the rest; None if there is none, or nobody knows of it."""
        runs = self._left if self.over else self._met and not self._passing
        return self._asking.cancelling(self._name) if runs and self._name else None

    def begin(self, connection: Channel) -> None:
        """What is `next` goes out on this one now."""
        self._connection = connection
        self._decoder = sse.Decoder()
        if not self._met:
            self._met = True
            self._attempt.on_connected(self)
        if self._following:
            self._silence.watch()
        else:
            self._attempt.restore()
        if self._silence.paused:
            connection.pause()

    def attend(self) -> None:
        """Somebody waits for the connection again: what it did not say meanwhile, nobody would have heard."""
        self._silence.hear()

    def conclude(self, failure: Failure) -> None:
        """This is its end."""
        self._drop()
        self._finish()
        self._attempt.on_failure(failure)

    # what the attempt does with its channel

    def pause(self) -> None:
        self._silence.paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._silence.paused = False
        self.attend()
        if self._connection is not None:
            self._connection.resume()

    def abort(self) -> None:
        self._drop()
        if not self.over:
            self._left = self._met and not self._passing and not self._telling
            self._finish()

    # what the connection says

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        streams = status == 200 and kind == "text/event-stream"
        if self._following:
            self._hear_rest(status, headers, streams)
        else:
            self._hear_first(status, headers, streams)

    def on_data(self, data: bytes) -> None:
        self._silence.hear()
        if self._passing:
            self._attempt.on_data(data)
        elif self._head is not None:
            self._body.append(data)
            self._size += len(data)
            if self._size > REPLY_LIMIT:
                self._hand_over()
        else:
            self._read(data)

    def on_end(self) -> None:
        if self._head is not None:
            self._hand_over()
        if self._passing or self.over:
            self._lose()
            self._finish()
            self._attempt.on_end()
        else:
            self._break(Failure("truncated", "The gateway ended the stream before the reply was complete."), doubtful=True)

    def on_failure(self, failure: Failure) -> None:
        if self._passing or self.over:
            self._lose()
            self._finish()
            self._attempt.on_failure(failure)
        elif failure.kind in ("unreachable", "truncated") or (failure.kind == "timeout" and self._met):
            self._break(failure)
        else:
            self._give_up(failure)

    def on_bug(self, bug: Exception) -> None:
        self._attempt.on_bug(bug)

    # what becomes of it

    def _hear_first(self, status: int, headers: dict[str, str], streams: bool) -> None:
        """The answer to the call."""
        self._lost, id = None, headers.get(GENERATION, "")
        if status != 200 or not ID.fullmatch(id) or streams is not self._stream:
            self._passing = True
        else:
            self._name = id
            if not streams:
                self._head = status, headers
                return
            self._following = id
            self._silence.watch()
        self._hand_head(status, headers)

    def _hear_rest(self, status: int, headers: dict[str, str], streams: bool) -> None:
        """The answer to who wants what is behind a cursor. Why there is no beginning the gateway says itself."""
        if status in ABSENT:
            self._break(Failure("unreachable", f"The gateway's address answered with status {status}.", status=status))
        elif not streams and (self._headed or status == 200):
            self._give_up(refused(status))
        else:
            self._lost = None
            self._silence.hear()
            self._attempt.restore()
            if not self._headed:
                self._passing = not streams
                self._hand_head(status, headers)

    def _hand_head(self, status: int, headers: dict[str, str]) -> None:
        self._headed = True
        self._attempt.on_head(status, headers)

    def _read(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except sse.FrameTooLong as error:
            self._give_up(Failure("malformed", f"The gateway's stream can't be read: {error}."))
            return
        if frames:
            self.frames += len(frames)
            self._tries = 0
        self._telling = True  # if the attempt has had enough now, it is because of what the gateway said
        try:
            self._attempt.on_data(frames[0].raw if len(frames) == 1 else b"".join(frame.raw for frame in frames))
        finally:
            self._telling = False
        if self._attempt.over:
            self._finish()

    def _hand_over(self) -> None:
        """A whole reply is handed on when it is all there, or too long."""
        assert self._head is not None
        (status, headers), self._head, self._passing = self._head, None, True
        self._attempt.on_head(status, headers)
        self._attempt.on_data(b"".join(self._body))
        self._body.clear()

    def _break(self, failure: Failure, doubtful: bool = False) -> None:
        """Go on with another connection, if that is still worth a try."""
        if self._connection is not None and self._silence.lasted > LONGEST_PAUSE:
            self._tries = 0
        self._drop()
        self._head, self._body, self._size = None, [], 0
        now = self._loop.time()
        since, _ = self._lost = self._lost or (now, failure)
        pause = pause_before(self._tries, self._random())
        self._tries += 1
        if self._passing or self._tries > (TRIES if self._met else FIRST_TRIES) or now + pause > since + AWAY:
            self.lost = True
            self._give_up(failure)
            return
        if self._met:
            self._attempt.suspend()
        self._due, self.doubtful = now + pause, doubtful
        self.stirred()

    def _fall_silent(self) -> None:
        self._break(Failure("timeout", f"The gateway gave no sign of life for {SILENCE:g} s.", code="idle"))

    def _give_up(self, failure: Failure) -> None:
        """What was said stays, and the failure says what broke it."""
        if self._headed and self._lost is not None:
            _, first = self._lost
            more = f" It could not be resumed: {failure.message}" if failure != first else ""
            failure = Failure("truncated", first.message + more, status=failure.status)
        self.conclude(failure)

    def _finish(self) -> None:
        if not self.over:
            self.over = True
            self._silence.end()
            self.stirred()

    def _drop(self) -> None:
        """Be done with the connection of the moment."""
        connection = self._connection
        self._lose()
        if connection is not None:
            connection.abort()

    def _lose(self) -> None:
        self._connection = None
        self._silence.end()


def pause_before(number: int, random: float) -> float:
    """Seconds before another try, `number` of a row that begins with 0. `random`: from 0 to 1."""
    return random * min(LONGEST_PAUSE, BACKOFF * 2 ** (number - 1)) if number else 0.0


def refused(status: int) -> Failure:
    """A gateway answered with this when it was asked for a stream behind a cursor."""
    if status in (404, 410):
        return Failure("truncated", "The gateway no longer keeps this generation.", status=status)
    return Failure("malformed", f"The gateway answered with status {status}, and not with the stream that was asked for.", status=status)
