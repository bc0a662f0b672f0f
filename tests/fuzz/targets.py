"""What a fuzzer feeds: bytes that choose a dialect and one of the places where bytes of strangers come in, and what must hold of them."""

from __future__ import annotations

from contextlib import suppress

from telex.core import json, sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart
from telex.core.fold import fold
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.dialects.operation import Operation
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.dialects.translate import Manner, Outgoing, address, address_count

NAMES = list(DIALECTS)
QUIRKS = (NO_QUIRKS, Quirks(no_done=True, calls_by_id=True))
COUNTING = (NO_QUIRKS, Quirks(counting="beside"), Quirks(counting="flat"))
PLACES = ("stream", "whole", "error", "request", "count")


def header(name: str, place: str) -> bytes:
    """The byte that chooses: before a seed's own bytes."""
    return bytes([NAMES.index(name) * len(PLACES) + PLACES.index(place)])


def feed(data: bytes) -> None:
    """One input of the fuzzer. Raises if anything that must hold does not."""
    if not data:
        return
    number, place = divmod(data[0] % (len(NAMES) * len(PLACES)), len(PLACES))
    name, body = NAMES[number], data[1:]
    match PLACES[place]:
        case "stream":
            read_stream(name, body)
        case "whole":
            check(name, DIALECTS[name].Decoder().whole(body))
        case "error":
            read_error(name, body)
        case "request":
            read_request(name, body)
        case "count":
            read_count(name, body)


def read_stream(name: str, body: bytes) -> None:
    """The bytes in two pieces and in one, with and without quirks."""
    for quirks in QUIRKS:
        results: list[list[Event]] = []
        for cut in (0, len(body) // 2):
            frames, decoder = sse.Decoder(), DIALECTS[name].Decoder(quirks)
            events: list[Event] = []
            for piece in (body[:cut], body[cut:]):
                for frame in frames.feed(piece):
                    events += decoder.feed(frame)
            for frame in frames.end():
                events += decoder.feed(frame)
            results.append(events + decoder.end())
        assert results[0] == results[1], "where bytes are cut must not matter"
        check(name, results[0])


def check(name: str, events: list[Event]) -> None:
    """The grammar holds, and every dialect can say what was read."""
    assert isinstance(events[-1], Done | Failure)
    assert not any(isinstance(event, Done | Failure) for event in events[:-1]), "an end that is not the last word"
    opened, ended = set[tuple[int, int]](), set[tuple[int, int]]()
    for event in events:
        if isinstance(event, PartStart):
            assert (event.choice, event.index) not in opened, "a part that starts twice"
            opened.add((event.choice, event.index))
        elif isinstance(event, PartDelta | PartEnd):
            assert (event.choice, event.index) in opened - ended, "more of a part that is not open"
            if isinstance(event, PartEnd):
                ended.add((event.choice, event.index))
    reply = fold(events)
    for dialect in DIALECTS.values():
        encoder = dialect.Encoder()
        frames = [frame for event in events for frame in encoder.feed(event)]
        again = sse.Decoder().feed(b"".join(frames))
        assert len(again) == len(frames), "a frame that is read as none, or as several"
        dialect.encode_reply(reply)


def read_error(name: str, body: bytes) -> None:
    for status in (400, 429, 500):
        failure = DIALECTS[name].decode_error(status, {}, body, 0.0)
        for dialect in DIALECTS.values():
            assert 400 <= dialect.status_of(failure) < 600
            dialect.encode_error(failure, "gen_1")


def read_request(name: str, body: bytes) -> None:
    request = DIALECTS[name].decode_request(body, Operation("m", True), {})
    if not isinstance(request, Request):
        assert request.http_status == 400
        return
    for dialect in DIALECTS.values():
        sent = address(request, dialect, "m", True, Manner())
        assert isinstance(sent, Outgoing | Failure)


def read_count(name: str, body: bytes) -> None:
    """A question how many tokens there are, and an answer."""
    with suppress(json.Malformed):
        assert DIALECTS[name].COUNT.decode(body) > 0
    request = DIALECTS[name].decode_request(body, Operation("m", kind="count"), {})
    if not isinstance(request, Request):
        assert request.http_status == 400
        return
    for dialect in DIALECTS.values():
        for quirks in COUNTING:
            assert isinstance(address_count(request, dialect, "m", quirks), Outgoing | Failure | None)
