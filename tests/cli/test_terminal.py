"""The race as somebody at a terminal sees it, and the end of it with Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.shell import PATIENCE, Terminal


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Terminal]:
    with Terminal("serve", "--race", "--port", "0", cwd=tmp_path) as terminal:
        yield terminal


@pytest.mark.parametrize("moment", ["nothing to see yet", "Ctrl-C ends it."], ids=["in-the-race", "behind-it"])
def test_ctrl_c_ends_it_quietly(gateway: Terminal, moment: str) -> None:
    gateway.wait_for(moment)
    gateway.interrupt()
    gateway.wait_for("")
    assert gateway.process.wait(PATIENCE) == 0
    assert "Traceback" not in gateway.seen
    assert "never retrieved" not in gateway.seen


def test_the_race_is_shown_live_and_the_gateway_stays(gateway: Terminal) -> None:
    gateway.wait_for("Ctrl-C ends it.")
    for shown in ("listens at", "streamed", "nothing to see yet", "(TTFT)", "would have stared at nothing for", "curl -N", "from openai"):
        assert shown in gateway.seen, shown
    assert gateway.process.poll() is None
