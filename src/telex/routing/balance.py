"""In which order the targets of a model are tried: those that are not out, by their tiers, and within a tier by how it is balanced."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from telex.routing.health import Health

Delivery = Literal["stream", "complete", "background", "batch"]
Balance = Literal["weighted", "least-latency", "prefix"]


class Candidate(Struct, frozen=True):
    """A provider and what it calls the model. `tier`: a higher one is tried when the lower ones are out. `weight`: its share of the
    requests within its tier. `deliveries`: those that it is for, None for all."""

    provider: str
    model: str
    tier: int = 1
    weight: Annotated[float, Meta(gt=0)] = 1.0
    deliveries: tuple[Delivery, ...] | None = None


Draw = Callable[[], float]
"""Gives numbers from 0 to 1."""


def order(
    targets: Sequence[Candidate], delivery: Delivery, balance: Balance, prefix: bytes, health: Health, now: float, random: Draw
) -> list[int]:
    """Numbers of the targets that are for this delivery. Those that are out come last, the soonest back first: where nothing else is left,
    a provider knows best whether it is back. `prefix`: what prompts share that begin alike."""

    def rank(number: int) -> tuple[float, float, float]:
        target = targets[number]
        if waiting := health.waiting(target, now):
            return math.inf, waiting, 0.0
        if balance == "prefix":
            return target.tier, shared(target, prefix), 0.0
        speed = health.speed(target, now) if balance == "least-latency" else 0.0
        return target.tier, speed, lot(target.weight, random())

    fit = [n for n, target in enumerate(targets) if target.deliveries is None or delivery in target.deliveries]
    return fit if len(fit) < 2 else sorted(fit, key=rank)


def lot(weight: float, drawn: float) -> float:
    """The lowest of several is each one's as often as its weight says (Efraimidis, Spirakis: Weighted random sampling with a reservoir)."""
    return -math.log(max(drawn, 1e-300)) / weight


def shared(target: Candidate, prefix: bytes) -> float:
    """The same lot for the same prefix at the same target, whatever other targets there are: weighted rendezvous hashing."""
    name = f"{target.provider}/{target.model}".encode()
    digest = hashlib.blake2b(prefix, key=hashlib.blake2b(name, digest_size=32).digest(), digest_size=8).digest()
    return lot(target.weight, (int.from_bytes(digest) + 1) / (1 << 64))
