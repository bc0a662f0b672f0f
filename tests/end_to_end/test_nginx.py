"""Behind a real nginx with its default buffering, which holds answers back unless it is told not to."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.client import PATIENT, ask, connect
from gateway.house import gateway
from telex.testing import FAULTS, ScriptedUpstream, say

CONF = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{upstream}; {more} }} }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, upstream: int, more: str = "") -> AsyncIterator[int]:
    """The port of an nginx in front of the port `upstream`."""
    if (program := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")) is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is not installed")
        pytest.skip("did not run: nginx is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(CONF.format(port=port, upstream=upstream, more=more))
    process = await asyncio.create_subprocess_exec(program, "-p", str(folder), "-c", str(folder / "nginx.conf"))
    try:
        async with asyncio.timeout(PATIENT):
            while True:
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    await asyncio.sleep(0.01)  # nginx has no way of saying that it listens
                    continue
                writer.close()
                break
        yield port
    finally:
        process.terminate()
        await process.wait()


async def test_events_pass_one_by_one(tmp_path: Path) -> None:
    """The provider stalls behind two words for ever, so a client that has them was not made to wait for more."""
    with ScriptedUpstream(FAULTS["row25-stall-mid-stream"](after=3)) as upstream:
        async with gateway(upstream.url) as house, nginx(tmp_path, house.port) as port, connect(port) as client:
            client.ask()
            status, headers = await client.head()
            assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            events = [await client.event() for _ in range(3)]
    assert sum(b'"content":"' in event and b'"content":""' not in event for event in events) == 2


async def test_a_client_that_leaves_nginx_stops_the_provider(tmp_path: Path) -> None:
    with ScriptedUpstream(FAULTS["row25-stall-mid-stream"](after=2)) as upstream:
        async with gateway(upstream.url) as house, nginx(tmp_path, house.port) as port:
            async with connect(port) as client:
                client.ask()
                await client.head()
            (call,) = await upstream.until(1)
            await call.until("left_at")


async def test_whole_answers_pass(tmp_path: Path) -> None:
    with ScriptedUpstream(say("Hello", " there")) as upstream:
        async with gateway(upstream.url) as house, nginx(tmp_path, house.port) as port:
            answer = await ask(port, stream=False)
    assert (answer.status, answer.text) == (200, "Hello there")
