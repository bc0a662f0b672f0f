"""`smoothed()` and `sentences()` on what real models wrote, when they wrote it: the recordings of which every line says its time."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import recordings
from telex import AsyncClient
from telex.client.sentences import Sentences
from telex.config import Config, Provider
from telex.testing import Call, Play, Script, ScriptedUpstream
from telex.testing.answers import render, stream, words
from telex.testing.script import At, Send, Step

from .test_pacing import Arrivals, check

SYNTHETIC: Arrivals = [(n * 0.03, word) for n, word in enumerate(["It", " is", " late", ".", " We", " go", "!", " Soon", "er", "?"])]
SLACK = 10.0
"""Seconds that a loaded machine may add to what takes milliseconds."""


def timed() -> list[Path]:
    folder = recordings()
    found = sorted(folder.rglob("*.ndjson")) if folder else []
    assert found or not folder
    return found


each_recording = pytest.mark.parametrize("file", timed() or [None], ids=lambda file: file.name if file else "synthetic")


@cache
def arrivals(file: Path | None) -> Arrivals:
    """Texts and the seconds since the first, as their provider wrote them."""
    if file is None:
        return SYNTHETIC
    lines = [json.loads(line) for line in file.read_bytes().splitlines() if line.strip()]
    texts = [line.get("response") or line.get("message", {}).get("content", "") for line in lines]
    times = [datetime.fromisoformat(line["created_at"]).timestamp() for line in lines]
    return [(at - times[0], text) for at, text in zip(times, texts, strict=True) if text]


@each_recording
@pytest.mark.parametrize("seconds", [0.05, 0.075, 0.1])
def test_smoothed_loses_nothing_and_is_never_late(file: Path | None, seconds: float) -> None:
    shown = check(arrivals(file), seconds)
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(shown))


@each_recording
def test_each_sentence_is_said_when_what_follows_it_begins(file: Path | None) -> None:
    finder, said, texts = Sentences(), Arrivals(), arrivals(file)
    for at, text in texts:
        said += [(at, sentence) for sentence in finder.feed(text)]
    said += [(texts[-1][0], sentence) for sentence in finder.end()]
    whole = "".join(text for _, text in texts)
    assert "".join(sentence for _, sentence in said) == whole
    assert len(said) > 1
    end = 0
    for at, sentence in said:
        end += len(sentence)
        assert at <= arrival_of(end, texts), f"{sentence!r} waits"


def arrival_of(position: int, texts: Arrivals) -> float:
    """When the character at this position came and the text behind it, which tells an abbreviation from the end of a sentence."""
    length = 0
    for number, (_, text) in enumerate(texts):
        length += len(text)
        if length > position:
            return texts[min(number + 1, len(texts) - 1)][0]
    return texts[-1][0]


def replay(texts: Arrivals) -> Play:
    """A provider that writes each text at its time."""

    def play(call: Call) -> Script:
        rendering = render(words(call, *(text for _, text in texts)), call)
        times = iter(at for at, _ in texts)
        steps: list[Step] = []
        for event, frames in zip(rendering.events, rendering.frames, strict=True):
            if getattr(event, "text", None):
                steps.append(At(next(times)))
            steps += map(Send, frames)
        return stream(steps)

    return play


@each_recording
async def test_over_a_socket_both_are_there_before_the_stream_ends(file: Path | None) -> None:
    texts = arrivals(file)
    with ScriptedUpstream(replay(texts)) as upstream:
        async with AsyncClient(config=Config(providers={"up": Provider("openai-chat", upstream.url)})) as client:
            for way in ("smoothed", "sentences"):
                async with client.stream("Hello?", model="up/m") as answer:
                    pieces, ended = list[str](), list[bool]()
                    async for piece in getattr(answer, way)():
                        pieces.append(piece)
                        ended.append(upstream.calls[-1].finished is not None)
                    reply = await answer.reply()
                assert "".join(pieces) == reply.text == "".join(text for _, text in texts)
                assert not ended[0], "the first is there while the model still writes"
                assert reply.timing.e2e < texts[-1][0] + SLACK
