"""Reading kept logs in tests: what there is for a reader, and what frames say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telex.core import sse
from telex.core.events import Event
from telex.dialects import DIALECTS
from telex.dialects.quirks import Quirks
from telex.generation.kept import KeptLog, KeptReader
from telex.generation.reading import Reading, Reads


def reading(dialect: str) -> Reading:
    return Reading(dialect, id="gen_1", created=1_700_000_001, name="resp_gen_1" if dialect == "openai-responses" else "")


def read_all(reader: KeptReader) -> list[Any]:
    """What is there for it, in as many reads as it takes."""
    frames = []
    while reader.has_more:
        frames += reader.read()
    return frames


def undisturbed(log: KeptLog, reads: Reads) -> list[Any]:
    return read_all(log.join(reads))


def read_part(dialect: str, quirks: Quirks, frames: Sequence[bytes]) -> list[Event]:
    """What some frames say that are not all."""
    splitter, decoder = sse.Decoder(), DIALECTS[dialect].Decoder(quirks)
    return [event for raw in frames for frame in splitter.feed(raw) for event in decoder.feed(frame)]


def read_all_of(dialect: str, frames: Sequence[bytes]) -> list[Event]:
    """What all of a stream says."""
    splitter, decoder = sse.Decoder(), DIALECTS[dialect].Decoder()
    events = [event for raw in frames for frame in splitter.feed(raw) for event in decoder.feed(frame)]
    return [*events, *decoder.end()]
