"""A minimal HTTP client, and the end of a process as something to wait for."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import anyio

from telex.local.model import Endpoint

QUESTION = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "stream": True, "return_progress": True}


async def open_stream(endpoint: Endpoint, body: Mapping[str, object]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a chat completion request; the answer is the caller's to read, the connection the caller's to close."""
    url = urlsplit(endpoint.base_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    content = json.dumps(body).encode()
    head = f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {endpoint.api_key}\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    return reader, writer


async def ask(endpoint: Endpoint, body: Mapping[str, object] = QUESTION) -> str:
    """The whole answer, headers and chunk sizes included."""
    reader, writer = await open_stream(endpoint, body)
    answer = await reader.read()
    await close(writer)
    return answer.decode()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what cannot be awaited."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.005)


class Ending:
    """Holds on to a process, whoever its parent is, and waits for its end; nothing else can take its number meanwhile."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    async def wait(self) -> None:
        with anyio.fail_after(30):
            await anyio.wait_readable(self._descriptor)
        os.close(self._descriptor)
