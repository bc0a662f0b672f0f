"""A world without sockets and without real time, in which generations run as they are: one seed is one world, and always the same.

The event loop's clock jumps to whatever is due next. Providers are scripts that push what a connection would push.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Finish, Usage
from telex.dialects import DIALECTS, Dialect
from telex.upstream.address import Origin
from telex.upstream.connection import Channel, Receiver


class Jump(selectors.SelectSelector):
    """Waits for nothing: what is waited for has come, and the clock says so."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that never comes"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run_virtually(world: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(world)


# ---- providers


class Push(NamedTuple):
    """After so many seconds: bytes of the body; None ends it well, a failure breaks the connection."""

    after: float
    what: bytes | Failure | None


class Answer(NamedTuple):
    """`opens`: seconds, or why there is no connection. `text`: all that is said if it is good."""

    kind: str
    opens: float | Failure
    head: float = 0.0
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)
    pushes: Sequence[Push] = ()
    text: str = ""


STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
BROKEN = Failure("truncated", "The connection broke.")
NEVER = 1e9
WORDS = 6


def words(text: str) -> list[Event]:
    pieces = [PartDelta(0, 0, text=piece + " ") for piece in text.split()]
    return [Start("id", "m", 1), PartStart(0, 0, "text"), *pieces, PartEnd(0, 0), Finish(0, "stop"), Usage(3, WORDS), Done()]


def frames(dialect: Dialect, events: Sequence[Event]) -> list[list[bytes]]:
    """What each event becomes."""
    encoder = dialect.Encoder(True, "id", 1)
    return [encoder.feed(event) for event in events]


class Provider:
    """Decides by its coin how each call is answered. `moods`: kinds of answers and how often they are given."""

    def __init__(self, coin: random.Random, dialect: str, moods: dict[str, float]) -> None:
        self.coin = coin
        self.dialect = DIALECTS[dialect]
        self.moods = moods
        self.calls = 0

    def answer(self, stream: bool, name: str) -> Answer:
        self.calls += 1
        kind = self.coin.choices(list(self.moods), list(self.moods.values()))[0]
        return getattr(self, kind.replace("-", "_"))(kind, stream, name)  # type: ignore[no-any-return]

    def opens(self) -> float:
        return self.coin.choice([0.0, 0.01, 0.2])

    # answers that are good

    def good(self, kind: str, stream: bool, name: str, first: float = 0.05) -> Answer:
        text = " ".join(f"{name}-{n}" for n in range(WORDS))
        events = words(text)
        if not stream:
            body = self.dialect.encode_reply(fold(events))
            return Answer(kind, self.opens(), first, 200, JSON, [Push(0.0, body), Push(0.0, None)], text)
        sent = [Push(self.coin.choice([0.0, 0.02, 1.0]), b"".join(group)) for group in frames(self.dialect, events) if group]
        return Answer(kind, self.opens(), first, 200, STREAM, [*sent, Push(0.0, None)], text)

    def slow(self, kind: str, stream: bool, name: str) -> Answer:
        return self.good(kind, stream, name, first=self.coin.uniform(1, 4))

    # and bad ones

    def refuses(self, kind: str, stream: bool, name: str) -> Answer:
        return Answer(kind, Failure("unreachable", "Nobody is there."))

    def hangs(self, kind: str, stream: bool, name: str) -> Answer:
        return Answer(kind, NEVER)

    def silent(self, kind: str, stream: bool, name: str) -> Answer:
        return Answer(kind, self.opens(), NEVER)

    def status(self, kind: str, code: int, **headers: str) -> Answer:
        failure = Failure("upstream_error", "No.")
        return Answer(kind, self.opens(), 0.01, code, {**JSON, **headers}, [Push(0.0, self.dialect.encode_error(failure)), Push(0.0, None)])

    def broken(self, kind: str, stream: bool, name: str) -> Answer:
        return self.status(kind, self.coin.choice([500, 502, 503, 529]))

    def limited(self, kind: str, stream: bool, name: str) -> Answer:
        return self.status(kind, 429, **self.coin.choice([{}, {"retry-after": "2"}, {"retry-after": "30"}]))

    def refused(self, kind: str, stream: bool, name: str) -> Answer:
        return self.status(kind, self.coin.choice([400, 401, 404, 422]))

    def cut(self, kind: str, stream: bool, name: str) -> Answer:
        """Before or behind the first content: the connection ends, breaks or stalls, or an error comes in the stream."""
        good = self.good(kind, stream, name)
        if not stream:
            return good._replace(pushes=[good.pushes[0]._replace(what=b"{"), self.coin.choice([Push(0.0, None), Push(0.1, BROKEN)])])
        error = b"".join(self.dialect.Encoder(True, "id", 1).feed(Failure("overloaded", "Too much.")))
        ends = [[Push(0.0, None)], [Push(0.0, BROKEN)], [], [Push(0.0, error), Push(0.0, None)]]
        return good._replace(pushes=[*good.pushes[: self.coin.randrange(len(good.pushes) - 2)], *self.coin.choice(ends)])


GOOD = frozenset({"good", "slow"})
NOT_AGAIN = frozenset({"refused"})


# ---- connections


class Call(NamedTuple):
    """One connection that was asked for: by which generation, when, and how it was answered."""

    generation: int
    target: str
    at: float
    answer: Answer


generation_number: ContextVar[int] = ContextVar("generation_number")
"""Whose task asks for a connection."""


class Wire(Channel):
    """One exchange. `open` until it ended or was given up."""

    def __init__(self, answer: Answer, target: str, at: float) -> None:
        """`at`: when its connection was asked for."""
        self.answer = answer
        self.target = target
        self.at = at
        self.open = True
        self._receiver: Receiver | None = None
        self._loop = asyncio.get_running_loop()
        self._left = list(answer.pushes)
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether somebody still wants to hear more of it."""
        return self.open and not getattr(self._receiver, "_over", False)

    def send(self, request: bytes, receiver: Receiver) -> None:
        self._receiver = receiver
        self._timer = self._loop.call_later(self.answer.head, self._head)

    def _head(self) -> None:
        assert self._receiver is not None
        self._receiver.on_head(self.answer.status, self.answer.headers)
        self._arm()

    def _arm(self) -> None:
        if self._left and self.open and not self._paused:
            self._timer = self._loop.call_later(self._left[0].after, self._push)

    def _push(self) -> None:
        assert self._receiver is not None
        what = self._left.pop(0).what
        if isinstance(what, bytes):
            self._receiver.on_data(what)
            self._arm()
            return
        self.open = False
        if what is None:
            self._receiver.on_end()
        else:
            self._receiver.on_failure(what)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._arm()

    def abort(self) -> None:
        self.open = False
        if self._timer is not None:
            self._timer.cancel()


class Net:
    """All providers by their origins' hosts, and every call that was made."""

    def __init__(self, providers: dict[str, Provider]) -> None:
        self.providers = providers
        self.calls: list[Call] = []
        self.wires: list[Wire] = []
        self.streams: dict[int, bool] = {}
        self.most: Counter[str] = Counter()
        """Exchanges at one time, by their targets."""

    def take(self, origin: Origin) -> Wire | None:
        return None

    async def open(self, origin: Origin, timeout: float) -> Channel | Failure:
        number, loop = generation_number.get(), asyncio.get_running_loop()
        answer = self.providers[origin.host].answer(self.streams[number], f"{origin.host}.{number}.{len(self.calls)}")
        began = loop.time()
        self.calls.append(Call(number, origin.host, began, answer))
        if isinstance(answer.opens, Failure):
            return answer.opens
        if answer.opens > timeout:
            await asyncio.sleep(timeout)
            return Failure("timeout", "Connecting took too long.", code="connect")
        await asyncio.sleep(answer.opens)
        wire = Wire(answer, origin.host, began)
        self.wires.append(wire)
        busy = sum(wire.busy for wire in self.wires if wire.target == origin.host)
        self.most[origin.host] = max(self.most[origin.host], busy)
        return wire

    def close(self) -> None: ...
