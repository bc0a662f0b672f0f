"""The state of a decoder: the items of a response that have begun, and the pieces of them that are parts."""

from __future__ import annotations

from typing import Any

from telex.core.json import join
from telex.core.messages import Fields, PartKind
from telex.dialects.openai_responses.parts import CONTENT_TYPE
from telex.dialects.values import meaningful

ITEM_FIELDS = frozenset(
    {"type", "status", "role", "content", "summary", "encrypted_content", "call_id", "name", "arguments", "input"},
)
"""Fields of items of the kinds that have words; what else they have is kept."""

FLOWS: dict[str, tuple[str, str]] = {
    "output_text": ("message", "output_text"),
    "refusal": ("message", "refusal"),
    "reasoning_text": ("reasoning", CONTENT_TYPE),
    "reasoning": ("reasoning", CONTENT_TYPE),
    "reasoning_summary_text": ("reasoning", "summary_text"),
    "function_call_arguments": ("function_call", "arguments"),
    "custom_tool_call_input": ("custom_tool_call", "input"),
}
"""Families of events of which words are made, by their names: the type of the item, and of the piece that they belong to."""

CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The items that are calls, and where what was called with is."""

KINDS: dict[str, PartKind] = {
    "output_text": "text",
    "refusal": "refusal",
    CONTENT_TYPE: "reasoning",
    "summary_text": "reasoning",
    "arguments": "tool_call",
    "input": "tool_call",
}
"""What parts the pieces are."""


class Piece:
    """`part`: its index. `offset`: characters of the choice's text before it. `sources`, `tokens`: how many were told."""

    __slots__ = ("ended", "kind", "offset", "part", "said", "sources", "tokens")

    def __init__(self, part: int, kind: PartKind, offset: int) -> None:
        self.part = part
        self.kind = kind
        self.offset = offset
        self.said: list[str] = []
        self.sources = self.tokens = 0
        self.ended = False

    @property
    def text(self) -> str:
        return join(self.said)


class Item:
    """`wire`: as it began. `current`: the piece that has not ended."""

    __slots__ = ("current", "done", "id", "pieces", "type", "wire")

    def __init__(self, wire: Fields) -> None:
        self.wire = wire
        self.type = str(wire.get("type") or "")
        self.id = str(wire.get("id") or "")
        self.pieces: dict[tuple[str, int], Piece] = {}
        self.current: Piece | None = None
        self.done = False

    @property
    def fields(self) -> Fields:
        """What it has beyond its words."""
        return {k: v for k, v in self.wire.items() if k not in ITEM_FIELDS and meaningful(v)}


def unseen(items: dict[int, Item], output: list[Any]) -> tuple[list[tuple[Item, Fields]], list[Fields]]:
    """The items of a whole response: those that were seen, each with what it became, and the others.

    Ids tell which is which; where a relay gives an item another id each time, its type does, in the order of both.
    """
    wires = [wire for wire in output if isinstance(wire, dict)]
    seen = [item for _, item in sorted(items.items())]
    ids = {item.id for item in seen if item.id}
    stable = any(wire.get("id") in ids for wire in wires if isinstance(wire.get("id"), str))
    pairs: list[tuple[Item, Fields]] = []
    others: list[Fields] = []
    for wire in wires:
        item = next((item for item in seen if (item.id == wire.get("id") if stable else item.type == wire.get("type"))), None)
        if item is None:
            others.append(wire)
        else:
            seen.remove(item)
            pairs.append((item, wire))
    return pairs, others
