"""Citations of a text block, and those of other dialects in the nearest form: the original stands beside it and is read again."""

from __future__ import annotations

from telex.core.messages import Citation, Fields
from telex.dialects.anthropic.words import NAME

ORIGINAL = "provider_citation"
"""The field for a citation as its own dialect wrote it."""


def to_citation(wire: Fields) -> Citation:
    """A citation. What it cites is the whole block, unless it came from elsewhere: then it says where that starts and ends."""
    url, title, document, quote = (str(wire.get(name) or "") for name in ("url", "title", "document_title", "cited_text"))
    source = str(wire.get("source") or "")
    url = url or (source if source.startswith(("http://", "https://")) else "")
    start, end = (value if type(value := wire.get(name)) is int and value >= 0 else 0 for name in ("start_index", "end_index"))
    original = wire.get(ORIGINAL)
    if isinstance(original, dict):
        fields = {name: value for name, value in original.items() if name != "dialect"}
        return Citation(url, title or document, start, end, quote, str(original.get("dialect") or ""), fields)
    return Citation(url, title or document, start, end, quote, NAME, wire)


def from_citation(citation: Citation) -> Fields:
    if citation.dialect == NAME:
        return citation.fields
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "cited_text": citation.quote,
        "encrypted_index": "",
        "start_index": citation.start,
        "end_index": citation.end,
        ORIGINAL: {"dialect": citation.dialect, **citation.fields},
    }
