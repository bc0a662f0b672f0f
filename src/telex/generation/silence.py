"""Notices that a connection gives no sign of life any more."""

from __future__ import annotations

from collections.abc import Callable

from telex.upstream.timers import Loop, Timer


class Silence:
    """One timer: it looks when the silence could be too long, and again if life was seen since. While it is `paused` nobody listens, so
    there is none."""

    def __init__(self, loop: Loop, limit: float, broken: Callable[[], None]) -> None:
        """`limit`: seconds without a sign of life after which `broken` is called."""
        self.paused = False
        self._loop = loop
        self._limit = limit
        self._broken = broken
        self._began = self._heard = 0.0
        self._timer: Timer | None = None

    @property
    def lasted(self) -> float:
        """Seconds from the beginning of the watch to the last sign of life."""
        return self._heard - self._began

    def watch(self) -> None:
        """From now on."""
        self.hear()
        self._began = self._heard
        if self._timer is None:
            self._look()

    def hear(self) -> None:
        """A sign of life."""
        self._heard = self._loop.time()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        if self.paused:
            self._heard = now
        if now < self._heard + self._limit:
            self._timer = self._loop.call_at(self._heard + self._limit, self._look)
        else:
            self._broken()
