"""`python -m telex.testing` is a provider for whoever points at it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from telex.testing import FAULTS
from telex.testing.__main__ import WORDS, chosen

from .client import RawClient, play


def test_runs_from_a_shell() -> None:
    command = [sys.executable, "-m", "telex.testing", "--port", "0", "--gap", "0.001", "--first", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = re.search(r"http://127\.0\.0\.1:(\d+)/v1$", line.strip())
        assert port, line
        with RawClient(int(port[1])) as client:
            assert client.ask().answer().body.endswith(b"data: [DONE]\n\n")
        process.terminate()


def test_plays_what_was_chosen() -> None:
    assert play(chosen("", None, 0, 0), stream=False).body.count("".join(WORDS).encode()) == 1
    assert play(chosen("row30-redirect", None, 0, 0)).status == 307
    with pytest.raises(SystemExit, match=next(iter(FAULTS))):
        chosen("row99", None, 0, 0)
