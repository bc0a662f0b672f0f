"""What an attempt needs of an event loop: the time, timers, and something to settle. And a stand-in for a thread that has none."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Promise(Protocol[T]):
    """Settled once: by a result, or by a mistake of ours."""

    def done(self) -> bool: ...
    def set_result(self, result: T, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...
    def result(self) -> T: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """Times are in seconds of its own monotonic clock."""

    def time(self) -> float: ...
    def create_future(self) -> Promise[Any]: ...
    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer: ...
    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


class Alarm:
    """A timer of `Timers`."""

    def __init__(self, alarms: list[Alarm], when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self._alarms = alarms
        alarms.append(self)

    def cancel(self) -> None:
        if self in self._alarms:
            self._alarms.remove(self)


class Timers:
    """The timers of one thread: it asks how long it may wait, and calls what is due when it has waited."""

    def __init__(self) -> None:
        self._alarms: list[Alarm] = []  # one or two

    def time(self) -> float:
        return time.monotonic()

    def create_future(self) -> Future[Any]:
        return Future()

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        return Alarm(self._alarms, when, callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Alarm:
        return self.call_at(self.time() + delay, callback)

    def left(self) -> float | None:
        """Seconds until the first is due, None if there is none."""
        return max(0.0, min(alarm.when for alarm in self._alarms) - self.time()) if self._alarms else None

    def run(self) -> None:
        """Call those that are due."""
        now = self.time()
        for alarm in [alarm for alarm in self._alarms if alarm.when <= now]:
            alarm.cancel()
            alarm.callback()
