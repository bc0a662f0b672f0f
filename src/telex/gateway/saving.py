"""What is used of limits outlives the process: it is saved every few seconds, and read again at the next start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec.structs import replace

from telex.generation.traffic import Traffic
from telex.limits.table import Count
from telex.limits.window import SECONDS
from telex.stores.ports import Counters, StoreError
from telex.telemetry.logs import log

EVERY = 5.0
"""Seconds between two savings: so much is not known behind a process that was killed."""


class Saving:
    """Of one process. Stores have the time of the day, limits a clock of their own. A store that fails is told of in the log, and no
    request waits for it."""

    def __init__(self, traffic: Traffic, counters: Counters, clock: Callable[[], float]) -> None:
        self._traffic = traffic
        self._counters = counters
        self._clock = clock
        self._saved: list[Count] = []

    @property
    def _ahead(self) -> float:
        """How far the time of the day is ahead of the clock."""
        return time.time() - self._clock()

    async def load(self) -> None:
        """Go on from what was saved, before anything is asked for."""
        ahead = self._ahead
        try:
            counts = await asyncio.wrap_future(self._counters.load(time.time() - SECONDS))
        except StoreError as error:
            log.warning("limits", not_loaded=str(error))
            return
        now = self._clock()  # no count is younger, whatever was done to the time of the day
        self._traffic.limits.restore(replace(count, at=min(count.at - ahead, now)) for count in counts)

    async def save(self) -> None:
        counts = self._traffic.dump(self._clock())
        if counts == self._saved:
            return
        ahead = self._ahead
        try:
            await asyncio.wrap_future(self._counters.save([replace(count, at=count.at + ahead) for count in counts]))
        except StoreError as error:
            log.warning("limits", not_saved=str(error))
        else:
            self._saved = counts

    async def go_on(self) -> None:
        """Save now and then."""
        while True:
            await asyncio.sleep(EVERY)
            await self.save()
