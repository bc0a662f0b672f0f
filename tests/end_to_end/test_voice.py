"""The example that speaks: its first sentence is sound before the model has said the last one."""

from __future__ import annotations

import asyncio
import shutil
import sys
import wave
from pathlib import Path

import pytest

from gateway.client import PATIENT
from gateway.house import gateway
from telex.testing import Call, Script, ScriptedUpstream, Stall, say
from telex.testing.script import resolve

VOICE = Path(__file__).parents[2] / "examples" / "voice.py"
FIRST, SECOND = "The sky is blue. ", "It scatters light. "


def unended(call: Call) -> Script:
    """Two sentences, and the beginning of a third, which goes no further."""
    head, role, *steps = resolve(say(FIRST, SECOND, "And then"), call)
    return (head, role, *steps[:3], Stall())


async def test_the_first_sentence_is_spoken_before_the_stream_ends(tmp_path: Path) -> None:
    """Each sentence is printed when it is its turn to be spoken: with the second, the first has been."""
    if shutil.which("espeak-ng") is None:
        pytest.fail("espeak-ng is not installed")
    with ScriptedUpstream(unended) as upstream:
        async with gateway(upstream.url) as house:
            url = f"http://127.0.0.1:{house.port}"
            command = [sys.executable, str(VOICE), "Why?", "--model", "up/scripted", "--url", url, "--wav", str(tmp_path)]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            try:
                assert process.stdout
                async with asyncio.timeout(PATIENT):
                    assert await process.stdout.readexactly(len(FIRST + SECOND)) == (FIRST + SECOND).encode()
                with wave.open(str(tmp_path / "001.wav")) as sound:
                    assert sound.getnframes() > sound.getframerate() / 2
                [call] = upstream.calls
                assert call.finished is None
            finally:
                process.kill()
                await process.wait()
