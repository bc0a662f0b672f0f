"""What the scripted upstream saw of one request, and the journal that lets tests wait for it to see more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal
from urllib.parse import unquote

from telex.core import json
from telex.dialects import DIALECTS, Dialect
from telex.dialects.operation import GENERATE, Operation
from telex.dialects.paths import find_operation

Mark = Literal["complete", "first_byte", "last_byte", "left_at", "finished"]

PATIENCE = 30.0
"""Seconds that the waiting helpers allow before they raise `TimeoutError`: for slow machines, not for behaviour."""


class Journal:
    """The calls of one upstream, changed by its thread, read and waited for by any other."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.model_calls: list[Call] = []
        self.count_calls: list[Call] = []
        self.errors: list[Exception] = []
        self.accepted = 0  # connections ever
        self.open = 0  # connections now
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], object]] = []

    def of(self, call: Call) -> list[Call]:
        """The calls among which a call belongs."""
        return self.model_calls if call.lists_models else self.count_calls if call.counts_tokens else self.calls

    @contextmanager
    def change(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()
            for wake in self._wakers:
                with suppress(RuntimeError):  # the loop of that waiter is gone
                    wake()

    def wait(self, holds: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Block until `holds()` is true; `timeout` in seconds, then `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.errors or holds(), timeout):
                raise TimeoutError(self.describe(timeout))
        self.check()

    async def until(self, holds: Callable[[], object], timeout: float = PATIENCE) -> None:
        """The same for coroutines (asyncio): waits without a thread, and can be cancelled."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        wake = lambda: loop.call_soon_threadsafe(changed.set)  # noqa: E731
        with self._changed:
            self._wakers.append(wake)
        try:
            async with asyncio.timeout(timeout):
                while not self._holds(holds):
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            raise TimeoutError(self.describe(timeout)) from None
        finally:
            with self._changed:
                self._wakers.remove(wake)
        self.check()

    def _holds(self, holds: Callable[[], object]) -> bool:
        with self._changed:
            return bool(self.errors or holds())

    def fail(self, error: Exception) -> None:
        with self.change():
            self.errors.append(error)

    def check(self) -> None:
        """Raise the first error of the upstream's own side."""
        if self.errors:
            raise self.errors[0]

    def describe(self, seconds: float) -> str:
        seen = "".join(f"\n  {call!r}" for call in self.calls) or " no call"
        return f"not seen within {seconds:g} s; {self.open} of {self.accepted} connections are open; calls:{seen}"


class Headers(Mapping[str, str]):
    """The headers of a request: names are lower case, `[name]` joins what came several times, `all(name)` does not."""

    def __init__(self, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self.pairs = pairs

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name.lower()]

    def __getitem__(self, name: str) -> str:
        if not (values := self.all(name)):
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key for key, _ in self.pairs))

    def __len__(self) -> int:
        return len({key for key, _ in self.pairs})

    def __repr__(self) -> str:
        return f"Headers({[key for key, _ in self.pairs]})"  # values may be keys of real providers


class Call:
    """One request and what became of it. It is in the journal once its head was read.

    All times are `time.monotonic()` in seconds, `None` until they happen:

    - `accepted`: the connection was accepted, or, for a later request on it, the request's first byte came;
    - `complete`: the request's last byte came;
    - `first_byte`, `last_byte`: bytes of the answer were handed to the socket, the last so far;
    - `left_at`: the client was seen to leave (FIN or RST) before the script had ended;
    - `finished`: the script ran to its end, and the kernel has all of it.

    `path` has the query with it. `connection` numbers the upstream's connections from 1: equal numbers mean reuse.
    `bytes_sent`: bytes that the kernel took, heads and chunk framing included.
    """

    def __init__(self, journal: Journal, connection: int, accepted: float, unsent: Callable[[], int]) -> None:
        self.method = self.path = ""
        self.headers = Headers()
        self.body = b""
        self.connection = connection
        self.accepted = accepted
        self.complete: float | None = None
        self.first_byte: float | None = None
        self.last_byte: float | None = None
        self.left_at: float | None = None
        self.finished: float | None = None
        self.bytes_sent = 0
        self._journal = journal
        self._unsent = unsent

    @property
    def json(self) -> Any:
        """The body decoded; `telex.core.json.Malformed` where it is no JSON."""
        return json.decode(self.body)

    @property
    def operation(self) -> tuple[Dialect, Operation]:
        """The dialect that serves the path, whatever base URL it stands behind, and what it asks for; the first one for paths that none
        serves."""
        path, _, query = self.path.partition("?")
        path = unquote(path)
        places = [place for place, character in enumerate(path) if character == "/"]
        for candidate in (path, *(f"/v1{path[place:]}" for place in places)):
            if (found := find_operation(candidate, query)) is not None:
                return found
        return next(iter(DIALECTS.values())), GENERATE

    @property
    def dialect(self) -> Dialect:
        return self.operation[0]

    @property
    def wants_stream(self) -> bool:
        """Whether the request asked for a stream, in its body (`"stream": true`) or by its path."""
        return self.operation[1].stream or self.field("stream", False) is True

    @property
    def model(self) -> str:
        """The model that it asked for, as its body or its path names it."""
        return self.operation[1].model or str(self.field("model", "scripted"))

    @property
    def lists_models(self) -> bool:
        return self.method == "GET" and self.path.partition("?")[0].endswith("/models")

    @property
    def counts_tokens(self) -> bool:
        return self.operation[1].kind == "count"

    def field(self, name: str, default: Any = None) -> Any:
        """One field of the request's JSON object, `default` where there is none."""
        try:
            body = self.json
        except json.Malformed:
            return default
        return body.get(name, default) if isinstance(body, dict) else default

    @property
    def unsent(self) -> int:
        """Bytes that wait in this machine because the peer does not take them: the kernel's send queue (Linux tells) and ours."""
        return self._unsent()

    def stamp(self, *marks: Mark) -> None:
        now = time.monotonic()
        with self._journal.change():
            for mark in marks:
                setattr(self, mark, now)

    def sent(self, count: int) -> None:
        with self._journal.change():
            self.bytes_sent += count

    def wait(self, mark: Mark, timeout: float = PATIENCE) -> float:
        """Block until `mark` is stamped and return it; `timeout` in seconds, then `TimeoutError`."""
        self._journal.wait(lambda: getattr(self, mark) is not None, timeout)
        return float(getattr(self, mark))

    async def until(self, mark: Mark, timeout: float = PATIENCE) -> float:
        """`wait` for coroutines."""
        await self._journal.until(lambda: getattr(self, mark) is not None, timeout)
        return float(getattr(self, mark))

    def __repr__(self) -> str:
        state = "left" if self.left_at else "finished" if self.finished else "open"
        return f"<Call {self.method} {self.path} on connection {self.connection}: {state}, {self.bytes_sent} bytes sent>"
