"""`Telex-Timeouts: first_content=2, total=30`: the time limits that a request brings with it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from telex.config import wrong_limit
from telex.core.errors import Failure

NAME = "Telex-Timeouts"
SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def read_limits(headers: Mapping[str, str]) -> dict[str, float] | Failure:
    """Seconds by the names of the configuration; none where the header is not there. `headers`: by their lower-case names."""
    text, limits = headers.get(NAME.lower()), dict[str, float]()
    for item in text.split(",") if text is not None else ():
        name, _, value = (part.strip() for part in item.partition("="))
        if not SECONDS.fullmatch(value):
            return refuse(f"'{item.strip()}' is no name and a number of seconds, as in 'first_content=2, total=30'")
        if name in limits:
            return refuse(f"'{item.strip()}' says '{name}' again")
        limits[name] = float(value)
        if wrong := wrong_limit(name, limits[name]):
            return refuse(wrong)
    return limits


def refuse(why: str) -> Failure:
    return Failure("bad_request", f"Invalid '{NAME}': {why}.", NAME, code="invalid_value")
