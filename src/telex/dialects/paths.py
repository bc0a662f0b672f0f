"""Which dialect a request is in: some paths belong to one, and those that they share are told apart by headers and query."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from msgspec import Struct

from telex.dialects import DIALECTS, Dialect
from telex.dialects.operation import Operation


class Marks(Struct, frozen=True):
    """What only clients of one dialect send, or where only they send anything."""

    headers: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


MARKS = {
    "anthropic": Marks(("anthropic-version",), (), ("/v1/messages",)),
    "gemini": Marks(("x-goog-api-key",), ("key", "pageSize", "pageToken"), ("/v1beta", "/upload/")),
}
"""In this order; who shows none of these speaks the first dialect of the table."""


def find_operation(path: str, query: str) -> tuple[Dialect, Operation] | None:
    """The generation that a path asks for, and its dialect; None of any other path. `path` is percent-decoded."""
    for dialect in DIALECTS.values():
        if (operation := dialect.find_operation(path, query)) is not None:
            return dialect, operation
    return None


def find_dialect(path: str, query: str, headers: Mapping[str, str]) -> Dialect:
    """The dialect of whoever asks for a path that is no generation's, by its header names in lower case."""
    parameters = parse_qs(query, keep_blank_values=True)
    for name, marks in MARKS.items():
        if path.startswith(marks.prefixes):
            return DIALECTS[name]
    for name, marks in MARKS.items():
        if any(header in headers for header in marks.headers) or any(parameter in parameters for parameter in marks.parameters):
            return DIALECTS[name]
    return next(iter(DIALECTS.values()))
