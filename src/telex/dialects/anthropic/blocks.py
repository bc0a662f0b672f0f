"""Content blocks to parts of the vocabulary: those of requests, those of replies, and what Telex itself put into one for another dialect.

Source of the format: Anthropic's API reference, "Create a Message".
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from msgspec.structs import replace

from telex.core.messages import Citation, Fields, Part, PartKind
from telex.dialects.anthropic.caching import MARK, read_mark
from telex.dialects.anthropic.citations import to_citation
from telex.dialects.anthropic.words import NAME, from_input
from telex.dialects.marks import hoist_marks
from telex.dialects.reading import WrongField, base64, inner, rest, said, text
from telex.dialects.seal import unseal

PROVIDER_PART = "provider_part"
"""The type of a block that holds a part which only another dialect's provider understands."""

TEXT_SOURCE = "text/plain"


def to_parts(blocks: list[Fields], place: str) -> list[Part]:
    """The content of a message of a request. A signature in a block of its own is that of the text or call before it."""
    parts: list[Part] = []
    for number, block in enumerate(blocks):
        part = to_part(block, f"{place}[{number}]")
        signs = part.kind == "reasoning" and bool(part.signature) and not part.text
        if signs and block["type"] == "redacted_thinking" and parts and parts[-1].kind in ("text", "tool_call"):
            parts[-1] = replace(parts[-1], signature=part.signature, dialect=part.dialect, extra={})
        else:
            parts.append(part)
    return parts


def to_part(wire: Fields, place: str) -> Part:
    """A block, with its mark. Raises `WrongField`."""
    life = read_mark(wire.get(MARK))
    part = unmarked_part(rest(wire, MARK) if life else wire, place)
    return hoist_marks(replace(part, cache=life)) if life or part.kind == "tool_result" else part


def unmarked_part(wire: Fields, place: str) -> Part:
    kind = wire.get("type")
    match kind:
        case "text":
            return Part("text", text(wire, "text", place), citations=citations(wire, place), **extras(wire, "text", "citations"))
        case "thinking":
            thought, signature = text(wire, "thinking", place), said(wire, "signature", place, str) or ""
            return Part("reasoning", thought, **(extras(wire, "thinking", "signature") | unsealed(signature)))
        case "redacted_thinking":
            dialect, value, encrypted = unseal(text(wire, "data", place))
            return Part("reasoning", **(extras(wire, "data") | state(value, dialect, encrypted or not dialect)))
        case "tool_use":
            arguments = from_input(inner(wire, "input", place))
            id, name = text(wire, "id", place), text(wire, "name", place)
            return Part("tool_call", arguments, id, name, "function", **extras(wire, "id", "name", "input"))
        case "tool_result":
            return to_result(wire, place)
        case "image" | "document":
            return to_media(wire, place)
        case "provider_part":
            return to_provider_part(wire, place)
        case str():
            return to_opaque(wire)
    raise WrongField(f"{place}.type", "expected str")


def extras(wire: Fields, *known: str) -> dict[str, Any]:
    """The fields of a block that no word stands for, and whose they are, as a part keeps them."""
    extra = {name: value for name, value in rest(wire, "type", *known).items() if value is not None}
    return {"dialect": NAME, "extra": extra} if extra else {}


def unsealed(signature: str) -> dict[str, str]:
    """A signature, or what was encrypted elsewhere and came in its place, with whose it is."""
    dialect, value, encrypted = unseal(signature)
    return state(value, dialect, encrypted) if signature else {}


def state(value: str, dialect: str, encrypted: bool) -> dict[str, str]:
    return {"data" if encrypted else "signature": value, "dialect": dialect or NAME}


def citations(wire: Fields, place: str) -> tuple[Citation, ...]:
    several = said(wire, "citations", place, list) or []
    for number, one in enumerate(several):
        if not isinstance(one, dict):
            raise WrongField(f"{place}.citations[{number}]", "expected object")
    return tuple(to_citation(one) for one in several)


def to_result(wire: Fields, place: str) -> Part:
    content = wire.get("content")
    parts: tuple[Part, ...]
    if isinstance(content, str):
        parts = (Part("text", content),)
    else:
        blocks = said(wire, "content", place, list) or []
        parts = tuple(to_part(as_block(block, f"{place}.content[{i}]"), f"{place}.content[{i}]") for i, block in enumerate(blocks))
    failed = said(wire, "is_error", place, bool) or False
    id = text(wire, "tool_use_id", place)
    return Part("tool_result", id=id, parts=parts, is_error=failed, **extras(wire, "tool_use_id", "content", "is_error"))


def as_block(block: object, place: str) -> Fields:
    if not isinstance(block, dict):
        raise WrongField(place, "expected object")
    return block


def to_media(wire: Fields, place: str) -> Part:
    """An image or a document, wherever its bytes are. A source of a kind unknown here makes it its provider's own."""
    kind = wire["type"]
    source, where = inner(wire, "source", place), f"{place}.source"
    more = extras(wire, "source", *(("title",) if kind == "document" else ()))
    named = {"name": said(wire, "title", place, str) or "", **more} if kind == "document" else more
    part: PartKind = "image" if kind == "image" else "file"
    match source.get("type"):
        case "base64":
            return Part(
                part, media_type=media_type(source, kind, where), data=base64(text(source, "data", where), f"{where}.data"), **named
            )
        case "url":
            url = text(source, "url", where)
            if not url.startswith(("http://", "https://")):
                raise WrongField(f"{where}.url", "expected an http(s) URL")
            return Part(part, url=url, **named)
        case "file":
            return Part(part, id=text(source, "file_id", where), **named)
        case "text" if kind == "document":
            data = b64encode(text(source, "data", where).encode("utf-8", "replace")).decode()
            return Part("file", data=data, media_type=TEXT_SOURCE, **named)
        case str():
            return to_opaque(wire)
    raise WrongField(f"{where}.type", "expected str")


def media_type(source: Fields, kind: str, place: str) -> str:
    media_type = text(source, "media_type", place)
    if kind == "image" and not media_type.startswith("image/"):
        raise WrongField(f"{place}.media_type", f"'{media_type}' is no type of image")
    return media_type


def to_provider_part(wire: Fields, place: str) -> Part:
    """What Telex carried for another dialect."""
    part, dialect, tool = inner(wire, "part", place), text(wire, "dialect", place), text(wire, "tool", place)
    if tool == "audio" and not dialect:
        id, transcript, data, type = (said(part, name, f"{place}.part", str) or "" for name in ("id", "transcript", "data", "media_type"))
        return Part("audio", transcript, id, data=data, media_type=type)
    return Part("opaque", said(wire, "text", place, str) or "", tool=tool, dialect=dialect, extra=part)


def to_opaque(wire: Fields) -> Part:
    """A block that only Anthropic understands. What streams into it, its input or a compaction's content, is its text."""
    tool, streamed, extra = str(wire["type"]), "", wire
    if isinstance(input := wire.get("input"), dict):
        streamed, extra = from_input(input), {**wire, "input": {}}
    elif tool == "compaction" and isinstance(wire.get("content"), str | None):
        streamed, extra = wire.get("content") or "", rest(wire, "content")
    return Part("opaque", streamed, tool=tool, dialect=NAME, extra=extra)
