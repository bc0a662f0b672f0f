"""How dialects count the tokens of a prompt without answering it."""

from __future__ import annotations

from typing import Protocol

from telex.core import json
from telex.core.messages import Fields, Request
from telex.dialects.quirks import Quirks
from telex.dialects.values import count


class Counting(Protocol):
    """The face of a dialect's `count` module. Its requests are read by the dialect's `decode_request`, which the operation tells."""

    def path(self, model: str, quirks: Quirks) -> str | None:
        """The path behind a base URL; None if such a provider does not count. Raises `ValueError` as `generate_path` does."""
        ...

    def encode_request(self, request: Request, model: str, quirks: Quirks) -> Fields:
        """The body for a provider; what has no place in it is left out."""
        ...

    def decode(self, body: bytes) -> int:
        """The tokens that a provider counted. Raises `Malformed`."""
        ...

    def encode(self, tokens: int) -> bytes: ...


def tokens_in(body: bytes, field: str) -> int:
    """The number that stands in a field of an answer. Raises `Malformed` if there is none."""
    value = json.decode(body)
    tokens = count(value.get(field)) if isinstance(value, dict) else 0
    if not tokens:
        raise json.Malformed(f"it has no number of tokens in '{field}'")
    return tokens
