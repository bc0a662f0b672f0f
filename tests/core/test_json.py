"""JSON as providers write it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core import json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=VALUES)
def test_what_is_encoded_is_read_again(value: object) -> None:
    """Lone halves of surrogate pairs too, since `st.characters` draws them."""
    assert json.decode(json.encode(value)) == value


HALVES = [(rb'"\ud83d"', "\ud83d"), (rb'{"a":"x\uDE00y"}', {"a": "x\ude00y"}), (rb'"\ud83d\ude00"', "😀"), (rb'["\\ud83d"]', ["\\ud83d"])]


@pytest.mark.parametrize(("text", "value"), HALVES)
def test_halves_of_surrogate_pairs(text: bytes, value: object) -> None:
    assert json.decode(text) == value
    assert json.decode(json.encode(value)) == value


REFUSED = {
    "nothing": b"",
    "half": b'{"a":',
    "two values": b"1 2",
    "NaN": b"NaN",
    "NaN beside a half of a pair": rb'{"a":"\ud83d","b":NaN}',
    "infinity beside a half of a pair": rb'["\ud83d",-Infinity]',
    "no UTF-8": b'"\xff"',
    "no UTF-8 beside a half of a pair": b'["\\ud83d","\xff"]',
    "a raw surrogate": b'"\xed\xa0\xbd"',
    "a control character": b'"\x01"',
    "too deep": b"[" * 100_000,
    "too deep, and closed": b"[" * 100_000 + b"]" * 100_000,
    "too deep beside a half of a pair": rb'["\ud83d",' + b"[" * 100_000 + b"]" * 100_000 + b"]",
    "a byte order mark": b"\xef\xbb\xbf1",
    "a broken half of a pair": rb'"\ud8"',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_no_json_is_malformed(text: bytes) -> None:
    with pytest.raises(json.Malformed) as caught:
        json.decode(text)
    assert str(caught.value)


@given(text=st.text(st.characters()), data=st.data())
def test_fragments_join_to_the_text_that_was_cut(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    places = sorted(2 * place for place in data.draw(st.lists(st.integers(0, len(units) // 2), max_size=6)))
    edges = [0, *places, len(units)]
    fragments = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(edges)]
    joined = json.join(fragments)
    joined.encode()  # whole text again, whatever came
    assert joined == units.decode("utf-16-le", "replace")
