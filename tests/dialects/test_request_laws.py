"""What is asked in one dialect is what a provider of any other is asked, or it is refused or named: nothing of a request gets lost."""

from __future__ import annotations

import json
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from strategies import base64, names, words
from telex.core import json as wire_json
from telex.core.errors import Failure
from telex.core.messages import Format, Keeping, Message, Part, Request, Tool, ToolChoice
from telex.dialects import DIALECTS
from telex.dialects.operation import Operation
from telex.dialects.quirks import NO_QUIRKS, Quirks
from telex.dialects.translate import Manner, Outgoing, address

each_pair = pytest.mark.parametrize(("source", "target"), list(permutations(DIALECTS, 2)))
arguments = st.dictionaries(names, st.integers(0, 9) | words, max_size=2).map(json.dumps)
schemas = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(names, st.just({"type": "string"}), max_size=3)})
lives: st.SearchStrategy[Keeping | None] = st.none() | st.sampled_from(["short", "long"])
unmarked = words.filter(str.strip).map(lambda text: Part("text", text))  # nothing but white space is nothing to Anthropic
texts = st.builds(lambda part, cache: replace(part, cache=cache), unmarked, lives)
pictures = st.builds(lambda data, cache: Part("image", data=data, media_type="image/png", cache=cache), base64, lives)
MARKING = Manner(Quirks(cache_marks=("*",)))
"""Of a provider all of whose models take marks for a cache, where its dialect has them."""


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """A conversation that every dialect can hold."""
    messages = [Message("system", (draw(texts),))] if draw(st.booleans()) else []
    messages.append(Message("user", tuple(draw(st.lists(texts, min_size=1, max_size=1)) + draw(st.lists(pictures, max_size=1)))))
    if draw(st.booleans()):
        ids = draw(st.lists(names, min_size=1, max_size=3, unique=True))
        calls = [Part("tool_call", draw(arguments), id, draw(names), "function") for id in ids]
        messages.append(Message("assistant", (*draw(st.lists(texts, max_size=1)), *calls)))
        messages += [Message("tool", (Part("tool_result", id=id, parts=(draw(unmarked),), cache=draw(lives)),)) for id in ids]
    return tuple(messages)


@st.composite
def asked(draw: st.DrawFn) -> Request:
    maybe = st.none() | st.floats(0, 1)
    tools = draw(st.lists(st.builds(Tool, names, words, schemas), max_size=2, unique_by=lambda tool: tool.name))
    modes = [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), *(ToolChoice("required", (tool.name,)) for tool in tools)]
    return Request(
        model="m",
        messages=draw(turns()),
        tools=tuple(tools),
        tool_choice=draw(st.none() | st.sampled_from(modes)) if tools else None,
        max_tokens=draw(st.integers(1, 10**6)),
        temperature=draw(maybe),
        top_p=draw(maybe),
        format=draw(st.none() | schemas.map(lambda schema: Format("json_schema", "answer", schema=schema))),
        effort=draw(st.none() | st.sampled_from(["low", "medium", "high"])),
        stop=tuple(draw(st.lists(words.filter(str.strip), max_size=2))),
        seed=draw(st.none() | st.integers(0, 9)),
        stream=draw(st.booleans()),
    )


def came_in(source: str, request: Request) -> Request:
    """The request as a client of that dialect would send it, and as it is read."""
    dialect = DIALECTS[source]
    body = wire_json.encode(dialect.encode_request(request, "m", request.stream, NO_QUIRKS))
    read = dialect.decode_request(body, Operation("m", request.stream), {})
    assert isinstance(read, Request), read
    return read


def meaning(request: Request) -> dict[str, Any]:
    """What is asked, whatever the dialect: roles that a dialect has no word for, and how messages are cut, are not."""
    parts = [(part, message.role) for message in request.messages for part in message.parts]
    return {
        "system": [part.text for part, role in parts if role in ("system", "developer")],
        "said": [(role, part.text) for part, role in parts if part.kind == "text" and role in ("user", "assistant")],
        "images": [(part.media_type, part.data) for part, _ in parts if part.kind == "image"],
        "calls": [(part.id, part.name, json.loads(part.text)) for part, _ in parts if part.kind == "tool_call"],
        "results": [(part.id, result_of(part)) for part, _ in parts if part.kind == "tool_result"],
        "tools": [(tool.name, tool.description, json.dumps(tool.schema)) for tool in request.tools],  # keys in their order
        "tool_choice": request.tool_choice,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "format": json.dumps(request.format.schema) if request.format else None,
        "effort": request.effort,
        "stop": request.stop,
        "seed": request.seed,
        "stream": request.stream,
    }


def result_of(part: Part) -> Any:
    """A result that is JSON may be told as such."""
    text = "".join(inner.text for inner in part.parts)
    try:
        return json.loads(text)
    except ValueError:
        return text


@each_pair
@settings(max_examples=50)
@given(request=asked())
def test_a_provider_is_asked_what_the_client_asked(source: str, target: str, request: Request) -> None:
    came = came_in(source, request)
    sent = address(came, DIALECTS[target], "m", came.stream, Manner())
    if isinstance(sent, Failure):
        assert sent.kind == "unsupported"
        assert sent.param
        return
    told = DIALECTS[target].decode_request(sent.body, Operation("m", came.stream), sent.headers)
    assert isinstance(told, Request), told
    asked_for, heard = meaning(came), meaning(told)
    for word in ("temperature", "top_p", "format", "effort", "stop", "seed"):
        if heard[word] != asked_for[word]:
            assert named(came, source, word, sent), word
            heard[word] = asked_for[word]
    assert heard == asked_for


@each_pair
@settings(max_examples=50)
@given(request=asked())
def test_marks_for_a_cache_stay_where_they_are_or_are_named(source: str, target: str, request: Request) -> None:
    came = came_in(source, request)
    sent = address(came, DIALECTS[target], "m", came.stream, MARKING)
    if isinstance(sent, Failure):
        return
    told = DIALECTS[target].decode_request(sent.body, Operation("m", came.stream), sent.headers)
    assert isinstance(told, Request), told
    asked_for, heard = marked(came), marked(told)
    assert not heard or DIALECTS[target].MARKS
    if set(heard) != set(asked_for):
        assert set(heard) < set(asked_for)
        assert DIALECTS[source].FIELDS["parts.cache"] in sent.dropped
    if any(asked_for[where] == "long" and life == "short" for where, life in heard.items()):
        assert f"{DIALECTS[source].FIELDS['parts.cache']}.ttl" in sent.dropped
    if target == "anthropic":
        lasting = list(heard.values())
        assert len(heard) <= 4
        assert lasting == sorted(lasting)  # "long" before "short"


def marked(request: Request) -> dict[tuple[int, str, str], Keeping]:
    """The lifetimes of the marks, by where they stand: how many parts of that kind are before, the kind, and what is in it."""
    parts = [part for message in request.messages for part in message.parts if part.kind in ("text", "image", "tool_result")]
    places = [
        (sum(other.kind == part.kind for other in parts[:n]), part.kind, part.text or part.data or part.id) for n, part in enumerate(parts)
    ]
    return {place: part.cache for place, part in zip(places, parts, strict=True) if part.cache}


@pytest.mark.parametrize(("source", "target"), list(product(DIALECTS, repeat=2)))
@settings(max_examples=20)
@given(request=asked())
def test_the_same_request_is_told_in_the_same_bytes(source: str, target: str, request: Request) -> None:
    """Nothing in it is of this time or of this generation: what a provider keeps of a prompt is found by its bytes."""
    first, second = (address(came_in(source, request), DIALECTS[target], "m", request.stream, MARKING) for _ in range(2))
    assert first == second


def named(came: Request, source: str, word: str, sent: Outgoing) -> bool:
    """Whether what the provider is not told is named to the client."""
    return DIALECTS[source].FIELDS[word] in sent.dropped


@each_pair
@settings(max_examples=50)
@given(request=asked())
def test_what_is_refused_is_named_as_the_client_calls_it(source: str, target: str, request: Request) -> None:
    came = came_in(source, request)
    strictly = address(came, DIALECTS[target], "m", came.stream, Manner(), strict=True)
    loosely = address(came, DIALECTS[target], "m", came.stream, Manner())
    if isinstance(loosely, Failure):
        assert isinstance(strictly, Failure)
        assert strictly.param in {*DIALECTS[source].FIELDS.values(), loosely.param}
    else:
        assert isinstance(strictly, Failure) is bool(loosely.dropped)
