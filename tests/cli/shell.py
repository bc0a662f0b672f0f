"""How the tests of the command line call it: as a shell does, without a terminal or with one."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from telex.testing import ScriptedUpstream

PATIENCE = 300
"""Seconds for one command; fetching the embedded model's weights is the longest."""

COMMAND = [sys.executable, "-m", "telex"]


def environ(**more: str) -> dict[str, str]:
    """This one without any provider's key, nor anybody's wish about colours."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k not in ("NO_COLOR", "FORCE_COLOR")}
    return {**kept, "TERM": "xterm", "COLUMNS": "120", **more}


def telex(*arguments: str, cwd: Path, patience: float = PATIENCE, given: str = "", **env: str) -> tuple[int, str, str]:
    """Exit status, output and errors of one command, without a terminal; `given` is piped in."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=environ(**env), input=given, capture_output=True, text=True, timeout=patience
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def config(folder: Path, upstream: ScriptedUpstream, name: str = "telex.toml") -> Path:
    (path := folder / name).write_text(
        f'[providers.here]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        '[models.fast]\ntargets = [{ provider = "here", model = "scripted" }]\nretries = 0\n'
    )
    return path


class Piped:
    """A command whose output is read while it runs, unless it goes to a file."""

    def __init__(self, *arguments: str, cwd: Path, output: str | None = None, given: str = "") -> None:
        read, write = os.pipe() if output is None else (os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY))
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=cwd, env=environ(), stdin=subprocess.PIPE, stdout=write, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write(given)
        self.process.stdin.close()
        os.close(write)
        self._output = os.fdopen(read, "rb", buffering=0)

    def read(self, size: int) -> str:
        """So many bytes, as soon as they are there."""
        data = b""
        while len(data) < size:
            piece = os.read(self._output.fileno(), size - len(data))
            assert piece, data
            data += piece
        return data.decode()

    def leave(self) -> None:
        """Read no more."""
        self._output.close()

    def end(self) -> tuple[int, str]:
        """Its exit status and what it wrote to standard error."""
        assert self.process.stderr is not None
        return self.process.wait(PATIENCE), self.process.stderr.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()
        assert self.process.stderr is not None
        self.process.stderr.close()


class Terminal:
    """A command that believes that somebody watches."""

    def __init__(self, *arguments: str, cwd: Path | None = None, **env: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=environ(LINES="40", **env),
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self._heard = 0

    def wait_for(self, text: str) -> str:
        """Read until `text` was shown behind what was waited for before; empty waits for the end. Returns what stood before it."""
        end = time.monotonic() + PATIENCE
        while not text or text not in self.seen[self._heard :]:
            assert time.monotonic() < end, self.seen
            readable, _, _ = select.select([self.master], [], [], 1.0)
            if readable:
                try:
                    self.seen += os.read(self.master, 1 << 16).decode(errors="replace")
                except OSError:  # the last one who could write there has gone
                    assert not text, self.seen
                    break
        before, found, _ = self.seen[self._heard :].partition(text or "\0")
        self._heard += len(before) + len(found)
        return before

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def interrupt(self) -> None:
        """What Ctrl-C does, without a shell in between."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Its exit status, once it has ended."""
        self.wait_for("")
        assert "Traceback" not in self.seen
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
