"""What an answer is shown with: text as it comes, and an indicator until it does."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from telex.core.errors import TelexError

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

CONTROLS: dict[int, str | None] = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
CONTROLS |= {0x2028: "\n", 0x2029: "\n"}  # of lines and paragraphs, which not all agree about


def printable(text: str) -> str:
    """Without the characters by which a text could command the terminal."""
    return text.translate(CONTROLS)


def movable(file: TextIO) -> bool:
    """Whether it is a terminal whose cursor can be moved."""
    return file.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class View(Protocol):
    """What shows an answer: `show` each piece, then `end`."""

    def show(self, text: str) -> None: ...
    def end(self) -> None: ...


class Plain:
    """The text as it comes, and a line's end behind it."""

    def __init__(self, file: TextIO, clean: Callable[[str], str] = str) -> None:
        self._file = file
        self._clean = clean
        self._last = ""

    def show(self, text: str) -> None:
        if text := self._clean(text):
            self._last = text[-1]
            write(self._file, text)

    def end(self) -> None:
        if self._last not in ("", "\n"):
            write(self._file, "\n")
        self._last = ""


def write(file: TextIO, text: str) -> None:
    """At once. Raises `BrokenPipeError` when nobody reads any more, `TelexError` when it can't be done."""
    try:
        file.write(text)
        file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TelexError(f"The answer can't be written: {error.strerror}.") from None


def abandoned(file: TextIO) -> bool:
    """Whether a pipe's reader has gone, which is known before anything is written."""
    poll = select.poll()
    poll.register(file, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class Indicator:
    """A line that moves until the first word takes its place. Without a terminal there is none."""

    def __init__(self, file: TextIO, label: Callable[[], str]) -> None:
        self._file = file if movable(file) else None
        self._label = label
        self._began = time.monotonic()
        self._turns = 0

    def turn(self) -> None:
        if self._file is not None:
            glyph = SPINNER[self._turns % len(SPINNER)]
            write(self._file, f"\r{glyph} {self._label()}  {time.monotonic() - self._began:.0f} s\x1b[K")
            self._turns += 1

    def clear(self) -> None:
        if self._file is not None and self._turns:
            write(self._file, "\r\x1b[K")
            self._turns = 0


@contextmanager
def no_echo() -> Iterator[None]:
    """What is typed meanwhile is not shown among the answer, but kept, key by key, for whoever reads the next line."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stdout.isatty()) or behind():  # behind a pager the terminal is the pager's
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before]
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        if not behind():
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def behind() -> bool:
    """Whether this runs in the background of its terminal, where who touches that is stopped."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp()
    except OSError:  # of another session's terminal nobody is in the background
        return False
