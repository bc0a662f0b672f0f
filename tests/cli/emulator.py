"""A terminal as small as the page needs one: what has scrolled away can't be reached, and every cell drawn is counted."""

from __future__ import annotations

import io
import re

PIECE = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|\x1b|[\r\n]|[^\x1b\r\n]+")


class Emulator(io.StringIO):
    """`text`: all that was ever on the screen and is not wiped. `drawn`: characters that were written, without those of styles."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.drawn = 0
        self._lines = [""]
        self._row = self._column = self._top = 0

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._lines).rstrip("\n")

    @property
    def scrolled(self) -> list[str]:
        """The lines above the screen."""
        return self._lines[: self._top]

    def write(self, text: str) -> int:
        for match in PIECE.finditer(text):
            piece, command = match[0], match[2]
            if piece == "\r":
                self._column = 0
            elif piece == "\n":
                self._feed()
            elif command:
                self._obey(command, match[1])
            else:
                assert piece != "\x1b", "an escape that nobody knows"
                self._put(piece)
        return len(text)

    def _feed(self) -> None:
        self._row, self._column = self._row + 1, 0
        if self._row == len(self._lines):
            self._lines.append("")
        self._top = max(self._top, self._row - self.height + 1)

    def _obey(self, command: str, argument: str) -> None:
        match command:
            case "A":
                self._row -= int(argument)
                assert self._row >= self._top, "what has scrolled away was to be drawn again"
            case "K":
                self._lines[self._row] = self._lines[self._row][: self._column]
            case "J":
                self._lines[self._row :] = [self._lines[self._row][: self._column]]
            case _:
                assert command in "mhl", f"a command that nobody knows: {command}"

    def _put(self, text: str) -> None:
        line = self._lines[self._row].ljust(self._column)
        self._lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
        self._column += len(text)
        self.drawn += len(text)
        assert self._column <= self.width, "a line is wider than the screen"
