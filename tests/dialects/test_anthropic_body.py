"""Requests of Anthropic Messages, written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import requests
from telex.core import json as wire_json
from telex.core.errors import Failure
from telex.core.messages import Fields, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects import anthropic
from telex.dialects.anthropic.body import IDS, call_key, to_id
from telex.dialects.quirks import NO_QUIRKS
from telex.dialects.seal import seal
from telex.dialects.translate import Manner, Outgoing, address

HELLO = Message("user", (Part("text", "Hi"),))
SCHEMA = {"type": "object", "properties": {"zebra": {"type": "string"}, "apple": {"type": "integer"}}}
TOOLS = (Tool("f", "d", SCHEMA, True), Tool("g"))


def encode(*messages: Message, stream: bool = False, **fields: Any) -> Fields:
    request = Request(model="theirs", messages=messages or (HELLO,), dialect="openai-chat", **fields)
    return json.loads(wire_json.encode(anthropic.encode_request(request, "ours", stream, NO_QUIRKS)))  # type: ignore[no-any-return]


def said(*messages: Message) -> list[Fields]:
    return encode(*messages)["messages"]  # type: ignore[no-any-return]


def user(*parts: Part) -> Message:
    return Message("user", parts)


def text(*words: str) -> tuple[Part, ...]:
    return tuple(Part("text", word) for word in words)


def call(id: str, name: str = "f", arguments: str = "{}") -> Part:
    return Part("tool_call", arguments, id, name, "function")


def found(id: str, *parts: Part, **fields: Any) -> Message:
    return Message("tool", (Part("tool_result", id=id, parts=parts, **fields),))


def use(id: str, name: str = "f", **input: Any) -> Fields:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


# ---- in the same dialect


def test_a_request_of_this_dialect_keeps_its_own_fields_in_their_order() -> None:
    body = b'{"stream":false,"zebra":{"b":1, "a":2},"model":"theirs","messages":[{"content":"Hi","role":"user"}],"max_tokens":1e1}'
    request = anthropic.decode_request(body.replace(b"1e1", b"10"))
    assert isinstance(request, Request)
    sent = wire_json.encode(anthropic.encode_request(request, "ours", False, NO_QUIRKS))
    assert sent == b'{"zebra":{"b":1, "a":2},"model":"ours","messages":[{"content":"Hi","role":"user"}],"max_tokens":10}'
    assert json.loads(wire_json.encode(anthropic.encode_request(request, "ours", True, NO_QUIRKS)))["stream"] is True


def test_what_telex_carried_for_others_is_not_sent_to_anthropic() -> None:
    """The model's turn as a client brings it back, when an earlier answer came from somewhere else."""
    cited = {"type": "web_search_result_location", "url": "u", "title": "", "cited_text": "", "encrypted_index": ""}
    own = {**cited, "encrypted_index": "E"}
    kept: list[Fields] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "Er=="},
        {"type": "redacted_thinking", "data": "Eq=="},
        {"type": "text", "text": "x", "citations": [own]},
        use("toolu_1"),
    ]
    carried: list[Fields] = [
        {"type": "thinking", "thinking": "Hm.", "signature": seal("gemini", "Cs")},
        {"type": "redacted_thinking", "data": seal("gemini", "Cs")},
        {"type": "redacted_thinking", "data": seal("openai-responses", "gA", data=True)},
        {"type": "provider_part", "dialect": "gemini", "tool": "x", "part": {}},
        {"type": "provider_part", "dialect": "", "tool": "audio", "part": {"data": "AAAA"}},
    ]
    sent = {**kept[2], "citations": [{**cited, "provider_citation": {"dialect": "gemini"}}, own]}
    for extra in carried:
        assert own_turn([kept[0], kept[1], sent, kept[3], extra, {"type": "text", "text": ""}]) == kept
    assert own_turn(carried) is None


def own_turn(content: list[Fields]) -> list[Fields] | None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": "Go"}]
    request = anthropic.decode_request(json.dumps({"model": "m", "max_tokens": 1, "messages": messages}).encode())
    assert isinstance(request, Request)
    first, *middle, last = json.loads(wire_json.encode(anthropic.encode_request(request, "m", False, NO_QUIRKS)))["messages"]
    assert (first, last) == (messages[0], messages[2])
    return middle[0]["content"] if middle else None


# ---- from another


def test_fields_by_their_names_here() -> None:
    fields = encode(
        max_tokens=10,
        temperature=1.5,
        top_p=0.5,
        top_k=4,
        stop=("a", "b"),
        user="u",
        tools=TOOLS,
        tool_choice=ToolChoice("auto"),
    )
    assert fields == {
        "model": "ours",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 10,
        "tools": [
            {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        ],
        "tool_choice": {"type": "auto"},
        "temperature": 1.5,
        "top_p": 0.5,
        "top_k": 4,
        "stop_sequences": ["a", "b"],
        "metadata": {"user_id": "u"},
    }
    assert json.dumps(fields["tools"][0]["input_schema"]) == json.dumps(SCHEMA)  # in this order


def test_a_limit_that_is_not_said_is_left_to_the_providers_row() -> None:
    assert encode() == {"model": "ours", "messages": [{"role": "user", "content": "Hi"}]}
    assert encode(stream=True)["stream"] is True


ENABLED, ADAPTIVE, DISABLED = {"type": "enabled", "budget_tokens": 2048}, {"type": "adaptive"}, {"type": "disabled"}
THINKING: list[tuple[Fields, Fields | None, str | None]] = [
    ({}, None, None),
    ({"effort": "none"}, DISABLED, None),
    ({"effort": "minimal"}, DISABLED, None),
    ({"effort": "low"}, ADAPTIVE, "low"),
    ({"effort": "max"}, ADAPTIVE, "max"),
    ({"thinking_budget": 2048}, ENABLED, None),
    ({"thinking_budget": 2048, "effort": "high"}, ENABLED, "high"),
    ({"thinking_budget": 5}, {"type": "enabled", "budget_tokens": 1024}, None),
    ({"thinking_budget": 0, "effort": "high"}, DISABLED, "high"),
    ({"thinking_budget": -1, "effort": "none"}, ADAPTIVE, None),
    ({"show_thinking": True}, {**ADAPTIVE, "display": "summarized"}, None),
    ({"show_thinking": False}, None, None),
    ({"show_thinking": False, "effort": "low"}, {**ADAPTIVE, "display": "omitted"}, "low"),
    ({"show_thinking": True, "thinking_budget": 0}, DISABLED, None),
    ({"effort": "low", "tools": TOOLS, "tool_choice": ToolChoice("required")}, None, "low"),
    ({"thinking_budget": 2048, "tools": TOOLS, "tool_choice": ToolChoice("required")}, None, None),
]


@pytest.mark.parametrize(("fields", "thinking", "effort"), THINKING, ids=[str(fields) for fields, *_ in THINKING])
def test_how_hard_to_think(fields: Fields, thinking: Fields | None, effort: str | None) -> None:
    wire = encode(**fields)
    assert (wire.get("thinking"), wire.get("output_config")) == (thinking, {"effort": effort} if effort else None)


def test_a_format_stands_beside_the_effort() -> None:
    format = Format("json_schema", "answer", schema=SCHEMA)
    wire = encode(format=format, effort="low")
    assert wire["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}


CHOICES: list[tuple[ToolChoice | None, bool | None, Fields | None, list[str]]] = [
    (None, None, None, ["f", "g"]),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}, ["f", "g"]),
    (None, True, {"type": "auto", "disable_parallel_tool_use": False}, ["f", "g"]),
    (ToolChoice("auto"), None, {"type": "auto"}, ["f", "g"]),
    (ToolChoice("none"), False, {"type": "none"}, ["f", "g"]),
    (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}, ["f", "g"]),
    (ToolChoice("required", ("g",)), None, {"type": "tool", "name": "g"}, ["f", "g"]),
    (ToolChoice("required", ("f", "g")), None, {"type": "any"}, ["f", "g"]),
    (ToolChoice("auto", ("g",)), None, {"type": "auto"}, ["g"]),
    (ToolChoice("auto", ("x",)), None, None, []),
]


@pytest.mark.parametrize(("choice", "parallel", "wire", "names"), CHOICES)
def test_which_tools_may_be_called(choice: ToolChoice | None, parallel: bool | None, wire: Fields | None, names: list[str]) -> None:
    fields = encode(tools=TOOLS, tool_choice=choice, parallel_calls=parallel)
    assert (fields.get("tool_choice"), [tool["name"] for tool in fields.get("tools", [])]) == (wire, names)


def test_nothing_is_said_of_the_choice_of_tools_where_there_are_none() -> None:
    assert "tool_choice" not in encode(tool_choice=ToolChoice("none"), parallel_calls=False)


def test_what_leads_is_the_system_and_what_comes_later_stays() -> None:
    developer = Message("developer", text("Be brief."))
    assert encode(developer, HELLO)["system"] == "Be brief."
    both = encode(Message("system", text("A")), developer, HELLO, Message("developer", text("B")), HELLO)
    assert both["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "Be brief."}]
    assert [message["role"] for message in both["messages"]] == ["user", "system", "user"]


def test_messages_of_one_role_are_one_message_and_empty_texts_are_none() -> None:
    assert said(HELLO, user(*text("", "there", "  ")), Message("assistant", text("")), user(*text("?"))) == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}, {"type": "text", "text": "?"}]}
    ]


def test_results_stand_all_of_them_and_first_right_behind_their_calls() -> None:
    calls = Message("assistant", (*text("Let me see."), call("a", arguments='{"x":1}'), call("b", "g", "")))
    wire = said(
        HELLO, calls, user(*text("And?")), found("b", *text("B")), Message("system", text("S")), found("a", *text("A"), is_error=True)
    )
    result = {"type": "tool_result", "tool_use_id": "b", "content": "B"}
    failed = {"type": "tool_result", "tool_use_id": "a", "content": "A", "is_error": True}
    assert wire == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, use("a", x=1), use("b", "g")]},
        {"role": "user", "content": [result, failed, {"type": "text", "text": "And?"}]},
        {"role": "system", "content": "S"},
    ]


def test_an_id_that_comes_again_is_answered_again() -> None:
    """Some providers count calls anew in each turn."""
    calls = Message("assistant", (call("call_0"),))
    wire = said(HELLO, calls, found("call_0", *text("same")), calls, found("call_0", *text("same")), found("call_0", *text("more")))
    results = [[block["content"] for block in message["content"]] for message in wire if message["role"] == "user" and message != wire[0]]
    assert results == [["same"], ["same", "more"]]


def test_calls_from_before_they_had_ids() -> None:
    asked = Message("assistant", (Part("tool_call", "{}", "", "f", "legacy"),))
    wire = said(HELLO, asked, Message("tool", (Part("tool_result", name="f", tool="legacy", parts=text("x")),)))
    [called], [result] = wire[1]["content"], wire[2]["content"]
    assert called["id"] == result["tool_use_id"]
    assert IDS.fullmatch(called["id"])


def test_arguments_that_are_no_object_are_wrapped() -> None:
    assert said(HELLO, Message("assistant", (call("a", arguments='{"cut'),)))[1]["content"] == [use("a", INVALID_JSON='{"cut')]


@given(ids=st.lists(st.text(max_size=20), max_size=5, unique=True))
def test_ids_are_ones_that_anthropic_takes_and_stay_distinct(ids: list[str]) -> None:
    again = [to_id(id) for id in ids]
    assert all(IDS.fullmatch(id) for id in again)
    assert len(set(again)) == len(ids)
    assert again == [to_id(id) for id in ids]
    assert to_id("toolu_01-A") == "toolu_01-A"


def test_images_and_files() -> None:
    png, pdf = Part("image", data="AAAA", media_type="image/png"), Part("file", name="a.pdf", data="AAAA", media_type="application/pdf")
    note, linked = Part("file", data="w6k=", media_type="text/markdown"), Part("file", url="https://a/b.pdf")
    [message] = said(user(png, Part("image", url="https://a/b"), pdf, note, linked, Part("file", data="/w==", media_type="text/plain")))
    assert message["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}, "title": "a.pdf"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}},
        {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "/w=="}},  # no UTF-8
    ]
    results = said(HELLO, Message("assistant", (call("a"),)), found("a", *text("x"), png))[2]["content"]
    assert [block["type"] for block in results[0]["content"]] == ["text", "image"]
    assert said(HELLO, Message("assistant", (call("a"),)), found("a"))[2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


def test_only_what_anthropic_signed_goes_back_to_it() -> None:
    own = Part("reasoning", "Hm.", signature="Er==", dialect="anthropic"), Part("reasoning", data="Eq==", dialect="anthropic")
    opaque = Part("opaque", '{"q":1}', tool="server_tool_use", dialect="anthropic", extra={"type": "server_tool_use", "input": {}})
    compacted = Part("opaque", "Before.", tool="compaction", dialect="anthropic", extra={"type": "compaction"})
    foreign = (
        Part("reasoning", "Hm.", signature="Cs", dialect="gemini"),
        Part("reasoning", "Hm."),
        Part("reasoning", data="gA", dialect="openai-responses"),
        Part("opaque", tool="x", dialect="gemini", extra={"x": 1}),
    )
    signed = Part("tool_call", "{}", "a", "f", "function", signature="Cs", dialect="gemini", extra={"x": 1})
    [_, message] = said(HELLO, Message("assistant", (*own, opaque, compacted, *foreign, Part("refusal", "No."), signed)))
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "Er=="},
        {"type": "redacted_thinking", "data": "Eq=="},
        {"type": "server_tool_use", "input": {"q": 1}},
        {"type": "compaction", "content": "Before."},
        {"type": "text", "text": "No."},
        use("a"),
    ]


@given(request=requests())
def test_what_any_caller_asks_is_what_a_provider_reads(request: Request) -> None:
    """Whatever is asked in another dialect is refused by name, or reads here as it was meant."""
    request = anothers(request)
    sent = address(request, anthropic, "ours", request.stream, Manner(defaults={"max_tokens": 7}))
    if isinstance(sent, Failure):
        assert sent.kind == "unsupported"
        return
    assert isinstance(sent, Outgoing)
    if not json.loads(sent.body)["messages"]:
        return
    read = anthropic.decode_request(sent.body, headers=sent.headers)
    assert isinstance(read, Request), read
    assert (read.model, read.stream) == ("ours", request.stream)
    assert read.max_tokens == (request.max_tokens or 7) or (read.thinking_budget or 0) > 0
    kept = {name: None if name in anthropic.withheld(request) else getattr(request, name) for name in ("temperature", "top_p", "top_k")}
    assert (read.temperature, read.top_p, read.top_k, read.user) == (*kept.values(), request.user)
    assert words_of(read) == words_of(request)
    assert parts_of(read, "tool_call") == parts_of(request, "tool_call")
    assert sorted(parts_of(read, "tool_result")) == sorted(parts_of(request, "tool_result"))


def anothers(request: Request) -> Request:
    """As another dialect's caller says it, without most of what is always refused."""
    unsaid = ("dialect", "choices", "logprobs", "top_logprobs", "format")
    fields = {name: getattr(request, name) for name in request.__struct_fields__ if name not in unsaid}
    return Request(**fields, dialect="openai-chat")


def words_of(request: Request) -> list[str]:
    """All text that can be said, wherever it stands."""
    texts = [part.text for message in request.messages for part in message.parts if part.kind in ("text", "refusal")]
    return sorted(text for text in texts if text.strip())


def parts_of(request: Request, kind: str) -> list[tuple[str, str]]:
    """Calls and results by the ids that they have here, with what was found."""
    parts = [part for message in request.messages for part in message.parts if part.kind == kind]
    return [(to_id(call_key(part)), "".join(inner.text for inner in part.parts if inner.text.strip())) for part in parts]


@given(request=requests())
def test_no_request_breaks_the_encoder(request: Request) -> None:
    """Gaps are somebody else's to refuse: what has no place here is left out."""
    fields = anthropic.encode_request(anothers(request), "m", True, NO_QUIRKS)
    assert json.loads(wire_json.encode(fields))["model"] == "m"
