"""Text as it arrives: surrogate pairs made whole, sentences found, bursts spread. Text in, text out: no clock, no waiting."""

from __future__ import annotations

import unicodedata

from telex.core.json import join


class Whole:
    """Providers may cut text inside a surrogate pair: the first half is held back until the second comes."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return join([text])

    def end(self) -> str:
        half, self._half = self._half, ""
        return join([half])


ZWJ = "\u200d"


def clusters(text: str) -> list[str]:
    """`text` cut into what a reader sees as one character each, near enough: nothing is cut before a combining mark or around a joiner."""
    if text.isascii() and "\r" not in text:
        return list(text)
    found: list[str] = []
    flags = 0  # regional indicators in a row: two are a flag
    before = ""
    for character in text:
        regional = "\U0001f1e6" <= character <= "\U0001f1ff"
        if before and (extends(character, before) or (regional and flags % 2)):
            found[-1] += character
        else:
            found.append(character)
        flags = flags + 1 if regional else 0
        before = character
    return found


def extends(character: str, before: str) -> bool:
    """Whether `character` belongs to what stands before it."""
    return (
        before == ZWJ
        or character == ZWJ
        or unicodedata.category(character) in ("Mn", "Mc", "Me")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags of flags
        or "\u1160" <= character <= "\u11ff"  # Hangul vowels and finals
        or (before == "\r" and character == "\n")
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= character <= "\udfff")
    )


TICK = 1 / 60
"""Seconds between two pieces: a screen shows no more."""


def spread(text: str, seconds: float) -> list[tuple[float, str]]:
    """`text` in even pieces, each with its time from now in seconds: evenly over half of `seconds`.

    What comes meanwhile waits for at most that half, and is then spread over the other: nothing is ever later than `seconds`.
    """
    window = seconds / 2
    characters = clusters(text)
    count = max(1, min(len(characters), int(window / TICK)))
    edges = [round(len(characters) * number / count) for number in range(count + 1)]
    return [(window * n / count, "".join(characters[edges[n] : edges[n + 1]])) for n in range(count)]
