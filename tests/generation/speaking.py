"""Streams of providers in every dialect, drawn by a coin: thoughts, text, refusals, calls side by side, parts of their own, choices in
turns; and kept logs that an attempt writes of them, cut into reads anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from recorded import load, names
from telex.config import Timeouts
from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Citation, Fields, Finish, Reason, Request, Token, Usage
from telex.dialects import DIALECTS
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.generation.attempt import Attempt
from telex.generation.kept import KeptLog, Room
from telex.generation.output import SourceOutput
from telex.generation.reading import Source
from telex.metering.meter import Meter
from telex.upstream.timers import Timers

from .wires import Wire

ALONE = frozenset({"anthropic", "openai-responses"})
"""Dialects whose replies have one choice."""

BROKEN = Failure("truncated", "The connection broke.")
WORDS = ("Hi", " there", "é 😀", "\n", ' "quoted" ', "\u2028", " and", " so", " on", "\\")
ARGUMENTS = ('{"city":"Oslo","days":[1,2]}', "{}", '{"q":"é\\n\\"x\\""}', '{"deep":{"a":[{"b":null}]}}')
OPAQUE: dict[str, tuple[str, str, Fields]] = {
    "anthropic": ("server_tool_use", '{"query":"q"}', {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
    "openai-responses": ("web_search_call", "", {"type": "web_search_call", "id": "ws_1", "status": "completed"}),
    "gemini": ("executableCode", "", {"executableCode": {"language": "PYTHON", "code": "1+1"}}),
    "openai-chat": ("hologram", "", {"type": "hologram", "value": 1}),
}
"""A part that only its own dialect knows: its type, the JSON that is streamed into it, and the rest of it."""


class Told(NamedTuple):
    """What a provider sends: the bytes of a stream, or of a `whole` body. `broken`: how its connection breaks, if it does."""

    name: str
    dialect: str
    data: bytes
    quirks: Quirks = NO_QUIRKS
    whole: bool = False
    broken: Failure | None = None


# ---- what is said


def speak(coin: random.Random, dialect: str) -> list[Event]:
    """One reply's events. Those of several choices come in turns, and so do those of parallel calls."""
    choices = 1 if dialect in ALONE or coin.random() < 0.6 else coin.randint(2, 3)
    usage = Usage(coin.randint(1, 99), coin.randint(1, 99), reasoning=coin.randint(0, 1))
    early: list[Event] = [usage] if coin.random() < 0.2 else []
    turns = shuffle(coin, [say_choice(coin, dialect, choice) for choice in range(choices)])
    late: list[Event] = [usage] if coin.random() < 0.8 else []
    extra: list[Event] = [Extra(-1, {"x_tier": "priority"})] if coin.random() < 0.2 else []
    id = {"openai-responses": "resp_1", "anthropic": "msg_1", "gemini": "r1"}.get(dialect, "chatcmpl-1")
    return [Start(id, "model-1", 1_700_000_000, dialect), *early, *turns, *extra, *late, Done()]


def shuffle(coin: random.Random, lanes: list[list[Event]]) -> list[Event]:
    """All of them, each in its own order."""
    said: list[Event] = []
    while lanes := [lane for lane in lanes if lane]:
        said.append(coin.choice(lanes).pop(0))
    return said


def say_choice(coin: random.Random, dialect: str, choice: int) -> list[Event]:
    said: list[Event] = []
    index = 0
    for kind in coin.choice(["t", "rt", "rtc", "c", "rc", "tct", "ot", "otc", "f", "tot", "rtrt", "ta", "xt", "b", "rb", ""]):
        kinds = {"c": "c" * coin.randint(1, 3), "b": "ct"}.get(kind, kind)  # what is beside each other
        said += shuffle(coin, [say_part(coin, dialect, one, choice, index + n) for n, one in enumerate(kinds)])
        index += len(kinds)
    called = any(isinstance(event, PartStart) and event.kind == "tool_call" for event in said)
    reason: Reason = "tool_calls" if called else coin.choice(["stop", "length"])
    if dialect == "openai-chat" and coin.random() < 0.2:
        said.append(Logprobs(choice, (Token("Hi", -0.5),)))
    return [*said, Finish(choice, reason)]


def say_part(coin: random.Random, dialect: str, kind: str, choice: int, index: int) -> list[Event]:
    match kind:
        case "c":
            id = f"call_{choice}_{index}"
            spelt = spell(coin, coin.choice(ARGUMENTS), choice, index)
            if dialect == "gemini" and coin.random() < 0.3:
                spelt.insert(0, PartDelta(choice, index, signature="c2lnbmVk", dialect=dialect))
            return [PartStart(choice, index, "tool_call", id, f"f{index}", "function"), *spelt]
        case "x" if dialect in ("openai-chat", "openai-responses"):
            spelt = spell(coin, coin.choice(ARGUMENTS), choice, index)
            return [PartStart(choice, index, "tool_call", f"c{index}", "run", "custom"), *spelt]
        case "a" if dialect == "openai-chat":
            sound = PartDelta(choice, index, data="AAAA")
            return [PartStart(choice, index, "audio", "a1"), sound, *say_words(coin, choice, index, sound)]
        case "o":
            tool, text, extra = OPAQUE[dialect]
            return [PartStart(choice, index, "opaque", tool=tool, dialect=dialect, extra=extra), *spell(coin, text, choice, index)]
        case "r":
            return [PartStart(choice, index, "reasoning"), *say_words(coin, choice, index, *sign(coin, dialect, choice, index))]
        case "f" if dialect in ("openai-chat", "openai-responses"):
            return [PartStart(choice, index, "refusal"), *say_words(coin, choice, index)]
    cited = [Cite(choice, index, Citation("https://a", "A", 0, 2))] if coin.random() < 0.1 else []
    return [PartStart(choice, index, "text"), *say_words(coin, choice, index, *cited)]


def sign(coin: random.Random, dialect: str, choice: int, index: int) -> list[Event]:
    """What only its provider can read of a thought, where there is any."""
    if coin.random() < 0.3:
        return []
    if dialect == "openai-responses":
        return [PartDelta(choice, index, data="RU5D", dialect=dialect)]
    return [PartDelta(choice, index, signature="c2lnbmVk", dialect=dialect)] if dialect in ("anthropic", "gemini") else []


def say_words(coin: random.Random, choice: int, index: int, *last: Event) -> list[Event]:
    return [*(PartDelta(choice, index, coin.choice(WORDS)) for _ in range(coin.randint(1, 8))), *last, PartEnd(choice, index)]


def spell(coin: random.Random, text: str, choice: int, index: int) -> list[Event]:
    places = sorted({0, len(text), *(coin.randint(0, len(text)) for _ in range(4))})
    return [*(PartDelta(choice, index, text[a:b]) for a, b in pairwise(places)), PartEnd(choice, index)]


# ---- how it is sent


def draw(seed: int, dialect: str) -> Told:
    """A stream that ends well, or one that breaks in one of the ways there are, or a whole body."""
    coin = random.Random(seed)
    events = speak(coin, dialect)
    if coin.random() < 0.1:
        return Told(f"seed {seed}", dialect, DIALECTS[dialect].encode_reply(fold(events)), whole=True)
    encoder = DIALECTS[dialect].Encoder(True, "id", 1)
    frames = [frame for event in events for frame in encoder.feed(event)]
    way = coin.choice(["well"] * 6 + ["cut", "broken", "failed"])
    place = coin.randrange(1, len(frames)) if len(frames) > 1 else 0
    match way:
        case "cut":
            frames = frames[:place]
        case "broken":
            return Told(f"seed {seed}", dialect, b"".join(frames[:place]), broken=BROKEN)
        case "failed":
            error = DIALECTS[dialect].Encoder(True, "id", 1).feed(Failure("overloaded", "Too much.", "e"))
            frames = [*frames[:place], *error]
    if dialect == "anthropic" and coin.random() < 0.5:
        frames.insert(place, DIALECTS[dialect].KEEP_ALIVE)
    data, quirks = b"".join(frames), NO_QUIRKS
    if dialect == "openai-chat":
        quirks = Quirks(no_done=coin.random() < 0.2, repair=coin.random() < 0.2)
        data = data.removesuffix(b"data: [DONE]\n\n") if quirks.no_done else data
    return Told(f"seed {seed}", dialect, data if coin.random() < 0.8 else data.replace(b"\n", b"\r\n"), quirks)


def recordings(most: int) -> list[Told]:
    """Recorded streams of real providers of at most so many bytes."""
    apis = ("chat", "responses", "messages", "generateContent")
    records = [record for api in apis for name in names(api, whole=False) for record in load(name)]
    return [Told(record.name, record.dialect.NAME, record.data, record.quirks) for record in records if len(record.data) <= most]


# ---- what is kept of it


def write(told: Told, coin: random.Random, reads: int = 10) -> Iterator[KeptLog]:
    """A kept log as an attempt writes it, given after about so many reads of its connection, and at last with its end."""
    log, loop, dialect = KeptLog(Room(1 << 30)), Timers(), DIALECTS[told.dialect]
    meter = Meter(Request(model="m", messages=()), 0.0)
    attempt = Attempt(loop, dialect, dialect.Decoder(told.quirks), SourceOutput(True), log, meter, Timeouts(), loop.time() + 600, True)
    attempt.on_connected(Wire())
    attempt.on_head(200, {"content-type": "application/json" if told.whole else "text/event-stream"})
    places = [0, *sorted(coin.randint(0, len(told.data)) for _ in range(reads)), len(told.data)]
    committed = False
    for start, end in pairwise(places):
        attempt.on_data(told.data[start:end])
        if not committed and attempt.verdict.done() and attempt.verdict.result() is None:
            committed = commit(attempt, log, told)
        yield log
    attempt.on_failure(told.broken) if told.broken is not None else attempt.on_end()
    verdict = attempt.verdict.result()
    if verdict is None and not committed:
        commit(attempt, log, told)
    log.close(verdict or attempt.ended.result())
    yield log


def commit(attempt: Attempt, log: KeptLog, told: Told) -> bool:
    log.source = Source(told.dialect, told.quirks, whole=not attempt.streams)
    attempt.commit()
    return True


def written(told: Told, coin: random.Random) -> KeptLog:
    *_, log = write(told, coin)
    return log
