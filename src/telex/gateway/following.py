"""An answer that lasts as long as there is something to come."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.responses import Response

from telex.gateway.asgi import Receive, Scope, Send
from telex.gateway.deliver import attending, send_stream
from telex.gateway.entries import Entry
from telex.generation.reading import Reading, Reads


class Following(Response):
    """`reading`: in what dialect it is read. `after`: how many frames of `reads` the client has, which is that reading unless another is
    given. `numbered`: with ids."""

    def __init__(self, entry: Entry, reading: Reading, after: int, numbered: bool, reads: Reads | None = None) -> None:
        self._entry = entry
        self._reading = reading
        self._after = after
        self._numbered = numbered
        self._reads = reads or reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry, outline = self._entry, self._entry.outline
        framing = outline.framing if self._reading.dialect == outline.reading.dialect else "sse"
        reader = entry.join(self._reads, self._after)
        async with attending(entry, reader, receive):
            await send_stream(reader, send, replace(outline, reading=self._reading, framing=framing), entry.headers, self._numbered)
