"""Responses in the background by OpenAI's SDK as it is, sync and async, at a gateway in front of a provider of each dialect."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from gateway.house import House, gateway, in_each_dialect
from telex.dialects import DIALECTS
from telex.testing import Call, Play, Script, ScriptedUpstream, Send, Stall, Until, say, status
from telex.testing.script import resolve

TEXTS = ("The", " sky", " is", " blue", ".")
PROVIDER = pytest.mark.parametrize("up", DIALECTS)
DELTA = "response.output_text.delta"
FINISHED = ("completed", "failed", "cancelled", "incomplete")


class Sdk:
    """`client.responses` of either kind, called from this loop."""

    def __init__(self, house: House, kind: str) -> None:
        options: dict[str, Any] = {"base_url": f"http://127.0.0.1:{house.port}/v1", "api_key": "none", "max_retries": 0}
        self.client: Any = OpenAI(**options) if kind == "sync" else AsyncOpenAI(**options)
        self._sync = kind == "sync"

    async def call(self, method: str, *arguments: Any, **fields: Any) -> Any:
        target = getattr(self.client.responses, method)
        return await (asyncio.to_thread(target, *arguments, **fields) if self._sync else target(*arguments, **fields))

    async def events(self, method: str, *arguments: Any, most: int | None = None, **fields: Any) -> list[Any]:
        """Its first events, so many or all; then the stream is closed."""
        stream = await self.call(method, *arguments, stream=True, **fields)
        if self._sync:
            return await asyncio.to_thread(take, stream, most)
        events: list[Any] = []
        async with stream:
            while most is None or len(events) < most:
                try:
                    events.append(await anext(stream))
                except StopAsyncIteration:
                    break
        return events

    async def helper(self, **fields: Any) -> tuple[list[Any], Any]:
        """The events that the helper for streams makes, and its final response."""
        manager = self.client.responses.stream(**fields)
        if self._sync:
            return await asyncio.to_thread(watch, manager)
        async with manager as stream:
            events = [event async for event in stream]
            return events, await stream.get_final_response()

    async def input_items(self, id: str) -> list[Any]:
        pages = self.client.responses.input_items.list
        if self._sync:
            return await asyncio.to_thread(lambda: list(pages(id, order="asc", limit=1)))
        return [item async for item in pages(id, order="asc", limit=1)]

    async def poll(self, id: str) -> Any:
        while (response := await self.call("retrieve", id)).status not in FINISHED:
            assert response.status in ("queued", "in_progress")
        return response

    async def close(self) -> None:
        self.client.close() if self._sync else await self.client.close()


def take(stream: Any, most: int | None) -> list[Any]:
    with stream:
        return list(islice(stream, most))


def watch(manager: Any) -> tuple[list[Any], Any]:
    with manager as stream:
        return list(stream), stream.get_final_response()


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    async with gateway(providers=in_each_dialect(upstream.url)) as house:
        yield house


@pytest.fixture(params=["sync", "async"])
async def sdk(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Sdk]:
    sdk = Sdk(house, request.param)
    yield sdk
    await sdk.close()


def asking(up: str) -> dict[str, Any]:
    return {"model": f"{up}/m", "input": "Why?", "background": True}


def gated(gate: threading.Event) -> Play:
    """The answer stops behind its first words until `gate` is set; a whole one has not begun then."""

    def play(call: Call) -> Script:
        steps = resolve(say(*TEXTS), call)
        first = next(n for n, step in enumerate(steps) if isinstance(step, Send) and b"The" in step.data)
        place = first + 1 if call.wants_stream else 0
        return (*steps[:place], Until(gate.is_set), *steps[place:])

    return play


def text_of(events: Iterable[Any]) -> str:
    return "".join(event.delta for event in events if event.type == DELTA)


@PROVIDER
async def test_it_is_polled(sdk: Sdk, upstream: ScriptedUpstream, up: str) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    made = await sdk.call("create", **asking(up))
    assert (made.status, made.background, made.output, made.usage, made.output_text) == ("queued", True, [], None, "")
    assert (await sdk.call("retrieve", made.id)).status in ("queued", "in_progress")
    [item] = await sdk.input_items(made.id)
    assert (item.role, item.content[0].text) == ("user", "Why?")
    gate.set()
    done = await sdk.poll(made.id)
    assert (done.id, done.status, done.background, done.output_text) == (made.id, "completed", True, "".join(TEXTS))
    assert (done.usage.input_tokens, done.usage.output_tokens, done.error) == (7, len(TEXTS), None)
    assert await sdk.call("cancel", made.id) == done
    upstream.play(say("Next"))
    following = await sdk.call("create", model=f"{up}/m", input="And?", previous_response_id=made.id)
    assert following.output_text == "Next"
    assert [item.type for item in await sdk.input_items(following.id)] == ["message"] * 3
    await sdk.call("delete", made.id)
    with pytest.raises(openai.NotFoundError) as raised:
        await sdk.call("retrieve", made.id)
    assert raised.value.code == "not_found"


@PROVIDER
async def test_a_stream_that_was_dropped_goes_on(sdk: Sdk, upstream: ScriptedUpstream, up: str) -> None:
    gate = threading.Event()
    upstream.play(gated(gate))
    seen = await sdk.events("create", most=4, **asking(up))
    id = seen[0].response.id
    assert [event.type for event in seen[:2]] == ["response.created", "response.in_progress"]
    assert (await sdk.call("retrieve", id)).status == "in_progress"
    gate.set()
    rest = await sdk.events("retrieve", id, starting_after=seen[-1].sequence_number)
    events = [*seen, *rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[-1].type, events[-1].response.id, text_of(events)) == ("response.completed", id, "".join(TEXTS))
    assert await sdk.events("retrieve", id) == events
    assert (await sdk.call("retrieve", id)).output_text == "".join(TEXTS)


@PROVIDER
async def test_the_helper_for_streams_goes_on(sdk: Sdk, upstream: ScriptedUpstream, up: str) -> None:
    """It asks for all again, and leaves out what its caller has."""
    gate = threading.Event()
    upstream.play(gated(gate))
    seen = await sdk.events("create", most=4, **asking(up))
    gate.set()
    events, final = await sdk.helper(response_id=seen[0].response.id, starting_after=seen[-1].sequence_number)
    assert events[0].sequence_number == len(seen)
    assert (final.id, final.output_text, final.status) == (seen[0].response.id, "".join(TEXTS), "completed")


@PROVIDER
async def test_it_is_cancelled(sdk: Sdk, upstream: ScriptedUpstream, up: str) -> None:
    before = len(upstream.calls)
    upstream.play((Stall(),))
    made = await sdk.call("create", **asking(up))
    await upstream.until(lambda: len(upstream.calls) > before)
    for _ in range(2):
        stopped = await sdk.call("cancel", made.id)
        assert (stopped.id, stopped.status, stopped.output_text) == (made.id, "cancelled", "")
    await upstream.calls[-1].until("left_at")
    assert (await sdk.poll(made.id)).status == "cancelled"


@PROVIDER
async def test_what_went_wrong_is_said(sdk: Sdk, upstream: ScriptedUpstream, up: str) -> None:
    upstream.play(status(400))
    failed = await sdk.poll((await sdk.call("create", **asking(up))).id)
    assert (failed.status, failed.output_text) == ("failed", "")
    assert "Scripted 400." in failed.error.message
    with pytest.raises(openai.APIError, match="Scripted 400"):
        await sdk.events("retrieve", failed.id)
    with pytest.raises(openai.NotFoundError):
        await sdk.call("retrieve", "resp_gen_never")
    upstream.play(say("Hi"))
    waited = await sdk.call("create", model=f"{up}/m", input="Hi")
    for method, fields in (("cancel", {}), ("retrieve", {"stream": True})):
        with pytest.raises(openai.BadRequestError):
            await sdk.call(method, waited.id, **fields)
    upstream.play(say("Cut", reason="length"))
    cut = await sdk.poll((await sdk.call("create", **asking(up))).id)
    assert (cut.status, cut.incomplete_details.reason, cut.output_text) == ("incomplete", "max_output_tokens", "Cut")
