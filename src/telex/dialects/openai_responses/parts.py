"""Pieces of a message's content, and what every item of a conversation may be, to parts of the vocabulary."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from telex.core.messages import Citation, Fields, Keeping, Part
from telex.dialects.openai_chat.caching import MARK, read_mark
from telex.dialects.openai_chat.parts import split_data_url, to_provider_part
from telex.dialects.reading import WrongField, base64, inner, rest, said, text
from telex.dialects.values import standard_base64

NAME = "openai-responses"
TEXTS = frozenset({"input_text", "output_text", "text"})
CONTENT_TYPE = "reasoning_text"
"""The type of reasoning that is shown as it is; what has another is a summary."""


def extras(fields: Fields) -> dict[str, Any]:
    """Fields without a word, and whose they are, as a part keeps them."""
    return {"dialect": NAME, "extra": fields} if fields else {}


def own(part: Part) -> Fields:
    """What a part keeps that is in this dialect's words."""
    return part.extra if part.dialect == NAME else {}


def to_part(wire: Fields, place: str, offset: int = 0, usual: Keeping = "short") -> Part:
    """A piece of content, with its mark. `offset`: characters of the text before it; `usual`: how long a mark lasts that does not say."""
    life = read_mark(wire.get(MARK), usual)
    return replace(unmarked_part(rest(wire, MARK), place, offset), cache=life) if life else unmarked_part(wire, place, offset)


def unmarked_part(wire: Fields, place: str, offset: int) -> Part:
    kind = wire.get("type")
    if not isinstance(kind, str):
        raise WrongField(f"{place}.type", "expected str")
    if kind in TEXTS:
        sources = to_citations(said(wire, "annotations", place, list), offset)
        return Part("text", text(wire, "text", place), citations=sources, **extras(rest(wire, "type", "text", "annotations", "logprobs")))
    match kind:
        case "refusal":
            return Part("refusal", text(wire, "refusal", place))
        case "input_image":
            return to_image(wire, place)
        case "input_file":
            return to_file(wire, place)
        case "input_audio":
            audio, where = inner(wire, kind, place), f"{place}.{kind}"
            data, format = base64(text(audio, "data", where), f"{where}.data"), text(audio, "format", where)
            return Part("audio", data=data, media_type=f"audio/{format}", **extras(rest(wire, "type", kind)))
        case "provider_part":
            return to_provider_part(wire, place)
    return Part("opaque", tool=kind, dialect=NAME, extra=wire)


def to_image(wire: Fields, place: str) -> Part:
    where, more = f"{place}.image_url", extras(rest(wire, "type", "image_url", "file_id"))
    url, id = said(wire, "image_url", place, str) or "", said(wire, "file_id", place, str) or ""
    if id and not url:
        return Part("image", id=id, **more)
    if url.startswith("data:"):
        media_type, data = split_data_url(url, where)
        if not media_type.startswith("image/"):
            raise WrongField(where, f"'{media_type}' is no type of image")
        return Part("image", data=data, media_type=media_type, **more)
    if not url.startswith(("http://", "https://")):
        raise WrongField(where, "expected an image as a data: URL, or the http(s) URL of one")
    return Part("image", url=url, **more)


def to_file(wire: Fields, place: str) -> Part:
    fields = ("file_id", "filename", "file_data", "file_url")
    id, name, data, url = (said(wire, field, place, str) or "" for field in fields)
    if url and not url.startswith(("http://", "https://")):
        raise WrongField(f"{place}.file_url", "expected the http(s) URL of a file")
    media_type = ""
    if data.startswith("data:"):
        media_type, data = split_data_url(data, f"{place}.file_data")
    elif data:
        media_type = "application/pdf" if name.lower().endswith(".pdf") else "application/octet-stream"
        data = base64(data, f"{place}.file_data")
    return Part("file", id=id, name=name, url=url, data=data, media_type=media_type, **extras(rest(wire, "type", *fields)))


def to_citations(wires: list[Any] | None, offset: int) -> tuple[Citation, ...]:
    return tuple(to_citation(wire, offset) for wire in wires or () if isinstance(wire, dict))


def to_citation(wire: Fields, offset: int) -> Citation:
    """An annotation of any kind. `offset`: characters of the choice's text before the text that it annotates."""
    url, title, name, quote = (value if isinstance(value := wire.get(f), str) else "" for f in ("url", "title", "filename", "quote"))
    start, end = (value if type(value := wire.get(f)) is int and value >= 0 else 0 for f in ("start_index", "end_index"))
    if start or end:
        start, end = start + offset, end + offset
    native = wire.get("provider_citation")
    if isinstance(native, dict):
        return Citation(url, title, start, end, quote, str(native.get("dialect") or ""), rest(native, "dialect"))
    return Citation(url, title or name, start, end, quote, NAME, wire)


def to_picture(item: Fields) -> Part | None:
    """The image that an `image_generation_call` made; None where there is none to show."""
    result, url, format = (item.get(name) for name in ("result", "image_url", "output_format"))
    data = standard_base64(result) if isinstance(result, str) else None
    if not data and not isinstance(url, str):
        return None
    media_type = f"image/{format if isinstance(format, str) else 'png'}" if data else ""
    more = extras(rest(item, "type", "status", "result", "image_url"))
    return Part("image", url="" if data else str(url), data=data or "", media_type=media_type, **more)
