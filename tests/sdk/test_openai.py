"""What Telex says in Chat Completions, as the official OpenAI SDK reads it: sync and async, streamed, accumulated and whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Finish, Part, Reply, Usage
from telex.dialects import openai_chat
from telex.dialects.quirks import Quirks
from telex.generation.output import Naming, StreamOutput
from telex.testing import Play, ScriptedUpstream, Send, perform, status
from telex.testing.answers import stream as sse_answer

CHUNK_TYPE = "chat.completion.chunk"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
WITH_USAGE: dict[str, Any] = {**ASK, "stream_options": {"include_usage": True}}
WEATHER = Part("tool_call", '{"city":"Oslo"}', "call_1", "weather", "function")
TIME = Part("tool_call", "{}", "call_2", "time", "function")


def choice(index: int, *parts: Part, reason: str = "stop") -> Choice:
    return Choice(index, parts, Finish(index, reason, reason))  # type: ignore[arg-type]


def reply(*choices: Choice, usage: Usage | None = None) -> Reply:
    return Reply("chatcmpl-1", "m", 1700000000, choices, usage or Usage(7, 3, 2, 0, 1), dialect="openai-chat")


REPLIES = {
    "text": reply(choice(0, Part("text", "Hello é 😀\n\u2028 world"))),
    "nothing": reply(choice(0, reason="length")),
    "refusal": reply(choice(0, Part("refusal", "No."))),
    "parallel calls": reply(choice(0, WEATHER, TIME, reason="tool_calls")),
    "text and calls": reply(choice(0, Part("text", "Let me see."), WEATHER, TIME, reason="tool_calls")),
    "two choices": reply(choice(0, Part("text", "one")), choice(1, Part("text", "two"), reason="length")),
    "reasoning": reply(choice(0, Part("reasoning", "2+2", name="reasoning_content"), Part("text", "4"))),
}
each_reply = pytest.mark.parametrize("whole", REPLIES.values(), ids=REPLIES)


def spelled(whole: Reply) -> list[Event]:
    """The reply's events, a delta for each character, so that there is something to accumulate."""
    events: list[Event] = []
    for event in unfold(whole):
        if isinstance(event, PartDelta):
            events += [PartDelta(event.choice, event.index, character) for character in event.text]
        else:
            events.append(event)
    return events


class Client:
    """One SDK client that asks one scripted upstream, sync or async, by the same calls."""

    def __init__(self, upstream: ScriptedUpstream, kind: str) -> None:
        self._kind = kind
        self._options: dict[str, Any] = {"base_url": upstream.url, "api_key": "none", "max_retries": 0}

    def create(self, **fields: Any) -> ChatCompletion:
        if self._kind == "sync":
            with OpenAI(**self._options) as client:
                return client.chat.completions.create(**fields)  # type: ignore[no-any-return]

        async def work() -> ChatCompletion:
            async with AsyncOpenAI(**self._options) as client:
                return await client.chat.completions.create(**fields)  # type: ignore[no-any-return]

        return asyncio.run(work())

    def chunks(self, into: list[ChatCompletionChunk], **fields: Any) -> list[ChatCompletionChunk]:
        """All chunks; `into` has them even if the stream raises."""
        if self._kind == "sync":
            with OpenAI(**self._options) as client, client.chat.completions.create(stream=True, **fields) as stream:
                into.extend(stream)
            return into

        async def work() -> None:
            async with AsyncOpenAI(**self._options) as client, await client.chat.completions.create(stream=True, **fields) as stream:
                async for chunk in stream:
                    into.append(chunk)  # noqa: PERF401

        asyncio.run(work())
        return into

    def accumulated(self, **fields: Any) -> tuple[ChatCompletion, list[str]]:
        """What the SDK's helper made of a stream, and the types of its events."""
        if self._kind == "sync":
            with OpenAI(**self._options) as client, client.chat.completions.stream(**fields) as stream:
                types = [str(event.type) for event in stream]
                return stream.get_final_completion(), types

        async def work() -> tuple[ChatCompletion, list[str]]:
            async with AsyncOpenAI(**self._options) as client, client.chat.completions.stream(**fields) as stream:
                types = [str(event.type) async for event in stream]
                return await stream.get_final_completion(), types

        return asyncio.run(work())


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def assert_same(got: ChatCompletion, whole: Reply) -> None:
    """What the SDK holds is the reply."""
    assert (got.id, got.model, got.created) == (whole.id, whole.model, whole.created)
    assert len(got.choices) == len(whole.choices)
    for mine, theirs in zip(whole.choices, got.choices, strict=True):
        message = theirs.message
        said = {kind: "".join(p.text for p in mine.parts if p.kind == kind) for kind in ("text", "refusal", "reasoning")}
        calls = [p for p in mine.parts if p.kind == "tool_call"]
        assert mine.finish is not None
        assert (theirs.index, theirs.finish_reason, message.role) == (mine.index, mine.finish.raw, "assistant")
        assert ((message.content or ""), (message.refusal or "")) == (said["text"], said["refusal"])
        assert (getattr(message, "reasoning_content", None) or "") == said["reasoning"]
        got_calls = [(c.id, c.type, c.function.name, c.function.arguments) for c in message.tool_calls or [] if c.type == "function"]
        assert got_calls == [(p.id, "function", p.name, p.text) for p in calls]


def assert_usage(got: Any, usage: Usage) -> None:
    assert (got.prompt_tokens, got.completion_tokens, got.total_tokens) == (usage.input, usage.output, usage.input + usage.output)
    assert got.prompt_tokens_details.cached_tokens == usage.cached
    assert got.completion_tokens_details.reasoning_tokens == usage.reasoning


@each_reply
def test_create(whole: Reply, kind: str) -> None:
    with ScriptedUpstream(perform(unfold(whole))) as upstream:
        got = Client(upstream, kind).create(**ASK)
    assert_same(got, whole)
    assert whole.usage is not None
    assert_usage(got.usage, whole.usage)


@each_reply
def test_stream(whole: Reply, kind: str) -> None:
    with ScriptedUpstream(perform(spelled(whole))) as upstream:
        chunks = Client(upstream, kind).chunks([], **WITH_USAGE)
    assert {chunk.object for chunk in chunks} == {CHUNK_TYPE}
    assert whole.usage is not None
    assert_usage(chunks[-1].usage, whole.usage)
    assert chunks[-1].choices == []
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert fold(decoded(chunk.to_json().encode() for chunk in chunks)) == whole


def decoded(datas: Iterable[bytes]) -> list[Event]:
    decoder = openai_chat.Decoder()
    return [event for data in [*datas, sse.DONE] for event in decoder.feed(sse.Frame(data))]


@each_reply
def test_the_helper_accumulates_what_was_said(whole: Reply, kind: str) -> None:
    with ScriptedUpstream(perform(spelled(whole))) as upstream:
        if any(c.finish and c.finish.reason == "length" for c in whole.choices):
            with pytest.raises(openai.LengthFinishReasonError):
                Client(upstream, kind).accumulated(**WITH_USAGE)
            return
        got, _ = Client(upstream, kind).accumulated(**WITH_USAGE)
    assert_same(got, whole)
    assert whole.usage is not None
    assert_usage(got.usage, whole.usage)


def test_two_choices_that_interleave(kind: str) -> None:
    """The helper fails when choice 1 comes before choice 0: the encoder sends that one's role first."""
    events: list[Event] = [
        Start("chatcmpl-1", "m", 1),
        PartStart(1, 0, "text"), PartDelta(1, 0, "b"),
        PartStart(0, 0, "text"), PartDelta(0, 0, "a"), PartDelta(1, 0, "B"), PartDelta(0, 0, "A"),
        PartEnd(0, 0), PartEnd(1, 0), Finish(1, "stop", "stop"), Finish(0, "stop", "stop"), Done(),
    ]  # fmt: skip
    with ScriptedUpstream(perform(events)) as upstream:
        got, _ = Client(upstream, kind).accumulated(n=2, **ASK)
    assert [c.message.content for c in got.choices] == ["aA", "bB"]


def test_the_helper_tells_of_each_step(kind: str) -> None:
    with ScriptedUpstream(perform(spelled(REPLIES["text and calls"])), perform(spelled(REPLIES["refusal"]))) as upstream:
        _, types = Client(upstream, kind).accumulated(**ASK)
        assert {
            "chunk",
            "content.delta",
            "content.done",
            "tool_calls.function.arguments.delta",
            "tool_calls.function.arguments.done",
        } == set(types)
        assert types.count("tool_calls.function.arguments.done") == 2
        _, types = Client(upstream, kind).accumulated(**ASK)
        assert {"chunk", "refusal.delta", "refusal.done"} == set(types) - {"content.delta"}


BOOM = Failure("upstream_error", "Boom.", type="server_error", code="boom")


def test_an_error_inside_a_stream_is_raised_behind_what_came(kind: str) -> None:
    events = [event for event in spelled(REPLIES["text"]) if isinstance(event, Start | PartStart | PartDelta)]
    got: list[ChatCompletionChunk] = []
    with ScriptedUpstream(perform([*events, BOOM])) as upstream, pytest.raises(openai.APIError, match=r"Boom\.") as caught:
        Client(upstream, kind).chunks(got, **ASK)
    assert "".join(c.choices[0].delta.content or "" for c in got) == REPLIES["text"].text
    assert (caught.value.code, caught.value.type) == ("boom", "server_error")


def test_a_truncated_stream_raises(kind: str) -> None:
    """The SDK takes a clean end without a terminator for success, so Telex must say what it was."""
    decoder, encoder = openai_chat.Decoder(), openai_chat.Encoder()
    cut = b'{"id":"c","choices":[{"index":0,"delta":{"content":"Hel"}}]}'
    frames = [frame for event in [*decoder.feed(sse.Frame(cut)), *decoder.end()] for frame in encoder.feed(event)]
    with ScriptedUpstream(sse_answer(map(Send, frames))) as upstream, pytest.raises(openai.APIError, match="ended without") as caught:
        Client(upstream, kind).accumulated(**ASK)
    assert caught.value.code == "stream_truncated"


@pytest.mark.parametrize("failure", [BOOM, Failure("truncated", "Cut."), Failure("rate_limited", "Slow."), Failure("internal", "Oops.")])
def test_every_failure_raises(failure: Failure) -> None:
    with ScriptedUpstream(perform([Start("c", "m", 1), failure])) as upstream, pytest.raises(openai.APIError, match=failure.message):
        Client(upstream, "sync").chunks([], **ASK)


STATUSES: list[tuple[Failure, type[openai.APIStatusError]]] = [
    (Failure("bad_request", "Boom.", "n"), openai.BadRequestError),
    (Failure("context_too_long", "Boom."), openai.BadRequestError),
    (Failure("unauthorized", "Boom."), openai.AuthenticationError),
    (Failure("permission_denied", "Boom."), openai.PermissionDeniedError),
    (Failure("not_found", "Boom."), openai.NotFoundError),
    (Failure("rate_limited", "Boom."), openai.RateLimitError),
    (Failure("overloaded", "Boom."), openai.InternalServerError),
    (Failure("upstream_error", "Boom."), openai.InternalServerError),
]


@pytest.mark.parametrize(("failure", "error"), STATUSES)
def test_errors_before_the_stream_keep_their_class_and_words(failure: Failure, error: type[openai.APIStatusError], kind: str) -> None:
    body = openai_chat.encode_error(failure)
    answer = status(failure.http_status, body, [("content-type", "application/json")])
    with ScriptedUpstream(answer) as upstream, pytest.raises(error, match=r"Boom\.") as caught:
        Client(upstream, kind).create(**ASK)
    assert caught.value.param == (failure.param or None)


# what breaks the SDK when it comes as some providers send it, and what Telex makes of it


def provider(*datas: bytes, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + data + b"\n\n" for data in datas) + end


def relayed(wire: bytes, quirks: Quirks = Quirks(), include_usage: bool = True) -> Play:  # noqa: B008
    """What a client of the same dialect gets of what a provider sent, as a play."""
    frames, decoder = sse.Decoder(), openai_chat.Decoder(quirks)
    output = StreamOutput(openai_chat, not quirks.repair, include_usage, Naming("gen_1", 7))
    sent: list[bytes] = []
    for frame in [*frames.feed(wire), *frames.end()]:
        sent += output.frame(frame.raw, decoder.feed(frame))
    sent += output.frame(b"", decoder.end())
    return sse_answer(map(Send, sent))


def delta(fields: str, finish: str = "null", more: str = "") -> bytes:
    template = (
        '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{%s},"finish_reason":%s}]%s}'
    )
    return (template % (fields, finish, more)).encode()


HEL, LO, STOP = delta('"role":"assistant","content":"Hel"'), delta('"content":"lo"'), delta("", '"stop"')
REPAIR = Quirks(repair=True)
ROLE = '"role":"assistant",'
CALL = '"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"%s"}}]'

AVOIDED: dict[str, tuple[bytes, Quirks]] = {
    "1: ids": (b"id: 1\n: comment\n\n" + provider(HEL, end=b"id: 2\n\n") + provider(LO, STOP), Quirks()),
    "1: a lone retry": (b"retry: 100\n\n" + provider(HEL, LO, STOP), Quirks()),
    "1: a ping without data": (provider(HEL, end=b"event: ping\n\n") + provider(LO, STOP), Quirks()),
    "1: empty data": (provider(HEL, b"", b"", LO, STOP), Quirks()),
    "2: a blank line was forgotten": (b"data: " + HEL + b"\ndata: " + LO + b"\n\n" + provider(STOP), Quirks()),
    "2: a byte order mark": (b"\xef\xbb\xbf" + provider(HEL, LO, STOP), Quirks()),
    "2: CRLF": (provider(HEL, LO, STOP).replace(b"\n", b"\r\n"), Quirks()),
    "3: a name": (provider(end=b"event: message\n") + provider(HEL, LO, STOP), Quirks()),
    "4: an error that is null": (provider(HEL, delta('"content":"lo"', "null", ',"error":null'), STOP), Quirks()),
    "5: the role with every delta": (provider(*(delta(ROLE + f'"content":"{c}"') for c in ("Hel", "lo")), STOP), REPAIR),
    "5: choices null": (provider(HEL, LO, STOP, b'{"choices":null,"usage":{"prompt_tokens":1}}'), REPAIR),
    "5: delta null": (provider(HEL, LO, STOP.replace(b'"delta":{}', b'"delta":null')), REPAIR),
    "5: another object": (provider(HEL.replace(b"chat.completion.chunk", b""), LO, STOP), REPAIR),
    "5: usage null at the end": (
        provider(HEL, LO, STOP, b'{"choices":[],"usage":{"prompt_tokens":9}}', b'{"choices":[],"usage":null}'),
        REPAIR,
    ),
    "6: no blank line at the end": (provider(HEL, LO, end=b"data: " + STOP), Quirks(no_done=True)),
    "no terminator": (provider(HEL, LO, STOP, end=b""), Quirks(no_done=True)),
    "content as pieces": (provider(delta('"content":[{"type":"text","text":"Hel"}]'), LO, STOP), REPAIR),
}


@pytest.mark.parametrize(("wire", "quirks"), AVOIDED.values(), ids=AVOIDED)
def test_what_breaks_the_sdk_is_kept_from_it(wire: bytes, quirks: Quirks, kind: str) -> None:
    with ScriptedUpstream(relayed(wire, quirks)) as upstream:
        got, _ = Client(upstream, kind).accumulated(**ASK)
    [one] = got.choices
    assert (one.message.content, one.message.role, one.finish_reason) == ("Hello", "assistant", "stop")


CALLS: dict[str, tuple[bytes, Quirks, list[tuple[str, str, str]]]] = {
    "id and name repeated": (provider(delta(CALL % ""), delta(CALL % "{}"), STOP), REPAIR, [("a", "f", "{}")]),
    "no index": (provider(delta((CALL % "{}").replace('"index":0,', "")), STOP), REPAIR, [("a", "f", "{}")]),
    "indexes from 1": (provider(delta((CALL % "{}").replace('"index":0', '"index":1')), STOP), REPAIR, [("a", "f", "{}")]),
    "arguments null": (provider(delta((CALL % "").replace('""', "null")), delta(CALL % "{}"), STOP), REPAIR, [("a", "f", "{}")]),
    "all at index 0": (
        provider(delta(CALL % "{}"), delta((CALL % "[]").replace('"a"', '"b"')), STOP),
        Quirks(calls_by_id=True, repair=True),
        [("a", "f", "{}"), ("b", "f", "[]")],
    ),
}


@pytest.mark.parametrize(("wire", "quirks", "expected"), CALLS.values(), ids=CALLS)
def test_calls_that_break_the_sdk_are_mended(wire: bytes, quirks: Quirks, expected: list[tuple[str, str, str]], kind: str) -> None:
    with ScriptedUpstream(relayed(wire, quirks)) as upstream:
        got, _ = Client(upstream, kind).accumulated(**ASK)
    calls = got.choices[0].message.tool_calls or []
    assert [(c.id, c.function.name, c.function.arguments) for c in calls if c.type == "function"] == expected


def test_a_null_usage_does_not_replace_the_real_one(kind: str) -> None:
    wire = provider(
        HEL, LO, STOP, b'{"id":"c","choices":[],"usage":{"prompt_tokens":9}}', b'{"id":"c","choices":[],"moderation":{"a":1},"usage":null}'
    )
    with ScriptedUpstream(relayed(wire, REPAIR)) as upstream:
        got, _ = Client(upstream, kind).accumulated(**WITH_USAGE)
    assert got.usage is not None
    assert got.usage.prompt_tokens == 9


def test_fields_that_the_sdk_does_not_know_reach_whoever_looks(kind: str) -> None:
    events: list[Event] = [Start("c", "m", 1), Extra(-1, {"citations": ["u"]}), PartStart(0, 0, "text"), PartDelta(0, 0, "x"),
                           Finish(0, "stop", "stop"), Done()]  # fmt: skip
    with ScriptedUpstream(perform(events)) as upstream:
        client = Client(upstream, kind)
        assert client.create(**ASK).model_extra == {"citations": ["u"]}
        assert client.chunks([], **ASK)[-1].model_extra == {"citations": ["u"]}


def test_keep_alives_are_no_events(kind: str) -> None:
    frames, encoder = list[bytes](), openai_chat.Encoder()
    for event in unfold(REPLIES["text"]):
        frames += [openai_chat.KEEP_ALIVE, *encoder.feed(event), openai_chat.KEEP_ALIVE]
    with ScriptedUpstream(sse_answer(map(Send, frames))) as upstream:
        got, _ = Client(upstream, kind).accumulated(**ASK)
    assert_same(got, REPLIES["text"])
