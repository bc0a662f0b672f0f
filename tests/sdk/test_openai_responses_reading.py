"""What Telex says in Responses, as the official OpenAI SDK reads it: streamed, accumulated, parsed and whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from telex.core import sse
from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Citation, Finish, Part, Reason, Reply, Token, Usage
from telex.dialects import openai_responses
from telex.dialects.openai_responses import Encoder, encode_error, encode_reply, status_of

ASK: dict[str, Any] = {"model": "m", "input": "Hello"}
OWN = "openai-responses"


def reply(*parts: Part, reason: Reason = "stop", raw: str = "stop", dialect: str = "openai-chat", tokens: tuple[Token, ...] = ()) -> Reply:
    choice = Choice(0, parts, Finish(0, reason, "completed" if dialect == OWN else raw), tokens)
    return Reply("reply-1", "m", 1700000000, (choice,), Usage(7, 3, 2, 1, 1), dialect=dialect)


WEATHER = Part("tool_call", '{"city":"Oslo"}', "call_1", "weather", "function")
TIME = Part("tool_call", "{}", "call_2", "time", "function")
PAGE = Citation("https://x/", "X", 1, 3, "said", "anthropic", {"cited_text": "said"})
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
PLAIN = {
    "text": reply(Part("text", "Hello é 😀\n\u2028 world")),
    "nothing": reply(),
    "pieces": reply(Part("text", "one"), Part("text", "two"), Part("refusal", "No.")),
    "parallel calls": reply(Part("text", "Let me see."), WEATHER, TIME, reason="tool_calls"),
    "reasoning": reply(Part("reasoning", "2+2", signature="S", dialect="anthropic"), Part("text", "4")),
    "encrypted reasoning": reply(Part("reasoning", data="D", dialect="anthropic"), Part("text", "4")),
    "reasoning of its own": reply(Part("reasoning", "a", "rs_1"), Part("reasoning", "b", "rs_1", data="E", dialect=OWN), dialect=OWN),
    "reasoning as it is": reply(Part("reasoning", "a", "rs_1", dialect=OWN, extra={"type": "reasoning_text"}), dialect=OWN),
    "signed calls": reply(WEATHER, TIME, reason="tool_calls", dialect="gemini"),
    "sources": reply(Part("text", "Hello", citations=(PAGE, PAGE))),
    "log probabilities": reply(Part("text", "Hi"), tokens=(Token("Hi", -0.5, (72, 105), (Token("Yo", -1.0, (89, 111)),)),)),
}
"""Replies in items that every reader of this dialect knows."""

REPLIES = {
    **PLAIN,
    "a custom call": reply(Part("tool_call", "ls", "c", "sh", "custom"), reason="tool_calls"),
    "a hosted tool": reply(Part("opaque", tool="web_search_call", dialect=OWN, extra=SEARCH), Part("text", "4"), dialect=OWN),
    "a picture": reply(Part("image", data="AAAA", media_type="image/png"), Part("text", "Here.")),
    "another's part": reply(Part("opaque", "{}", tool="server_tool_use", dialect="anthropic", extra={"id": "s"}), Part("text", "4")),
    "calls without ids": reply(*(Part("tool_call", "{}", name="f", tool="function") for _ in range(2)), reason="tool_calls"),
}
each_reply = pytest.mark.parametrize("whole", REPLIES.values(), ids=REPLIES)
each_plain = pytest.mark.parametrize("whole", PLAIN.values(), ids=PLAIN)
both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def spelled(whole: Reply) -> list[Event]:
    """The reply's events, a delta for each character, so that there is something to accumulate."""
    events: list[Event] = []
    for event in unfold(whole):
        if isinstance(event, PartDelta) and event.text:
            events += [PartDelta(event.choice, event.index, character) for character in event.text]
            event = PartDelta(event.choice, event.index, "", event.data, event.signature, event.dialect)
        if event != PartDelta(0, getattr(event, "index", 0)):
            events.append(event)
    return events


def frames(events: list[Event]) -> list[bytes]:
    encoder = Encoder(id="gen_1")
    return [frame for event in events for frame in encoder.feed(event)]


class Answer:
    """What a server answers to whatever it is asked, to a client that can be sync or async."""

    def __init__(self, body: bytes, status: int = 200, stream: bool = False) -> None:
        self._body = body
        self._status = status
        self._type = "text/event-stream" if stream else "application/json"

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self._status, headers={"content-type": self._type}, content=self._body)

    def ask(self, kind: str, work: Callable[[Any], Any]) -> Any:
        """What `work` makes of a client's `responses`; an async one is first asked for all that it has."""
        transport = httpx2.MockTransport(self._respond)
        options: dict[str, Any] = {"api_key": "none", "max_retries": 0, "base_url": "http://x/v1"}
        if kind == "sync":
            with OpenAI(http_client=httpx2.Client(transport=transport), **options) as client:
                return work(client.responses)

        async def run() -> Any:
            async with AsyncOpenAI(http_client=httpx2.AsyncClient(transport=transport), **options) as client:
                return await work(client.responses)

        return asyncio.run(run())


def heard(kind: str, data: bytes, into: list[Any]) -> list[Any]:
    """All events of a stream; `into` has them even if it raises."""

    def listen(responses: Any) -> None:
        with responses.create(stream=True, **ASK) as stream:
            into.extend(stream)

    async def listen_async(responses: Any) -> None:
        async with await responses.create(stream=True, **ASK) as stream:
            async for event in stream:
                into.append(event)  # noqa: PERF401

    Answer(data, stream=True).ask(kind, listen if kind == "sync" else listen_async)
    return into


def accumulated(kind: str, data: bytes, **options: Any) -> tuple[list[Any], Any]:
    """The events that the SDK's helper gives, and the response that it made of them."""

    def follow(responses: Any) -> tuple[list[Any], Any]:
        with responses.stream(**ASK, **options) as stream:
            return list(stream), stream.get_final_response()

    async def follow_async(responses: Any) -> tuple[list[Any], Any]:
        async with responses.stream(**ASK, **options) as stream:
            return [event async for event in stream], await stream.get_final_response()

    told: tuple[list[Any], Any] = Answer(data, stream=True).ask(kind, follow if kind == "sync" else follow_async)
    return told


def assert_same(got: Any, whole: Reply, named: str = "resp_gen_1") -> None:
    """What the SDK holds is the reply, and telling it again would give it back. `named`: what that of another dialect is called here."""
    whole = whole if whole.dialect == OWN else replace(whole, id=named)
    assert (got.id, got.model, got.created_at, got.object) == (whole.id, "m", 1700000000, "response")
    assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (7, 3, 10)
    assert got.usage.input_tokens_details.cached_tokens == 2
    assert got.usage.output_tokens_details.reasoning_tokens == 1
    assert got.output_text == whole.text
    again = json.dumps(got.to_dict(mode="json", warnings=False)).encode()  # it warns of every item of a type that it does not know
    assert fold(openai_responses.Decoder().whole(again)) == fold(openai_responses.Decoder().whole(encode_reply(whole)))


@both_kinds
@each_reply
def test_whole(kind: str, whole: Reply) -> None:
    assert_same(Answer(encode_reply(whole)).ask(kind, lambda responses: responses.create(**ASK)), whole, "resp_reply-1")


@both_kinds
@each_reply
def test_streamed(kind: str, whole: Reply) -> None:
    sent = frames(spelled(whole))
    events = heard(kind, b"".join(sent), [])
    assert [event.sequence_number for event in events] == list(range(len(sent)))
    assert [event.type for event in events] == [frame.event for frame in sse.Decoder().feed(b"".join(sent))]
    assert_same(events[-1].response, whole)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.text


@both_kinds
@each_reply
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of an item whose type it does not know, which it keeps all the same
def test_accumulated(kind: str, whole: Reply) -> None:
    events, final = accumulated(kind, b"".join(frames(spelled(whole))))
    assert_same(final, whole)
    snapshots = [event.snapshot for event in events if event.type == "response.function_call_arguments.delta"]
    calls = [part.text for part in whole.choices[0].parts if part.kind == "tool_call" and part.tool == "function"]
    assert not snapshots or [text for text in calls if text][-1] == snapshots[-1]


def test_calls_that_interleave_are_kept_apart() -> None:
    events: list[Event] = [Start("reply-1", "m", 1700000000, "openai-chat")]
    events += [PartStart(0, i, "tool_call", part.id, part.name, "function") for i, part in enumerate((WEATHER, TIME))]
    for place in range(len(WEATHER.text)):
        events += [PartDelta(0, 0, WEATHER.text[place]), *([PartDelta(0, 1, TIME.text[place])] if place < len(TIME.text) else [])]
    events += [
        PartDelta(0, 0, signature="S", dialect="gemini"),
        PartEnd(0, 1),
        PartEnd(0, 0),
        Finish(0, "tool_calls", "tool_calls"),
        Done(),
    ]
    told, final = accumulated("sync", b"".join(frames(events)))
    assert [(item.name, item.arguments) for item in final.output if item.type == "function_call"] == [
        ("weather", WEATHER.text), ("time", TIME.text),
    ]  # fmt: skip
    last: dict[int, str] = {}
    for event in told:
        if event.type == "response.function_call_arguments.delta":
            last[event.output_index] = event.snapshot
    assert last == {0: WEATHER.text, 1: TIME.text}


def test_an_incomplete_response_is_an_ordinary_end() -> None:
    cut_off = reply(Part("text", "Hel"), reason="length", raw="length")
    events = heard("sync", b"".join(frames(spelled(cut_off))), [])
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    whole = Answer(encode_reply(cut_off)).ask("sync", lambda responses: responses.create(**ASK))
    assert (whole.status, whole.output_text) == ("incomplete", "Hel")


class Weather(BaseModel):
    city: str


def test_parsed() -> None:
    said = reply(Part("text", '{"city":"Oslo"}'))
    whole = Answer(encode_reply(said)).ask("sync", lambda responses: responses.parse(text_format=Weather, **ASK))
    assert whole.output_parsed == Weather(city="Oslo")
    events, final = accumulated("sync", b"".join(frames(spelled(said))), text_format=Weather)
    assert final.output_parsed == Weather(city="Oslo")
    assert [event.parsed for event in events if event.type == "response.output_text.done"] == [Weather(city="Oslo")]


RAISED: dict[Kind, type[openai.APIStatusError]] = {
    "bad_request": openai.BadRequestError,
    "context_too_long": openai.BadRequestError,
    "unauthorized": openai.AuthenticationError,
    "permission_denied": openai.PermissionDeniedError,
    "not_found": openai.NotFoundError,
    "rate_limited": openai.RateLimitError,
    "quota_exhausted": openai.RateLimitError,
    "overloaded": openai.InternalServerError,
    "timeout": openai.InternalServerError,
}


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_errors_before_the_reply(kind: Kind) -> None:
    failure = Failure(kind, "Boom.", "input")
    with pytest.raises(RAISED.get(kind, openai.APIStatusError)) as raised:
        Answer(encode_error(failure), status_of(failure)).ask("sync", lambda responses: responses.create(**ASK))
    assert "Boom." in raised.value.message
    assert isinstance(raised.value, openai.APIStatusError)
    assert raised.value.param == "input"
    assert raised.value.type
    assert raised.value.status_code == status_of(failure)


@both_kinds
@pytest.mark.parametrize("kind_of_failure", CONSEQUENCES)
def test_errors_inside_a_stream(kind: str, kind_of_failure: Kind) -> None:
    failure = Failure(kind_of_failure, "Boom.")
    into: list[Any] = []
    with pytest.raises(openai.APIError, match="Boom") as raised:
        heard(kind, b"".join(frames([*spelled(PLAIN["text"])[:-2], failure])), into)
    assert "".join(event.delta for event in into if event.type == "response.output_text.delta") == PLAIN["text"].text
    assert raised.value.type
    with pytest.raises(openai.APIError, match="Boom"):
        accumulated(kind, b"".join(frames([*spelled(PLAIN["text"])[:-2], failure])))
    with pytest.raises(openai.APIError, match="Boom"):
        heard(kind, b"".join(frames([failure])), [])


# what breaks the SDK, and is never said


@each_reply
def test_no_frame_is_one_that_breaks_the_sdk(whole: Reply) -> None:
    for sent in (frames(spelled(whole)), frames([*spelled(whole)[:-1], Failure("timeout", "Too\nlate.")])):
        for frame in sent:
            lines = frame.decode().split("\n")
            assert [line.partition(": ")[0] for line in lines] == [
                "event",
                "data",
                "",
                "",
            ]  # no id, no retry, no comment; a blank line behind
            data = json.loads(lines[1].removeprefix("data: "))
            assert lines[0] == f"event: {data['type']}"
            assert not data["type"].startswith("thread.")
            assert ("error" in data) == (data["type"] == "error")
            assert data.get("error", True)
        assert not sent[0].startswith(b"\xef\xbb\xbf")
        assert b"[DONE]" not in b"".join(sent)
        assert sent[0].startswith(b"event: response.created\n")


@each_reply
def test_brackets_are_consistent(whole: Reply) -> None:
    added: dict[int, dict[str, Any]] = {}
    done: dict[int, dict[str, Any]] = {}
    for frame in sse.Decoder().feed(b"".join(frames(spelled(whole)))):
        data = json.loads(frame.data)
        if (index := data.get("output_index")) is None:
            continue
        if data["type"] == "response.output_item.added":
            assert index == len(added)
            added[index] = data["item"]
            continue
        assert index in added
        assert index not in done or data.get("delta") == ""
        assert data.get("item_id", added[index]["id"]) == added[index]["id"]
        if data["type"] == "response.output_item.done":
            done[index] = data["item"]
            assert (data["item"]["type"], data["item"]["id"]) == (added[index]["type"], added[index]["id"])
    assert added.keys() == done.keys()
    assert len({item["id"] for item in done.values()}) == len(done)
    assert all(item["id"] != item["call_id"] for item in done.values() if "call_id" in item)


def test_keep_alives_between_frames_are_nothing() -> None:
    sent = frames(spelled(PLAIN["parallel calls"]))
    quiet = openai_responses.KEEP_ALIVE.join([b"", *sent])
    assert [event.type for event in heard("sync", quiet, [])] == [event.type for event in heard("sync", b"".join(sent), [])]
    assert_same(accumulated("sync", quiet)[1], PLAIN["parallel calls"])


@each_plain
def test_every_event_is_of_the_sdks_own_type(whole: Reply) -> None:
    """The SDK itself checks nothing: here its types do."""
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for frame in sse.Decoder().feed(b"".join(frames(spelled(whole)))):
        adapter.validate_json(frame.data)


NOT_IN_IT = ("response.reasoning_text.delta", "response.reasoning_text.done")
"""Events of OpenAI's that Open Responses calls otherwise."""


@each_plain
def test_every_event_keeps_open_responses(whole: Reply) -> None:
    types = pytest.importorskip("openresponses_types.types")
    models = {
        value: model
        for name, model in vars(types).items()
        if name.endswith("StreamingEvent")
        for value in model.model_fields["type"].annotation
    }
    for frame in sse.Decoder().feed(b"".join(frames(spelled(whole)))):
        if frame.event not in NOT_IN_IT:
            models[frame.event].model_validate_json(frame.data)
    types.ResponseResource.model_validate_json(encode_reply(whole))
    failed = frames([*spelled(whole)[:-2], Failure("overloaded", "Busy.")])[-2:]
    for frame in sse.Decoder().feed(b"".join(failed)):
        models[frame.event].model_validate_json(frame.data)
