"""Sentences out of text that is still coming, for speech: each as soon as it is certain that it has ended, nothing lost or moved."""

from __future__ import annotations

import re

LONGEST = 1000
"""Characters after which a sentence that does not end is cut at a space: somebody waits to hear it."""

MARKS = ".!?…。！？｡"
ENDS = re.compile(rf"[{MARKS}]+|\n")
TAIL = re.compile(rf"[\"'”’»)\]}}」』）】〉》〕*_`{MARKS}]*")
SAID = re.compile(rf"[^\s{MARKS}]")
WIDE = re.compile("[。！？｡]")
SPACE = re.compile(r"\s*")
LINES = re.compile(r"\n*")
BULLET = re.compile(r"[ \t]*(?:[-*•–]|\d{1,3}[.)])[ \t]")
PERHAPS_BULLET = re.compile(r"[ \t]*(?:[-*•–]|\d{1,3}[.)]?)?\Z")
WORD = re.compile(r"[^\W\d_]+")
LAST_WORD = re.compile(r"[^\s(\[{\"“'‘«]*\Z")
INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
NUMBER = re.compile(r"\d{1,3}")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEVER = words(
    """mr mrs ms dr prof rev hon gen col sgt capt lt mme mlle mgr sen rep gov pres vs e.g i.e cf viz al fig figs eq eqs sec ch vol pp p
    nr bzw z.b d.h u.a s.o s.u vgl ca evtl ggf hr fr frl dipl sog"""
)
"""Behind these a full stop is no end."""

PERHAPS = words(
    """etc inc ltd co corp jr sr st ave blvd dept est approx no jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    a.m p.m u.s u.k u.n usw"""
)
"""Behind these it is one if what follows begins as sentences do."""

STARTERS = words(
    """a an and are as at because but by can do does even finally first for from he her here his how however i if in is it its let many may
    most my next no now of on once one only or our over she so some still such that the their then there these they this those though thus
    to today two under until we what when where which while who why will with yet you your"""
)


class Sentences:
    """`feed` it text and get the sentences that have ended, each with the white space behind it; `end` gives what is left."""

    def __init__(self) -> None:
        self._text = ""
        self._seen = 0  # up to here nothing ends

    def feed(self, text: str) -> list[str]:
        self._text += text
        return self._take(final=False)

    def end(self) -> list[str]:
        found = self._take(final=True)
        rest, self._text, self._seen = self._text, "", 0
        return [*found, rest] if rest else found

    def _take(self, final: bool) -> list[str]:
        found, start, text = list[str](), 0, self._text
        seen = self._seen
        while True:
            end, seen = find_end(text, start, seen, final)
            if end is None and len(text) - start > LONGEST:
                end = cut_long(text, start)
            if end is None:
                break
            found.append(text[start:end])
            start = seen = end
        self._text, self._seen = text[start:], seen - start
        return found


def find_end(text: str, start: int, seen: int, final: bool) -> tuple[int | None, int]:
    """Where the sentence that begins at `start` ends, looking from `seen` on; or None, and from where to look when there is more."""
    limit = start + LONGEST
    while (match := ENDS.search(text, seen)) is not None and match.start() <= limit:
        if SAID.search(text, start, match.start()):
            end = ending(text, start, match, final)
            if end is None:
                return None, match.start()
            if end >= 0:
                return end, end
        seen = match.end()
    return None, len(text) if match is None else seen


def ending(text: str, start: int, match: re.Match[str], final: bool) -> int | None:
    """Where the sentence ends if it ends at this mark; -1 if it does not; None if what follows must tell and has not come."""
    mark, behind = match[0], match.end()
    if mark == "\n":
        return line_end(text, behind, final)
    closed = skip(TAIL, text, behind)
    if closed == len(text):
        return closed if final else None
    spaced = skip(SPACE, text, closed)
    marks = text[match.start() : closed]
    if WIDE.search(marks):
        return spaced
    if spaced == closed:  # 3.14, example.com, e.g. in its middle; but scripts without spaces go on at once
        return closed if mark != "." and "\u2e80" <= text[closed] <= "\uffef" else -1
    if "\n" in text[closed:spaced]:
        return spaced
    if spaced == len(text):
        return spaced if final else None
    if text[spaced].islower():
        return -1
    if mark == "." and not ENDS.search(marks, 1) and (stop := abbreviation(text, start, match.start(), spaced, final)) is not False:
        return None if stop is None else -1
    return spaced


def line_end(text: str, behind: int, final: bool) -> int | None:
    """An empty line and the next item of a list end what stands before them; other lines are only wrapped."""
    if text.startswith("\n", behind) or BULLET.match(text, behind):
        return skip(LINES, text, behind)
    return None if PERHAPS_BULLET.match(text, behind) and not final else -1


def abbreviation(text: str, start: int, stop: int, next: int, final: bool) -> bool | None:
    """Whether the full stop at `stop` only shortens a word, so that the sentence goes on at `next`; None if the next word must tell."""
    last = LAST_WORD.search(text, start, stop)
    word = last[0] if last else ""
    lower = word.lower()
    if lower in NEVER:
        return True
    if NUMBER.fullmatch(word) and not text[start : stop - len(word)].rstrip(" \t-*#").strip("\n"):
        return True  # the number of an item
    if len(word) == 1 and word.isupper() and word != "I":
        return True
    if lower not in PERHAPS and not INITIALS.fullmatch(word):
        return False
    following = WORD.match(text, next)
    if following is None:
        return text[next].isalnum()  # No. 5
    if following.end() == len(text) and not final:
        return None
    return following[0].lower() not in STARTERS


def skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def cut_long(text: str, start: int) -> int:
    space = text.rfind(" ", start, start + LONGEST)
    return space + 1 if space > start else start + LONGEST
