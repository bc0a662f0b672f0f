"""What is read off a refrain is what decoding would have said, whatever the chunks hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.core.events import Done, Event, Extra, PartDelta, PartStart, Start
from telex.core.messages import Usage
from telex.core.sse import Frame
from telex.dialects import DIALECTS
from telex.dialects.openai_chat import Decoder
from telex.dialects.refrain import Echo, Refrain


class Deaf(Refrain):
    """Never knows anything, so that every chunk is decoded."""

    def read(self, raw: bytes) -> PartDelta | None:
        return None


def decode(chunks: list[bytes], refrain: Refrain) -> list[Event]:
    decoder = Decoder()
    decoder._refrain = refrain
    return [event for chunk in chunks for event in decoder.feed(Frame(chunk, "", chunk))]


def chunk(text: str, index: int = 0, field: str = "content", **more: object) -> bytes:
    body = {"id": "a", "choices": [{"index": index, "delta": {field: text}}], "model": "m", **more}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


tricky = st.text(st.sampled_from('ab:,"\\{}[]é😀\n content'), min_size=0, max_size=6)
chunks = st.builds(chunk, tricky, st.integers(0, 1), st.sampled_from(["content", "content", "reasoning"]))
noise = st.builds(
    lambda data, at, byte: data[:at] + byte + data[at:], chunks, st.integers(0, 70), st.sampled_from([b'"', b":", b"\xff", b""])
)


@given(st.lists(chunks | noise, max_size=12))
def test_it_says_what_decoding_says(stream: list[bytes]) -> None:
    assert decode(stream, Refrain()) == decode(stream, Deaf())


def test_it_reads_a_plain_stream_without_decoding() -> None:
    known = Refrain()
    decode([chunk("one"), chunk("two")], known)
    assert known.read(chunk("three")) == PartDelta(0, 0, "three")
    assert known.read(chunk('th"ee')) is None
    assert known.read(chunk("three", index=1)) is None


def test_a_text_that_reads_like_json_is_not_mistaken() -> None:
    least = [json.dumps({"choices": [{"delta": {"content": text}}]}, separators=(",", ":")).encode() for text in ("x", ":", "y", ",", "z")]
    assert decode(least, Refrain()) == decode(least, Deaf())


def test_it_gives_up_on_chunks_that_are_padded_with_noise() -> None:
    known = Refrain()
    decode([chunk("word", obfuscation="x" * n) for n in range(20)], known)
    assert known._patience == 0


def test_it_reads_frames_that_are_padded_with_spaces() -> None:
    known = Refrain()
    padded = [chunk(text).removesuffix(b"}") + b" " * spaces + b"}" for text, spaces in (("one", 3), ("two", 0), ("three ", 9))]
    decode([chunk("none"), *padded[:1]], known)
    assert [known.read(frame) for frame in padded] == [PartDelta(0, 0, "one"), PartDelta(0, 0, "two"), PartDelta(0, 0, "three ")]


class Mute(Echo):
    """Never says anything, so that every event is encoded."""

    def say(self, event: Event) -> bytes | None:
        return None


starts = [PartStart(0, 0, "text"), PartStart(0, 1, "reasoning"), PartStart(1, 0, "text")]
deltas = st.builds(PartDelta, st.integers(0, 1), st.just(0), tricky, signature=st.sampled_from(["", "", "", "c2ln"]))
between: st.SearchStrategy[Event] = st.sampled_from([Extra(-1, {"a": 1}), Extra(0, {"b": 2}), Usage(3, 4), PartDelta(0, 1, "hm")])


@pytest.mark.parametrize("name", ["openai-chat", "anthropic"])
@given(middle=st.lists(deltas | between, max_size=12))
def test_an_echo_says_what_encoding_says(name: str, middle: list[Event]) -> None:
    events: list[Event] = [Start("r", "m", 1, "openai-chat"), *starts, *middle, Done()]
    echoing, encoding = DIALECTS[name].Encoder(), DIALECTS[name].Encoder()
    vars(encoding)["_echo"] = Mute()
    assert [echoing.feed(event) for event in events] == [encoding.feed(event) for event in events]


def test_an_echo_says_a_plain_stream_without_encoding() -> None:
    encoder = DIALECTS["openai-chat"].Encoder()
    for event in (Start("r", "m", 1, ""), starts[0], PartDelta(0, 0, "one")):
        encoder.feed(event)
    echo = vars(encoder)["_echo"]
    assert echo.say(PartDelta(0, 0, "two")) is not None
    assert echo.say(PartDelta(1, 0, "two")) is None
    encoder.feed(Extra(-1, {"a": 1}))
    assert echo.say(PartDelta(0, 0, "two")) is None
