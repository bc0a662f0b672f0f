"""The items of `output`, built from parts: text is pieces of a message, thoughts are pieces of reasoning, the rest is an item each.

What other dialects say and this one has no item for is a `provider_part`, or stands in an item's own fields: state that they signed
or encrypted in `encrypted_content`, marked with whose it is.
"""

from __future__ import annotations

from telex.core.events import PartStart
from telex.core.fold import OpenPart
from telex.core.messages import Citation, Fields, Part, Token
from telex.dialects.openai_chat.reply import token
from telex.dialects.openai_responses.parts import CONTENT_TYPE, NAME, own
from telex.dialects.seal import seal

TEXT_KINDS = ("text", "refusal")
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "image_generation_call": "ig",
    "provider_part": "pp",
}
"""How the ids of items begin that Telex makes up."""


class Piece:
    """A part on its way out. `number`: its place among its like in the item, -1 until it has one. `offset`: characters of the
    choice's text before it. `tokens`: their log probabilities. `sources`: how many citations of it have been told."""

    __slots__ = ("ended", "item", "number", "offset", "open", "sources", "tokens")

    def __init__(self, item: Item, start: PartStart, offset: int) -> None:
        self.item = item
        self.open = OpenPart(start)
        self.offset = offset
        self.number = -1
        self.sources = 0
        self.tokens: list[Token] = []
        self.ended = False

    @property
    def start(self) -> PartStart:
        return self.open.start

    @property
    def shown(self) -> bool:
        """Whether this reasoning is shown as it is, and no summary."""
        return bool(self.start.dialect == NAME and self.start.extra.get("type") == CONTENT_TYPE)


class Item:
    """An item of the output while it grows. `index`: its place; `id`: where it has one of its own."""

    __slots__ = ("closed", "id", "index", "pieces", "status", "type")

    def __init__(self, type: str, id: str, index: int) -> None:
        self.type = type
        self.id = id
        self.index = index
        self.pieces: list[Piece] = []
        self.status = "in_progress"
        self.closed = False

    def takes(self, start: PartStart) -> bool:
        """Whether a part that starts now is one more piece of this item."""
        if self.closed or self.type not in ("message", "reasoning") or self.type != item_type(start):
            return False
        before = self.pieces[-1].open
        if self.type == "reasoning":
            return bool(start.id) and start.id == before.start.id
        return not before.signature and item_fields(start) == item_fields(before.start)


def item_type(start: PartStart) -> str:
    match start.kind:
        case "text" | "refusal":
            return "message"
        case "reasoning":
            return "reasoning"
        case "tool_call":
            return "custom_tool_call" if start.tool == "custom" else "function_call"
        case "image":
            return "image_generation_call"
        case "opaque" if start.dialect == NAME:
            return start.tool
    return "provider_part"


def item_fields(start: PartStart) -> Fields:
    """The fields beyond its word that the item of a part came with: its id and what else it has, not what its content has."""
    if start.dialect != NAME:
        return {}
    return {k: v for k, v in start.extra.items() if k not in ("content", "type")}


def opening(item: Item, start: PartStart) -> Fields:
    """An item that begins: the fields of it that are known before its content is."""
    more = {k: v for k, v in item_fields(start).items() if k != "id"}
    match item.type:
        case "message":
            return {"id": item.id, "type": "message", "status": item.status, "role": "assistant", "content": [], **more}
        case "reasoning":
            return {"id": item.id, "type": "reasoning", "summary": [], **more}
        case "function_call" | "custom_tool_call":
            field, id = "arguments" if item.type == "function_call" else "input", start.id or f"call_{item.id}"
            return {"id": item.id, "type": item.type, "status": item.status, "call_id": id, "name": start.name, field: "", **more}
        case "image_generation_call" if start.kind == "image":
            format = {"output_format": start.media_type.removeprefix("image/")} if start.media_type else {}
            return {"id": item.id, "type": item.type, "status": item.status, "result": None, **format, **more}
    if start.kind == "opaque" and start.dialect == NAME:
        return start.extra
    return {"type": item.type, "id": item.id, "dialect": start.dialect, "tool": start.tool or start.kind, "part": start.extra}


def item_object(item: Item) -> Fields:
    """An item, as far as it came."""
    first = item.pieces[0]
    body, parts = opening(item, first.start), [piece.open.part() for piece in item.pieces]
    match item.type:
        case "message":
            return {**body, "content": [content(piece, part) for piece, part in zip(item.pieces, parts, strict=True)]}
        case "reasoning":
            return {**body, **reasoning(item.pieces, parts)}
        case "function_call":
            return {**body, "arguments": parts[0].text}
        case "custom_tool_call":
            return {**body, "input": parts[0].text}
        case "image_generation_call" if parts[0].kind == "image":
            return {**body, **({"image_url": parts[0].url} if parts[0].url else {"result": parts[0].data})}
    if item.type == "provider_part":
        return {**body, **provider_part(parts[0])}
    return body


def provider_part(part: Part) -> Fields:
    """A part that only its own provider understands, or that no item of this dialect can be."""
    if part.kind == "opaque":
        return {"text": part.text} if part.text else {}
    named = {"id": part.id, "name": part.name, "url": part.url, "media_type": part.media_type, "data": part.data, "text": part.text}
    return {"part": {**part.extra, **{k: v for k, v in named.items() if v}}}


def content(piece: Piece, part: Part) -> Fields:
    """A piece of a message."""
    tokens = [token(one) for one in piece.tokens]
    more = own(part).get("content", {})
    if part.kind == "refusal":
        return {"type": "refusal", "refusal": part.text, **({"logprobs": tokens} if tokens else {}), **more}
    sources = [annotation(one, piece.offset) for one in part.citations]
    return {"type": "output_text", "text": part.text, "annotations": sources, "logprobs": tokens, **more}


def reasoning(pieces: list[Piece], parts: list[Part]) -> Fields:
    summary: list[Fields] = []
    shown: list[Fields] = []
    fields: Fields = {"summary": summary}
    for piece, part in zip(pieces, parts, strict=True):
        if part.text and piece.shown:
            shown.append({"type": CONTENT_TYPE, "text": part.text})
        elif part.text:
            summary.append({"type": "summary_text", "text": part.text})
        if part.data or part.signature:
            fields["encrypted_content"] = encrypted(part)
    return {**fields, "content": shown} if shown else fields


def encrypted(part: Part) -> str:
    """What only the model's own provider can read of a thought, marked with whose it is if that is not this dialect."""
    if part.dialect in ("", NAME):
        return part.data or part.signature
    return seal(part.dialect, part.data, data=True) if part.data else seal(part.dialect, part.signature)


def annotation(citation: Citation, offset: int) -> Fields:
    """A citation as this dialect writes them; as its own dialect wrote it, it stands beside that."""
    if citation.dialect == NAME:
        return citation.fields
    start, end = max(0, citation.start - offset), max(0, citation.end - offset)
    body: Fields = {"type": "url_citation", "start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
    if citation.quote:
        body["quote"] = citation.quote
    return {**body, "provider_citation": {"dialect": citation.dialect, **citation.fields}} if citation.dialect else body
