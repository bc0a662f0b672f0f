"""The events between which an item's content stands, as (type, fields): one family of them for each kind of content."""

from __future__ import annotations

from telex.core.messages import Citation, Fields, Token
from telex.dialects.openai_chat.reply import token
from telex.dialects.openai_responses.output import Item, Piece, annotation, content, item_object, opening
from telex.dialects.openai_responses.parts import CONTENT_TYPE

Events = list[tuple[str, Fields]]
CALLS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


def add(item: Item, piece: Piece) -> Events:
    """An item begins."""
    return [("response.output_item.added", {"output_index": item.index, "item": opening(item, piece.start)})]


def finish(item: Item) -> Events:
    return [("response.output_item.done", {"output_index": item.index, "item": item_object(item)})]


def begin(piece: Piece) -> Events:
    """A piece of content begins. Reasoning has one only once it has words."""
    if (family := family_of(piece)) is None:
        return []
    if piece.item.type == "reasoning":
        piece.number = sum(other.number >= 0 and other.shown == piece.shown for other in piece.item.pieces)
        part: Fields = {"type": reasoning_type(piece), "text": ""}
    else:
        piece.number = piece.item.pieces.index(piece)
        part = part_object(piece)
    return [(f"response.{family[0]}.added", {**place(piece), "part": part})]


def more(piece: Piece, text: str, tokens: tuple[Token, ...] = ()) -> Events:
    """More of what a piece says."""
    if (call := CALLS.get(piece.item.type)) is not None:
        return [(f"{call[0]}.delta", {**where(piece), "delta": text})]
    if (family := family_of(piece)) is None:
        return []
    begun = begin(piece) if piece.number < 0 else []
    logprobs = {"logprobs": [token(one) for one in tokens]} if piece.start.kind == "text" or tokens else {}
    return [*begun, (f"response.{family[1]}.delta", {**place(piece), "delta": text, **logprobs})]


def cite(piece: Piece, citation: Citation) -> Events:
    number = piece.sources
    piece.sources += 1
    source = {"annotation_index": number, "annotation": annotation(citation, piece.offset)}
    return [("response.output_text.annotation.added", {**place(piece), **source})]


def end(piece: Piece) -> Events:
    """A piece is whole."""
    if (call := CALLS.get(piece.item.type)) is not None:
        named = {"name": piece.start.name} if piece.item.type == "function_call" else {}
        return [(f"{call[0]}.done", {**where(piece), call[1]: piece.open.part().text, **named})]
    if (family := family_of(piece)) is None or piece.number < 0:
        return []
    part, (bracket, words) = part_object(piece), family
    said = {"refusal": part["refusal"]} if piece.start.kind == "refusal" else {"text": part["text"]}
    logprobs = {"logprobs": part["logprobs"]} if piece.start.kind == "text" else {}
    return [
        (f"response.{words}.done", {**place(piece), **said, **logprobs}),
        (f"response.{bracket}.done", {**place(piece), "part": part}),
    ]


def family_of(piece: Piece) -> tuple[str, str] | None:
    """(what its brackets are called, what its words are); None of what has no pieces."""
    match piece.start.kind:
        case "text":
            return "content_part", "output_text"
        case "refusal":
            return "content_part", "refusal"
        case "reasoning" if piece.shown:
            return "content_part", CONTENT_TYPE
        case "reasoning":
            return "reasoning_summary_part", "reasoning_summary_text"
    return None


def part_object(piece: Piece) -> Fields:
    """A piece as far as it came."""
    part = piece.open.part()
    if piece.item.type == "message":
        return content(piece, part)
    return {"type": reasoning_type(piece), "text": part.text}


def reasoning_type(piece: Piece) -> str:
    return CONTENT_TYPE if piece.shown else "summary_text"


def where(piece: Piece) -> Fields:
    return {"item_id": piece.item.id, "output_index": piece.item.index}


def place(piece: Piece) -> Fields:
    summary = piece.start.kind == "reasoning" and not piece.shown
    return {**where(piece), "summary_index" if summary else "content_index": piece.number}
