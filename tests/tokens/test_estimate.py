"""Estimates, held against a tokeniser that is known."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from telex.tokens import estimate as module
from telex.tokens.encodings import count_texts
from telex.tokens.estimate import SAMPLE, estimate

TEXTS = {
    "code": Path(module.__file__).read_text(),
    "a table": "\n".join(f"{n * 7919},{n * 1.37:.3f},{n}" for n in range(300)),
    "hexadecimal digits": "".join(sha256(bytes([n])).hexdigest() for n in range(30)),
    "JSON": json.dumps([{"id": n, "name": f"Item {n}", "tags": ["first", "other"], "price": n * 1.5} for n in range(50)]),
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should "
    "act towards one another in a spirit of brotherhood.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen "
    "einander im Geiste der Brüderlichkeit begegnen.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et "
    "doivent agir les uns envers les autres dans un esprit de fraternité.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать "
    "в отношении друг друга в духе братства.",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、"
    "互いに同胞の精神をもって行動しなければならない。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 "
    "형제애의 정신으로 행동하여야 한다.",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है।",
    "Arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء.",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_it_is_near_what_a_tokeniser_counts(text: str) -> None:
    counts = count_texts([text], "o200k_base")
    assert counts is not None
    assert 0.75 < estimate(text) / counts[0] < 1.27


@pytest.mark.parametrize("text", ["", " "])
def test_nothing_is_nothing(text: str) -> None:
    assert estimate(text) == 0


def test_of_a_long_text_the_beginning_is_looked_at() -> None:
    short, long = estimate("word " * (SAMPLE // 5)), estimate("word " * SAMPLE)
    assert abs(long / short - 5) < 0.01


@pytest.mark.parametrize("text", [" " * 300_000, "a" * 300_000, "\ud83d" * 9, "\x00\x7f", "\u0301" * 1000])
def test_no_text_is_too_odd(text: str) -> None:
    assert 0 <= estimate(text) <= len(text)
