"""Where frames stand: those of one generation together, in order."""

from __future__ import annotations

SPAN = 1 << 32
"""How many frames each generation has places for."""


def place_of(number: int, frame: int) -> int:
    """The place of a frame of the generation of that number, before which there are `frame` others."""
    return number * SPAN + frame
