"""Requests of Anthropic Messages, read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core.errors import Failure
from telex.core.messages import Citation, Fields, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects import anthropic
from telex.dialects.operation import COUNT
from telex.dialects.seal import seal

PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"zebra": {"type": "string"}, "apple": {"type": "integer"}}}
CALL: Fields = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1, "a": 2}}]}


def decode(headers: dict[str, str] | None = None, **fields: Any) -> Request | Failure:
    body = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return anthropic.decode_request(json.dumps(body).encode(), headers=headers or {})


def read(**fields: Any) -> Request:
    request = decode(**fields)
    assert isinstance(request, Request), request
    return request


def blocks(*content: Any, role: str = "user", before: tuple[Fields, ...] = ()) -> tuple[Part, ...]:
    return read(messages=[*before, {"role": role, "content": list(content)}]).messages[-1].parts


def test_a_request_with_everything() -> None:
    body = {
        "model": "m",
        "max_tokens": 1000,
        "system": "Be brief.",
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "medium", "format": {"type": "json_schema", "schema": SCHEMA}},
        "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    raw, headers = json.dumps(body).encode(), {"anthropic-version": "2026-10-21", "anthropic-beta": "a,b", "user-agent": "x"}
    assert anthropic.decode_request(raw, headers=headers) == Request(
        model="m",
        messages=(Message("system", (Part("text", "Be brief."),)), Message("user", (Part("text", "Hi"),))),
        tools=(Tool("f", "d", SCHEMA, True),),
        tool_choice=ToolChoice("auto"),
        parallel_calls=False,
        max_tokens=1000,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        format=Format("json_schema", schema=SCHEMA),
        effort="medium",
        thinking_budget=-1,
        show_thinking=True,
        user="u",
        stream=True,
        include_usage=True,
        dialect="anthropic",
        body=raw,
        headers={"anthropic-version": "2026-10-21", "anthropic-beta": "a,b"},
    )


def test_the_words_of_thinking() -> None:
    for thinking, budget, show in (
        ({"type": "enabled", "budget_tokens": 2048}, 2048, None),
        ({"type": "enabled", "budget_tokens": 2048, "display": "omitted"}, 2048, False),
        ({"type": "adaptive"}, -1, None),
        ({"type": "disabled"}, 0, None),
    ):
        request = read(thinking=thinking)
        assert (request.thinking_budget, request.show_thinking, request.extra) == (budget, show, {})
    between = read(thinking={"type": "between_tools"})
    assert (between.thinking_budget, between.extra) == (None, {"thinking": {"type": "between_tools"}})


def test_the_words_of_tool_choice() -> None:
    tools = [{"name": "f", "input_schema": {}}]
    for wire, choice in (
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("required", ("f",))),
        ({"type": "new", "x": 1}, ToolChoice("required", extra={"type": "new", "x": 1})),
    ):
        request = read(tools=tools, tool_choice=wire)
        assert (request.tool_choice, request.parallel_calls) == (choice, None)


def test_tools_of_anthropics_own_and_fields_without_a_word() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    cached = {"type": "custom", "name": "f", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}
    first, second = read(tools=[search, cached]).tools
    assert first == Tool("web_search", kind="web_search_20250305", extra=search)
    extra = {"cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}
    assert second == Tool("f", schema=SCHEMA, extra=extra)
    assert json.dumps(second.schema) == json.dumps(SCHEMA)  # in this order


def test_fields_that_no_word_stands_for_are_kept() -> None:
    request = read(container="c", future={"x": 1}, output_config={"task": 1}, metadata={"user_id": None, "y": 2})
    assert request.extra == {"container": "c", "future": {"x": 1}, "output_config": {"task": 1}, "metadata": {"y": 2}}
    assert read(messages=[{"role": "user", "content": "Hi", "z": 1}]).messages[0].extra == {"z": 1}


def test_system_in_its_two_places() -> None:
    cached = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    later = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be long."}, {"role": "user", "content": "Go"}]
    messages = read(system=[cached], messages=later).messages
    assert [message.role for message in messages] == ["system", "user", "system", "user"]
    assert messages[0].parts == (Part("text", "Be brief.", cache="short"),)
    assert [message.role for message in read(system="").messages] == ["user"]


def test_text_and_its_citations() -> None:
    wire = {"type": "char_location", "cited_text": "q", "document_index": 0, "document_title": "t", "start_char_index": 3}
    found = {"type": "web_search_result_location", "url": "https://a", "title": "T", "cited_text": "q", "encrypted_index": "E"}
    [part] = blocks({"type": "text", "text": "Yes.", "citations": [wire, found]}, role="assistant")
    own = Citation(title="t", quote="q", dialect="anthropic", fields=wire)
    assert part == Part("text", "Yes.", citations=(own, Citation("https://a", "T", quote="q", dialect="anthropic", fields=found)))
    assert blocks({"type": "text", "text": "Yes.", "citations": None}) == (Part("text", "Yes."),)


def test_images_and_documents_wherever_their_bytes_are() -> None:
    base64 = {"type": "base64", "media_type": "image/png", "data": "-_8"}  # URL-safe, not padded
    assert blocks({"type": "image", "source": base64}) == (Part("image", data="+/8=", media_type="image/png"),)
    url = {"type": "url", "url": "https://a/b.png"}
    assert blocks({"type": "image", "source": url}) == (Part("image", url="https://a/b.png"),)
    stored = {"type": "file", "file_id": "file_1"}
    assert blocks({"type": "image", "source": stored}) == (Part("image", id="file_1"),)
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    document = {"type": "document", "source": pdf, "title": "t.pdf", "context": "c", "citations": {"enabled": True}}
    extra = {"context": "c", "citations": {"enabled": True}}
    assert blocks(document) == (Part("file", name="t.pdf", data="AAAA", media_type="application/pdf", dialect="anthropic", extra=extra),)
    plain = {"type": "text", "media_type": "text/plain", "data": "é"}
    assert blocks({"type": "document", "source": plain}) == (Part("file", data="w6k=", media_type="text/plain"),)
    whole = {"type": "document", "source": {"type": "content", "content": "x"}}
    assert blocks(whole) == (Part("opaque", tool="document", dialect="anthropic", extra=whole),)


def test_calls_and_their_results() -> None:
    error = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no", "is_error": True, "cache_control": {"type": "ephemeral"}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    rich = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "x"}, image]}
    failed, text = blocks({"type": "text", "text": "And?"}, error, before=(CALL,))
    assert failed == Part("tool_result", id="toolu_1", parts=(Part("text", "no"),), is_error=True, cache="short")
    assert text == Part("text", "And?")  # results stand before any other part
    [result] = blocks(rich, before=(CALL,))
    assert [part.kind for part in result.parts] == ["text", "image"]
    assert blocks({"type": "tool_result", "tool_use_id": "toolu_1"}, before=(CALL,))[0].parts == ()
    assert read(messages=[CALL]).messages[0].parts == (Part("tool_call", '{"b":1,"a":2}', "toolu_1", "f", "function"),)


def test_a_thread_goes_on_with_what_is_new_alone() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}
    [message] = read(thread=thread, messages=[{"role": "user", "content": [result]}]).messages
    assert [part.id for part in message.parts] == ["toolu_1"]
    assert read(thread=thread, messages=[]).messages == ()
    assert isinstance(decode(thread={"type": "start"}, messages=[]), Failure)


def test_what_is_signed_and_whose_it_is() -> None:
    own = {"type": "thinking", "thinking": "Hm.", "signature": "Er=="}
    assert blocks(own, role="assistant") == (Part("reasoning", "Hm.", signature="Er==", dialect="anthropic"),)
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": seal("gemini", "Cs")}
    assert blocks(foreign, role="assistant") == (Part("reasoning", "Hm.", signature="Cs", dialect="gemini"),)
    both = {"type": "thinking", "thinking": "Hm.", "signature": seal("openai-responses", "gA", data=True)}
    assert blocks(both, role="assistant") == (Part("reasoning", "Hm.", data="gA", dialect="openai-responses"),)
    assert blocks({"type": "thinking", "thinking": "Hm."}, role="assistant") == (Part("reasoning", "Hm."),)
    redacted = {"type": "redacted_thinking", "data": "Eq=="}
    assert blocks(redacted, role="assistant") == (Part("reasoning", data="Eq==", dialect="anthropic"),)
    encrypted = {"type": "redacted_thinking", "data": seal("openai-responses", "gA", data=True)}
    assert blocks(encrypted, role="assistant") == (Part("reasoning", data="gA", dialect="openai-responses"),)


def test_a_signature_in_a_block_of_its_own_is_that_of_the_part_before() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    signature = {"type": "redacted_thinking", "data": seal("gemini", "Cs")}
    text = {"type": "text", "text": "x", "unheard_of": True}
    said, called = blocks(text, signature, call, signature, role="assistant")
    assert said == Part("text", "x", signature="Cs", dialect="gemini")
    assert called == Part("tool_call", "{}", "c", "f", "function", signature="Cs", dialect="gemini")
    assert blocks(signature, role="assistant") == (Part("reasoning", signature="Cs", dialect="gemini"),)


def test_what_only_a_provider_understands_is_carried() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", "encrypted_content": "E"}]}
    compacted = {"type": "compaction", "content": "Before.", "encrypted_content": "E"}
    part = {"executableCode": {"code": "1"}}
    foreign = {"type": "provider_part", "dialect": "gemini", "tool": "executableCode", "part": part, "text": "{}"}
    audio = {"type": "provider_part", "dialect": "", "tool": "audio", "part": {"id": "a", "data": "AAAA", "transcript": "Hm."}}
    assert blocks(search, found, compacted, foreign, audio, role="assistant") == (
        Part("opaque", '{"query":"q"}', tool="server_tool_use", dialect="anthropic", extra={**search, "input": {}}),
        Part("opaque", tool="web_search_tool_result", dialect="anthropic", extra=found),
        Part("opaque", "Before.", tool="compaction", dialect="anthropic", extra={"type": "compaction", "encrypted_content": "E"}),
        Part("opaque", "{}", tool="executableCode", dialect="gemini", extra=part),
        Part("audio", "Hm.", "a", data="AAAA"),
    )


def result(**fields: Any) -> Fields:
    return {"messages": [CALL, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", **fields}]}]}


def said(*content: Any, role: str = "user") -> Fields:
    return {"messages": [{"role": role, "content": list(content)}]}


def source(kind: str, **fields: Any) -> Fields:
    return said({"type": kind, "source": fields})


WRONG: dict[str, tuple[Fields, str]] = {
    "no model": ({"model": ""}, "model"),
    "max_tokens is text": ({"max_tokens": "10"}, "max_tokens"),
    "max_tokens is negative": ({"max_tokens": -1}, "max_tokens"),
    "no messages": ({"messages": []}, "messages"),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "content is a number": ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    "a block is text": (said("x"), "messages[0].content[0]"),
    "a block without a type": (said({"text": "x"}), "messages[0].content[0].type"),
    "a text without text": (said({"type": "text"}), "messages[0].content[0].text"),
    "a system block without text": ({"system": [{"type": "text"}]}, "system[0].text"),
    "citations are no list": (said({"type": "text", "text": "x", "citations": {}}), "messages[0].content[0].citations"),
    "a citation is text": (said({"type": "text", "text": "x", "citations": ["y"]}), "messages[0].content[0].citations[0]"),
    "input is text": (said({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}, role="assistant"), "messages[0].content[0].input"),
    "input is missing": (said({"type": "tool_use", "id": "a", "name": "f"}, role="assistant"), "messages[0].content[0].input"),
    "a call without an id": (said({"type": "tool_use", "name": "f", "input": {}}, role="assistant"), "messages[0].content[0].id"),
    "a result without its call": (said({"type": "tool_result", "tool_use_id": "b"}), "messages[0].content[0].tool_use_id"),
    "a result of the assistant": (
        {"messages": [CALL, {**result()["messages"][1], "role": "assistant"}]},
        "messages[1].content[0].tool_use_id",
    ),
    "a result that is a number": (result(content=1), "messages[1].content[0].content"),
    "a result that holds text": (result(content=["x"]), "messages[1].content[0].content[0]"),
    "is_error is text": (result(is_error="no"), "messages[1].content[0].is_error"),
    "an image without a source": (said({"type": "image"}), "messages[0].content[0].source"),
    "an image that is not base64": (source("image", type="base64", media_type="image/png", data="%"), "messages[0].content[0].source.data"),
    "an image without bytes": (source("image", type="base64", media_type="image/png", data=""), "messages[0].content[0].source.data"),
    "an image that is none": (
        source("image", type="base64", media_type="text/html", data="AAAA"),
        "messages[0].content[0].source.media_type",
    ),
    "an image somewhere else": (source("image", type="url", url="file:///etc/passwd"), "messages[0].content[0].source.url"),
    "a document that is not base64": (
        source("document", type="base64", media_type="application/pdf", data="A"),
        "messages[0].content[0].source.data",
    ),
    "thinking without a budget": ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    "thinking without a type": ({"thinking": {}}, "thinking.type"),
    "a format of another kind": ({"output_config": {"format": {"type": "json"}}}, "output_config.format.type"),
    "a format without a schema": ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    "effort is a number": ({"output_config": {"effort": 1}}, "output_config.effort"),
    "a tool without a name": ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    "a tool without a schema": ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    "a choice without a name": ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    "stop is text": ({"stop_sequences": "x"}, "stop_sequences"),
    "a user that is a number": ({"metadata": {"user_id": 1}}, "metadata.user_id"),
    "stream is text": ({"stream": "yes"}, "stream"),
}


@pytest.mark.parametrize(("fields", "place"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(fields: Fields, place: str) -> None:
    failure = decode(**fields)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.param) == ("bad_request", place)
    assert f"'{place}'" in failure.message
    assert failure.code


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_what_is_missing_is_named(field: str) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    del body[field]
    failure = anthropic.decode_request(json.dumps(body).encode())
    assert failure == Failure("bad_request", f"Missing required field '{field}'.", field, code="missing_required_parameter")


@pytest.mark.parametrize("body", [b"[]", b"7", b"{", b"\xff", b"", b'{"model":' + b"[" * 10_000], ids=repr)
def test_what_is_no_request_at_all(body: bytes) -> None:
    failure = anthropic.decode_request(body)
    assert isinstance(failure, Failure)
    assert failure.kind == "bad_request"
    assert failure.message.startswith("The body is ")


def test_no_tokens_only_warm_the_cache() -> None:
    assert read(max_tokens=0).max_tokens == 0


@pytest.mark.parametrize("version", ["latest", "2023-6-1", "2023-06-01\r\nx: y", ""])
def test_a_version_is_a_date(version: str) -> None:
    failure = decode({"anthropic-version": version})
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.param) == ("bad_request", "anthropic-version")


def test_the_headers_that_go_on() -> None:
    old = anthropic.request_headers(read())
    assert old == {"anthropic-version": "2023-06-01"} == anthropic.request_headers(None)
    new = decode({"anthropic-version": "2026-10-21", "anthropic-beta": "b", "x-stainless-lang": "python"})
    assert isinstance(new, Request)
    assert anthropic.request_headers(new) == {"anthropic-version": "2026-10-21", "anthropic-beta": "b"}
    assert anthropic.request_headers(Request(model="m", messages=(), dialect="openai-chat", headers={"a": "b"})) == old


def test_the_paths() -> None:
    assert anthropic.find_operation("/v1/messages", "beta=true") is not None
    assert anthropic.find_operation("/v1/messages/count_tokens", "") == COUNT
    assert anthropic.find_operation("/v1/messages/batches", "") is None
    assert anthropic.generate_path("any/model", stream=True) == "/messages"
