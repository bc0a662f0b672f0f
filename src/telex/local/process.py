"""One run of the child, from its start to its end: started, told, heard, killed, waited for.

It is spoken to over socket pairs rather than through asyncio's own subprocesses, because those can neither be cancelled while they
start (Python 3.11 then waits for ever) nor be waited for without a thread each.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["ChildProcess"]

COMMAND = ("-P", "-m", "telex.local.child")  # -P: no module from the folder in which Telex happens to be started
TAIL = 4096  # bytes of standard error that are kept
GLANCE = 0.01  # seconds between two looks whether a killed process is gone, which takes a few


class ChildProcess:
    """A running child. Making one starts it (OSError if the system refuses); `end` must be called in the end."""

    def __init__(self) -> None:
        self._talk, their_talk = socket.socketpair()
        self._noise, their_noise = socket.socketpair()
        try:
            # A session of its own keeps the terminal's Ctrl-C from it: the gateway decides when it goes.
            talk, noise = their_talk.fileno(), their_noise.fileno()
            self._process = subprocess.Popen([sys.executable, *COMMAND], stdin=talk, stdout=talk, stderr=noise, start_new_session=True)
        except OSError:
            self._talk.close()
            self._noise.close()
            raise
        finally:
            their_talk.close()
            their_noise.close()
        self._answers: asyncio.StreamReader | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tail: asyncio.Task[str] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def instruct(self, wish: Mapping[str, object]) -> None:
        """Tells the child what to do. Not in its arguments, which every user of the machine can read."""
        noise, writer = await asyncio.open_connection(sock=self._noise)
        self._writers.append(writer)
        self._tail = asyncio.create_task(_read_tail(noise))
        self._answers, writer = await asyncio.open_connection(sock=self._talk)
        self._writers.append(writer)
        writer.write(json.dumps(wish).encode() + b"\n")

    async def hear(self) -> Mapping[str, object] | None:
        """The next thing that the child says; None when it has come to its end."""
        assert self._answers is not None
        try:
            line = await self._answers.readline()
        except ConnectionError:
            return None
        answer: Mapping[str, object] | None = json.loads(line) if line.endswith(b"\n") else None
        return answer

    async def last_words(self) -> str:
        """How a child that has come to its end did so, in a sentence."""
        await self._reap()
        last_line = await self._tail if self._tail is not None else ""
        status = self._process.returncode
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"The local model's process {how}" + (f" ({last_line.rstrip('.')})." if last_line else ".")

    async def end(self) -> None:
        """Kills the child with all that it started, and waits for it, so that no zombie stays."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._tail is not None:
            self._tail.cancel()
        for writer in self._writers:
            writer.transport.abort()
        self._talk.close()
        self._noise.close()
        await self._reap()

    async def _reap(self) -> None:
        while self._process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(GLANCE)


async def _read_tail(stream: asyncio.StreamReader) -> str:
    """Reads standard error to its end, so that the child never blocks on it, and returns the last line."""
    tail = b""
    with suppress(ConnectionError):
        while chunk := await stream.read(TAIL):
            tail = (tail + chunk)[-TAIL:]
    lines = tail.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
