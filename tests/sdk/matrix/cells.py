"""What is tried in every pair of dialects: a request, what the provider answers, what the client must hear, what the provider was told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Part, Request, Usage
from telex.testing import FAULTS, Play, perform, status

from .speakers import PNG, QUESTION, SCHEMA, SYSTEM, TOOLS, Ask, Failed, Heard

USAGE = Usage(input=20, output=9, cached=5, reasoning=4)
TOLD = (20, 9, 5, 4)
WORDS = ("Hello é", " \N{GRINNING FACE}", " world")
THOUGHT, SIGNATURE, CALL_SIGNATURE = "It rains, I think.", "c2lnbmF0dXJl", "Y2FsbA=="
ARGUMENTS = ({"zebra": "Oslo", "apple": 1}, {"zebra": "Ä", "apple": 2})
RESULTS = ('{"c": 4}', '{"t": "noon"}')
STOPPED = {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP"}
CALLED = {"openai-chat": "tool_calls", "openai-responses": "completed", "anthropic": "tool_use", "gemini": "STOP"}


class Cell(Struct, frozen=True):
    """`play`: by the provider's dialect. `heard`, `failed`: what must hold of what the client got, by its dialect and the provider's.
    `told`: of what the provider was asked, in the words of the core."""

    name: str
    play: Callable[[str], Play]
    ask: Ask = Ask()
    heard: Callable[[Heard, str, str], object] | None = None
    failed: Callable[[Failed, str, bool], object] | None = None
    told: Callable[[Request], object] = lambda request: True


def said(upstream: str, *middle: Event, reason: str = "stop", raw: str = "") -> Play:
    finish = Finish(0, reason, raw or (CALLED if reason == "tool_calls" else STOPPED)[upstream])  # type: ignore[arg-type]
    return perform([Start("reply-1", "m", 1_700_000_000, upstream), *middle, finish, USAGE, Done()])


def text(*words: str, index: int = 0, kind: Any = "text") -> Iterator[Event]:
    yield PartStart(0, index, kind)
    for word in words:
        yield PartDelta(0, index, word)
    yield PartEnd(0, index)


def calls(upstream: str, first: int = 0, signature: str = "") -> Iterator[Event]:
    """Two calls; where a provider lets them interleave, they do."""
    pieces = [json.dumps(arguments, ensure_ascii=False) for arguments in ARGUMENTS]
    yield PartStart(0, first, "tool_call", "call_1", TOOLS[0], "function")
    if signature:
        yield PartDelta(0, first, signature=signature, dialect=upstream)
    yield PartDelta(0, first, pieces[0][:9])
    yield PartStart(0, first + 1, "tool_call", "call_2", TOOLS[1], "function")
    yield PartDelta(0, first + 1, pieces[1][:12])
    yield PartDelta(0, first, pieces[0][9:])
    yield PartDelta(0, first + 1, pieces[1][12:])
    yield PartEnd(0, first)
    yield PartEnd(0, first + 1)


def reasoned(upstream: str) -> Iterator[Event]:
    yield PartStart(0, 0, "reasoning")
    yield PartDelta(0, 0, THOUGHT[:7])
    yield PartDelta(0, 0, THOUGHT[7:])
    if upstream == "anthropic":
        yield PartDelta(0, 0, signature=SIGNATURE, dialect=upstream)
    if upstream == "openai-responses":
        yield PartDelta(0, 0, data=SIGNATURE, dialect=upstream)
    yield PartEnd(0, 0)


def refused(upstream: str) -> Play:
    """Each provider's own way to say no."""
    if upstream.startswith("openai"):
        return said(upstream, *text("I can't", " help.", kind="refusal"))
    word = "refusal" if upstream == "anthropic" else "SAFETY"
    return said(upstream, *text("I can't", " help."), reason="refusal" if upstream == "anthropic" else "content_filter", raw=word)


def says(heard: Heard, client: str, upstream: str) -> None:
    assert (heard.text, heard.calls, heard.refused) == ("".join(WORDS), (), False)
    assert heard.finish == STOPPED[client]
    assert heard.usage == TOLD


def calls_tools(heard: Heard, client: str, upstream: str) -> None:
    assert heard.calls == tuple(zip(TOOLS, ARGUMENTS, strict=True))
    assert heard.finish == CALLED[client]
    assert heard.usage == TOLD


def thinks(heard: Heard, client: str, upstream: str) -> None:
    assert heard.reasoning == THOUGHT
    says(heard, client, upstream)


def is_refused(heard: Heard, client: str, upstream: str) -> None:
    assert heard.refused
    assert heard.text == "I can't help."


def answers_in_json(heard: Heard, client: str, upstream: str) -> None:
    assert json.loads(heard.text) == ARGUMENTS[0]


def has_question(request: Request) -> None:
    system, user, *_ = request.messages
    assert system.role in ("system", "developer")
    assert [part.text for part in system.parts] == [SYSTEM]
    assert (user.role, user.parts[0].text) == ("user", QUESTION)
    assert request.max_tokens == 1000


def has_tools(request: Request) -> None:
    has_question(request)
    assert [(tool.name, tool.description) for tool in request.tools] == [(name, "d") for name in TOOLS]
    for tool in request.tools:
        assert json.dumps(tool.schema) == json.dumps(SCHEMA)  # in this order


def has_image(request: Request) -> None:
    has_question(request)
    [image] = [part for message in request.messages for part in message.parts if part.kind == "image"]
    assert (image.media_type, base64.b64decode(image.data)) == ("image/png", PNG)


def has_schema(request: Request) -> None:
    has_question(request)
    assert request.format is not None
    assert request.format.kind == "json_schema"
    assert json.dumps(request.format.schema) == json.dumps(SCHEMA)


def has_results(request: Request) -> None:
    has_tools(request)
    parts: list[Part] = [part for message in request.messages for part in message.parts]
    called = [part for part in parts if part.kind == "tool_call"]
    found = [part for part in parts if part.kind == "tool_result"]
    assert [(part.name, json.loads(part.text)) for part in called] == list(zip(TOOLS, ARGUMENTS, strict=True))
    assert [part.id for part in found] == [part.id for part in called]
    assert [json.loads(part.parts[0].text) for part in found] == [json.loads(result) for result in RESULTS]


def has_what_was_signed(request: Request) -> None:
    """What a provider signed comes back to it untouched, through whatever dialect its client speaks."""
    has_results(request)
    parts = [part for message in request.messages for part in message.parts]
    if request.dialect == "anthropic":
        [thought] = [part for part in parts if part.kind == "reasoning"]
        assert (thought.text, thought.signature, thought.dialect) == (THOUGHT, SIGNATURE, "anthropic")
    if request.dialect == "openai-responses":
        [thought] = [part for part in parts if part.kind == "reasoning"]
        assert (thought.text, thought.data, thought.dialect) == (THOUGHT, SIGNATURE, "openai-responses")
    if request.dialect == "gemini":
        [first, *_] = [part for part in parts if part.kind == "tool_call"]
        assert (first.signature, first.dialect) == (CALL_SIGNATURE, "gemini")


def is_limited(failed: Failed, client: str, stream: bool) -> None:
    assert failed.status == 429
    assert "Scripted 429." in failed.message


def is_broken(failed: Failed, client: str, stream: bool) -> None:
    assert failed.message
    if not stream:
        assert failed.status == 502


CELLS = (
    Cell("text", lambda up: said(up, *text(*WORDS)), heard=says, told=has_question),
    Cell("parallel tool calls", lambda up: said(up, *calls(up), reason="tool_calls"), Ask(tools=True), calls_tools, told=has_tools),
    Cell("image in", lambda up: said(up, *text(*WORDS)), Ask(image=True), says, told=has_image),
    Cell("reasoning", lambda up: said(up, *reasoned(up), *text(*WORDS, index=1)), heard=thinks, told=has_question),
    Cell("structured output", lambda up: said(up, *text(json.dumps(ARGUMENTS[0]))), Ask(schema=True), answers_in_json, told=has_schema),
    Cell("refusal", refused, heard=is_refused),
    Cell("error before", lambda up: status(429, headers=[("retry-after", "7")]), failed=is_limited),
    Cell("error mid-stream", lambda up: FAULTS["row13-error-mid-stream"](after=4), failed=is_broken),
    Cell("truncation", lambda up: FAULTS["row14-eof-without-terminator"](after=4), failed=is_broken),
)
"""The turn with tool results is two requests, and has a test of its own."""


def tool_turn(upstream: str) -> Play:
    """The model thinks, and calls tools; what it must see again is signed as its provider signs it."""
    signature = CALL_SIGNATURE if upstream == "gemini" else ""
    return said(upstream, *reasoned(upstream), *calls(upstream, 1, signature), reason="tool_calls")
