"""Pieces of a message's content, of its calls and of what else it brings, to parts of the vocabulary."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from telex.core.messages import Citation, Fields, Part
from telex.dialects.openai_chat.caching import MARK, read_mark
from telex.dialects.openai_chat.signatures import read_signature
from telex.dialects.reading import WrongField, base64, inner, rest, said, text

NAME = "openai-chat"


def to_part(wire: Fields, place: str) -> Part:
    """A piece of content, with its mark."""
    life = read_mark(wire.get(MARK))
    return replace(unmarked_part(rest(wire, MARK), place), cache=life) if life else unmarked_part(wire, place)


def unmarked_part(wire: Fields, place: str) -> Part:
    kind = wire.get("type")
    if not isinstance(kind, str):
        raise WrongField(f"{place}.type", "expected str")
    match kind:
        case "text":
            return Part("text", text(wire, "text", place), **extras(rest(wire, "type", "text")))
        case "refusal":
            return Part("refusal", text(wire, "refusal", place))
        case "image_url":
            return to_image(wire, place)
        case "input_audio":
            audio = inner(wire, kind, place)
            format = text(audio, "format", f"{place}.{kind}")
            data = base64(text(audio, "data", f"{place}.{kind}"), f"{place}.{kind}.data")
            return Part("audio", data=data, media_type=f"audio/{format}", **extras(rest(wire, "type", kind)))
        case "file":
            return to_file(wire, place)
    return Part("opaque", tool=kind, dialect=NAME, extra=wire)


def to_image(wire: Fields, place: str) -> Part:
    image, where = inner(wire, "image_url", place), f"{place}.image_url.url"
    url, more = text(image, "url", f"{place}.image_url"), {**rest(wire, "type", "image_url"), **rest(image, "url")}
    if url.startswith("data:"):
        media_type, data = split_data_url(url, where)
        if not media_type.startswith("image/"):
            raise WrongField(where, f"'{media_type}' is no type of image")
        return Part("image", data=data, media_type=media_type, **extras(more))
    if not url.startswith(("http://", "https://")):
        raise WrongField(where, "expected an image as a data: URL, or the http(s) URL of one")
    return Part("image", url=url, **extras(more))


def to_file(wire: Fields, place: str) -> Part:
    file, where = inner(wire, "file", place), f"{place}.file"
    id, name, url = (said(file, field, where, str) or "" for field in ("file_id", "filename", "file_data"))
    media_type, data = split_data_url(url, f"{where}.file_data") if url else ("", "")
    return Part("file", id=id, name=name, data=data, media_type=media_type, **extras(rest(wire, "type", "file")))


def split_data_url(url: str, place: str) -> tuple[str, str]:
    """(media type, base64) of a `data:` URL."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise WrongField(place, "expected 'data:TYPE;base64,DATA'")
    return head.removeprefix("data:").removesuffix(";base64"), base64(data, place)


def to_call(wire: Fields, place: str) -> Part:
    tool = next((t for t in ("custom", "legacy") if t in wire), "function")
    body = inner(wire, tool, place)
    field = "input" if tool == "custom" else "arguments"
    arguments = text(body, field, f"{place}.{tool}") if body.get(field) is not None else ""
    name, signature = text(body, "name", f"{place}.{tool}"), read_signature(wire)
    more = rest(wire, "type", "id", "index", tool, *(("extra_content",) if signature else ()))
    whose = "gemini" if signature else NAME if more else ""
    return Part("tool_call", arguments, text(wire, "id", place), name, tool, signature=signature, dialect=whose, extra=more)


def to_provider_part(wire: object, place: str) -> Part:
    """A part that only its own provider understands, as an answer of Telex brought it."""
    if not isinstance(wire, dict):
        raise WrongField(place, "expected object")
    part, dialect = inner(wire, "part", place), text(wire, "dialect", place)
    return Part("opaque", said(wire, "text", place, str) or "", tool=said(wire, "tool", place, str) or "", dialect=dialect, extra=part)


def to_citation(wire: object) -> Citation | None:
    """An annotation; None if it is of a kind that names no source."""
    body = wire.get("url_citation") if isinstance(wire, dict) else None
    if not isinstance(wire, dict) or not isinstance(body, dict):
        return None
    url, title, quote = (value if isinstance(value := body.get(name), str) else "" for name in ("url", "title", "quote"))
    start, end = (value if type(value := body.get(name)) is int and value >= 0 else 0 for name in ("start_index", "end_index"))
    native = wire.get("provider_citation")
    if isinstance(native, dict):
        return Citation(url, title, start, end, quote, str(native.get("dialect") or ""), rest(native, "dialect"))
    return Citation(url, title, start, end, quote, NAME, rest(wire, "index"))


def extras(fields: Fields) -> dict[str, Any]:
    """Fields without a word, and whose they are, as a part keeps them."""
    return {"dialect": NAME, "extra": fields} if fields else {}
