"""Marks of how much of a prompt Anthropic should keep in its cache: of blocks, and of the prompt's end wherever that is.

Source of the format: Anthropic's API reference, `cache_control`, and its guide "Prompt caching".
"""

from __future__ import annotations

from typing import Any

from telex.core.messages import Fields, Keeping, Message, Part, Request

MARK = "cache_control"
LIFETIMES: dict[str, Keeping] = {"5m": "short", "1h": "long"}
MARKS: dict[Keeping, Fields] = {"short": {"type": "ephemeral"}, "long": {"type": "ephemeral", "ttl": "1h"}}
MOST = 4
"""Marks in one request, that of its end included; more are refused."""


def read_mark(mark: object) -> Keeping | None:
    """The lifetime of a mark; None where there is none, or one of a kind unknown here."""
    match mark:
        case {"type": "ephemeral", "ttl": str(ttl), **more} if not more:
            return LIFETIMES.get(ttl)
        case {"type": "ephemeral", **more} if not more or more == {"ttl": None}:
            return "short"
    return None


def takes_mark(part: Part, message: Message) -> bool:
    """Thoughts can't be marked, nor a text of nothing, which is left out."""
    if part.kind in ("text", "refusal"):
        return bool(part.text.strip())
    return part.kind in ("image", "file", "tool_call", "tool_result")


def most_marks(request: Request) -> int:
    return MOST - (end_mark(request) is not None)


def end_mark(request: Request) -> Keeping | None:
    """How long the whole prompt should be kept. A key to a cache asks for it: Anthropic finds what it keeps by the words themselves, if it
    is asked to keep them."""
    if request.cache is None:
        return "short" if request.cache_key else None
    return None if request.cache == "off" else request.cache


def settle_marks(system: str | list[Fields] | None, messages: list[Fields], end: Keeping | None) -> Keeping | None:
    """The mark of its end that a prompt can have: none beside one that its last block has. The blocks' own are put in order: behind a
    mark no longer one may follow, so what stands before that lasts as long."""
    contents: list[Any] = [system, *(message["content"] for message in messages)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    life = end
    for block in reversed(blocks):
        if MARK in block:
            life = "long" if life == "long" else read_mark(block[MARK])
            block[MARK] = MARKS[life or "short"]
    return None if isinstance(contents[-1], list) and MARK in contents[-1][-1] else end
