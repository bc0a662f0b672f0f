"""Where a reader stands: whatever the entries become, it gets what is behind it, once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.errors import Failure
from telex.generation.cursor import Cursor
from telex.generation.reading import Source

SOURCE = Source("openai-chat")


class Split:
    """Each byte of an entry is a frame; at the end there are as many more as `last` has bytes. It notes what it was told."""

    def __init__(self, last: bytes = b"") -> None:
        self.sources: list[Source | None] = []
        self.failures: list[Failure | None] = []
        self._last = last

    def render(self, source: Source | None) -> Split:
        self.sources.append(source)
        return self

    def feed(self, entry: bytes) -> list[Any]:
        return [bytes([byte]) for byte in entry]

    def end(self, failure: Failure | None) -> list[Any]:
        self.failures.append(failure)
        return self.feed(self._last)


def run(cursor: Cursor, *entries: bytes) -> bytes:
    got = [frame for entry in entries for frame in cursor.feed(entry, SOURCE)]
    return b"".join([*got, *cursor.end(None, SOURCE)])


@given(st.lists(st.binary(max_size=4), max_size=8), st.binary(max_size=3), st.integers(0, 40))
def test_row41_it_gives_what_is_behind_it(entries: list[bytes], last: bytes, after: int) -> None:
    cursor, whole = Cursor(Split(last), after), b"".join(entries) + last
    assert run(cursor, *entries) == (whole[after:] if after <= len(whole) else whole[-1:])
    assert (cursor.position, cursor.ended) == (len(whole), True)


@given(st.lists(st.binary(max_size=4), max_size=8), st.integers(0, 12))
def test_it_stands_behind_what_it_gave(entries: list[bytes], after: int) -> None:
    cursor, given = Cursor(Split(), after), after
    for entry in entries:
        given += len(cursor.feed(entry, SOURCE))
        assert cursor.position == given


@pytest.mark.parametrize("after", [0, 2, 3, 9])
def test_only_the_first_end_counts(after: int) -> None:
    cursor = Cursor(Split(b"."), after)
    run(cursor, b"ab")
    assert cursor.end(None, SOURCE) == []


def test_it_is_rendered_once_with_what_is_known_when_the_first_entry_comes_and_told_why_it_ended() -> None:
    split, broken = Split(), Failure("truncated", "It broke.")
    cursor = Cursor(split, 0)
    assert split.sources == []
    for entry in (b"a", b"b"):
        cursor.feed(entry, SOURCE)
    cursor.end(broken, SOURCE)
    assert (split.sources, split.failures) == ([SOURCE], [broken])


def test_without_any_entry_there_may_be_an_end() -> None:
    split = Split(b".")
    assert (Cursor(split, 0).end(None, None), split.sources) == ([b"."], [None])
