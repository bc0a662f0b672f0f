"""A client that is nothing but a socket: it sees the answer as it comes over the wire, and leaves when and how it likes."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from telex.core.sse import DONE, Decoder

PATH = "/v1/chat/completions"
MODEL = "up/scripted"
PATIENT = 30.0
"""Seconds that anything may take: for slow machines, not for behaviour."""


class Answer(NamedTuple):
    """`whole`: the body ended as its framing said it would."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error = self.json["error"]
        assert set(error) - {"retry_after"} == {"message", "type", "param", "code"}
        return cast("dict[str, Any]", error)

    @property
    def frames(self) -> list[bytes]:
        """The body cut behind each blank line, comments left out."""
        *frames, rest = self.body.split(b"\n\n")
        assert not rest
        return [frame + b"\n\n" for frame in frames if not frame.startswith(b":")]

    @property
    def datas(self) -> list[bytes]:
        return [frame.data for frame in Decoder().feed(self.body)]

    @property
    def chunks(self) -> list[Any]:
        return [json.loads(data) for data in self.datas if data != DONE]

    @property
    def done(self) -> bool:
        return self.datas[-1:] == [DONE]

    @property
    def text(self) -> str:
        """What the model said, of choice 0."""
        if self.headers["content-type"].startswith("application/json"):
            return str(self.json["choices"][0]["message"]["content"])
        return "".join(choice["delta"].get("content") or "" for chunk in self.chunks for choice in chunk.get("choices", []))

    @property
    def finishes(self) -> list[str]:
        return [c["finish_reason"] for chunk in self.chunks for c in chunk.get("choices", []) if c.get("finish_reason")]


def chat(stream: bool = True, **fields: Any) -> bytes:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}], "stream": stream, **fields}
    return json.dumps(body).encode()


def request(body: bytes = b"", method: str = "POST", path: str = PATH, headers: Mapping[str, str] | None = None) -> bytes:
    """A header of `headers` that is empty is left out."""
    fields = {"host": "127.0.0.1", "content-length": str(len(body)), "content-type": "application/json", **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """One connection. Every read gives up after `PATIENT` seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._chunked = False
        self._length: int | None = None
        self._events = b""
        self.whole = False

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def ask(self, stream: bool = True, **fields: Any) -> None:
        self.send(request(chat(stream, **fields)))

    async def drain(self) -> None:
        await self._writer.drain()

    # the answer

    async def head(self, patience: float = PATIENT) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(patience):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        self._chunked = headers.get("transfer-encoding") == "chunked"
        self._length = int(headers["content-length"]) if "content-length" in headers else None
        self.whole = False
        return int(first.split()[1]), headers

    async def piece(self) -> bytes:
        """What comes next of the body; empty at its end."""
        try:
            async with asyncio.timeout(PATIENT):
                return await self._piece()
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def _piece(self) -> bytes:
        if self._chunked:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            data = (await self._reader.readexactly(size + 2))[:-2]
            self.whole = not size
        elif self._length is not None:
            data = await self._reader.readexactly(self._length)
            self._length, self.whole = 0, True
        else:
            data = await self._reader.read(1 << 16)
        return data

    async def event(self) -> bytes:
        """The next event with its blank line; empty at the end."""
        while b"\n\n" not in self._events:
            if not (piece := await self.piece()):
                return b""
            self._events += piece
        event, mark, self._events = self._events.partition(b"\n\n")
        return event + mark

    async def answer(self) -> Answer:
        status, headers = await self.head()
        body = []
        while piece := await self.piece():
            body.append(piece)
        return Answer(status, headers, b"".join(body), self.whole)

    async def end(self) -> bytes:
        """Everything until the connection ends, however it does."""
        try:
            async with asyncio.timeout(PATIENT):
                return await self._reader.read()
        except ConnectionError:
            return b""

    # not reading, and leaving

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self._writer.transport)

    def leave(self) -> None:
        self._writer.close()

    def half_close(self) -> None:
        self._writer.write_eof()

    def reset(self) -> None:
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def ask(port: int, stream: bool = True, **fields: Any) -> Answer:
    """One chat completion on a connection of its own."""
    return await send(port, request(chat(stream, **fields)))


async def send(port: int, data: bytes) -> Answer:
    async with connect(port) as client:
        client.send(data)
        return await client.answer()
