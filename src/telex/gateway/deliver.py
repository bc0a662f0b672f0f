"""A generation to the client that waits for it: frames as they come, or one body at the end.

Both listen for the client at the same time: it may leave in every phase, and what becomes of its generation was said at the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from telex.dialects.framing import FRAMINGS
from telex.gateway.asgi import Headers, Receive, Send, identify, respond, respond_error
from telex.gateway.quotas import quota_headers
from telex.generation.generation import Generation
from telex.generation.log import Reader

DROPPED_LIMIT = 1000
"""Characters of the header that names what was dropped; what goes beyond it is counted."""

KEEP_ALIVE_SECONDS = 15.0
"""Seconds of silence after which an open stream gets a sign of life."""

STREAM_HEADERS: Headers = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


EVENT_IDS = "telex-event-ids"
"""The header of clients that want the cursor as the id of each event; the SDKs of OpenAI and Google break on ids."""


async def deliver(generation: Generation, receive: Receive, send: Send, numbered: bool = False) -> None:
    """Run `generation` for this client."""
    reader = generation.join()
    generation.start()
    async with attending(generation, reader, receive):
        if generation.request.stream:
            await deliver_stream(generation, reader, send, numbered)
        else:
            await deliver_whole(generation, reader, send)


@asynccontextmanager
async def attending(generation: Generation, reader: Reader, receive: Receive) -> AsyncIterator[None]:
    """Inside, `reader` is there until the client leaves."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        generation.leave(reader)

    listener = asyncio.create_task(listen())
    try:
        yield
    finally:
        listener.cancel()
        generation.leave(reader)


async def deliver_stream(generation: Generation, reader: Reader, send: Send, numbered: bool) -> None:
    """Headers go out at the first content or at the gate. Until then a failure is a status, behind them an error in the stream."""
    try:
        async with asyncio.timeout(generation.timeouts.gate):
            await generation.opened(reader)
    except TimeoutError:
        pass
    if reader.left:
        return
    if generation.failure is not None and not generation.committed:
        framing = FRAMINGS[generation.request.framing]()
        await respond_error(send, generation.dialect, generation.failure, head(generation), generation.id, framing)
    else:
        await send_stream(generation, reader, send, numbered)


async def send_stream(generation: Generation, reader: Reader, send: Send, numbered: bool) -> None:
    """Headers, and then frames as `reader` gets them. `numbered`: with ids, where the framing has a place for them."""
    framing = FRAMINGS[generation.request.framing]()
    take = Numbering(reader, generation.dialect.FIRST_NUMBER).take if numbered and generation.request.framing == "sse" else reader.take
    content_type: Headers = [(b"content-type", framing.content_type)]
    await send({"type": "http.response.start", "status": 200, "headers": content_type + STREAM_HEADERS + head(generation)})
    alive = KeepAlive(reader)
    try:
        while True:
            await reader.wait()
            if data := take():
                await send({"type": "http.response.body", "body": framing.feed(data), "more_body": True})
            elif reader.over:
                break
            elif alive.due():
                await send({"type": "http.response.body", "body": framing.keep_alive(generation.dialect.KEEP_ALIVE), "more_body": True})
    finally:
        alive.cancel()
    await send({"type": "http.response.body", "body": framing.end()})


async def deliver_whole(generation: Generation, reader: Reader, send: Send) -> None:
    body = b""
    while not reader.over:
        await reader.wait()
        body += reader.take()
    if reader.left:
        return
    headers = head(generation)
    if generation.failure is not None:
        await respond_error(send, generation.dialect, generation.failure, headers, generation.id)
    else:
        await respond(send, 200, body, [*headers, (b"server-timing", server_timing(generation))])


def head(generation: Generation) -> Headers:
    """Which generation this is, what of the request its target is not told, and what its client may still ask."""
    headers, names = identify(generation.dialect, generation.id), ""
    for number, name in enumerate(generation.dropped):
        if len(names) + len(name) > DROPPED_LIMIT:
            names += f", and {len(generation.dropped) - number} more"
            break
        names += f", {name}" if names else name
    dropped = [(b"telex-dropped", names.encode("unicode_escape"))] if names else []
    return [*headers, *dropped, *quota_headers(generation.quotas)]


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

    def __init__(self, reader: Reader, first: int) -> None:
        self._reader = reader
        self._first = first

    def take(self) -> bytes:
        frames = self._reader.take_frames()
        number = self._reader.position - len(frames) + self._first
        return b"".join(b"id: %d\n%b" % (number + place, frame) for place, frame in enumerate(frames))


class KeepAlive:
    """Notices silence: a timer looks now and then whether anything has passed, so that an event itself costs nothing."""

    LOOKS = 3
    """How often, in the seconds that silence may last."""

    def __init__(self, reader: Reader) -> None:
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
