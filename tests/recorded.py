"""Real providers' recorded replies, read from the folder that TELEX_RECORDINGS names; they belong to others."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import cache

import msgspec
from msgspec import Struct

from conftest import recordings
from telex.config.load import known_rows
from telex.core import sse
from telex.core.events import Event
from telex.core.fold import fold
from telex.core.messages import Reply
from telex.dialects import DIALECTS, Dialect
from telex.dialects.quirks import Quirks

APIS = {"chat": "openai-chat", "responses": "openai-responses", "messages": "anthropic", "generateContent": "gemini"}
"""What the MANIFEST calls the dialects."""

TERMINATOR = b"data: [DONE]\n\n"
NAMED = ("messages", "responses")
"""APIs whose events have names, which are the types of their data."""

LAST = {
    "messages": ("message_stop",),
    "responses": ("response.completed", "response.incomplete", "response.failed"),
}
"""Events that end a stream."""

CUTS = 40
"""Into how many pieces of one length each recording is cut."""


class Recording(Struct, frozen=True):
    """One exchange: its place, what the MANIFEST says, and its bytes, in the dialect that its `api` is."""

    name: str
    api: str
    provider: str
    features: frozenset[str]
    data: bytes

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[APIS[self.api]]

    @property
    def quirks(self) -> Quirks:
        return msgspec.convert(known_rows().get(self.provider, {}).get("quirks", {}), Quirks)

    @property
    def finishes(self) -> set[str]:
        return {word for f in self.features if f.startswith("finish=") for word in f.removeprefix("finish=").split("|")}

    @property
    def status(self) -> int:
        return next((int(f.removeprefix("http_")) for f in self.features if f.startswith("http_")), 0)

    @property
    def failed(self) -> bool:
        return bool(self.features & {"error_body", "error_mid_stream", "auth_error"}) or self.status >= 400

    @property
    def ends(self) -> bool:
        """Whether its end is there, as the provider's row defines it."""
        if self.api == "chat":
            return self.quirks.no_done or b"[DONE]" in self.data[-100:]
        return any(json.loads(frame.data).get("type") in LAST.get(self.api, ()) for frame in self.frames[-1:])

    @property
    def frames(self) -> list[sse.Frame]:
        decoder = sse.Decoder()
        return [*decoder.feed(self.data), *decoder.end()]

    @property
    def events(self) -> list[list[Event]]:
        """Those of each frame, and those of the end."""
        decoder = self.dialect.Decoder(self.quirks)
        return [*(decoder.feed(frame) for frame in self.frames), decoder.end()]

    @property
    def reply(self) -> Reply:
        return fold(event for events in self.events for event in events)


@cache
def rows() -> list[dict[str, str]]:
    folder = recordings()
    if folder is None or not (folder / "MANIFEST.tsv").is_file():
        return []
    with (folder / "MANIFEST.tsv").open(newline="") as manifest:
        return [row for row in csv.DictReader(manifest, delimiter="\t") if row["api"] in APIS]


def names(api: str, *, whole: bool) -> list[str]:
    """The files of one API that hold whole bodies, or those that hold streams."""
    return [row["file"] for row in rows() if row["api"] == api and row["file"].endswith(".json") is whole]


@cache
def load(name: str) -> list[Recording]:
    """The exchanges in a file: one, but for lists of chunks that somebody wrote behind each other."""
    folder = recordings()
    assert folder is not None
    row = next(row for row in rows() if row["file"] == name)
    features = frozenset(filter(None, row["features"].split(",")))
    data = (folder / name).read_bytes()
    streams = [data]
    if name.endswith(".chunks.txt"):
        lines = [line for line in data.splitlines() if line.strip()]
        streams = [framed(row["api"], group) for group in exchanges(row["api"], lines)]
    return [Recording(name, row["api"], row["provider"], features, stream) for stream in streams]


def framed(api: str, lines: list[bytes]) -> bytes:
    """Payloads as the stream that they were taken from."""
    if api == "chat":
        return b"".join(map(sse.encode, lines)) + TERMINATOR
    return b"".join(sse.encode(line, json.loads(line)["type"] if api in NAMED else "") for line in lines)


def exchanges(api: str, lines: list[bytes]) -> Iterator[list[bytes]]:
    """Payloads split where one exchange ends and another begins: where the id changes behind a finish, or behind its terminator."""
    group: list[bytes] = []
    id, finished = None, False
    for line in lines:
        chunk = json.loads(line)
        if finished and (api != "chat" or (chunk.get("id") != id and chunk.get("choices"))):
            yield group
            group, finished = [], False
        id = chunk.get("id", id)
        if api == "chat":
            finished = finished or any(choice.get("finish_reason") for choice in chunk.get("choices") or ())
        else:
            finished = chunk.get("type") in LAST.get(api, ())
        group.append(line)
    yield group
