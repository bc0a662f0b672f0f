"""What tests of coming back share: a provider that goes on when it is told to, and what `/v1/generations` says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from telex.generation.generation import Generation
from telex.testing import Head, Script, Send, Until
from telex.testing.answers import JSON, SSE

from .client import PATIENT, Answer, Client, chat, request, send
from .house import House

ROOT = "/v1/generations"
FIRST = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
REST = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":" there"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"
FRAMES = [FIRST, *REST]
WHOLE = b'{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi there"},"finish_reason":"stop"}]}'


def gated(gate: threading.Event) -> Script:
    """The rest of a stream comes when `gate` is set."""
    return (Head(200, SSE), Send(FIRST), Until(gate.is_set), *map(Send, REST))


def gated_whole(gate: threading.Event) -> Script:
    return (Until(gate.is_set), Head(200, JSON), Send(WHOLE))


def asking(policy: str, stream: bool = True, **headers: str) -> bytes:
    """A request whose client says what its leaving means."""
    return request(chat(stream), headers={"telex-on-disconnect": policy, **headers})


async def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    return await send(port, request(method="GET", path=path, headers=headers))


async def record(port: int, id: str) -> dict[str, Any]:
    answer = await get(port, f"{ROOT}/{id}")
    assert answer.status == 200, answer
    return answer.json  # type: ignore[no-any-return]


async def until(holds: Callable[[], object]) -> None:
    """Return when it is so, within this event loop."""
    async with asyncio.timeout(PATIENT):
        while not holds():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.001)


async def alone(house: House) -> Generation:
    """The only generation that runs, once nobody reads it."""
    [generation] = house.process.gateway.running
    await until(lambda: not generation.log.readers)
    return generation


async def begun(client: Client) -> str:
    """The id of a streamed answer whose first frame has come."""
    status, headers = await client.head()
    assert status == 200
    assert await client.event() == FIRST
    return headers["telex-generation"]


async def followed(port: int, id: str, after: int | None = None, **headers: str) -> Answer:
    query = "" if after is None else f"?after={after}"
    return await get(port, f"{ROOT}/{id}/stream{query}", headers)


def is_problem(answer: Answer, status: int, *words: str) -> bool:
    """Whether it is the problem details of Telex's own paths."""
    said = answer.json
    assert (answer.status, answer.headers["content-type"], said["status"]) == (status, "application/problem+json", status), answer
    assert all(word in said["detail"] for word in words), said
    return set(said) == {"type", "title", "status", "detail"}
