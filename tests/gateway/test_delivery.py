"""What a client gets of what a provider sent, both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from telex.testing import Head, Play, ScriptedUpstream, Send, Stall, say
from telex.testing.answers import SSE

from .client import PATIENT, Answer, ask, chat, connect, request
from .house import gateway, provider

WORDS = ("Hello", " wide", " world")
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """A frame as no encoder of ours would write it, so that bytes that pass can be told from bytes made anew."""
    choices = [] if delta is None else [{"delta": delta, "index": 0, "finish_reason": finish}]
    body = {"model": "m", "id": "odd", "created": 7, "object": "chat.completion.chunk", "choices": choices, **fields}
    return b"data: " + json.dumps(body, indent=None, separators=(" ,  ", " :  ")).encode() + b"\n\n"


ROLE, HI, BYE, STOP = chunk({"role": "assistant"}), chunk({"content": "Hi"}), chunk({"content": " bye"}), chunk({}, "stop")
USAGE = chunk(None, usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})


def frames(*sent: bytes) -> Play:
    return Head(200, SSE), *(Send(frame) for frame in sent)


async def relayed(play: Play, stream: bool = True, row: dict[str, Any] | None = None, **fields: Any) -> Answer:
    """What a client gets of one play."""
    with ScriptedUpstream(play) as upstream:
        async with gateway(providers={"up": provider(upstream.url, **(row or {}))}) as house:
            return await ask(house.port, stream, **fields)


async def test_streams() -> None:
    answer = await relayed(say(*WORDS))
    assert (answer.status, answer.text, answer.finishes, answer.done, answer.whole) == (200, "Hello wide world", ["stop"], True, True)


async def test_completes() -> None:
    answer = await relayed(say(*WORDS), stream=False)
    assert (answer.status, answer.text, answer.json["usage"]["completion_tokens"]) == (200, "Hello wide world", 3)
    assert (answer.json["object"], answer.json["choices"][0]["finish_reason"]) == ("chat.completion", "stop")


async def test_a_stream_has_headers_against_buffering() -> None:
    headers = (await relayed(say(*WORDS))).headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["telex-generation"].startswith("gen_")


async def test_a_whole_reply_says_how_long_it_took() -> None:
    headers = (await relayed(say(*WORDS), stream=False)).headers
    assert headers["content-type"] == "application/json"
    assert headers["telex-generation"].startswith("gen_")
    timing = dict(part.split(";dur=") for part in headers["server-timing"].split(", "))
    assert {"queue", "connect", "ttft", "total"} >= timing.keys() >= {"queue", "connect", "total"}
    assert 0 <= float(timing["connect"]) <= float(timing["total"])


async def test_content_frames_pass_byte_for_byte() -> None:
    sent = [ROLE, HI, chunk({"content": "é\u2028 \N{GRINNING FACE}", "unheard_of": [1]}), chunk({"reasoning": "Hm."}), BYE, STOP]
    answer = await relayed(frames(*sent, DONE))
    assert answer.frames == [*sent, DONE]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"], ids=["crlf", "cr"])
async def test_content_frames_keep_their_line_ends(end: bytes) -> None:
    sent = [frame.replace(b"\n", end) for frame in (ROLE, HI, STOP)]
    assert (await relayed(frames(*sent, DONE))).body == b"".join([*sent, DONE])


async def test_frames_pass_however_they_are_cut() -> None:
    whole = b"".join([ROLE, HI, BYE, STOP, DONE])
    pieces = [Send(whole[i : i + 7]) for i in range(0, len(whole), 7)]
    assert (await relayed((Head(200, SSE), *pieces))).body == whole


async def test_a_whole_reply_passes_byte_for_byte() -> None:
    message = {"role": "assistant", "content": "Hi", "unheard_of": {}}
    body = json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "id": "odd", "new": None}, indent=3).encode()
    answer = await relayed((Head(200, (("content-type", "application/json"),), "length"), Send(body)), stream=False)
    assert answer.body == body


async def test_a_usage_frame_that_only_telex_asked_for_is_dropped() -> None:
    assert (await relayed(frames(ROLE, HI, STOP, USAGE, DONE))).frames == [ROLE, HI, STOP, DONE]


async def test_a_usage_frame_that_the_client_asked_for_passes() -> None:
    answer = await relayed(frames(ROLE, HI, STOP, USAGE, DONE), stream_options={"include_usage": True})
    assert answer.frames == [ROLE, HI, STOP, USAGE, DONE]


async def test_usage_beside_content_passes() -> None:
    both = chunk({"content": "Hi"}, usage={"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4})
    assert (await relayed(frames(ROLE, both, STOP, DONE))).frames == [ROLE, both, STOP, DONE]


async def test_usage_beside_the_reason_to_stop_passes() -> None:
    both = chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4})
    assert (await relayed(frames(ROLE, HI, both, DONE))).frames == [ROLE, HI, both, DONE]


async def test_the_provider_is_always_asked_for_usage() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house:
            await ask(house.port, stream_options={"include_usage": False, "kept": 1}, unheard_of={"kept": 2})
        [call] = upstream.calls
        assert call.json["stream_options"] == {"include_usage": True, "kept": 1}
        assert (call.json["model"], call.json["unheard_of"], call.json["stream"]) == ("scripted", {"kept": 2}, True)


async def test_progress_frames_are_dropped() -> None:
    progress = chunk({}, prompt_progress={"processed": 5, "total": 9, "cache": 0, "time_ms": 1})
    assert (await relayed(frames(ROLE, progress, HI, progress, STOP, DONE))).frames == [ROLE, HI, STOP, DONE]


@pytest.mark.parametrize("end", [b"data:[DONE]\n\n", b'data: "[DONE]"\n\n', b"event: done\ndata: [DONE] \n\n", b"data: [DONE]\r\n\r\n"])
async def test_the_terminal_frame_is_canonical(end: bytes) -> None:
    assert (await relayed(frames(ROLE, HI, STOP, end))).frames == [ROLE, HI, STOP, DONE]


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error":{"message":"It broke.","type":"server_error"}}\n\n',
        b'data: {"error":"It broke."}\n\n',
        b'event: error\ndata: {"error":{"message":"It broke.","code":500}}\n\n',
        b'error: {"message":"It broke."}\n\n',
        b'{"error":{"message":"It broke."}}\n\n',
        b'data: {"object":"error","message":"It broke.","code":500}\n\n',
    ],
    ids=["object", "string", "named", "field", "bare", "flat"],
)
async def test_an_error_frame_takes_the_form_that_sdks_raise_on(error: bytes) -> None:
    with ScriptedUpstream(frames(ROLE, HI, error)) as upstream:
        async with gateway(upstream.url) as house:
            answer = await ask(house.port)
            assert answer.frames[:2] == [ROLE, HI]
            assert len(answer.frames) == 3
            assert answer.frames[2].startswith(b'data: {"error":{')
            assert answer.chunks[2]["error"]["message"] == "It broke."
            assert answer.whole
            sdk = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{house.port}/v1", api_key="none", max_retries=0)
            async with sdk:
                stream = await sdk.chat.completions.create(model="up/m", messages=[{"role": "user", "content": "?"}], stream=True)
                with pytest.raises(openai.APIError, match="It broke"):
                    [chunk async for chunk in stream]


async def test_rows_with_a_repair_quirk_are_encoded_anew() -> None:
    def called(id: str, arguments: str) -> bytes:
        call = {"index": 0, "id": id, "type": "function", "function": {"name": "look", "arguments": arguments}}
        return chunk({"role": "assistant", "content": "", "tool_calls": [call]})

    sent = frames(called("call_1", '{"a":'), called("call_1", "1}"), called("call_2", "{}"), chunk({}, "tool_calls"), DONE)
    answer = await relayed(sent, row={"quirks": {"repair": True, "calls_by_id": True}})
    calls = [call for chunk in answer.chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert [(call["index"], call["id"]) for call in calls if "id" in call] == [(0, "call_1"), (1, "call_2")]
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["look", "look"]
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 0) == '{"a":1}'
    assert sum("role" in choice["delta"] for chunk in answer.chunks for choice in chunk["choices"]) == 1
    assert (answer.finishes, answer.done) == (["tool_calls"], True)


async def test_comments_and_ids_are_dropped() -> None:
    sent = frames(b": hello\n\n", ROLE, b": in between\nid: 7\n" + HI, b"retry: 5\n" + BYE, b"event: ping\ndata:\n\n", STOP, DONE)
    answer = await relayed(sent)
    assert answer.body == b"".join([ROLE, HI, BYE, STOP, DONE])


async def test_a_provider_that_answers_a_stream_with_a_whole_reply_is_streamed() -> None:
    body = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    answer = await relayed((Head(200, (("content-type", "application/json"),), "length"), Send(json.dumps(body).encode())))
    assert (answer.headers["content-type"], answer.text, answer.done) == ("text/event-stream; charset=utf-8", "Hi", True)


async def test_a_stream_without_its_terminator_is_an_error() -> None:
    answer = await relayed(frames(ROLE, HI, STOP))
    assert answer.frames[:3] == [ROLE, HI, STOP]
    assert (answer.chunks[3]["error"]["code"], answer.done) == ("stream_truncated", False)


async def test_a_provider_known_for_no_terminator_ends_well() -> None:
    answer = await relayed(frames(ROLE, HI, STOP), row={"quirks": {"no_done": True}})
    assert answer.frames == [ROLE, HI, STOP, DONE]


async def test_several_choices_pass() -> None:
    def of(index: int, **choice: Any) -> bytes:
        return chunk(choices=[{"index": index, "finish_reason": None, "delta": {}, **choice}])

    sent = [of(0, delta={"content": "a"}), of(1, delta={"content": "b"}), of(0, finish_reason="stop"), of(1, finish_reason="length"), DONE]
    assert (await relayed(frames(*sent), n=2)).frames == sent
    whole = await relayed(frames(*sent), stream=False, n=2, row={"whole": "stream"})
    said = [(c["index"], c["message"]["content"], c["finish_reason"]) for c in whole.json["choices"]]
    assert said == [(0, "a", "stop"), (1, "b", "length")]


async def test_a_reply_that_is_folded_from_a_stream_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.generation.attempt.REPLY_LIMIT", 10_000)
    answer = await relayed(say(*["word "] * 200), stream=False, row={"whole": "stream"})
    assert (answer.status, answer.error["code"]) == (502, "upstream_malformed")
    assert (await relayed(say(*["word "] * 200))).status == 200


async def test_a_whole_reply_is_the_same_when_it_is_folded_from_a_stream() -> None:
    asked = await relayed(say(*WORDS), stream=False)
    folded = await relayed(say(*WORDS), stream=False, row={"whole": "stream"})
    assert folded.json == asked.json
    assert folded.headers.keys() == asked.headers.keys()


async def test_a_stream_and_a_whole_reply_say_the_same() -> None:
    streamed, whole = await relayed(say(*WORDS)), await relayed(say(*WORDS), stream=False)
    assert (streamed.text, streamed.finishes) == (whole.text, [whole.json["choices"][0]["finish_reason"]])
    assert {streamed.chunks[0][name] for name in ("id", "model")} == {whole.json[name] for name in ("id", "model")}


@pytest.mark.parametrize("include_usage", [False, True])
async def test_the_openai_sdk_streams_and_completes(include_usage: bool) -> None:
    with ScriptedUpstream(say(*WORDS)) as upstream:
        async with gateway(upstream.url) as house, openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{house.port}/v1", api_key="none") as sdk:
            options = {"include_usage": include_usage}
            stream = await sdk.chat.completions.create(  # type: ignore[call-overload]
                model="scripted", messages=[{"role": "user", "content": "?"}], stream=True, stream_options=options
            )
            chunks = [chunk async for chunk in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello wide world"
            assert [c.usage.completion_tokens for c in chunks if c.usage] == ([3] if include_usage else [])
            whole = await sdk.chat.completions.create(model="scripted", messages=[{"role": "user", "content": "?"}])
            assert whole.choices[0].message.content == "Hello wide world"
            assert [model.id async for model in sdk.models.list()] == ["scripted"]
            assert (await sdk.models.retrieve("scripted")).owned_by == "up"


class Hand:
    """A provider that says what the test tells it to, when the test tells it to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        await reader.readuntil(b"\r\n\r\n")
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        self.asked.set()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def by_hand() -> AsyncIterator[tuple[Hand, str]]:
    hand = Hand()
    server = await asyncio.start_server(hand.answer, "127.0.0.1", 0)
    try:
        yield hand, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        hand.close()
        server.close()
        await server.wait_closed()


async def test_each_event_is_there_before_the_next_is_sent() -> None:
    async with by_hand() as (hand, url), gateway(url) as house, connect(house.port) as client, asyncio.timeout(PATIENT):
        client.ask()
        await hand.asked.wait()
        hand.send(ROLE + HI)  # headers wait for the first content, and so does the role
        assert (await client.head())[0] == 200
        assert [await client.event(), await client.event()] == [ROLE, HI]
        for number in range(100):
            sent = chunk({"content": f" {number}"})
            hand.send(sent)
            assert await client.event() == sent
        hand.send(STOP + DONE)
        assert [await client.event() for _ in range(3)] == [STOP, DONE, b""]


async def test_the_end_comes_with_the_terminator_not_with_the_end_of_the_connection() -> None:
    with ScriptedUpstream((*frames(ROLE, HI, STOP, DONE), Stall())) as upstream:  # type: ignore[misc]
        async with gateway(upstream.url) as house:
            answer = await ask(house.port)
            assert (answer.done, answer.whole) == (True, True)
            await upstream.calls[0].until("left_at")


async def test_the_headers_come_at_the_gate_and_then_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.gateway.deliver.KEEP_ALIVE_SECONDS", 0.02)
    async with by_hand() as (hand, url), gateway(url, timeouts={"gate": 0.05}) as house, connect(house.port) as client:
        client.ask()
        assert (await client.head())[0] == 200
        assert [await client.event() for _ in range(3)] == [b": keep-alive\n\n"] * 3
        hand.send(ROLE + HI + STOP + DONE)
        rest = [await client.event()]
        while rest[-1]:
            rest.append(await client.event())
        assert [event for event in rest if event and not event.startswith(b":")] == [ROLE, HI, STOP, DONE]


async def test_a_failure_behind_the_gate_is_told_in_the_stream() -> None:
    async with by_hand() as (hand, url), gateway(url, timeouts={"gate": 0.05}, models=once("up")) as house, connect(house.port) as client:
        client.ask(model="once")
        assert (await client.head())[0] == 200
        hand.send(b'data: {"error":{"message":"It broke."}}\n\n')
        assert json.loads((await client.event()).removeprefix(b"data: "))["error"]["message"] == "It broke."
        assert (await client.event(), client.whole) == (b"", True)


def once(name: str) -> dict[str, Any]:
    return {"once": {"targets": [{"provider": name, "model": "m"}], "retries": 0}}


async def test_a_connection_serves_one_request_after_the_other() -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            for stream in (False, False, True):  # a streamed answer is here before its connection has come to its proper end
                client.send(request(chat(stream)))
                answer = await client.answer()
                assert (answer.text, answer.whole) == ("Hi", True)
        assert [call.connection for call in upstream.calls] == [1, 1, 1]


async def test_the_log_has_one_line_a_generation_and_no_word_of_it(logged: list[dict[str, Any]]) -> None:
    with ScriptedUpstream(say("secret answer")) as upstream:
        async with gateway(providers={"up": provider(upstream.url, api_key="secret key")}) as house:
            answer = await ask(house.port, messages=[{"role": "user", "content": "secret question"}])
        assert upstream.calls[0].headers["authorization"] == "Bearer secret key"
    [line] = logged
    assert (line["id"], line["ending"], line["delivery"]) == (answer.headers["telex-generation"], "complete", "stream")
    assert (line["output_tokens"], line["tokens"]) == (1, "final")
    assert [attempt["target"] for attempt in line["attempts"]] == ["up/scripted"]
    assert "secret" not in repr(logged)


async def test_headers_of_the_client_do_not_reach_the_provider() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url) as house, connect(house.port) as client:
            private = {"authorization": "Bearer mine", "cookie": "a=b", "x-api-key": "mine", "x-forwarded-for": "192.0.2.1"}
            client.send(request(chat(), headers=private))
            await client.answer()
        assert set(upstream.calls[0].headers) == {"host", "accept-encoding", "user-agent", "content-type", "content-length"}
