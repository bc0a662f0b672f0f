"""A crowd of slow readers comes and goes, and nothing of it stays."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from telex.gateway.server import allow_files

from .crowd import town, visit

COUNT = 200


@contextmanager
def few_files(count: int) -> Iterator[None]:
    """What is started inside begins with so low a limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_200_slow_streams_200_who_leave_and_a_second_of_churn_leave_nothing(tmp_path: Path) -> None:
    """No socket stays: a visit ends when all are gone. Each stream takes two, which is more than the gateway may have when it starts."""
    allow_files()  # this process is their other end
    async with AsyncExitStack() as stack:
        with few_files(COUNT):
            place = await stack.enter_async_context(town(tmp_path))
        first = await visit(place, COUNT, seconds=0.2)  # memory that is taken once is kept
        second = await visit(place, COUNT, seconds=1.0)
    assert second.files >= 2 * COUNT
    assert second.rss[2] - first.rss[2] < 10 << 20
    assert first.each < 1 << 20
    assert all(seconds < 10 for delays in second.noticed.values() for seconds in delays)
