"""A way to a gateway that breaks: TCP, relayed, and cut behind so many bytes of what the gateway says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

READ = 64 << 10


class Tunnel:
    """Connection number n is cut behind `cuts[n]` bytes that came through it, with a FIN and with an RST by turns; what is behind the last
    of them stays. `port`: where clients knock. `cut`: how many were."""

    def __init__(self, port: int, cuts: Iterable[int]) -> None:
        self.cut = 0
        self.port = 0
        self.open = 0
        self._there = port
        self._cuts = iter(cuts)
        self._writers: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Cut all that are there."""
        for writer in self._writers:
            writer.transport.abort()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self._writers.add(writer)
        there, back = await asyncio.open_connection("127.0.0.1", self._there)
        left = next(self._cuts, None)
        asking = asyncio.create_task(self._pass(reader, back))
        try:
            while data := await there.read(READ):
                if left is not None and len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    self.cut += 1
                    if self.cut % 2:
                        writer.transport.abort()
                    return
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            asking.cancel()
            back.transport.abort()
            writer.close()
            self._writers.discard(writer)
            self.open -= 1

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ):
                writer.write(data)
        except OSError:
            pass
        writer.close()


@asynccontextmanager
async def tunnel(port: int, *cuts: int) -> AsyncIterator[Tunnel]:
    """To a gateway at `port`."""
    relay = Tunnel(port, cuts)
    server = await asyncio.start_server(relay.relay, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    async with server:
        yield relay
