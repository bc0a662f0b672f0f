"""What Telex says in Anthropic Messages, as the official Anthropic SDK reads it: streamed, accumulated and whole, and what it raises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic as sdk
import httpx2
import pytest
from hypothesis import given
from msgspec.structs import replace

from strategies import any_replies
from telex.core import sse
from telex.core.errors import CONSEQUENCES, Failure, Kind
from telex.core.events import Done, Event, Extra, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Citation, Finish, Part, Reply, Usage
from telex.dialects import anthropic
from telex.dialects.seal import seal

ASK: dict[str, Any] = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
WEATHER = Part("tool_call", '{"city":"Oslo"}', "toolu_1", "weather", "function")
TIME = Part("tool_call", "{}", "toolu_2", "time", "function")
CITED = {"type": "web_search_result_location", "url": "https://a", "title": "T", "cited_text": "q", "encrypted_index": "E"}
SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}


def reply(*parts: Part, reason: str = "stop", raw: str = "end_turn", dialect: str = "anthropic", **extra: Any) -> Reply:
    choice = Choice(0, parts, Finish(0, reason, raw))  # type: ignore[arg-type]
    return Reply("msg_1", "m", 0, (choice,), Usage(12, 3, 2, 3, 1), dialect=dialect, extra=extra)


REPLIES = {
    "text": reply(Part("text", "Hello é 😀\n\u2028 world")),
    "nothing": reply(reason="length", raw="max_tokens"),
    "an empty text": reply(Part("text")),
    "thinking": reply(Part("reasoning", "2+2", signature="Er==", dialect="anthropic"), Part("text", "4")),
    "thinking that is not shown": reply(Part("reasoning", signature="Er==", dialect="anthropic"), Part("text", "4")),
    "redacted thinking": reply(Part("reasoning", data="Eq==", dialect="anthropic"), Part("text", "4")),
    "parallel calls": reply(Part("text", "Let me see."), WEATHER, TIME, reason="tool_calls", raw="tool_use"),
    "a call without arguments": reply(replace(TIME, text=""), reason="tool_calls", raw="tool_use"),
    "a source": reply(Part("text", "It rains.", citations=(Citation("https://a", "T", 0, 9, "q", "anthropic", CITED),))),
    "a search": reply(
        Part("opaque", '{"query":"q"}', tool="server_tool_use", dialect="anthropic", extra=SEARCH), Part("text", "It rains.")
    ),
    "a refusal": reply(Part("text", "I can't."), reason="refusal", raw="refusal", stop_details={"type": "refusal", "category": "cyber"}),
    "another's refusal": reply(Part("refusal", "I can't."), raw="stop", dialect="openai-chat"),
    "another's signatures": reply(
        Part("reasoning", "Hm.", signature="Cs", dialect="gemini"),
        replace(WEATHER, signature="Cs", dialect="gemini"),
        reason="tool_calls",
        raw="STOP",
        dialect="gemini",
    ),
    "another's parts": reply(
        Part("opaque", tool="x", dialect="gemini", extra={"x": 1}),
        Part("audio", "Hm.", data="AAAA"),
        Part("image", data="AAAA", media_type="image/png"),
        Part("text", "Hi", citations=(Citation("https://a", "T", 0, 2, "", "gemini", {"uri": "https://a"}),)),
        raw="STOP",
        dialect="gemini",
        modelStatus="x",
    ),
}
each_reply = pytest.mark.parametrize("whole", REPLIES.values(), ids=REPLIES)


def spelled(whole: Reply) -> list[Event]:
    """The reply's events, a delta for each character, so that there is something to accumulate."""
    events: list[Event] = []
    for event in unfold(whole):
        if isinstance(event, PartDelta) and event.text:
            events += [PartDelta(event.choice, event.index, character) for character in event.text]
            events.append(replace(event, text=""))
        else:
            events.append(event)
    return events


def encode(events: list[Event]) -> list[bytes]:
    encoder = anthropic.Encoder(id="gen_1")
    return [frame for event in events for frame in encoder.feed(event)]


class Bytes(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in the pieces in which it is sent."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def client(pieces: list[bytes], status: int = 200, kind: str = "text/event-stream") -> sdk.Anthropic:
    """A client of somebody who always answers the same."""
    return sdk.Anthropic(api_key="none", max_retries=0, http_client=httpx2.Client(transport=answers(pieces, status, kind)))


def answers(pieces: list[bytes], status: int = 200, kind: str = "text/event-stream") -> httpx2.MockTransport:
    headers = {"content-type": kind, "request-id": "gen_1"}
    return httpx2.MockTransport(lambda request: httpx2.Response(status, headers=headers, stream=Bytes(pieces)))


def accumulated(events: list[Event]) -> sdk.types.Message:
    with client(encode(events)).messages.stream(**ASK) as stream:
        message: sdk.types.Message = stream.get_final_message()
        return message


def collected(events: list[Event]) -> list[Any]:
    """What a loop over a plain stream sees."""
    return list(client(encode(events)).messages.create(stream=True, **ASK))


def whole_message(whole: Reply) -> sdk.types.Message:
    message: sdk.types.Message = client([anthropic.encode_reply(whole)], kind="application/json").messages.create(**ASK)
    return message


def dumped(message: Any) -> dict[str, Any]:
    fields: dict[str, Any] = message.model_dump(exclude_none=True, warnings=False)  # it warns of blocks of types that it does not know
    for block in fields["content"]:
        block.pop("parsed_output", None)
    fields.pop("native_finish_reason", None)
    fields.pop("provider_fields", None)
    return fields


@each_reply
def test_a_stream_is_accumulated_to_the_whole_reply(whole: Reply) -> None:
    """But for what the accumulator drops of the last event: fields that it has no name for."""
    assert dumped(accumulated(spelled(whole))) == dumped(whole_message(whole))


@each_reply
def test_the_async_client_accumulates_the_same(whole: Reply) -> None:
    async def work() -> sdk.types.Message:
        transport = answers(encode(spelled(whole)))
        async with (
            sdk.AsyncAnthropic(api_key="none", max_retries=0, http_client=httpx2.AsyncClient(transport=transport)) as one,
            one.messages.stream(**ASK) as stream,
        ):
            return await stream.get_final_message()

    assert dumped(asyncio.run(work())) == dumped(accumulated(spelled(whole)))


@each_reply
def test_what_the_sdk_read_says_the_reply(whole: Reply) -> None:
    message = accumulated(spelled(whole))
    [choice] = whole.choices
    text = "".join(block.text for block in message.content if block.type == "text")
    assert text == "".join(part.text for part in choice.parts if part.kind in ("text", "refusal"))
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert calls == [(part.id, part.name, json.loads(part.text or "{}")) for part in choice.parts if part.kind == "tool_call"]
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens) == (7, 2, 3, 3)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 1
    assert (message.id, message.model) == ("msg_1", "m")


def sent(ask: dict[str, Any]) -> bytes:
    """The body that the SDK asks with."""
    bodies: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        return httpx2.Response(500)

    with pytest.raises(sdk.InternalServerError):
        sdk.Anthropic(api_key="none", max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(answer))).messages.create(
            **ask
        )
    return bodies[0]


@each_reply
def test_what_the_sdk_sends_back_reads_as_it_was(whole: Reply) -> None:
    """The model's turn goes back as the SDK has it, and what others made of it is theirs again."""
    turns: Any = [*ASK["messages"], {"role": "assistant", "content": accumulated(spelled(whole)).content}]
    request = anthropic.decode_request(sent({**ASK, "messages": turns}))
    assert not isinstance(request, Failure), request
    bare = [replace(part, citations=(), text=part.text or ("{}" if part.kind == "tool_call" else "")) for part in whole.choices[0].parts]
    said = [replace(part, kind="text") if part.kind == "refusal" else part for part in bare]
    again = [replace(part, citations=(), extra=part.extra if part.kind == "opaque" else {}) for part in request.messages[1].parts]
    assert [replace(part, dialect="") for part in again] == [replace(part, dialect="") for part in said]


def test_a_refusal_says_why() -> None:
    message = accumulated(spelled(REPLIES["a refusal"]))
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.category == "cyber"
    assert accumulated(spelled(REPLIES["another's refusal"])).stop_reason == "refusal"


def test_a_signature_of_anothers_is_carried() -> None:
    thinking, use, redacted = accumulated(spelled(REPLIES["another's signatures"])).content
    assert thinking.type == "thinking"
    assert thinking.signature == seal("gemini", "Cs")
    assert use.type == "tool_use"
    assert redacted.type == "redacted_thinking"
    assert redacted.data == seal("gemini", "Cs")


def test_sources_are_accumulated() -> None:
    [block] = accumulated(spelled(REPLIES["a source"])).content
    assert block.type == "text"
    assert [citation.model_dump(exclude_none=True) for citation in block.citations or ()] == [CITED]


# ---- what it raises

RAISED: dict[Kind, type[sdk.APIStatusError]] = {
    "bad_request": sdk.BadRequestError,
    "unauthorized": sdk.AuthenticationError,
    "permission_denied": sdk.PermissionDeniedError,
    "not_found": sdk.NotFoundError,
    "rate_limited": sdk.RateLimitError,
}


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_a_refusal_is_raised_with_its_status_type_and_message(kind: Kind) -> None:
    failure = Failure(kind, "Boom.", code="some_code")
    body = anthropic.encode_error(failure, "gen_1")
    with pytest.raises(RAISED.get(kind, sdk.APIStatusError)) as raised:
        client([body], anthropic.status_of(failure), "application/json").messages.create(**ASK)
    assert raised.value.status_code == anthropic.status_of(failure)
    assert raised.value.type == json.loads(body)["error"]["type"]
    assert "Boom." in raised.value.message
    assert raised.value.request_id == "gen_1"


@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_an_error_inside_a_stream_is_raised_with_its_type(kind: Kind) -> None:
    events: list[Event] = [Start("i", "m"), PartStart(0, 0, "text"), PartDelta(0, 0, "Hi"), Failure(kind, "Boom.")]
    heard: list[str] = []
    with pytest.raises(sdk.APIStatusError) as raised, client(encode(events)).messages.stream(**ASK) as stream:
        heard += stream.text_stream
    assert heard == ["Hi"]
    assert raised.value.status_code == 200
    assert raised.value.type == json.loads(anthropic.encode_error(Failure(kind, "Boom.")))["error"]["type"]
    assert "Boom." in str(raised.value)


# ---- what breaks the SDK, and never comes from here


@given(reply=any_replies())
def test_no_frame_is_one_that_it_does_not_hear_or_crashes_on(reply: Reply) -> None:
    """Every event has a name it knows, which is its type; no `id:`, no byte order mark, no event without its blank line."""
    known = {"message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "content_block_stop", "error"}
    for frame in encode(list(unfold(reply))):
        name, data, *rest = frame.split(b"\n")
        assert rest == [b"", b""]
        assert name.startswith(b"event: ")
        assert name.removeprefix(b"event: ").decode() in known
        assert json.loads(data.removeprefix(b"data: "))["type"] == name.removeprefix(b"event: ").decode()


@given(reply=any_replies())
def test_its_accumulator_takes_whatever_is_said(reply: Reply) -> None:
    """`message_start` first, blocks numbered from 0 without a hole, `usage` in `message_delta`: whatever the reply holds."""
    reply = replace(reply, failure=None, choices=tuple(map(with_objects, reply.choices)))
    message = accumulated(list(unfold(reply)))
    assert message.usage.output_tokens == (reply.usage.output if reply.usage else 0)
    assert len(collected(list(unfold(reply)))) >= 3


def with_objects(choice: Choice) -> Choice:
    """A call's arguments are JSON, or begin like it."""
    parts = (replace(part, text='{"cut') if part.kind == "tool_call" else part for part in choice.parts)
    return replace(choice, parts=tuple(parts))


def test_calls_that_interleave_are_accumulated_each_for_itself() -> None:
    events: list[Event] = [Start("i", "m"), PartStart(0, 0, "tool_call", "a", "f"), PartDelta(0, 0, '{"x":')]
    events += [PartStart(0, 1, "tool_call", "b", "g"), PartDelta(0, 1, '{"y"'), PartDelta(0, 0, "1}"), PartDelta(0, 1, ":2}")]
    events += [PartEnd(0, 0), PartEnd(0, 1), Finish(0, "tool_calls"), Done()]
    inputs = [block.input for block in accumulated(events).content if block.type == "tool_use"]
    assert inputs == [{"x": 1}, {"y": 2}]


def test_free_text_in_the_place_of_arguments_is_wrapped() -> None:
    custom = reply(Part("tool_call", "SELECT 1", "a", "f", "custom"), reason="tool_calls", raw="tool_calls", dialect="openai-chat")
    for message in (accumulated(spelled(custom)), whole_message(custom)):
        [block] = message.content
        assert block.type == "tool_use"
        assert block.input == {"INVALID_JSON": "SELECT 1"}


def test_a_stream_without_a_start_or_a_finish_is_none_that_it_stumbles_over() -> None:
    assert accumulated([Extra(-1, {"x": 1}), Usage(7, 1), Start("", "m"), Done()]).id == "gen_1"
    with pytest.raises(sdk.APIStatusError):
        accumulated([Failure("overloaded", "Busy.")])


def test_a_keep_alive_is_swallowed_wherever_it_comes() -> None:
    frames = encode(spelled(REPLIES["parallel calls"]))
    pieces = [piece for frame in frames for piece in (anthropic.KEEP_ALIVE, frame)]
    with client(pieces).messages.stream(**ASK) as stream:
        assert dumped(stream.get_final_message()) == dumped(accumulated(spelled(REPLIES["parallel calls"])))


def test_the_terminator_is_the_one_that_the_encoder_says() -> None:
    assert encode([Start("i", "m"), Done()])[-1] == anthropic.TERMINATOR
    [frame] = sse.Decoder().feed(anthropic.KEEP_ALIVE)
    assert fold(anthropic.Decoder().feed(frame)).choices == ()


def test_the_list_of_models() -> None:
    body = anthropic.encode_models([("a", "x"), ("b", "y")], 1_700_000_000)
    page = client([body], kind="application/json").models.list()
    assert [(model.id, model.display_name, model.created_at.year) for model in page] == [("a", "a", 2023), ("b", "b", 2023)]
    one = client([anthropic.encode_model("a", "x", 1_700_000_000)], kind="application/json").models.retrieve("a")
    assert (one.id, one.type) == ("a", "model")
