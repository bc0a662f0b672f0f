"""How many tokens the prompt of a request has for a model, counted here.

What is counted: the words of all messages, calls and results with them, the tools' names, descriptions and schemas, and the frame that
stands around each message. Images, audio and files are not: what they come to is each provider's own. The count is exact where the
text is all there is, its tokeniser is public, and its frame documented.
Source of the frame: OpenAI's cookbook, "How to count tokens with tiktoken".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal

from msgspec import Struct

from telex.core import json
from telex.core.messages import Part, Request
from telex.tokens.encodings import count_texts, encoding_of, is_framed
from telex.tokens.estimate import estimate

MESSAGE, NAME, ANSWER = 3, 1, 3
"""Tokens of the frame: around a message, beside a participant's name, and before the answer."""

Certainty = Literal["provider", "exact", "estimated"]
"""Who counted: the provider that would be asked, or Telex, which knows the tokeniser or estimates."""


class Count(Struct, frozen=True):
    tokens: int
    certainty: Certainty


def count(request: Request, model: str) -> Count:
    """May take long, and the first time half a second more: call it in a thread."""
    texts, frame = [*words_of(request), *tools_of(request)], frame_of(request)
    encoding = encoding_of(model)
    if encoding is None or (counts := count_texts(texts, encoding)) is None:
        return Count(sum(map(estimate, texts)) + frame, "estimated")
    return Count(sum(counts) + frame, "exact" if is_framed(model) and is_plain(request) else "estimated")


def is_plain(request: Request) -> bool:
    """Whether a prompt is made of nothing but what its messages say."""
    parts = chain.from_iterable(message.parts for message in request.messages)
    return not request.tools and request.format is None and not request.extra and all(part.kind == "text" for part in parts)


def frame_of(request: Request) -> int:
    names = sum(bool(message.name) for message in request.messages)
    return MESSAGE * len(request.messages) + NAME * names + ANSWER


def words_of(request: Request) -> Iterator[str]:
    """Everything that messages say in words, a role as one of them."""
    for message in request.messages:
        yield message.role
        yield message.name
        yield from texts_of(message.parts)


def texts_of(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if part.kind == "tool_call":
            yield part.name
        yield part.text
        yield from texts_of(part.parts)


def tools_of(request: Request) -> Iterator[str]:
    for tool in request.tools:
        described = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
        yield json.encode(described if tool.kind == "function" else tool.extra).decode()
    if request.format is not None and request.format.schema is not None:
        yield json.encode(request.format.schema).decode()
