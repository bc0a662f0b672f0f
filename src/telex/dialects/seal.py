"""State that a provider signed or encrypted, carried through a dialect that is not the provider's: marked with whose it is.

Only the dialect that a piece of state comes from may be shown it again, so the mark must come back with it.
"""

from __future__ import annotations

import re

MARK = re.compile(r"([a-z-]{3,32})(/data)?:", re.ASCII)


def seal(dialect: str, value: str, data: bool = False) -> str:
    """`data`: it is encrypted reasoning itself, not a signature of something that can be read."""
    return f"{dialect}{'/data' if data else ''}:{value}"


def unseal(text: str) -> tuple[str, str, bool]:
    """(dialect, value, whether it is data) of what `seal` made; an empty dialect and the text as it is of anything else."""
    if mark := MARK.match(text):
        return mark[1], text[mark.end() :], bool(mark[2])
    return "", text, False
