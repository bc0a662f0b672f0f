"""The gateway as a process: its port, its signals, its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from telex.gateway.server import listen
from telex.testing import Head, ScriptedUpstream, Send, Wait, say
from telex.testing.answers import SSE

from .client import PATIENT, ask, connect, request
from .draining import BYE, HI, NEVER, config, until_not_ready
from .house import serve, telex


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
async def test_nothing_waits_in_the_kernel_for_more_to_send(anyio_backend: object) -> None:
    """Or every answer on a connection that is used again takes 40 ms longer (Nagle's algorithm and a delayed acknowledgement)."""
    loop, accepted = asyncio.get_running_loop(), asyncio.Event()
    delays: list[int] = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            delays.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            accepted.set()

    with listen("127.0.0.1", 0) as listener:
        server = await loop.create_server(Server, sock=listener)
        async with connect(listener.getsockname()[1]), asyncio.timeout(PATIENT):
            await accepted.wait()
        server.close()
    assert delays == [1]


async def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    with socket.socket() as taken, ScriptedUpstream() as upstream:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "telex.toml").write_text(config(upstream))
        process = await telex(tmp_path, "serve", "--port", str(port))
        async with asyncio.timeout(PATIENT):
            out, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines() == [
        f"telex: Port {port} of 127.0.0.1 is in use: stop what listens there, or choose another with --port."
    ]
    assert out == b""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 1\n", "telex.toml, line 1: port: "),
        ("[server]\nport = 70000\n", "telex.toml, line 2: server.port: "),
        ('[server]\nhost = "0.0.0.0"\n', "telex.toml, line 2: server.host: "),
        ('[providers.up]\ndialect = "latin"\n', "telex.toml, line 2: providers.up.dialect: "),
        ('[providers.up]\ndialect = "openai-chat"\nbase_url = "http://ü/v1"\n', "telex.toml, line 3: providers.up.base_url: "),
        ('[providers.up]\ndialect = "openai-chat"\nbase_url = "http://h/ü"\n', "telex.toml, line 3: providers.up.base_url: "),
        ('[providers.up]\ndialect = "openai-chat"\nbase_url = "http://h/"\napi_key = "a\\nb"\n', "up"),
        ("[[[\n", "telex.toml is not TOML"),
    ],
    ids=["unknown", "range", "host", "dialect", "name", "path", "key", "syntax"],
)
async def test_a_bad_line_of_the_configuration_is_said_plainly(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text(text)
    process = await telex(tmp_path, "serve", "--port", "0")
    async with asyncio.timeout(PATIENT):
        out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert says in err.decode()
    assert len(err.decode().splitlines()) == 1


async def test_it_is_healthy_and_ready(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        async with serve(tmp_path, config(upstream)) as child, connect(child.port) as client:
            for path in ("/healthz", "/readyz"):
                client.send(request(method="GET", path=path))
                assert (await client.answer()).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_idle_it_ends_at_once(number: signal.Signals, tmp_path: Path) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with serve(tmp_path, config(upstream)) as child, connect(child.port) as idle:
            assert (await ask(child.port)).text == "Hi"
            child.signal(number)
            assert await idle.end() == b""
            code, _, err = await child.end()
    assert code == 0
    [line] = err.splitlines()
    assert json.loads(line)["ending"] == "complete"


async def test_row47_an_open_stream_finishes_and_new_work_is_refused(tmp_path: Path) -> None:
    with ScriptedUpstream((Head(200, SSE), Send(HI), Wait(2), Send(BYE))) as upstream:
        async with serve(tmp_path, config(upstream)) as child, connect(child.port) as client:
            client.ask()
            await client.head()
            assert await client.event() == HI
            child.signal(signal.SIGTERM)
            await until_not_ready(child)
            events = [await client.event() for _ in range(3)]
            assert (b"".join(events), client.whole) == (BYE, True)
            code, _, _ = await child.end()
    assert code == 0


async def test_row47_behind_the_drain_streams_end_with_an_error(tmp_path: Path) -> None:
    with ScriptedUpstream(NEVER) as upstream:
        async with serve(tmp_path, config(upstream, drain=0.5)) as child, connect(child.port) as client, connect(child.port) as whole:
            client.ask()
            await client.head()
            whole.ask(stream=False)
            await upstream.until(2)
            child.signal(signal.SIGTERM)
            events = [await client.event() for _ in range(3)]
            assert events[0] == HI
            assert json.loads(events[1].removeprefix(b"data: "))["error"]["code"] == "shutting_down"
            assert (events[2], client.whole) == (b"", True)
            answer = await whole.answer()
            assert (answer.status, answer.error["code"]) == (502, "shutting_down")
            code, _, err = await child.end()
    assert code == 0
    assert [json.loads(line)["ending"] for line in err.splitlines()] == ["truncated"] * 2


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with ScriptedUpstream(NEVER) as upstream:
        async with serve(tmp_path, config(upstream, drain=3600)) as child, connect(child.port) as client:
            client.ask()
            await client.head()
            assert await client.event() == HI
            child.signal(signal.SIGTERM)
            await until_not_ready(child)
            child.signal(signal.SIGTERM)
            assert json.loads((await client.event()).removeprefix(b"data: "))["error"]["code"] == "shutting_down"
            assert (await client.event(), client.whole) == (b"", True)
            code, _, _ = await child.end()
    assert code == 0


async def test_row48_killed_its_streams_break_without_a_terminator(tmp_path: Path) -> None:
    with ScriptedUpstream(NEVER) as upstream:
        async with serve(tmp_path, config(upstream)) as child, connect(child.port) as client:
            client.ask()
            await client.head()
            assert await client.event() == HI
            child.signal(signal.SIGKILL)
            assert (await client.event(), client.whole) == (b"", False)
            await upstream.calls[0].until("left_at")
