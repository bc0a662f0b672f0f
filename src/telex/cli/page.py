"""Markdown that grows on a terminal: only lines that change are drawn again, and what has scrolled away stays as it was."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TextIO

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console
from rich.markdown import Markdown

from telex.cli.screen import printable, write

FRAME = 1 / 25
"""Seconds between two drawings, and at least as long as the last one took."""

PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Tags are text: a terminal has no use for them, and nothing that the model said may vanish."""

UNDECIDED = re.compile(r"\n[ \t]*(?:[-+*=_#>|~`:]+|\d+[.)]?)?[ \t]*\Z|[*_~`]+\Z")
"""The end of a text that means one thing now and another with the next character: it is drawn when that has come."""

SYNCHRONISED = "\x1b[?2026h{}\x1b[?2026l"
"""Shown by terminals that know it as one change; the others skip it."""


class Block(msgspec.Struct, frozen=True):
    """One paragraph, list, table, …: the line of the source on which it begins, and its tokens."""

    line: int
    tokens: list[Token]


class Page:
    """`show` text as it comes, then `end`: the cursor is then below it.

    A block that another follows is finished. The last one is laid out again with each drawing and compared, line by line, with what is on
    the screen. Between two drawings `show` waits, so that what comes meanwhile comes together.
    """

    def __init__(self, file: TextIO, pause: Callable[[float], object] = time.sleep) -> None:
        self._file = file
        self._pause = pause
        self._console = Console(file=file, highlight=False)
        self._source = ""  # of the last block, and what has come since
        self._drawn: list[str] = []  # the lines of the last block, the cursor behind them
        self._width = self._console.width
        self._empty = True

    def show(self, text: str) -> None:
        began = time.monotonic()
        self._source += printable(text)
        undecided = UNDECIDED.search(self._source)
        self._draw(self._source[: undecided.start()] if undecided else self._source)
        self._pause(max(FRAME, time.monotonic() - began))

    def end(self) -> None:
        self._draw(self._source)
        if not self._empty:
            write(self._file, "\n")
        self._source, self._drawn, self._empty = "", [], True

    def _draw(self, source: str) -> None:
        """`source`: as much of what there is as can be drawn now."""
        if not (blocks := split(source)):
            return
        lines, last = list[str](), list[str]()
        for block in blocks:
            last = self._lay_out(block)
            lines += ["", *last] if lines else last
        self._paint(lines)
        self._drawn = last
        self._source = "\n".join(self._source.split("\n")[blocks[-1].line :])

    def _lay_out(self, block: Block) -> list[str]:
        """The lines of a block, with their styles."""
        markdown = Markdown("", hyperlinks=False)
        markdown.parsed = block.tokens
        with self._console.capture() as captured:
            self._console.print(markdown)
        return [line.rstrip(" ") for line in captured.get().strip("\n").split("\n")]

    def _paint(self, lines: list[str]) -> None:
        """Make the drawn lines these, from the first that differs and can still be reached."""
        self._empty = False
        if self._width != self._console.width:  # where the terminal has put the drawn lines is anybody's guess: begin below them
            self._width = self._console.width
            write(self._file, "\n" + "\n".join(lines))
            return
        old = self._drawn or [""]
        last = len(old) - 1  # where the cursor is, on a line that may go on
        least = min(last, len(lines) - 1)
        changed = next((number for number in range(least) if old[number] != lines[number]), least)
        first = max(changed, len(old) - self._console.height)
        if first == last and lines[last:] and lines[last].startswith(old[last]):
            write(self._file, "\n".join([lines[last][len(old[last]) :], *lines[last + 1 :]]))
        else:
            up = f"\x1b[{last - first}A" if last > first else ""
            write(self._file, SYNCHRONISED.format(f"\r{up}\x1b[J" + "\n".join(lines[first:])))


def split(source: str) -> list[Block]:
    """The blocks of a Markdown text. The breaks that a model makes in its lines are meant."""
    blocks = list[Block]()
    for token in PARSER.parse(source):
        if token.level == 0 and token.nesting >= 0:
            blocks.append(Block(token.map[0] if token.map else 0, []))
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
        blocks[-1].tokens.append(token)
    return blocks
