"""The snippets about the library in the README run as they stand, but for the port."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.house import gateway
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Usage
from telex.testing import Call, Play, ScriptedUpstream, perform, say

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = re.search(r"^## The library$(.*?)^#{2,3} ", README, re.DOTALL | re.MULTILINE)
assert SECTION
SNIPPETS = re.findall(r"```python\n(.*?)```", SECTION[1], re.DOTALL)
PORT = "http://127.0.0.1:8484"


def play(call: Call) -> Play:
    """A model that answers what the README asks."""
    if "weather" in str(call.field("tools")) and "4 °C" not in str(call.field("messages")):
        arguments = [PartDelta(0, 0, piece) for piece in ('{"city":', ' "Oslo"}')]
        called: list[Event] = [
            PartStart(0, 0, "tool_call", "c1", "weather", "function"),
            *arguments,
            PartEnd(0, 0),
            Finish(0, "tool_calls"),
        ]
        return perform([Start("r", "m"), *called, Usage(1, 1), Done()])
    if call.field("response_format"):
        return say('{"name": "Oslo", ', '"country": "Norway"}')
    return say("It is", " blue. Because", " it scatters.")


SAID = [
    ["It is blue. Because it scatters. stop Usage", "It is blue. Because it scatters."],
    ["It is blue. \n", "Because it scatters."],
    ["gen_", "It is\nand then:  blue. Because  it scatters.\nIt is blue. Because it scatters.\n"],
    ["Norway"],
    ["weather {'city': 'Oslo'}", "It is blue."],
]


@pytest.mark.parametrize(("snippet", "said"), list(zip(SNIPPETS, SAID, strict=True)), ids=range(len(SNIPPETS)))
async def test_a_snippet_runs(
    snippet: str, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    target: dict[str, Any] = {"targets": [{"provider": "up", "model": "m"}]}
    with ScriptedUpstream(play) as upstream:
        provider = {"dialect": "openai-chat", "base_url": upstream.url}
        toml = f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n'
        toml += '[models.local]\ntargets = [{ provider = "up", model = "m" }]\n'
        await asyncio.to_thread(Path("telex.toml").write_text, toml)
        async with gateway(providers={"up": provider}, models={"local": target}) as house:
            program = snippet.replace(PORT, f"http://127.0.0.1:{house.port}")
            names: dict[str, Any] = {"__name__": "snippet"}
            monkeypatch.setitem(sys.modules, "snippet", sys)  # where the dataclass thinks that it lives
            await asyncio.to_thread(exec, compile(program, "README.md", "exec"), names)
            if "llm" in names:
                await asyncio.to_thread(names["llm"].close)
    printed = capsys.readouterr().out
    for words in said:
        assert words in printed
