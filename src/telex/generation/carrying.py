"""Those who open the connections of an answer that resumes: one awaits, one blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import httpx2

from telex.core.errors import Failure
from telex.generation.resuming import Resuming
from telex.upstream import blocking
from telex.upstream.blocking import Exchange
from telex.upstream.fetch import fetch
from telex.upstream.pool import Connections
from telex.upstream.timers import Timers

FAREWELL = 1.0
"""Seconds for telling a gateway that nobody wants the rest."""

Patience = Callable[[], float]
"""Seconds that connecting may take now."""

Consult = Callable[[], Awaitable[Failure | None]]
"""Asks the gateway's record why there is no more; None where that is not so, or nobody knows."""


async def carry(resuming: Resuming, pool: Connections, patience: Patience, consult: Consult | None = None) -> None:
    """Open one connection after the other until it is over, and say farewell where that is due."""
    task, broke, loop = asyncio.current_task(), asyncio.Event(), asyncio.get_running_loop()
    assert task is not None

    def stir() -> None:
        broke.set()
        if resuming.over and asyncio.current_task() is not task:
            task.cancel()  # whatever it waits for

    resuming.stirred = stir
    try:
        while not resuming.over:
            broke.clear()
            wish = resuming.next
            await asyncio.sleep(wish.due - loop.time())
            connection = None if wish.fresh else pool.take(resuming.origin)
            opened = connection or await pool.open(resuming.origin, patience())
            if isinstance(opened, Failure):
                resuming.on_failure(opened)
            else:
                resuming.begin(opened)
                opened.send(wish.request, resuming)
            await broke.wait()
            if resuming.doubtful and consult is not None and (why := await consult()) is not None:
                resuming.conclude(why)
    except asyncio.CancelledError:
        if not resuming.over:
            resuming.abort()
            raise
    except Exception as bug:
        resuming.on_bug(bug)
    if (endpoint := resuming.farewell) is not None:
        await fetch(pool, endpoint, b"", FAREWELL)


class Carrier:
    """The same for a thread: it calls `pump` until it is `over`, as with an `Exchange`; another may `cut` it at any time."""

    def __init__(self, resuming: Resuming, transport: httpx2.BaseTransport, timers: Timers, patience: Patience) -> None:
        self._resuming = resuming
        self._transport = transport
        self._timers = timers
        self._patience = patience
        self._exchange: Exchange | None = None
        self._pumping = False
        self._cut = threading.Event()
        self._parting = threading.Lock()
        self._parted = False

    @property
    def over(self) -> bool:
        return self._resuming.over and (self._exchange is None or self._exchange.over)

    def pump(self) -> None:
        """Wait for something to arrive, or for the time to ask again. Time limits that are over are told meanwhile."""
        self._pumping = True
        try:
            if self._exchange is None or self._exchange.over:
                self._ask()
            if self._exchange is not None and not self._exchange.over:
                self._resuming.attend()
                self._exchange.pump()
        finally:
            self._pumping = False
        if self._resuming.over:
            self._part()

    def _ask(self) -> None:
        """Begin the next exchange when it is due, unless it is over meanwhile."""
        resuming, wish = self._resuming, self._resuming.next
        while (left := wish.due - self._timers.time()) > 0 and not resuming.over and not self._cut.is_set():
            alarm = self._timers.left()
            self._cut.wait(left if alarm is None else min(left, alarm))
            self._timers.run()
        if resuming.over or self._cut.is_set():
            return
        exchange = Exchange(self._transport, resuming.origin, self._timers, self._patience())
        exchange.send(wish.request, resuming, lambda: resuming.begin(exchange))
        self._exchange = exchange
        if self._cut.is_set():
            exchange.cut()

    def abort(self) -> None:
        """Close at once, and say farewell where that is due."""
        self._resuming.abort()
        if self._exchange is not None:
            self._exchange.abort()
        if not self._pumping:  # else when what it waits for has returned
            self._part()

    def cut(self) -> None:
        """End the connection under whoever waits on it. Where nobody does, nobody else would say farewell soon."""
        self._cut.set()
        if (exchange := self._exchange) is not None:
            exchange.cut()
        if not self._pumping:
            self._part()

    def _part(self) -> None:
        """Say farewell, once."""
        with self._parting:
            if not self._parted and (endpoint := self._resuming.farewell) is not None:
                self._parted = True
                blocking.fetch(self._transport, endpoint, FAREWELL)
