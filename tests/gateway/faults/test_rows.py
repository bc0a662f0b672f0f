"""The fault matrix, as far as an upstream can cause it: each row, streamed and whole, for clients and providers of every dialect."""

from __future__ import annotations

import pytest

from telex.testing import FAULTS, Play

from .conftest import Rig, each_client, each_delivery, each_upstream
from .rows import PORTS, ROWS, UPSTREAMS, row_of


def test_every_fault_has_its_row() -> None:
    assert FAULTS.keys() <= ROWS.keys() | PORTS.keys()
    assert {int(id[3:5]) for id in (*ROWS, *PORTS)} == {*range(1, 31)}
    assert {id for id, _ in UPSTREAMS} <= ROWS.keys()


def play(id: str) -> Play:
    options = {"row06": {"retry_after": 90}, "row29": {"size": 1 << 20}}.get(id[:5], {})
    return FAULTS[id](**options)


@each_delivery
@each_upstream
@each_client
@pytest.mark.parametrize("id", ROWS)
async def test_fault(id: str, client: str, up: str, stream: bool, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.generation.attempt.FINISHED_SECONDS", 0.1)
    if id.startswith("row28"):
        monkeypatch.setattr("telex.generation.attempt.REPLY_LIMIT", 16 << 20)
    row = row_of(id, up, stream)
    row.check(await rig.run(client, up, stream, play(id), limit=row.limit))
