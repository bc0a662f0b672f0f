"""Markdown while it grows: the same page however it comes, little drawn again, nothing that has scrolled away touched, nothing lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.emulator import Emulator
from telex.cli.page import Page

MARKDOWN = """\
# The sky

Here are *three* items:
- the **first** one is long enough that it must be wrapped, once at the least, whatever the terminal is
- `second`

- third

```python
def blue() -> str:
    return "scattered"
```

| what | how much |
|------|---------:|
| red  | little   |
| blue | much, and more than that |

Roses are red,
violets <b>are</b> blue: [see](https://example.org).

> quoted

1. one
2. two

end."""

WIDTH, HEIGHT = 60, 200


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    resize(monkeypatch, WIDTH, HEIGHT)


def resize(monkeypatch: pytest.MonkeyPatch, width: int, height: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", str(height))


def page(*pieces: str, width: int = WIDTH, height: int = HEIGHT) -> Emulator:
    screen = Emulator(width, height)
    shown = Page(screen, lambda seconds: None)
    for piece in pieces:
        shown.show(piece)
    shown.end()
    return screen


def test_it_looks_like_markdown() -> None:
    text = page(MARKDOWN).text
    for line in (
        "Here are three items:",
        " • second",
        " def blue() -> str:",
        " 1 one",
        "▌ quoted",
        "Roses are red,",
        "violets <b>are</b> blue:",
    ):
        assert any(shown.startswith(line) for shown in text.split("\n")), line
    assert "https://example.org" in text
    assert "**" not in text
    assert "```" not in text


@given(st.lists(st.integers(1, len(MARKDOWN) - 1), max_size=60))
def test_it_is_the_same_however_it_comes(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(MARKDOWN)]
    pieces = [MARKDOWN[start:end] for start, end in pairwise(edges)]
    assert page(*pieces).text == page(MARKDOWN).text


def test_character_by_character_it_is_the_same_too() -> None:
    assert page(*MARKDOWN).text == page(MARKDOWN).text


SOUP = st.lists(
    st.sampled_from([*"-*_`#>|1.~=+[]()<!\\ \n\t", "a", "word ", "\n\n", "```", "| a |\n", "|--|", "- ", "**", "\u2028", "é", "汉"])
)


@given(SOUP)
def test_no_text_is_too_odd(pieces: list[str]) -> None:
    screen = page(*pieces)
    said = "".join(pieces)
    assert screen.text.count("é") == said.count("é") or any(mark in said for mark in "[]()!|`~")  # which have places that are not shown


def test_words_are_added_and_not_drawn_again() -> None:
    """In a text, what is drawn is what has come, though the paragraphs before it were long."""
    words = ["word "] * 9 + ["end.\n\n"]
    text = words * 40
    screen = page(*text)
    assert screen.drawn < 1.5 * sum(map(len, text))


@pytest.mark.parametrize("mark", ["\n-", "\n=", "\n\n1", "\n", " **", " `"])
def test_what_may_yet_mean_something_else_waits(mark: str) -> None:
    """A dash below a line makes it a heading, and with the next word the first item of a list."""
    screen = Emulator(WIDTH, HEIGHT)
    shown = Page(screen, lambda seconds: None)
    shown.show("Colours:")
    shown.show(mark)
    assert (screen.text, screen.drawn) == ("Colours:", len("Colours:"))
    shown.end()


@pytest.mark.parametrize("block", ["- item\n", "x = 1\n", "| a | b |\n"], ids=["list", "code", "table"])
def test_what_has_scrolled_away_stays(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block, ten times as high as the screen, whose end changes its beginning. The emulator refuses a cursor above its top."""
    resize(monkeypatch, 40, 10)
    start = {"x": "```\n", "|": "| h | i |\n|---|---|\n"}.get(block[0], "")
    screen = Emulator(40, 10)
    shown = Page(screen, lambda seconds: None)
    before: list[str] = []
    for piece in [start, *[block] * 100, "| wider than all before | b |\n"]:
        shown.show(piece)
        assert screen.scrolled[: len(before)] == before
        before = screen.scrolled
    shown.end()
    assert len(before) > 80


def test_nothing_can_command_the_terminal() -> None:
    assert "\x1b" not in page("a\x1b]0;title\x07b\x9b31mc\rd").text
    assert page("a\x1b]0;title\x07b\x9b31mc\rd").text == "a]0;titleb31mcd"


def test_a_page_can_be_used_again_and_may_stay_empty() -> None:
    screen = Emulator(WIDTH, HEIGHT)
    shown = Page(screen, lambda seconds: None)
    shown.end()
    assert screen.drawn == 0
    for answer in ("one", "two"):
        shown.show(answer)
        shown.end()
    assert screen.text == "one\ntwo"


def test_a_width_that_changes_begins_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    widths = [80]
    monkeypatch.setattr("os.get_terminal_size", lambda *_: (widths[0], 24))
    screen = Emulator(80, 24)
    shown = Page(screen, lambda seconds: None)
    shown.show("A paragraph that goes on ")
    widths[0] = 40
    shown.show("while the window is made narrower.")
    shown.end()
    assert screen.text == "A paragraph that goes on\nA paragraph that goes on while the\nwindow is made narrower."
