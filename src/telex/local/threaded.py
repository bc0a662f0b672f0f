"""The embedded model for programs without an event loop: its supervisor runs on a loop of its own, in one thread, from the first use."""

import asyncio
import atexit
import threading
from collections.abc import Callable
from concurrent.futures import wait

from telex.local.model import Endpoint, LocalModel, LocalModelError

__all__ = ["ThreadedModel"]

GLANCE = 0.05  # seconds between two looks whether whoever waits still wants to


class ThreadedModel:
    """For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def ready(self, patience: Callable[[], float]) -> Endpoint | None:
        """Where the model answers, once it does; None if `patience()`, in seconds, is at its end before.

        Raises LocalModelError if it failed or was stopped.
        """
        answer = asyncio.run_coroutine_threadsafe(self._ready(), self._running())
        while not answer.done() and (left := patience()) > 0:
            wait([answer], min(GLANCE, left))
        if not answer.done():
            answer.cancel()
            return None
        return answer.result()

    @property
    def progress(self) -> tuple[int, int] | None:
        """The bytes of the weights that have come and those that there are, while they are being downloaded."""
        with self._lock:
            return self._model.progress if self._loop is not None else None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise LocalModelError("The client is closed.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="telex-local-model", daemon=True)
                self._thread.start()
                atexit.register(self.stop)  # for those who do not close their client
                self._model = LocalModel()
            return self._loop

    async def _ready(self) -> Endpoint:
        await self._model.start()
        return await self._model.ready()

    def stop(self) -> None:
        """End the model and the thread. May be called more than once."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            atexit.unregister(self.stop)
            asyncio.run_coroutine_threadsafe(self._model.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()
