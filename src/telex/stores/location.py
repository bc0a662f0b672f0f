"""Where `store` of a telex.toml says that a store is."""

from __future__ import annotations

import re
from pathlib import Path

MEMORY = "memory:"
"""Where what is kept ends with the process."""


class BadLocation(ValueError):
    """A URL at which there can be no store; the text says why."""


def parse_store(url: str) -> Path | None:
    """The file that `sqlite:///telex.db` (in the working directory) or `sqlite:////var/lib/telex.db` names; None for `memory:`, where there
    is no file. Raises `BadLocation`."""
    if url == MEMORY:
        return None
    if url.startswith(("postgresql:", "postgres:")):
        raise BadLocation("PostgreSQL comes in a later version; this one keeps its store in a file, as in 'sqlite:///telex.db'")
    found = re.fullmatch(r"sqlite:///([^?#\0]*[^?#\0/])", url)
    if found is None or found[1] == ":memory:":
        raise BadLocation(f"'{url}' names no file as in 'sqlite:///telex.db' or 'sqlite:////var/lib/telex.db'; without a file: '{MEMORY}'")
    return Path(found[1])
