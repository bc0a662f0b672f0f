"""How a kept log is read: as its client would have been told at once, in any dialect, whole or as events, and as often as anybody reads."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from telex.config import Timeouts
from telex.core.errors import Failure
from telex.core.events import Start
from telex.core.fold import fold
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.dialects.quirks import Quirks
from telex.generation.attempt import Attempt
from telex.generation.kept import KeptLog, Room
from telex.generation.log import Log
from telex.generation.reading import Reading, Source, make_output
from telex.metering.meter import Meter
from telex.upstream.timers import Timers

from .adding import settle, tally
from .listening import read_all, read_all_of, read_part, reading, undisturbed
from .speaking import ALONE, Told, draw, recordings, written
from .wires import Wire

DIALECT = pytest.mark.parametrize("client", DIALECTS)
PROVIDER = pytest.mark.parametrize("provider", DIALECTS)
RECORDED = recordings(200_000)
RESPONSES = "openai-responses"
PINGED = re.compile(rb"event: ping\r?\ndata: .*\n\r?\n")


def passing(told: Told, wanted: Reading, coin: random.Random) -> bytes | None:
    """What a client gets at once, if nothing is kept; None if it failed before there was any content."""
    log, loop, dialect = Log(), Timers(), DIALECTS[told.dialect]
    output = make_output(wanted, Source(told.dialect, told.quirks))
    meter = Meter(Request(model="m", messages=()), 0.0)
    attempt = Attempt(loop, dialect, dialect.Decoder(told.quirks), output, log, meter, Timeouts(), loop.time() + 600, True)
    attempt.on_connected(Wire())
    attempt.on_head(200, {"content-type": "application/json" if told.whole else "text/event-stream"})
    place = coin.randint(0, len(told.data))
    attempt.on_data(told.data[:place])
    attempt.on_data(told.data[place:])
    attempt.on_failure(told.broken) if told.broken is not None else attempt.on_end()
    if attempt.verdict.result() is not None:
        return None
    attempt.commit()
    failure = attempt.ended.result()
    log.append(output.fail(failure) if failure is not None else [])
    return log.reader().take()


def check(told: Told, client: str, seed: int) -> None:
    at_once = passing(told, reading(client), random.Random(seed))
    log = written(told, random.Random(seed + 1))
    if at_once is not None:
        assert b"".join(undisturbed(log, reading(client))) == PINGED.sub(b"", at_once), f"{told.dialect} ({told.name}) for {client}"


@DIALECT
@PROVIDER
def test_it_is_what_the_client_would_have_got_at_once_byte_for_byte(provider: str, client: str) -> None:
    for seed in range(40):
        check(draw(seed, provider), client, seed)


@DIALECT
def test_so_are_recorded_replies(client: str) -> None:
    for seed, told in enumerate(RECORDED):
        check(told, client, seed)


@DIALECT
@PROVIDER
def test_the_whole_is_the_fold_of_the_stream(provider: str, client: str) -> None:
    for seed in range(40):
        log = written(draw(seed, provider), random.Random(seed))
        bodies = undisturbed(log, Reading(client, whole=True, id="gen_1", created=1, name=reading(client).name))
        if log.failure is not None:
            assert bodies == [], "what did not complete has no body"
            continue
        [body] = bodies
        stream, choices = read_all_of(client, undisturbed(log, reading(client))), 1 if {provider, client} & ALONE else 99
        streamed, whole = (settle(tally(events, choices=choices), False) for events in (stream, DIALECTS[client].Decoder().whole(body)))
        assert streamed == whole


@PROVIDER
def test_events_are_what_the_frames_say(provider: str) -> None:
    for seed in range(40):
        told = draw(seed, provider)
        log = written(told, random.Random(seed))
        heard = [event for said in undisturbed(log, Reading("")) for event in said.events]
        if told.whole:
            assert fold(heard) == fold(DIALECTS[provider].Decoder().whole(told.data))
        else:
            said = [event for event in read_part(provider, told.quirks, log.entries) if not isinstance(event, Failure)]
            assert heard[: len(said)] == said


def kept(dialect: str, *entries: bytes, failure: Failure | None = None, **source: Any) -> KeptLog:
    log = KeptLog(Room(1 << 30))
    log.source = Source(dialect, **source)
    log.append(entries)
    log.close(failure)
    return log


# ---- what never began


@DIALECT
def test_what_failed_before_there_was_any_content_is_read_as_an_error(client: str) -> None:
    log = KeptLog(Room(1 << 30))
    log.close(Failure("overloaded", "Too much."))
    frames = undisturbed(log, reading(client))
    wanted = reading(client)
    assert frames == DIALECTS[client].Encoder(True, wanted.name or wanted.id, wanted.created).feed(Failure("overloaded", "Too much."))
    assert undisturbed(log, Reading("")) == []


# ---- signs of life


def test_pings_of_the_provider_are_no_frames_whatever_their_form() -> None:
    """Telex says its own, which no cursor counts, and nobody can tell them apart."""
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"a","content":[],"usage":{}}}\n\n'
    new = b'event: something_new\ndata: {"type":"something_new"}\n\n'
    log = kept("anthropic", start, b'event: ping\ndata: {"type": "ping"}\n\n', new, DIALECTS["anthropic"].KEEP_ALIVE)
    assert read_all(log.join(reading("anthropic")))[:3] == [start, new]
    assert read_all(log.join(reading("anthropic"), 1)) == [new]


# ---- names


def created(id: str, text: str = "") -> list[bytes]:
    encoder = DIALECTS[RESPONSES].Encoder(id=id)
    return encoder.feed(Start(id, "m", 1, RESPONSES))


NAMED = Reading(RESPONSES, id="gen_1", created=1, name="resp_gen_1", renamed=True)


def test_a_reply_that_is_renamed_has_its_name_wherever_its_provider_says_its_own() -> None:
    log = kept(RESPONSES, *created("resp_theirs"))
    frames = undisturbed(log, NAMED)
    assert [json.loads(frame.partition(b"data: ")[2])["response"]["id"] for frame in frames] == ["resp_gen_1"] * 2
    assert undisturbed(log, Reading(RESPONSES, name="resp_gen_1")) == created("resp_theirs"), "unless it is not to be"


@pytest.mark.parametrize("theirs", ["e", "resp_1", "1", '"'])
def test_words_that_hold_the_providers_name_stay_as_they_are(theirs: str) -> None:
    delta = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "msg_e1",
        "delta": f'"{theirs}" is resp_12',
    }
    said = b"event: response.output_text.delta\ndata: " + json.dumps(delta).encode() + b"\n\n"
    log = kept(RESPONSES, *created(theirs), said)
    assert undisturbed(log, NAMED)[2] == said


def test_one_whose_provider_says_no_name_is_left_as_it_is() -> None:
    body = b'{"id":"","object":"response","status":"completed","output":[]}'
    assert undisturbed(kept(RESPONSES, body, whole=True), Reading(RESPONSES, whole=True, name="resp_gen_1", renamed=True)) == [body]


# ---- the end


def test_an_end_that_only_the_connection_said_is_said_with_the_terminator() -> None:
    entry = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    log = kept("openai-chat", entry, quirks=Quirks(no_done=True))
    assert undisturbed(log, reading("openai-chat")) == [entry, b"data: [DONE]\n\n"]
    assert undisturbed(kept("openai-chat", entry), reading("openai-chat")) == [entry], "no terminator is ever made up"
