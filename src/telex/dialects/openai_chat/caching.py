"""Where a prompt may be cut, so that a provider keeps what stands before: the marks of OpenAI's two dialects.

Source of the format: OpenAI's guide, "Prompt caching".
"""

from __future__ import annotations

from typing import Any

from telex.core.messages import Fields, Keeping, Request

MARK = "prompt_cache_breakpoint"
LONG = "12h"
"""What is kept for longer than the default of 30 minutes; nothing lies between."""


def read_mark(fields: Fields) -> dict[str, Any]:
    """What a piece's mark says in the words of a part, if it has one that those can say."""
    match fields.get(MARK):
        case {"mode": "explicit", **more} if not more.keys() - {"ttl"}:
            return {"cache": "long" if more.get("ttl") == LONG else "short"}
    return {}


def marked(piece: Fields, cache: Keeping | None) -> Fields:
    if cache is None:
        return piece
    return {**piece, MARK: {"mode": "explicit", **({"ttl": LONG} if cache == "long" else {})}}


def withheld(request: Request) -> frozenset[str]:
    """What the model itself said can't be marked here."""
    own = (part for message in request.messages if message.role == "assistant" for part in message.parts)
    return frozenset({"parts.cache"}) if any(part.cache for part in own) else frozenset()
