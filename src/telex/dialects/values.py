"""Values as providers send them: numbers that may be strings, fields that may say nothing, base64 in two alphabets."""

from __future__ import annotations

import binascii
import math


def count(value: object) -> int:
    """A number of things that some provider sent: anything else counts as none."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return max(0, value) if isinstance(value, int) else 0


def seconds(value: object) -> float | None:
    """A time in seconds, where that is what it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < math.inf else None


def meaningful(value: object) -> bool:
    return value is not None and value != {} and value != []


def standard_base64(text: str) -> str | None:
    """The same bytes in the standard alphabet, padded; None if it is not base64, or nothing."""
    text = text.replace("-", "+").replace("_", "/").rstrip("=")
    text += "=" * (-len(text) % 4)
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    return text or None
