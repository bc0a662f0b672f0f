"""Where a candidate's words come from: `citationMetadata` and `groundingMetadata` to citations, and citations of others to the former.

Google counts in bytes of the candidate's UTF-8, citations in characters of its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from telex.core.messages import Citation, Fields
from telex.dialects.gemini.signatures import NAME
from telex.dialects.values import count

SOURCES = ("citationSources", "citations")
"""What the Gemini API and Vertex AI call the list in `citationMetadata`."""

PROVIDER = "provider_citation"


class Words:
    """The text of one candidate, in bytes and in characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._bytes = None if text.isascii() else text.encode("utf-8", "surrogatepass")

    def characters(self, offset: int) -> int:
        if self._bytes is None:
            return min(offset, len(self.text))
        return len(self._bytes[:offset].decode("utf-8", "ignore"))

    def bytes(self, characters: int) -> int:
        return len(self.text[:characters].encode("utf-8", "surrogatepass"))

    def find(self, start: int, end: int, words: str) -> tuple[int, int]:
        """The characters between two offsets; where they must be `words` and are not, the first place where those are, if any."""
        first, last = self.characters(start), self.characters(end)
        if not words or self.text[first:last] == words:
            return first, last
        first = self.text.find(words)
        return (first, first + len(words)) if first >= 0 else (0, 0)


def read_citations(extra: Fields, text: str) -> list[Citation]:
    """All that the further fields of a candidate say of sources."""
    words = Words(text)
    return [*grounded(extra.get("groundingMetadata"), words), *(read_source(source, words) for source in sources_of(extra))]


def sources_of(candidate: Fields) -> Iterator[Fields]:
    metadata = candidate.get("citationMetadata")
    for name in SOURCES:
        yield from (source for source in list_of(metadata, name) if isinstance(source, dict))


def read_source(source: Fields, words: Words) -> Citation:
    start, end = words.characters(count(source.get("startIndex"))), words.characters(count(source.get("endIndex")))
    url, title, quote = (text_of(source, name) for name in ("uri", "title", "quote"))
    if isinstance(native := source.get(PROVIDER), dict):
        fields = {name: value for name, value in native.items() if name != "dialect"}
        return Citation(url, title, start, end, quote, text_of(native, "dialect"), fields)
    return Citation(url, title, start, end, "", NAME, source)


def grounded(metadata: Any, words: Words) -> Iterator[Citation]:
    """A citation for each source of each passage."""
    chunks = list_of(metadata, "groundingChunks")
    for support in list_of(metadata, "groundingSupports"):
        segment = support.get("segment") if isinstance(support, dict) else None
        if not isinstance(segment, dict):
            continue
        start, end = words.find(count(segment.get("startIndex")), count(segment.get("endIndex")), text_of(segment, "text"))
        for index in list_of(support, "groundingChunkIndices"):
            if type(index) is int and 0 <= index < len(chunks) and isinstance(chunk := chunks[index], dict):
                source: Fields = next((value for value in chunk.values() if isinstance(value, dict)), {})
                url, title, quote = (text_of(source, name) for name in ("uri", "title", "text"))
                yield Citation(url, title, start, end, quote, NAME, {"segment": segment, **chunk})


def list_of(fields: Any, name: str) -> list[Any]:
    return value if isinstance(fields, dict) and isinstance(value := fields.get(name), list) else []


def text_of(fields: Fields, name: str) -> str:
    return value if isinstance(value := fields.get(name), str) else ""


def is_said(citation: Citation, extra: Fields) -> bool:
    """Whether the candidate's own fields say this citation already."""
    return citation.dialect == NAME and ("groundingMetadata" if "segment" in citation.fields else "citationMetadata") in extra


def write_sources(citations: list[Citation], text: str) -> list[Fields]:
    """`citationSources`; as its own dialect wrote it, a citation stands beside that."""
    words = Words(text)
    return [write_source(citation, words) for citation in citations]


def write_source(citation: Citation, words: Words) -> Fields:
    if citation.dialect == NAME and "segment" not in citation.fields:
        return citation.fields
    source: Fields = {"startIndex": words.bytes(citation.start), "endIndex": words.bytes(citation.end)}
    source |= {name: value for name, value in (("uri", citation.url), ("title", citation.title), ("quote", citation.quote)) if value}
    return source | {PROVIDER: {"dialect": citation.dialect, **citation.fields}}
