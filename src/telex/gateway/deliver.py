"""A generation to the client that waits for it: frames as they come, or one body at the end.

Both listen for the client at the same time: it may leave in every phase, and what becomes of its generation was said at the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from telex.dialects import DIALECTS
from telex.dialects.framing import FRAMINGS
from telex.gateway.asgi import Headers, Receive, Send, respond, respond_error
from telex.gateway.entries import AnyReader, Entry, Live, Outline
from telex.generation.generation import Generation
from telex.generation.log import Reader
from telex.generation.reading import Reading
from telex.stores.ports import StoreError
from telex.telemetry.logs import log

KEEP_ALIVE_SECONDS = 15.0
"""Seconds of silence after which an open stream gets a sign of life."""

STREAM_HEADERS: Headers = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


NONE: Headers = []

AGAIN: Headers = [(b"idempotent-replayed", b"true")]
"""Of an answer that is another's too: the request came before, with the same Idempotency-Key."""

EVENT_IDS = "telex-event-ids"
"""The header of clients that want the cursor as the id of each event; the SDKs of OpenAI and Google break on ids."""


async def deliver(entry: Entry, receive: Receive, send: Send, numbered: bool = False, more: Headers = NONE) -> None:
    """What it says, as its client wants it. `more`: further headers. Raises `StoreError`, before anything was said."""
    reader = entry.join()
    async with attending(entry, reader, receive):
        if entry.outline.reading.whole:
            body = await read_whole(reader)
            if not reader.left:
                await send_whole(entry, body, send, more)
        else:
            await deliver_stream(entry, reader, send, numbered, more)


@asynccontextmanager
async def attending(entry: Entry, reader: AnyReader, receive: Receive) -> AsyncIterator[None]:
    """Inside, `reader` is there until the client leaves."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        entry.leave(reader)

    listener = asyncio.create_task(listen())
    try:
        yield
    finally:
        listener.cancel()
        entry.leave(reader)


async def deliver_stream(entry: Entry, reader: AnyReader, send: Send, numbered: bool, more: Headers) -> None:
    """Headers go out at the first content or at the gate. Until then a failure is a status, behind them an error in the stream."""
    if isinstance(entry, Live):
        await wait_for_first(entry.generation, reader)
    else:
        await reader.wait()
    if reader.left:
        return
    outline = entry.outline
    if outline.failure is not None and not outline.spoke:
        framing, reading = FRAMINGS[outline.framing](), outline.reading
        await respond_error(send, DIALECTS[reading.dialect], outline.failure, [*entry.headers, *more], entry.id, framing)
    else:
        await send_stream(reader, send, outline, [*entry.headers, *more], numbered)


async def wait_for_first(generation: Generation, reader: AnyReader) -> None:
    """Return at its first content, at its end, or when it has run for as long as headers may wait."""
    assert isinstance(reader, Reader)
    if generation.background and not generation.ended:
        return  # it is there, whenever it begins, and its client must know what to come back to
    while not (generation.begun or generation.ended or reader.left):
        await reader.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(generation.timeouts.gate):
            await generation.opened(reader)


async def send_stream(reader: AnyReader, send: Send, outline: Outline, headers: Headers, numbered: bool) -> None:
    """Headers, and then frames as `reader` gets them. `numbered`: with ids, where the framing has a place for them."""
    framing, dialect = FRAMINGS[outline.framing](), DIALECTS[outline.reading.dialect]
    take = Numbering(reader, dialect.FIRST_NUMBER).take if numbered and outline.framing == "sse" else reader.take
    content_type: Headers = [(b"content-type", framing.content_type)]
    await send({"type": "http.response.start", "status": 200, "headers": content_type + STREAM_HEADERS + headers})
    alive = KeepAlive(reader)
    try:
        while True:
            await reader.wait()
            if data := take():
                await send({"type": "http.response.body", "body": framing.feed(data), "more_body": True})
            elif reader.over:
                break
            elif alive.due():
                await send({"type": "http.response.body", "body": framing.keep_alive(dialect.KEEP_ALIVE), "more_body": True})
    except StoreError as error:  # an end would be a lie: the connection breaks
        log.warning("store", not_read=str(error))
        return
    finally:
        alive.cancel()
    await send({"type": "http.response.body", "body": framing.end()})


async def send_whole(entry: Entry, body: bytes, send: Send, more: Headers) -> None:
    """One body, or why there is none, in the dialect of the entry's client."""
    outline, headers = entry.outline, [*entry.headers, *more]
    if outline.failure is not None:
        await respond_error(send, DIALECTS[outline.reading.dialect], outline.failure, headers, entry.id)
    else:
        timing = [(b"server-timing", server_timing(entry.generation))] if isinstance(entry, Live) else []
        await respond(send, 200, body, [*headers, *timing])


async def read_whole(reader: AnyReader) -> bytes:
    """Everything, as soon as there will be no more."""
    body: list[bytes] = []
    while not reader.over:
        await reader.wait()
        body.append(reader.take())
    return b"".join(body)


async def read_reply(entry: Entry, reading: Reading) -> bytes:
    """The body of one that is complete. Raises `StoreError`."""
    reader = entry.join(reading)
    try:
        if body := await read_whole(reader):
            return body
    finally:
        entry.leave(reader)
    raise StoreError(f"{entry.id} was forgotten while it was read")


def server_timing(generation: Generation) -> bytes:
    """Milliseconds, as the `Server-Timing` header wants them."""
    timing = generation.meter.timing(0.0)
    parts = (("queue", generation.queued), ("connect", timing.connect), ("ttft", timing.ttft), ("total", timing.e2e))
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts if seconds is not None).encode()


def wants_numbers(headers: Mapping[str, str]) -> bool:
    """`headers`: by their lower-case names."""
    return headers.get(EVENT_IDS, "").strip().lower() == "true"


class Numbering:
    """Gives each frame its cursor as its id: where a reader stands that has it and no more."""

    def __init__(self, reader: AnyReader, first: int) -> None:
        self._reader = reader
        self._first = first

    def take(self) -> bytes:
        frames = self._reader.read()
        number = self._reader.position - len(frames) + self._first
        return b"".join(b"id: %d\n%b" % (number + place, frame) for place, frame in enumerate(frames))


class KeepAlive:
    """Notices silence: a timer looks now and then whether anything has passed, so that an event itself costs nothing."""

    LOOKS = 3
    """How often, in the seconds that silence may last."""

    def __init__(self, reader: AnyReader) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._seen = reader.position
        self._quiet = 0
        self._due = False
        self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_later(KEEP_ALIVE_SECONDS / self.LOOKS, self._look)

    def _look(self) -> None:
        self._quiet = self._quiet + 1 if self._reader.position == self._seen else 0
        self._seen = self._reader.position
        if self._quiet >= self.LOOKS:
            self._quiet = 0
            self._due = True
            self._reader.wake()
        self._arm()

    def due(self) -> bool:
        due, self._due = self._due, False
        return due

    def cancel(self) -> None:
        self._timer.cancel()
