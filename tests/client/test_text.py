"""Text as it arrives: halves of characters, sentences, even pieces."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.client.sentences import LONGEST, Sentences
from telex.client.text import TICK, Whole, clusters, spread

FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
WAVE = "\N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}"
FLAGS = "\N{REGIONAL INDICATOR SYMBOL LETTER N}\N{REGIONAL INDICATOR SYMBOL LETTER O}" * 2
HAN = "\N{HANGUL CHOSEONG KIYEOK}\N{HANGUL JUNGSEONG A}\N{HANGUL JONGSEONG KIYEOK}"

letters = st.text(st.sampled_from("aAé \n.!?。3,\"')(」「\u0301\u200d\N{GRINNING FACE}\N{WAVING HAND SIGN}"), max_size=60)
texts = st.lists(letters | st.text(max_size=10), max_size=12)


def sentences(*pieces: str) -> list[str]:
    finder, found = Sentences(), list[str]()
    for piece in pieces:
        found += finder.feed(piece)
    return [*found, *finder.end()]


@given(texts)
def test_sentences_lose_nothing_and_move_nothing(pieces: list[str]) -> None:
    assert "".join(sentences(*pieces)) == "".join(pieces)


@given(texts)
def test_where_sentences_end_does_not_depend_on_how_the_text_was_cut(pieces: list[str]) -> None:
    def shapes(found: list[str]) -> list[str]:
        return [sentence.strip() for sentence in found if sentence.strip()]

    whole = "".join(pieces)
    assert shapes(sentences(*whole)) == shapes(sentences(whole)) == shapes(sentences(*pieces))


ENGLISH = [
    "It rains. ", "Does it? ", "It does! ", "Pi is 3.14159, or 3. ", "See example.com/a.b for more. ",
    "Dr. Smith and Mrs. J. R. Jones met at 5 p.m. in the U.S. Embassy. ", "They bring e.g. apples, pears, etc. and leave. ",
    "Acme Inc. sells No. 5. ", 'She said "Stop!" and left. ', '"Why?" ', "(It was late.) ", "Wait... what? ", "He was born in 1999. ",
    "So do I. ", "That is etc. ", "The end.",
]  # fmt: skip
OTHERS = [
    ["今天天气很好。", "你呢？", "他说：「走吧！」", "好。"],
    ["Das ist z.B. gut. ", "Ja, d.h. nein! ", "Nr. 5 lebt."],
    ["Where to begin:\n\n", "1. First this.\n", "2. Then that.\n", "\n- one\n", "- two\n", "- three"],
    ["# Title\n\n", "A line that is\nwrapped goes on. ", "So."],
    ["Он ушёл. ", "Куда? ", "Не знаю."],
]


@pytest.mark.parametrize("expected", [ENGLISH, *OTHERS], ids=["english", "chinese", "german", "list", "wrapped", "russian"])
def test_sentences_as_people_see_them(expected: list[str]) -> None:
    assert [s.strip() for s in sentences("".join(expected))] == [s.strip() for s in expected]
    assert [s.strip() for s in sentences(*"".join(expected))] == [s.strip() for s in expected]


@pytest.mark.parametrize(
    ("pieces", "after"),
    [
        (["It rains.", " "], None),
        (["It rains.", " It"], "It rains. "),
        (["It rains.\n"], "It rains.\n"),
        (["It rains", "!", " Yes"], "It rains! "),
        (["下雨了。", "对"], "下雨了。"),
        (["A title\n", "\n"], "A title\n\n"),
    ],
)
def test_a_sentence_comes_as_soon_as_it_is_certain(pieces: list[str], after: str | None) -> None:
    finder = Sentences()
    *before, last = pieces
    assert [finder.feed(piece) for piece in before] == [[] for _ in before]
    assert finder.feed(last) == ([after] if after else [])


def test_a_sentence_without_an_end_is_cut_at_a_space() -> None:
    found = sentences(*["word "] * 1000)
    assert all(len(sentence) <= LONGEST for sentence in found)
    assert all(sentence.endswith(" ") for sentence in found)


def test_sentences_take_linear_time() -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        sentences("e.g. x" * size)
        sentences(*["a.b"] * size)
        return time.process_time() - began

    seconds(1000)
    assert seconds(40_000) < 40 * max(seconds(4000), 0.005)


# ---- characters


@pytest.mark.parametrize("character", ["e\u0301", FAMILY, WAVE, FLAGS[:2], HAN, "\r\n", "\ud83d\ude00", "\u2764\ufe0f"], ids=ascii)
def test_what_a_reader_sees_as_one_is_one(character: str) -> None:
    assert clusters(character) == [character]
    assert clusters(f"a{character}{character}b") == ["a", character, character, "b"]


@given(st.text())
def test_clusters_are_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text


@given(st.text(), st.data())
def test_halves_of_a_pair_meet_again(text: str, data: st.DataObject) -> None:
    """As code units in any pieces, of which no piece that comes out is half a character."""
    units = re.findall("..", text.encode("utf-16-be", "surrogatepass").hex())
    halves = [chr(int(a + b, 16)) for a, b in zip(units[::2], units[1::2], strict=True)]
    places = sorted(data.draw(st.lists(st.integers(0, len(halves)))))
    pieces = ["".join(halves[a:b]) for a, b in pairwise([0, *places, len(halves)])]
    whole = Whole()
    found = [*map(whole.feed, pieces), whole.end()]
    assert "".join(found) == text
    for piece in found:
        piece.encode()


# ---- even pieces


@given(st.text(min_size=1), st.sampled_from([0.0, 0.05, 0.075, 0.1]))
def test_spreading_loses_nothing_and_is_even(text: str, seconds: float) -> None:
    plan = spread(text, seconds)
    offsets, pieces = [offset for offset, _ in plan], [piece for _, piece in plan]
    assert "".join(pieces) == text
    assert offsets[0] == 0
    assert all(offset < max(seconds / 2, TICK) for offset in offsets)
    assert all(abs((b - a) - seconds / 2 / len(plan)) < 1e-9 for a, b in pairwise(offsets))
    sizes = [len(clusters(piece)) for piece in pieces]
    if text.isascii():
        assert max(sizes) - min(sizes) <= 1
