"""Somebody's own httpx2 transport in the place of Telex's connections: an adapter that pulls from it and pushes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2

from telex.upstream.address import Origin
from telex.upstream.connection import Channel, Receiver
from telex.upstream.messages import failure_of, headers_of, to_request


class TransportPool:
    """Channels over one transport, which keeps connections itself. Belongs to one event loop."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport
        self._open: set[TransportChannel] = set()

    def take(self, origin: Origin) -> None:
        return None

    async def open(self, origin: Origin, timeout: float) -> TransportChannel:
        channel = TransportChannel(self._transport, origin, timeout, self._open.discard)
        self._open.add(channel)
        return channel

    def close(self) -> None:
        for channel in list(self._open):
            channel.abort()


class TransportChannel(Channel):
    """One exchange, as a task."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, origin: Origin, connect: float, forget: Callable[[TransportChannel], None]
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connect = connect
        self._forget = forget
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answered = self._aborted = False
        self._task: asyncio.Task[None] | None = None

    def send(self, request: bytes, receiver: Receiver) -> None:
        wish = to_request(request, self._origin, self._connect)
        self._task = asyncio.get_running_loop().create_task(self._run(wish, receiver))
        self._task.add_done_callback(lambda task: self._forget(self))

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def abort(self) -> None:
        self._aborted = True
        self._forget(self)
        if self._task is not None:
            self._task.cancel()

    async def _run(self, request: httpx2.Request, receiver: Receiver) -> None:
        try:
            await self._exchange(request, receiver)
            if not self._aborted:
                receiver.on_end()
        except httpx2.TransportError as error:
            if not self._aborted:
                receiver.on_failure(failure_of(error, str(self._origin), self._answered, self._connect))
        except Exception as bug:
            receiver.on_bug(bug)

    async def _exchange(self, request: httpx2.Request, receiver: Receiver) -> None:
        response = await self._transport.handle_async_request(request)
        try:
            self._answered = True
            receiver.on_head(response.status_code, headers_of(response))
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            async for data in response.stream:
                await self._flowing.wait()
                if self._aborted:
                    return
                receiver.on_data(data)
        finally:
            await response.aclose()
