"""Where a prompt may be cut, so that a provider keeps what stands before: Anthropic's `cache_control`.

Source of the format: Anthropic's guide, "Prompt caching".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from telex.core.messages import Fields, Keeping, Request

MARK = "cache_control"
AUTOMATIC: Fields = {"type": "ephemeral"}
"""What stands for a key to a cache: Anthropic finds what it keeps by the words themselves, if it is asked to keep them."""

MARKS: dict[Keeping, Fields] = {"short": AUTOMATIC, "long": {"type": "ephemeral", "ttl": "1h"}}
"""`short` is 5 minutes here, counted anew with each use."""

UNMARKED = frozenset({"thinking", "redacted_thinking"})
LIMIT = 4
"""Marks that a request may have, the automatic one among them."""


def read_mark(wire: Fields) -> dict[str, Any]:
    """What a block's mark says in the words of a part, if it has one that those can say."""
    match wire.get(MARK):
        case {"type": "ephemeral", **more} if not more.keys() - {"ttl"}:
            return {"cache": "long" if more.get("ttl") == "1h" else "short"}
    return {}


def marked(block: Fields, cache: Keeping | None) -> Fields:
    return block if cache is None or block["type"] in UNMARKED else {**block, MARK: MARKS[cache]}


def settle(system: str | list[Fields] | None, messages: list[Fields], room: int) -> None:
    """Leave the last marks that may be, since each keeps all that stands before it; and none shorter than one behind it, which would be
    refused. `room`: how many may be."""
    blocks = [block for content in (system, *(message["content"] for message in messages)) for block in with_marks(content)]
    for block in blocks[: max(0, len(blocks) - room)]:
        del block[MARK]
    long = False
    for block in reversed(blocks[-room:]):
        long = long or block[MARK] == MARKS["long"]
        block[MARK] = MARKS["long" if long else "short"]


def with_marks(content: Any) -> Iterator[Fields]:
    """The blocks with a mark, and those within them, in their order."""
    for block in content if isinstance(content, list) else ():
        yield from with_marks(block.get("content"))
        if MARK in block:
            yield block


def room_for(request: Request) -> int:
    return LIMIT - bool(request.cache_key)


def crowded(request: Request) -> bool:
    """Whether some marks have no place."""
    parts = [inner for message in request.messages for part in message.parts for inner in (*part.parts, part) if inner.cache]
    return len(parts) > room_for(request) or any(part.kind == "reasoning" for part in parts)
