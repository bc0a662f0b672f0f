"""Prompts that a provider keeps: marks and keys from one dialect to another, and nothing in a request that is of the moment."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from telex.core.errors import Failure
from telex.core.messages import Keeping, Message, Part, Request
from telex.dialects import DIALECTS
from telex.dialects.operation import Operation
from telex.dialects.translate import Manner, Outgoing, address

OPENAI = ("openai-chat", "openai-responses")
MARKING = (*OPENAI, "anthropic")
SHORT, LONG = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}


def cached(text: str, cache: Keeping | None = None) -> Part:
    return Part("text", text, cache=cache)


def asked(source: str, *messages: Message, **fields: Any) -> Request:
    """The request as it comes in from a client of `source`."""
    dialect = DIALECTS[source]
    body = dialect.encode_request(Request(model="m", messages=messages, max_tokens=9, **fields), "m", False, Manner().quirks)
    request = dialect.decode_request(json.dumps(body).encode(), Operation("m", False), {})
    assert isinstance(request, Request), request
    return request


def sent(request: Request, target: str) -> Outgoing:
    outgoing = address(request, DIALECTS[target], "m", False, Manner())
    assert isinstance(outgoing, Outgoing), outgoing
    return outgoing


def marks(body: bytes) -> list[tuple[str, Any]]:
    """The texts with a mark, in their order, and the marks."""
    found: list[tuple[str, Any]] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                look(each)
            mark = value.get("cache_control", value.get("prompt_cache_breakpoint"))
            if mark is not None and "messages" not in value:
                found.append((value.get("text") or value.get("type", ""), mark))
        elif isinstance(value, list):
            for each in value:
                look(each)

    body_fields = json.loads(body)
    for name in ("system", "instructions", "messages", "input"):
        look(body_fields.get(name))
    return found


CONVERSATION = (
    Message("system", (cached("Be brief.", "long"),)),
    Message("user", (cached("A book."), cached("Its end.", "short"))),
    Message("assistant", (Part("text", "Good."), Part("tool_call", "{}", "c1", "f", "function"))),
    Message("tool", (Part("tool_result", id="c1", parts=(cached("It ends.", "short"),)),)),
    Message("user", (cached("Why?"),)),
)


@pytest.mark.parametrize(("source", "target"), list(product(MARKING, repeat=2)))
def test_marks_stand_on_the_same_texts(source: str, target: str) -> None:
    outgoing = sent(asked(source, *CONVERSATION), target)
    long = LONG if target == "anthropic" else {"mode": "explicit", "ttl": "12h"}
    short = SHORT if target == "anthropic" else {"mode": "explicit"}
    assert marks(outgoing.body) == [("Be brief.", long), ("Its end.", short), ("It ends.", short)]
    assert not any("cache" in field for field in outgoing.dropped)


@pytest.mark.parametrize("source", MARKING)
def test_where_there_are_no_marks_they_are_dropped_and_named(source: str) -> None:
    outgoing = sent(asked(source, *CONVERSATION), "gemini")
    assert DIALECTS[source].FIELDS["parts.cache"] in outgoing.dropped
    assert b"cache" not in outgoing.body


@pytest.mark.parametrize("target", OPENAI)
def test_a_result_that_is_marked_whole_is_marked_at_its_end(target: str) -> None:
    result = Part("tool_result", id="c1", parts=(cached("One."), cached("Two.")), cache="short")
    request = asked("anthropic", *CONVERSATION[:3], Message("user", (result,)))
    assert marks(sent(request, target).body)[-1] == ("Two.", {"mode": "explicit"})


@pytest.mark.parametrize("target", OPENAI)
def test_what_the_model_said_is_marked_at_anthropic_alone(target: str) -> None:
    said = Message("assistant", (Part("text", "Good.", cache="short"),))
    request = asked("anthropic", Message("user", (cached("Hi."),)), said, Message("user", (cached("Why?"),)))
    outgoing = sent(request, target)
    assert (marks(outgoing.body), outgoing.dropped) == ([], ("messages[].content[].cache_control",))


@pytest.mark.parametrize(("key", "left"), [(None, ["2", "3", "4", "5"]), ("k", ["3", "4", "5"])])
@pytest.mark.parametrize("source", OPENAI)
def test_the_last_of_too_many_are_left_and_the_others_named(source: str, key: str | None, left: list[str]) -> None:
    """An automatic mark is one of the four."""
    outgoing = sent(asked(source, *(Message("user", (cached(str(n), "short"),)) for n in range(6)), cache_key=key), "anthropic")
    assert [text for text, _ in marks(outgoing.body)] == left
    assert DIALECTS[source].FIELDS["parts.cache"] in outgoing.dropped
    assert json.loads(outgoing.body).get("cache_control") == (SHORT if key else None)


def test_none_is_shorter_than_one_behind_it() -> None:
    lasting: list[Keeping | None] = ["short", None, "long", "short"]
    request = asked("openai-chat", *(Message("user", (cached(str(n), cache),)) for n, cache in enumerate(lasting)))
    assert marks(sent(request, "anthropic").body) == [("0", LONG), ("2", LONG), ("3", SHORT)]


def marked_text(mark: Any) -> dict[str, Any]:
    return {"type": "text", "text": "x", "cache_control": mark}


@pytest.mark.parametrize("mark", [{"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral"}])
def test_five_minutes_are_the_default(mark: dict[str, Any]) -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": mark}]}],
    }
    request = DIALECTS["anthropic"].decode_request(json.dumps(body).encode())
    assert isinstance(request, Request)
    assert request.messages[0].parts == (cached("x", "short"),)


@pytest.mark.parametrize("mark", [{"type": "new"}, {"type": "ephemeral", "scope": "all"}, "yes"])
def test_a_mark_that_has_no_word_is_dropped_and_named_elsewhere(mark: Any) -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": mark}]}],
    }
    request = DIALECTS["anthropic"].decode_request(json.dumps(body).encode())
    assert isinstance(request, Request)
    assert sent(request, "openai-chat").dropped == ("messages[].content[].cache_control",)
    assert json.loads(sent(request, "anthropic").body)["messages"] == body["messages"]


@pytest.mark.parametrize("target", [name for name in DIALECTS if name != "gemini"])
def test_a_cache_that_one_provider_keeps_is_refused_by_name_elsewhere(target: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "cachedContent": "cachedContents/1"}
    request = DIALECTS["gemini"].decode_request(json.dumps(body).encode(), Operation("m", False), {})
    assert isinstance(request, Request)
    refused = address(request, DIALECTS[target], "m", False, Manner())
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.param) == ("unsupported", "cachedContent")
    assert json.loads(sent(request, "gemini").body)["cachedContent"] == "cachedContents/1"


@pytest.mark.parametrize(("source", "target"), list(product(DIALECTS, repeat=2)))
def test_the_same_request_is_the_same_bytes(source: str, target: str) -> None:
    """Nothing in it is of the moment, or a provider would find nothing that it has kept."""
    bodies = {sent(asked(source, *CONVERSATION, cache_key="k" if source in OPENAI else None), target).body for _ in range(3)}
    assert len(bodies) == 1
