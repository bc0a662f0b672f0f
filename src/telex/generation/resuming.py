"""One answer of a gateway over as many connections as it takes: the attempt that hears it believes in a single one.

It stands between the connection of the moment and the attempt, as the receiver of the one and the channel of the other. It hands on whole
frames only and counts them; when the connection breaks before the end, it says what to ask next, and when. Whoever opens connections (see
`carrying`) asks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from telex.core import sse
from telex.core.errors import Failure
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.log import REPLY_LIMIT
from telex.upstream.address import Origin, render_request
from telex.upstream.connection import Channel
from telex.upstream.endpoint import Endpoint
from telex.upstream.timers import Loop, Timer

SILENCE = 45.0
"""Seconds without a byte behind which a stream's connection counts as broken: a gateway sends a sign of life every 15."""

BACKOFF, LONGEST_PAUSE = 0.1, 5.0
"""Seconds of the second pause and of the longest one: there is none before the first try, then each is twice as long; full jitter."""

TRIES = 10
"""Connections in a row that bring no frame."""

FIRST_TRIES = 4
"""The same as long as there never was one: nothing was begun, and the address may be wrong."""

AWAY = 20.0
"""Seconds without an answer after which it is given up: a gateway holds a generation that long for who left."""

GENERATION = "telex-generation"
"""The header that names the generation."""

ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Asking(Struct, frozen=True):
    """What a gateway is asked. `call`: the call itself, which may be sent again as it is, since it has a `key` (Idempotency-Key)."""

    backend: Backend
    origin: Origin
    call: bytes
    key: str

    def behind(self, id: str, frames: int) -> bytes:
        """Ask for what comes behind so many frames."""
        path = f"/generations/{id}/stream?after={frames}&dialect={self.backend.provider.dialect}"
        return render_request(self.backend.ask_at("GET", path).head, b"")

    def cancelling(self, name: str) -> Endpoint:
        """Where a generation is ended. `name`: its id, or the key of the call."""
        return self.backend.ask_at("POST", f"/generations/{name}/cancel")


class Next(Struct, frozen=True):
    """What to ask on the next connection. `due`: when, in seconds of the loop's clock. `fresh`: on a new one, since those that are idle may
    be as dead as the last."""

    request: bytes
    due: float
    fresh: bool


class Resuming:
    """`over`: nothing more will be asked. `stirred` is called when a connection broke, and when it is over."""

    def __init__(self, loop: Loop, attempt: Attempt, asking: Asking, stream: bool, random: Callable[[], float]) -> None:
        """`stream`: whether that is asked for. `random`: gives numbers from 0 to 1."""
        self.over = False
        self.stirred: Callable[[], None] = lambda: None
        self._loop = loop
        self._attempt = attempt
        self._asking = asking
        self._stream = stream
        self._random = random
        self._connection: Channel | None = None
        self._met = False  # there was a connection
        self._paused = False
        self._passing = False  # it is what it is: not to be resumed
        self._following = ""  # the generation whose stream this is
        self._head: tuple[int, dict[str, str]] | None = None  # of a whole reply that is not all there
        self._body: list[bytes] = []
        self._size = 0
        self._name = asking.key  # of the generation, as well as it is known
        self._frames = 0  # handed on
        self._decoder = sse.Decoder()
        self._telling = self._left = False
        self._tries = 0
        self._due = loop.time()
        self._lost: tuple[float, Failure] | None = None  # when there was an answer last, and what broke it
        self._heard = 0.0  # when the connection gave a sign of life
        self._timer: Timer | None = None

    # what those ask who open connections

    @property
    def next(self) -> Next:
        request = self._asking.behind(self._following, self._frames) if self._following else self._asking.call
        return Next(request, self._due, fresh=self._tries > 0)

    @property
    def origin(self) -> Origin:
        return self._asking.origin

    @property
    def farewell(self) -> Endpoint | None:
        """Where to say that nobody wants the rest; None if there is none, or nobody knows of it."""
        runs = self._left if self.over else self._met and not self._passing
        return self._asking.cancelling(self._name) if runs else None

    def begin(self, connection: Channel) -> None:
        """What is `next` goes out on this one now."""
        self._connection = connection
        self._decoder = sse.Decoder()
        if not self._met:
            self._met = True
            self._attempt.on_connected(self)
        if self._following:
            self._watch()
        else:
            self._attempt.restore()
        if self._paused:
            connection.pause()

    def attend(self) -> None:
        """Somebody waits for the connection again: what it did not say meanwhile, nobody would have heard."""
        self._heard = self._loop.time()

    # what the attempt does with its channel

    def pause(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._paused = False
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
        streams, id = status == 200 and kind == "text/event-stream", headers.get(GENERATION, "")
        if self._following:
            if streams:
                self._lost = None
                self._attempt.restore()
            else:
                self._give_up(refused(status))
            return
        self._lost = None
        if status != 200 or not ID.fullmatch(id) or streams is not self._stream:
            self._passing = True
        else:
            self._name = id
            if not streams:
                self._head = status, headers
                return
            self._following = id
            self._watch()
        self._attempt.on_head(status, headers)

    def on_data(self, data: bytes) -> None:
        self._heard = self._loop.time()
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
            self._break(Failure("truncated", "The gateway ended the stream before the reply was complete."))

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

    def _read(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except sse.FrameTooLong as error:
            self._give_up(Failure("malformed", f"The gateway's stream can't be read: {error}."))
            return
        if frames:
            self._frames += len(frames)
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

    def _break(self, failure: Failure) -> None:
        """Go on with another connection, if that is still worth a try."""
        self._drop()
        self._head, self._body, self._size = None, [], 0
        now = self._loop.time()
        since, _ = self._lost = self._lost or (now, failure)
        pause = self._random() * min(LONGEST_PAUSE, BACKOFF * 2 ** (self._tries - 1)) if self._tries else 0.0
        self._tries += 1
        if self._tries > (TRIES if self._met else FIRST_TRIES) or now + pause > since + AWAY:
            self._give_up(failure)
            return
        if self._met:
            self._attempt.suspend()
        self._due = now + pause
        self.stirred()

    def _give_up(self, failure: Failure) -> None:
        """What was said stays, and the failure says what broke it."""
        self._drop()
        if self._following and self._lost is not None:
            _, first = self._lost
            more = f" It could not be resumed: {failure.message}" if failure != first else ""
            failure = Failure("truncated", first.message + more, status=failure.status)
        self._finish()
        self._attempt.on_failure(failure)

    def _finish(self) -> None:
        if not self.over:
            self.over = True
            self._unwatch()
            self.stirred()

    def _drop(self) -> None:
        """Be done with the connection of the moment."""
        connection = self._connection
        self._lose()
        if connection is not None:
            connection.abort()

    def _lose(self) -> None:
        self._connection = None
        self._unwatch()

    # the clock

    def _watch(self) -> None:
        self.attend()
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        """One timer: it looks when the silence could be too long, and again if life was seen since. While nobody reads, all is silent."""
        now = self._loop.time()
        if self._paused:
            self._heard = now
        if now < self._heard + SILENCE:
            self._timer = self._loop.call_at(self._heard + SILENCE, self._look)
        else:
            self._break(Failure("timeout", f"The gateway gave no sign of life for {SILENCE:g} s.", code="idle"))

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def refused(status: int) -> Failure:
    """A gateway answered with this when it was asked to go on."""
    if status in (404, 410):
        return Failure("truncated", "The gateway no longer keeps this generation.", status=status)
    return Failure("truncated", f"The gateway answered with status {status}, and not with the rest.", status=status)
