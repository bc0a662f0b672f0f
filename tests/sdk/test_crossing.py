"""A reply that somebody goes on with in another dialect, behind any frame, as that dialect's official SDK reads it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from itertools import permutations

import pytest

from generation.listening import read_all_of, reading, undisturbed
from generation.speaking import draw, written
from sdk.matrix.clients import CLIENTS
from sdk.matrix.speakers import Ask, Heard, Speaker
from telex.core.fold import fold
from telex.core.messages import Choice, Reply
from telex.dialects import DIALECTS
from telex.generation.crossing import Crossing
from telex.testing import ScriptedUpstream, Send
from telex.testing.answers import stream

SEEDS, CUTS = 8, 4
"""Streams of each pair of dialects, and places at which each is cut."""


@pytest.fixture(scope="module")
def speakers(upstream: ScriptedUpstream) -> Iterator[dict[str, Speaker]]:
    speakers = {name: speaker(upstream.url.removesuffix("/v1")) for name, speaker in CLIENTS.items()}
    yield speakers
    for speaker in speakers.values():
        asyncio.run(speaker.close())


def suffixes(of: str, dialect: str) -> Iterator[tuple[str, list[bytes]]]:
    """What is behind some frames of each reply, and where that is."""
    for seed in range(SEEDS):
        coin, provider = random.Random(seed), list(DIALECTS)[seed % len(DIALECTS)]
        log = written(draw(seed, provider), coin)
        count = len(undisturbed(log, reading(of)))
        for after in [*(coin.randint(1, count) for _ in range(CUTS - 1)), count + 1]:
            yield f"seed {seed} of {provider}, behind frame {after}", undisturbed(log, Crossing(reading(dialect), reading(of), after))


@pytest.mark.filterwarnings("ignore:.* is not a valid")  # so Google's meets words that it does not know
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # and OpenAI's items
@pytest.mark.parametrize(("of", "dialect"), list(permutations(DIALECTS, 2)))
def test_every_sdk_reads_what_is_behind_any_frame(upstream: ScriptedUpstream, speakers: dict[str, Speaker], of: str, dialect: str) -> None:
    speaker, arguments = speakers[dialect], speakers[dialect].arguments("m", Ask())
    for place, frames in suffixes(of, dialect):
        upstream.play(stream([Send(frame) for frame in frames]))
        reply = fold(read_all_of(dialect, frames))
        if reply.failure is not None:
            with pytest.raises(speaker.errors):
                speaker.stream_sync(arguments)
            continue
        check(speaker.stream_sync(arguments), reply, place)
        upstream.play(stream([Send(frame) for frame in frames]))
        if dialect != "openai-chat" or not any(choice.finish and choice.finish.reason == "length" for choice in reply.choices):
            check(speaker.helper_sync(arguments), reply, place)  # which raises on those in Chat Completions


def first(reply: Reply) -> Choice:
    return reply.choices[0] if reply.choices else Choice(0)


def check(heard: Heard, reply: Reply, place: str) -> None:
    parts = first(reply).parts
    assert heard.text == "".join(part.text for part in parts if part.kind in ("text", "refusal")), place
    assert heard.reasoning == "".join(part.text for part in parts if part.kind == "reasoning"), place
    calls = [(part.name, json.loads(part.text or "{}")) for part in parts if part.kind == "tool_call"]
    assert list(heard.calls) == calls, place
    assert heard.finish, place
