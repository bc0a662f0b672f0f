"""The gateway as a user starts it, its embedded model, and the clients that users have: OpenAI's SDK, unmodified, and curl."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import anthropic
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.house import Child, serve
from telex.cli.serve import CURL, SNIPPET

ASKED: dict[str, Any] = {"model": "local", "messages": [{"role": "user", "content": "Count to five."}], "max_tokens": 12}


@pytest.fixture(scope="module")
async def telex(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    async with serve(tmp_path_factory.mktemp("embedded")) as child:
        yield child


def options(usage: bool) -> dict[str, Any]:
    return {**ASKED, "stream": True, **({"stream_options": {"include_usage": True}} if usage else {})}


def check_stream(chunks: list[ChatCompletionChunk], usage: bool) -> None:
    """A whole stream: text in pieces, one finish reason, usage at the end if and only if it was asked for."""
    texts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(texts) > 1
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert all(chunk.choices for chunk in chunks[: -1 if usage else None])
    counted = chunks[-1].usage
    assert (counted is not None and counted.completion_tokens > 0) if usage else counted is None


async def test_its_tokens_are_counted_as_it_counts_them(telex: Child) -> None:
    """Before the call, by the model's own tokeniser, in whatever dialect they are asked for."""
    messages = [{"role": "user", "content": "Count to five, please."}]
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{telex.port}/v1", api_key="none") as client:
        reply = await client.chat.completions.create(model="local", messages=messages, max_tokens=1)  # type: ignore[arg-type]
    async with anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{telex.port}", api_key="none") as sdk:
        answer = await sdk.messages.with_raw_response.count_tokens(model="local", messages=messages)  # type: ignore[arg-type]
    assert reply.usage is not None
    assert (await answer.parse()).input_tokens == reply.usage.prompt_tokens
    assert answer.headers["telex-count"] == "provider"


def check_whole(reply: ChatCompletion) -> None:
    (choice,) = reply.choices
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


@pytest.mark.parametrize("usage", [True, False], ids=["usage", "no-usage"])
async def test_the_async_sdk_streams(telex: Child, usage: bool) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{telex.port}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(**options(usage))
        check_stream([chunk async for chunk in cast("openai.AsyncStream[ChatCompletionChunk]", stream)], usage)


@pytest.mark.parametrize("usage", [True, False], ids=["usage", "no-usage"])
async def test_the_sync_sdk_streams(telex: Child, usage: bool) -> None:
    def stream() -> list[ChatCompletionChunk]:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{telex.port}/v1", api_key="none") as client:
            return list(cast("openai.Stream[ChatCompletionChunk]", client.chat.completions.create(**options(usage))))

    check_stream(await asyncio.to_thread(stream), usage)


async def test_the_sdk_completes_in_both_colours_and_lists_the_model(telex: Child) -> None:
    url = f"http://127.0.0.1:{telex.port}/v1"

    def complete() -> ChatCompletion:
        with openai.OpenAI(base_url=url, api_key="none") as client:
            return cast(ChatCompletion, client.chat.completions.create(**ASKED))

    check_whole(await asyncio.to_thread(complete))
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
        check_whole(cast(ChatCompletion, await client.chat.completions.create(**ASKED)))
        assert [model.id async for model in client.models.list()] == ["local"]
        assert (await client.models.retrieve("local")).id == "local"


async def test_the_sdk_streaming_helper_gathers_what_was_streamed(telex: Child) -> None:
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{telex.port}/v1", api_key="none")
    async with client, client.chat.completions.stream(**ASKED) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        reply = stream.current_completion_snapshot
    assert reply.choices[0].message.content == "".join(deltas) != ""


async def test_curl_streams(telex: Child) -> None:
    if shutil.which("curl") is None:
        pytest.fail("curl is not installed")
    body, url = json.dumps({**ASKED, "stream": True}), f"http://127.0.0.1:{telex.port}/v1/chat/completions"
    process = await asyncio.create_subprocess_exec("curl", "-sN", url, "-d", body, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.startswith(b'data: {"')
    assert out.endswith(b"data: [DONE]\n\n")


async def test_json_schema_is_kept(telex: Child) -> None:
    """What the embedded model can do beyond talk: its provider is one of the dialect like any other."""
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{telex.port}/v1", api_key="none") as client:
        asked = {**ASKED, "max_tokens": 30, "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}}
        reply = cast(ChatCompletion, await client.chat.completions.create(**asked))
    assert json.loads(reply.choices[0].message.content or "")["n"] in (1, 2)


@pytest.mark.parametrize("run", [["sh", "-c", CURL], [sys.executable, "-c", SNIPPET]], ids=["curl", "python"])
async def test_what_the_gateway_prints_works_when_pasted(telex: Child, run: list[str]) -> None:
    *command, text = run
    pasted = text.format(url=f"http://127.0.0.1:{telex.port}", model="local", auth="", key='"none"')
    process = await asyncio.create_subprocess_exec(*command, pasted, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.strip()


README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SNIPPETS = [block for block in BLOCKS if "http://127.0.0.1:8484" in block and 'model="local"' in block]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[block.split()[1] for block in SNIPPETS])
async def test_what_the_readme_shows_works_when_pasted(telex: Child, snippet: str) -> None:
    """With the SDK of each dialect."""
    pasted = snippet.replace(":8484", f":{telex.port}")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", pasted, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.strip()


def test_the_readme_shows_every_sdk() -> None:
    assert {block.split()[1] for block in SNIPPETS} >= {"openai", "anthropic", "google"}
