"""Playing a script on a connection: steps become bytes in HTTP/1.1's framings."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Protocol

from telex.testing.call import Call
from telex.testing.script import At, Beat, Close, Framing, Head, Pour, Reset, Script, Send, Stall, Step, Until, Wait, size

BLOCK = 64 << 10
"""Bytes that are given to the socket at once: so exact is `Call.bytes_sent` while a client does not read."""


LOOK_SECONDS = 0.002
"""Between two looks whether a script may go on."""


class Wire(Protocol):
    """What a player needs of a connection."""

    async def drain(self) -> None: ...
    async def delivered(self) -> None: ...
    def write(self, data: bytes | memoryview) -> None: ...
    def close(self) -> None: ...
    def reset(self) -> None: ...


class Player:
    """Plays one script for one call. It is cancelled when the client leaves, so every step may wait for ever."""

    def __init__(self, wire: Wire, call: Call, script: Script) -> None:
        self._wire = wire
        self._call = call
        self._script = script
        self._framing: Framing | None = None  # none yet: bytes go out as they are
        self._owed = 0  # bytes of an announced length that were not sent

    async def play(self) -> bool:
        """Whether the connection can take another request after this one."""
        for number, step in enumerate(self._script):
            if isinstance(step, Close | Reset):
                await self._end(step)
                return False
            if isinstance(step, Head):
                await self._send_head(step, self._script[number + 1 :])
            else:
                await self._step(step)
        if self._framing == "chunked":
            await self._write(b"0\r\n\r\n", last=True)
        self._call.stamp("finished")
        return self._framing in ("chunked", "length") and not self._owed

    async def _step(self, step: Step) -> None:
        match step:
            case Send():
                await self._body(step.data)
            case Wait():
                await asyncio.sleep(step.seconds)
            case At():
                await asyncio.sleep(max(0.0, (self._call.complete or 0.0) + step.seconds - time.monotonic()))
            case Pour():
                await self._pour(step.unit, step.count)
            case Beat():
                while True:
                    await self._body(step.data)
                    await asyncio.sleep(step.gap)
            case Until():
                while not step.ready():  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(LOOK_SECONDS)
            case Stall():
                await asyncio.Event().wait()
            case _:
                raise ValueError(f"{step!r} is what a port does, not an answer: play it alone")

    async def _end(self, step: Close | Reset) -> None:
        if isinstance(step, Reset):
            await self._wire.delivered()
        self._call.stamp("finished")
        if isinstance(step, Reset):
            self._wire.reset()
        else:
            self._wire.close()

    async def _send_head(self, head: Head, rest: Script) -> None:
        if self._framing is not None:
            raise ValueError("a script has one head, informational ones before it aside")
        length = size(rest) if head.length is None else head.length
        await self._write(encode_head(head, length))
        if head.status >= 200:
            self._framing = head.framing
            self._owed = length if head.framing == "length" else 0

    async def _pour(self, unit: bytes, count: int) -> None:
        batch = max(1, BLOCK // max(1, len(unit)))
        block = unit * batch
        for _ in range(count // batch):
            await self._body(block)
        await self._body(unit * (count % batch))

    async def _body(self, data: bytes) -> None:
        if not data:
            return
        if self._framing == "chunked":
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._framing == "length":
            self._owed -= len(data)
        await self._write(data)

    async def _write(self, data: bytes, last: bool = False) -> None:
        """Look for a client that leaves before each block, but not between the content's last byte and the end of the script."""
        call, view = self._call, memoryview(data)
        for start in range(0, len(view), BLOCK):
            if not last:
                await asyncio.sleep(0)
            block = view[start : start + BLOCK]
            call.stamp(*(("last_byte",) if call.first_byte else ("first_byte", "last_byte")))
            self._wire.write(block)
            await self._wire.drain()
            call.sent(len(block))


def encode_head(head: Head, length: int) -> bytes:
    """`length` in bytes, announced when the framing is by length."""
    extra = {"chunked": ("transfer-encoding", "chunked"), "length": ("content-length", str(length)), "until-close": ("connection", "close")}
    headers = [*head.headers, extra[head.framing]] if head.status >= 200 else head.headers
    lines = [f"HTTP/1.1 {head.status} {reason(head.status)}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Site Overloaded" if status == 529 else "Unknown"
