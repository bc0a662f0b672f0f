"""The scripted upstream: a provider on a real loopback socket, on an event loop of its own in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from telex.testing.answers import PROMPT, model_list, say, tokens
from telex.testing.call import PATIENCE, Call, Journal
from telex.testing.connection import Connection
from telex.testing.door import Door, State
from telex.testing.script import Hang, Play, Refuse, Script, resolve

HELLO: Play = say("Hello", " from", " the", " scripted", " upstream", ".")
TOLD: Play = tokens(PROMPT)


class ScriptedUpstream:
    """A fake provider, for sync and async tests alike.

        with ScriptedUpstream(status(429), say("Hello", " world")) as upstream:
            ask(upstream.url)  # http://127.0.0.1:PORT/v1
            [refused, answered] = upstream.wait_for(2)

    Each request takes the next play; the last one is for all the rest. `models` are the names that `GET {url}/models` lists;
    those requests take no play and are kept in `model_calls`. `counting` is played whenever only tokens are to be counted; those
    requests are kept in `count_calls`. `port` 0 takes any that is free. With `tls` it speaks HTTPS.
    What goes wrong inside a play (a function that raises, a script that cannot be) is raised to whoever waits, or at the end.
    """

    def __init__(
        self,
        *plays: Play,
        models: Iterable[str] = ("scripted",),
        counting: Play = TOLD,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listing = model_list(*models)
        self._counting = counting
        self._address = host, port, tls
        self._journal = Journal()
        self._connections: set[Connection] = set()
        self._started = threading.Event()
        self._plays, self._state = queue_of(plays or (HELLO,))

    # ---- what tests see and do

    @property
    def url(self) -> str:
        """The base URL, as a provider row takes it."""
        host, _, tls = self._address
        return f"{'https' if tls else 'http'}://{host}:{self.port}/v1"

    @property
    def port(self) -> int:
        return self._door.port

    @property
    def calls(self) -> list[Call]:
        """The requests so far, in order, from when their heads were read; a copy."""
        return list(self._journal.calls)

    @property
    def model_calls(self) -> list[Call]:
        """The requests for the list of models, which are not among `calls`."""
        return list(self._journal.model_calls)

    @property
    def count_calls(self) -> list[Call]:
        """The requests that only tokens be counted, which are not among `calls`."""
        return list(self._journal.count_calls)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._journal.accepted

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._journal.open

    def play(self, *plays: Play) -> None:
        """From now on play these. The port may begin or cease to refuse; what is open goes on."""
        with self._journal.change():
            self._plays, self._state = queue_of(plays)
        asyncio.run_coroutine_threadsafe(self._turn_door(), self._loop).result()

    def wait_for(self, want: int | Callable[[], object], timeout: float = PATIENCE) -> list[Call]:
        """Block until so many requests have come whole, or until a condition on what this upstream knows holds.

        Returns all requests that came whole. `timeout` in seconds, then `TimeoutError` tells what was seen.
        """
        self._journal.wait(self._condition(want), timeout)
        return self._whole()

    async def until(self, want: int | Callable[[], object], timeout: float = PATIENCE) -> list[Call]:
        """`wait_for` for coroutines."""
        await self._journal.until(self._condition(want), timeout)
        return self._whole()

    def _condition(self, want: int | Callable[[], object]) -> Callable[[], object]:
        return want if callable(want) else lambda: len(self._whole()) >= want

    def _whole(self) -> list[Call]:
        return [call for call in self._journal.calls if call.complete is not None]

    # ---- its life

    def __enter__(self) -> Self:
        self._door = Door(*self._address)
        self._thread = threading.Thread(target=self._run, name=f"scripted-upstream-{self.port}", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._journal.errors:
            self._thread.join()
            self._journal.check()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if error is None:
            self._journal.check()
            return
        for own in self._journal.errors:
            error.add_note(f"In the scripted upstream: {own!r}")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._turn_door()
            self._started.set()
            await self._stop.wait()
        except OSError as error:
            self._journal.fail(error)
        finally:
            self._started.set()
            await self._door.shut()
            for connection in list(self._connections):
                connection.stop()
                await connection.gone.wait()

    async def _turn_door(self) -> None:
        self._door.turn(self._state, self._connect)

    def _connect(self) -> Connection:
        return Connection(self._journal, self._choose, self._connections)

    def _choose(self, call: Call) -> Script:
        if call.lists_models:
            return resolve(self._listing, call)
        if call.counts_tokens:
            return resolve(self._counting, call)
        with self._journal.change():
            play = self._plays.popleft() if len(self._plays) > 1 else self._plays[0]
        return resolve(play, call)


def queue_of(plays: tuple[Play, ...]) -> tuple[deque[Play], State]:
    if not plays:
        raise ValueError("an upstream needs something to play")
    for play in plays:
        if not callable(play) and any(isinstance(step, Refuse | Hang) for step in play):
            if len(plays) > 1 or len(play) > 1:
                raise ValueError("Refuse and Hang are what the port does to everybody: play them alone")
            return deque(plays), "refuse" if isinstance(play[0], Refuse) else "hang"
    return deque(plays), "open"
