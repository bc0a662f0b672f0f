"""Which encoding a model has, and that what is counted with it is what OpenAI's own tokeniser counts."""

from __future__ import annotations

import pytest

from telex.tokens import encodings
from telex.tokens.encodings import Encoding, count_texts, encoding_of, is_framed

NEW: Encoding = "o200k_base"
OLD: Encoding = "cl100k_base"


@pytest.mark.parametrize(
    ("model", "encoding", "framed"),
    [
        ("gpt-4o", NEW, True),
        ("gpt-4o-mini-2024-07-18", NEW, True),
        ("openai/gpt-4.1-nano", NEW, True),
        ("ft:gpt-4o:me", NEW, True),
        ("chatgpt-4o-latest", NEW, True),
        ("gpt-5", NEW, False),
        ("gpt-5.2-mini", NEW, False),
        ("o3", NEW, False),
        ("o4-mini-high", NEW, False),
        ("openai/gpt-oss-120b", NEW, False),
        ("GPT-4", OLD, True),
        ("gpt-4-turbo", OLD, True),
        ("gpt-3.5-turbo-0125", OLD, True),
        ("gpt-35-turbo", OLD, True),
        ("gpt-4.7", None, False),
        ("gpt-50", None, False),
        ("o10", None, False),
        ("o3d", None, False),
        ("claude-opus-4-5", None, False),
        ("llama-3.1-8b-instant", None, False),
        ("mygpt-4", None, False),
        ("", None, False),
    ],
)
def test_models_are_known_by_their_names(model: str, encoding: str | None, framed: bool) -> None:
    assert (encoding_of(model), is_framed(model)) == (encoding, framed)


KNOWN = [
    ("hello world", 2, 2),
    ("Café naïve — “quotes”, 12345.678!", 14, 15),
    ("def f(x):\n    return x ** 2  # squared\n", 14, 14),
    ("今天天气很好,我们去公园。", 10, 15),
    ("नमस्ते दुनिया", 5, 13),
    ("👩‍👩‍👧‍👦 emoji", 12, 19),
    ("<|endoftext|> is text", 9, 9),
    (" " * 1000 + "x", 10, 10),
    ("\r\n\r\n\t\t", 2, 2),
    ("", 0, 0),
]
"""Counts of tiktoken with the vocabularies that OpenAI publishes."""


@pytest.mark.parametrize(("text", "new", "old"), KNOWN)
def test_counts_are_tiktokens(text: str, new: int, old: int) -> None:
    assert (count_texts([text], NEW), count_texts([text], OLD)) == ([new], [old])


@pytest.mark.parametrize("text", [" ", "a", "\n", "=", "天"])
def test_runs_of_any_length_are_counted(text: str) -> None:
    """Tokenisers have died of these."""
    counts = count_texts([text * 1_000_000], NEW)
    assert counts is not None
    assert 0 < counts[0] <= 1_000_000


@pytest.mark.parametrize("half", ["\ud83d", "x \udc00 y"])
def test_half_a_character_is_a_mark(half: str) -> None:
    assert count_texts([half], NEW) == count_texts([half.encode("utf-16", "surrogatepass").decode("utf-16", "replace")], NEW)


def test_without_the_package_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "load", lambda: None)
    assert count_texts(["x"], NEW) is None
