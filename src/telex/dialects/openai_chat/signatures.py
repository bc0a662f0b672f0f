"""Where Chat Completions carries state that other providers sign: fields that its own API does not know and that others made usual.

`reasoning_details` beside a message's text (as OpenRouter writes it) holds reasoning with its signature, or encrypted;
`extra_content.google.thought_signature` (as Google's own endpoint of this dialect writes it) signs a tool call, or the message's text.
"""

from __future__ import annotations

from typing import Any

from telex.core.messages import Fields, Part

FORMATS = {"anthropic": "anthropic-claude-v1", "gemini": "google-gemini-v1", "openai-responses": "openai-responses-v1"}
"""What `reasoning_details` calls the dialects."""

DIALECTS = {format: dialect for dialect, format in FORMATS.items()}


def reasoning_detail(index: int, part: Part) -> Fields:
    """An entry of `reasoning_details`. `index` numbers the entries of a message: the SDK's accumulator wants it."""
    whose = {"format": FORMATS.get(part.dialect, part.dialect)} if part.dialect else {}
    if part.id:
        whose["id"] = part.id
    if part.data:
        shown = {"summary": part.text} if part.text else {}
        return {"type": "reasoning.encrypted", "index": index, **shown, "data": part.data, **whose}
    return {"type": "reasoning.text", "index": index, "text": part.text, "signature": part.signature, **whose}


def read_details(details: list[Any]) -> list[Part]:
    """Reasoning of a message that brings its `reasoning_details` back."""
    parts: list[Part] = []
    for detail in details:
        if not isinstance(detail, dict):
            continue
        text, signature, data, id, format = (str(detail.get(name) or "") for name in ("text", "signature", "data", "id", "format"))
        text, dialect = text or str(detail.get("summary") or ""), DIALECTS.get(format, format)
        if text or signature or data:
            parts.append(Part("reasoning", text, id, data=data, signature=signature, dialect=dialect))
    return parts


def signed(signature: str, dialect: str) -> Fields:
    """The field that signs a tool call or a text; empty where there is nothing to carry."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature and dialect == "gemini" else {}


def read_signature(wire: Fields) -> str:
    """The signature that `signed` wrote; empty if there is none."""
    google = content.get("google") if isinstance(content := wire.get("extra_content"), dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""
