"""The library with nothing but itself: the embedded model in both colours, and a program that closes nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client.colours import COLOURS, Colour, speaker
from telex import Cancelled
from telex.config import default_config

QUESTION = "Tell a long story about the sea."


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_embedded_model_answers_can_be_stopped_and_ends_with_its_client(colour: Colour) -> None:
    async with asyncio.timeout(600):  # the weights may have to be fetched first
        client = speaker(colour, config=default_config({}))
        try:
            reply = await client.generate("Count to five.", model="local", max_tokens=12)
            assert reply.ending == "complete"
            assert reply.text
            assert reply.usage is not None
            assert (reply.usage.output > 0, reply.certainty) == (True, "final")
            with pytest.raises(Cancelled) as caught:  # noqa: PT012
                async with client.stream(QUESTION, model="local", max_tokens=1000) as stream:
                    async for _ in stream:
                        stream.cancel()
            assert caught.value.reply is not None
            assert caught.value.reply.text
            ending = os.pidfd_open(child_of(client))
        finally:
            await client.close()
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(ending, over.set)
        await over.wait()
        loop.remove_reader(ending)
        os.close(ending)


def child_of(client: Any) -> int:
    local = client._client._engine._local._model if hasattr(client, "_client") else client._engine.local
    assert isinstance(local.pid, int)
    return local.pid


PROGRAM = """
from telex import Client
llm = Client()
print(llm.generate("Say hello.", model="local", max_tokens=3).ending)
"""


def test_a_program_that_closes_nothing_ends_quietly(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600)
    assert (done.stdout, done.stderr, done.returncode) == ("complete\n", "", 0)
