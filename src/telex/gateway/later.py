"""Answers to those who come back: where the generation is, and what is known of it by now."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from telex.core import json
from telex.dialects import DIALECTS
from telex.gateway.asgi import Headers, Receive, Send, respond, respond_error
from telex.gateway.deliver import AGAIN, attending, read_whole, send_whole
from telex.gateway.generations import ROOT
from telex.gateway.reception import Accepted
from telex.gateway.stored import response_of


async def deliver_later(accepted: Accepted, receive: Receive, send: Send) -> None:
    """The whole answer if it comes in the time for which its client waits; else where to come back. Raises `StoreError`."""
    entry, more = accepted.entry, list(AGAIN) if accepted.again else []
    outline = entry.outline
    if accepted.wait and outline.reading.whole:
        reader = entry.join()
        async with attending(entry, reader, receive):
            with suppress(TimeoutError):
                async with asyncio.timeout(accepted.wait):
                    body = await read_whole(reader)
                    if not reader.left:
                        await send_whole(entry, body, send, more)
                    return
    if outline.failure is not None and not outline.spoke and not accepted.again:
        await respond_error(send, DIALECTS[outline.reading.dialect], outline.failure, [*entry.headers, *more], entry.id)
    elif accepted.native:
        await respond(send, 200, json.encode(await response_of(entry)), [*entry.headers, *more])
    else:
        where: Headers = [(b"location", f"{ROOT}/{entry.id}".encode()), (b"preference-applied", b"respond-async")]
        await respond(send, 202, json.encode(entry.record), [*entry.headers, *where, *more])
