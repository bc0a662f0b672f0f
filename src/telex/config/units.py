"""Times and sizes as people write them: `15m`, `1GB`."""

from __future__ import annotations

import re

TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def seconds_of(text: str) -> float:
    """Raises `ValueError`, whose text is a part of a sentence."""
    return read(text, TIMES, "a time", "15m")


def bytes_of(text: str) -> int:
    """Raises `ValueError`, whose text is a part of a sentence."""
    return int(read(text, SIZES, "a size", "1GB"))


def read(text: str, units: dict[str, int], what: str, example: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text, re.ASCII)
    if found is None or found[2] not in units:
        raise ValueError(f"'{text}' is not {what} as in '{example}'; the units are {', '.join(units)}")
    return float(found[1]) * units[found[2]]
