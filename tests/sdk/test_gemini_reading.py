"""What Telex says in generateContent, as the official Google SDK reads it: sync and async, streamed, in chats and whole; and what that
SDK sends back, as Telex reads it."""

from __future__ import annotations

import asyncio
import base64
import json
import warnings
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import types
from google.genai.errors import APIError, ClientError, ServerError

from telex.core.errors import CONSEQUENCES, Failure
from telex.core.events import Done, Event, PartDelta, Start
from telex.core.fold import unfold
from telex.core.messages import Choice, Citation, Finish, Message, Part, Reply, Request, Token, Usage
from telex.dialects import gemini
from telex.dialects.gemini import NAME
from telex.dialects.operation import Operation

SIGNATURE = base64.b64encode(b"\x12\x05st\xfbate").decode()
WEATHER = Part("tool_call", '{"city":"Oslo"}', "call_1", "weather", "function")
TIME = Part("tool_call", "{}", "call_2", "time", "function")
OPAQUE = Part("opaque", '{"q":1}', tool="server_tool_use", dialect="anthropic", extra={"type": "server_tool_use"})


def reply(*parts: Part, reason: Any = "stop", dialect: str = "openai-chat", usage: Usage | None = None, **choice: Any) -> Reply:
    raw = "STOP" if dialect == NAME else reason
    one = Choice(0, parts, Finish(0, reason, raw), **choice)
    return Reply("r", "m", 1774116715, (one,), usage or Usage(7, 5, 2, 0, 3), dialect=dialect)


REPLIES = {
    "text": reply(Part("text", "Hello é 😀\n\u2028 world")),
    "nothing": reply(reason="length"),
    "refusal": reply(Part("refusal", "No."), reason="refusal"),
    "parallel calls": reply(WEATHER, TIME, reason="tool_calls"),
    "reasoning": reply(Part("reasoning", "2+2"), Part("text", "4")),
    "signed by Gemini": reply(Part("reasoning", "2+2"), Part("text", "4", signature=SIGNATURE, dialect=NAME), dialect=NAME),
    "signed by another": reply(Part("reasoning", "2+2", signature="Er+", dialect="anthropic"), Part("text", "4"), dialect="anthropic"),
    "encrypted": reply(Part("reasoning", data="gAAA", dialect="openai-responses"), WEATHER, reason="tool_calls"),
    "another's part": reply(Part("text", "A"), OPAQUE, Part("text", "B"), dialect="anthropic"),
    "code": reply(
        Part("opaque", tool="executableCode", dialect=NAME, extra={"executableCode": {"code": "1", "language": "PYTHON"}}), dialect=NAME
    ),
    "image": reply(Part("image", data="AA==", media_type="image/png")),
    "two choices": Reply(
        "r", "m", 0, (Choice(0, (Part("text", "one"),), Finish(0, "stop")), Choice(1, (Part("text", "two"),), Finish(1, "length")))
    ),
}
each_reply = pytest.mark.parametrize("whole", REPLIES.values(), ids=REPLIES)
each_way = pytest.mark.parametrize("way", ["sync", "async"])


def spelled(whole: Reply) -> list[Event]:
    """The reply's events, a delta for each character."""
    events: list[Event] = []
    for event in unfold(whole):
        if isinstance(event, PartDelta) and event.text:
            events += [PartDelta(event.choice, event.index, character) for character in event.text]
            events.append(PartDelta(event.choice, event.index, "", event.data, event.signature, event.dialect))
        else:
            events.append(event)
    return events


def frames(events: list[Event]) -> bytes:
    encoder = gemini.Encoder(id="gen_1")
    return b"".join(frame for event in events for frame in encoder.feed(event))


class Served:
    """An SDK client that is always answered the same; `asked` are the bodies of its requests."""

    def __init__(self, way: str, body: bytes, status: int = 200) -> None:
        self.asked: list[bytes] = []
        self._way, self._body, self._status = way, body, status

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.content)
        kind = "text/event-stream" if self._body.startswith((b"data", b"\r\n")) else "application/json"
        return httpx2.Response(self._status, content=self._body, headers={"content-type": kind})

    def client(self) -> genai.Client:
        transport = {"transport": httpx2.MockTransport(self._answer)}
        options = types.HttpOptions(base_url="http://telex", client_args=transport, async_client_args=transport)
        return genai.Client(api_key="none", http_options=options)

    def whole(self) -> Any:
        async def work() -> Any:
            return await client.aio.models.generate_content(model="m", contents="Hello")

        client = self.client()
        return asyncio.run(work()) if self._way == "async" else client.models.generate_content(model="m", contents="Hello")

    def stream(self) -> list[Any]:
        async def work() -> list[Any]:
            return [chunk async for chunk in await client.aio.models.generate_content_stream(model="m", contents="Hello")]

        client = self.client()
        return asyncio.run(work()) if self._way == "async" else list(client.models.generate_content_stream(model="m", contents="Hello"))

    def chat(self) -> Request:
        """A turn that is streamed, and then the next: what that one asks."""

        async def work() -> None:
            chat = client.aio.chats.create(model="m")
            for _ in range(2):
                async for _ in await chat.send_message_stream("Hello"):
                    pass

        client = self.client()
        if self._way == "async":
            asyncio.run(work())
        else:
            chat = client.chats.create(model="m")
            for _ in range(2):
                list(chat.send_message_stream("Hello"))
        request = gemini.decode_request(self.asked[-1], Operation("m"))
        assert isinstance(request, Request), request
        return request


def heard(chunks: list[Any]) -> Any:
    """What a client makes of it: by candidate its texts, thoughts and calls, why it stopped; and the usage."""
    said: dict[int, list[Any]] = {}
    for candidate in (candidate for chunk in chunks for candidate in chunk.candidates or ()):
        one = said.setdefault(candidate.index or 0, ["", "", [], None])
        for part in candidate.content.parts:
            one[1 if part.thought else 0] += part.text or ""
            if part.function_call:
                one[2].append((part.function_call.id, part.function_call.name, part.function_call.args))
        one[3] = candidate.finish_reason.name if candidate.finish_reason else one[3]
    last = chunks[-1]
    usage = last.usage_metadata
    counted = usage and (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count)
    return said, counted, last.model_version, last.response_id


def meant(whole: Reply) -> Any:
    words = {"length": "MAX_TOKENS", "refusal": "SAFETY"}
    said = {
        choice.index: [
            "".join(part.text for part in choice.parts if part.kind in ("text", "refusal")),
            "".join(part.text for part in choice.parts if part.kind == "reasoning"),
            [(part.id, part.name, json.loads(part.text)) for part in choice.parts if part.kind == "tool_call"],
            words.get(choice.finish.reason, "STOP") if choice.finish else None,
        ]
        for choice in whole.choices
    }
    usage = whole.usage
    return said, usage and (usage.input, usage.output - usage.reasoning, usage.reasoning, usage.input + usage.output), whole.model, whole.id


@each_way
@each_reply
def test_a_stream_is_heard_as_it_was_meant(whole: Reply, way: str) -> None:
    assert heard(Served(way, frames(spelled(whole))).stream()) == meant(whole)


@each_way
@each_reply
def test_a_whole_reply_is_heard_as_it_was_meant(whole: Reply, way: str) -> None:
    assert heard([Served(way, gemini.encode_reply(whole)).whole()]) == meant(whole)


@each_way
@pytest.mark.parametrize("name", [name for name in REPLIES if name != "two choices"])
def test_a_chat_brings_the_whole_turn_back(name: str, way: str) -> None:
    """With all that was signed, encrypted or another's, though the SDK keeps a content for every chunk."""
    whole = REPLIES[name]
    first, *turn, last = Served(way, frames(spelled(whole))).chat().messages
    assert first == last == Message("user", (Part("text", "Hello"),))
    assert turn == [Message("assistant", whole.choices[0].parts)] or (name == "nothing" and turn == [Message("assistant")])


def test_signatures_reach_the_sdk_as_bytes() -> None:
    [candidate] = Served("sync", gemini.encode_reply(REPLIES["signed by Gemini"])).whole().candidates
    assert candidate.content.parts[-1].thought_signature == base64.b64decode(SIGNATURE)


def test_sources_and_log_probabilities_reach_the_sdk() -> None:
    cited = Part("text", "é!", citations=(Citation("https://x", "X", 0, 1, "q", "anthropic", {"type": "y"}),))
    whole = reply(cited, logprobs=(Token("é!", -0.5, top=(Token("e", -1.0),)),))
    for chunk in (Served("sync", frames(spelled(whole))).stream()[-1], Served("sync", gemini.encode_reply(whole)).whole()):
        [candidate] = chunk.candidates
        [citation] = candidate.citation_metadata.citations
        assert (citation.uri, citation.title, citation.start_index, citation.end_index) == ("https://x", "X", 0, 2)
        assert candidate.logprobs_result.chosen_candidates[0].log_probability == -0.5
        assert candidate.logprobs_result.top_candidates[0].candidates[0].token == "e"


def test_a_blocked_prompt_is_told_as_google_tells_it() -> None:
    blocked = Reply(
        "r",
        "m",
        0,
        (Choice(0, (), Finish(0, "content_filter", "SAFETY")),),
        None,
        None,
        NAME,
        {"promptFeedback": {"blockReason": "SAFETY"}},
    )
    for chunk in (*Served("sync", frames(list(unfold(blocked)))).stream(), Served("sync", gemini.encode_reply(blocked)).whole()):
        assert (chunk.candidates, chunk.prompt_feedback.block_reason.name) == (None, "SAFETY")


# ---- errors


@each_way
@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_every_failure_raises_with_its_status_before_a_stream(kind: Any, way: str) -> None:
    failure = Failure(kind, "Boom.", "contents", retry_after=3.0)
    served = Served(way, gemini.encode_error(failure), gemini.status_of(failure))
    for ask in (served.whole, served.stream):
        with pytest.raises(APIError) as raised:
            ask()
        assert (raised.value.code, raised.value.message) == (gemini.status_of(failure), "Boom. (contents)")
        assert isinstance(raised.value, ServerError if raised.value.code >= 500 else ClientError)


@each_way
@pytest.mark.parametrize("kind", CONSEQUENCES)
def test_every_failure_raises_inside_a_stream(kind: Any, way: str) -> None:
    failure = Failure(kind, "Boom.")
    body = frames([*list(unfold(REPLIES["text"]))[:3], failure])
    with pytest.raises(APIError) as raised:
        Served(way, body).stream()
    assert (raised.value.code, raised.value.message) == (gemini.status_of(failure), "Boom.")


# ---- what breaks the SDK


@each_reply
def test_nothing_but_data_lines_that_end_with_a_blank_one(whole: Reply) -> None:
    """Comments, names, ids, byte order marks and two lines in one event all break it."""
    for line in frames(spelled(whole)).removesuffix(b"\n\n").split(b"\n\n"):
        assert line.startswith(b"data: {")
        assert b"\n" not in line
        assert b"\r" not in line


@each_way
def test_an_idle_stream_may_be_kept_alive(way: str) -> None:
    body = frames(spelled(REPLIES["text"])).replace(b"\n\n", b"\n\n" + gemini.KEEP_ALIVE)
    assert heard(Served(way, gemini.KEEP_ALIVE + body).stream()) == meant(REPLIES["text"])


@each_reply
def test_every_chunk_has_parts_so_that_chats_remember_the_turn(whole: Reply) -> None:
    for chunk in Served("sync", frames(spelled(whole))).stream():
        assert all(candidate.content.parts and types.Part() not in candidate.content.parts for candidate in chunk.candidates)


def test_base64_is_padded_and_names_are_in_camel_case() -> None:
    body = frames([Start("r", "m", 0, NAME), *list(unfold(REPLIES["signed by another"]))[1:]])
    [sealed] = [part["thoughtSignature"] for line in body.split(b"\n\n") if line for part in parts_of(line) if "thoughtSignature" in part]
    assert base64.b64decode(sealed, validate=True) == b"anthropic:Er+"
    assert not {key for line in body.split(b"\n\n") if line for key in json.loads(line[6:]) if "_" in key}


def parts_of(line: bytes) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = json.loads(line[6:])["candidates"][0]["content"]["parts"]
    return parts


def test_no_reason_to_stop_is_one_that_it_does_not_know() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reason in (
            "stop",
            "stop_sequence",
            "tool_calls",
            "length",
            "context_full",
            "content_filter",
            "refusal",
            "pause",
            "broken_call",
        ):
            assert Served("sync", gemini.encode_reply(reply(reason=reason))).whole().candidates[0].finish_reason


def test_a_list_of_models_is_understood() -> None:
    client = Served("sync", gemini.encode_models([("gemini/g", "google")], 7)).client()
    assert [model.name for model in client.models.list()] == ["models/gemini/g"]


def test_done_alone_is_no_terminator() -> None:
    assert b"[DONE]" not in frames([Start("r", "m"), Done()])
