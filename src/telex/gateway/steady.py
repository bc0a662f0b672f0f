"""The time of the day as a process tells it: read once, then counted on, so that nothing is early or late because somebody set a clock."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_time() -> Callable[[], float]:
    """Seconds since 1970, which only go forward."""
    ahead = time.time() - time.monotonic()
    return lambda: time.monotonic() + ahead
