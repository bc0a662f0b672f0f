"""P10 with its numbers: 200 open streams and a SIGTERM."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.draining import drain_many

from .telling import tell

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("drain", [5.0, 30.0])
async def test_p10_two_hundred_streams_are_drained(drain: float, tmp_path: Path) -> None:
    seen = await drain_many(tmp_path, streams=200, drain=drain, short=2.0)
    tell(
        "P10",
        f"200 streams, a drain of {drain:g} s: {seen.whole} ended whole, {seen.told} with an error that says why, {seen.silent} in "
        f"silence; readiness said no after {seen.not_ready * 1000:.1f} ms, gone {seen.gone - drain:.2f} s behind the drain; "
        "promised 0 in silence, 100 ms, 2 s",
    )
    assert seen.silent == 0
    assert seen.not_ready < 1
    assert seen.gone < drain + 20
