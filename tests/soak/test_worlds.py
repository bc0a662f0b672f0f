"""The simulation of tests/generation, in many more worlds than CI has time for."""

from __future__ import annotations

import os
import time

import pytest

from generation.test_simulation import run

pytestmark = pytest.mark.soak
FIRST = int(os.environ.get("TELEX_SEED", "10000"))
WORLDS = 50_000


def test_worlds() -> None:
    began = time.monotonic()
    for seed in range(FIRST, FIRST + WORLDS):
        run(seed, peaceful=seed % 5 == 0)
    seconds = time.monotonic() - began
    print(
        f"\nP1, P4, P5, P6, P7: {WORLDS} simulated worlds from seed {FIRST} in {seconds:.0f} s: every promise held",
        flush=True,
    )
