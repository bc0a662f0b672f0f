"""Somebody's own transport carries the requests: both colours, with httpx2's own for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import msgspec
import pytest

from telex import Interrupted, RateLimited, Timeout, Unauthorized, UpstreamError
from telex.config import Config
from telex.dialects import DIALECTS
from telex.testing import ScriptedUpstream, pour, say

from .colours import COLOURS, PATIENT, QUESTION, Colour, Speaker, configured, read, speaker

each_colour = pytest.mark.parametrize("colour", COLOURS)
BODY: dict[str, Any] = {
    "id": "c", "object": "chat.completion", "created": 7, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}  # fmt: skip
FRAMES = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in pieces, which may break; it knows whether it was closed."""

    def __init__(self, pieces: list[bytes | Exception]) -> None:
        self._pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


def client(colour: Colour, handler: Any, dialect: str = "openai-chat", url: str = "http://provider.test/v1") -> Speaker:
    config = msgspec.convert(configured(url, dialect), Config)
    return speaker(colour, config=config, transport=httpx2.MockTransport(handler))


@each_colour
async def test_whole_and_streamed(colour: Colour) -> None:
    seen: list[httpx2.Request] = []
    bodies: list[Pieces] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if not msgspec.json.decode(request.content).get("stream"):
            return httpx2.Response(200, json=BODY)
        bodies.append(Pieces(list(FRAMES)))
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=bodies[-1])

    llm = client(colour, answer)
    reply = await llm.generate(QUESTION, model="up/m")
    assert (reply.text, reply.usage and reply.usage.output) == ("Hello", 2)
    async with llm.stream(QUESTION, model="up/m") as stream:
        assert await read(stream) == ["Hel", "lo"]
    await llm.close()
    assert [str(request.url) for request in seen] == ["http://provider.test/v1/chat/completions"] * 2
    assert seen[0].headers["authorization"] == "Bearer k"
    assert seen[0].headers["content-length"] == str(len(seen[0].content))
    assert bodies[0].closed


@each_colour
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_path_stays_as_it_is(dialect: str, colour: Colour) -> None:
    seen: list[str] = []

    def refuse(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(401, json={})

    llm = client(colour, refuse, dialect, "https://provider.test:8443/base")
    with pytest.raises(Unauthorized):
        await llm.generate(QUESTION, model="up/models/x y")
    assert seen == [f"https://provider.test:8443/base{DIALECTS[dialect].generate_path('models/x y', False)}"]


RAISED: list[tuple[Exception, type[Exception], str]] = [
    (httpx2.ConnectError("no way"), UpstreamError, "unreachable"),
    (httpx2.ConnectTimeout("too slow"), Timeout, "timeout"),
    (httpx2.ReadTimeout("too slow"), Timeout, "timeout"),
    (httpx2.ReadError("gone"), UpstreamError, "unreachable"),
    (httpx2.ProxyError("407"), UpstreamError, "unreachable"),
]


@each_colour
@pytest.mark.parametrize(("error", "raised", "kind"), RAISED, ids=lambda value: type(value).__name__)
async def test_what_a_transport_raises_before_the_head(error: Exception, raised: type[Exception], kind: str, colour: Colour) -> None:
    calls = 0

    def broken(request: httpx2.Request) -> httpx2.Response:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(raised) as caught:
        await client(colour, broken).generate(QUESTION, model="up/m")
    assert caught.value.failure.kind == kind  # type: ignore[attr-defined]
    assert calls == 2


@each_colour
async def test_what_breaks_in_the_middle_is_interrupted_and_closed(colour: Colour) -> None:
    body = Pieces([FRAMES[0], httpx2.ReadError("gone")])

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    stream = client(colour, answer).stream(QUESTION, model="up/m")
    with pytest.raises(Interrupted) as caught:
        async with stream:
            await read(stream)
    assert caught.value.reply is not None
    assert (caught.value.reply.text, bool(body.closed)) == ("Hel", True)


@each_colour
async def test_leaving_closes_the_answer(colour: Colour) -> None:
    body = Pieces(list(FRAMES))

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    async with client(colour, answer).stream(QUESTION, model="up/m") as stream:
        async for _ in stream:
            break
    await asyncio.sleep(0)
    assert body.closed


@each_colour
async def test_a_refusal_is_read(colour: Colour) -> None:
    def slower(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(429, headers={"retry-after": "90"}, json={"error": {"message": "Slower."}})

    with pytest.raises(RateLimited, match="Slower") as caught:
        await client(colour, slower).generate(QUESTION, model="up/m")
    assert caught.value.retry_after == 90


async def test_a_real_transport_is_held_up_by_a_reader_who_stops() -> None:
    for colour in COLOURS:
        transport: Any = httpx2.AsyncHTTPTransport() if colour == "async" else httpx2.HTTPTransport()
        with ScriptedUpstream(pour(64 << 20), say("Hi")) as upstream:
            llm = speaker(colour, config=msgspec.convert(configured(upstream.url), Config), transport=transport)
            async with llm.stream(QUESTION, model="up/m") as stream:
                await anext(aiter(stream))
                [call] = upstream.calls
                async with asyncio.timeout(PATIENT):
                    while not call.unsent:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                assert call.bytes_sent < 64 << 20
            await call.until("left_at")
            assert (await llm.generate(QUESTION, model="up/m")).text == "Hi"
            await llm.close()
