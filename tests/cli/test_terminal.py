"""The race as somebody at a terminal sees it, and the end of it with Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

PATIENT = 120.0
"""Seconds; the first time, the model is fetched."""


class Terminal:
    """A program that believes that somebody watches."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        command = [sys.executable, "-m", "telex", *arguments]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until `text` was shown; empty waits for the end."""
        end = time.monotonic() + PATIENT
        while not text or text not in self.seen:
            assert time.monotonic() < end, self.seen
            readable, _, _ = select.select([self.master], [], [], 1.0)
            if readable:
                try:
                    self.seen += os.read(self.master, 1 << 16).decode(errors="replace")
                except OSError:  # the last one who could write there has gone
                    assert not text, self.seen
                    return

    def interrupt(self) -> None:
        """What Ctrl-C does, without a shell in between."""
        os.killpg(self.process.pid, 2)


@pytest.fixture
def gateway() -> Iterator[Terminal]:
    terminal = Terminal("serve", "--race", "--port", "0")
    yield terminal
    with contextlib.suppress(ProcessLookupError):
        os.killpg(terminal.process.pid, 9)
    terminal.process.wait()
    os.close(terminal.master)


@pytest.mark.parametrize("moment", ["nothing to see yet", "Ctrl-C ends it."], ids=["in-the-race", "behind-it"])
def test_ctrl_c_ends_it_quietly(gateway: Terminal, moment: str) -> None:
    gateway.wait_for(moment)
    gateway.interrupt()
    gateway.wait_for("")
    assert gateway.process.wait(PATIENT) == 0
    assert "Traceback" not in gateway.seen
    assert "never retrieved" not in gateway.seen


def test_the_race_is_shown_live_and_the_gateway_stays(gateway: Terminal) -> None:
    gateway.wait_for("Ctrl-C ends it.")
    for shown in ("listens at", "streamed", "nothing to see yet", "(TTFT)", "would have stared at nothing for", "curl -N", "from openai"):
        assert shown in gateway.seen, shown
    assert gateway.process.poll() is None
