"""How a number is told."""

from __future__ import annotations

import os

from telex.metering.meter import quantile

SEED = int(os.environ.get("TELEX_SEED", "1"))


def tell(promise: str, what: str) -> None:
    print(f"\n{promise}: {what}", flush=True)


def spread(seconds: list[float]) -> str:
    return ", ".join(f"{name} {at(seconds, q) * 1000:.1f} ms" for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)))


def at(seconds: list[float], q: float) -> float:
    """A quantile."""
    return quantile(sorted(seconds), q) or 0.0
