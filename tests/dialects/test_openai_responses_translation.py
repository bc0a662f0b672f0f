"""Requests of Responses that go to other dialects, those of others that go to Responses, and what passes as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asked_responses import (
    CODEX,
    COMPACTED,
    CUSTOM,
    FUNCTION,
    OWN,
    SEARCH,
    TEXT,
    Wire,
    assistant,
    call,
    decode,
    encoded,
    result,
    says,
    thought,
)
from telex.core.errors import Failure
from telex.core.messages import Part, Request
from telex.dialects import DIALECTS, openai_chat, openai_responses
from telex.dialects.openai_responses import encode_request
from telex.dialects.operation import Operation
from telex.dialects.quirks import NO_QUIRKS
from telex.dialects.translate import Manner, Outgoing, address


def test_what_an_agent_asks_passes_as_it_is() -> None:
    data = json.dumps(CODEX, separators=(",", ":")).encode()
    assert encoded(decode(data), "gpt-5-codex", True) == data


def sent_to_chat(**fields: Any) -> Any:
    outgoing = address(decode(json.dumps({"model": "m", "input": "Hello", **fields}).encode()), openai_chat, "m", False, Manner())
    return outgoing if isinstance(outgoing, Failure) else (json.loads(outgoing.body), outgoing.dropped)


def test_what_an_agent_asks_is_refused_by_name_where_it_can_not_be_done() -> None:
    assert sent_to_chat(**{**CODEX, "tool_choice": "required"}).param == "tools[1]"
    without = CODEX  # it may use them or not
    failure = sent_to_chat(**without)
    assert (failure.kind, failure.param) == ("unsupported", "input[2].content[0]")  # the shell's output: without it the model is blind
    talk = {**without, "input": [CODEX["input"][0], thought("Look", id="rs_1"), call(id="c1", status="completed"), result(id="c1")]}
    asked, dropped = sent_to_chat(**talk)
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "assistant", "tool"]
    assert asked["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {"z": {}, "a": {}}}
    assert asked["reasoning_effort"] == "medium"
    tools = {"tools[1] (custom)", "tools[2] (local_shell)", "tools[3] (web_search)"}
    assert set(dropped) == {"reasoning.summary", "include", "input[].content[] (reasoning)", *tools}


@pytest.mark.parametrize("field", sorted(openai_responses.ESSENTIAL))
def test_what_would_change_the_answer_is_refused_elsewhere(field: str) -> None:
    failure = sent_to_chat(**{field: True if field == "background" else "x"})
    assert (failure.kind, failure.param) == ("unsupported", field)


def test_what_somebody_else_than_the_model_said_is_not_dropped_for_its_type() -> None:
    """As for a misspelt `message`: without it the question would be another one, or none."""
    failure = sent_to_chat(input=[{"type": "mesage", "role": "user", "content": "Hi"}])
    assert (failure.kind, failure.param) == ("unsupported", "input[0].content[0]")
    assert "'mesage'" in failure.message


def test_compacted_history_is_not_dropped() -> None:
    assert sent_to_chat(input=[COMPACTED, says("user", "Hi")]).kind == "unsupported"


def from_chat(*messages: Wire, **fields: Any) -> Wire:
    data = json.dumps({"model": "m", "messages": list(messages) or [{"role": "user", "content": "Hello"}], **fields}).encode()
    request = openai_chat.decode_request(data)
    assert isinstance(request, Request), request
    outgoing = address(request, openai_responses, "m", bool(fields.get("stream")), Manner())
    assert not isinstance(outgoing, Failure), outgoing
    assert outgoing.path == "/responses"
    sent: Wire = json.loads(outgoing.body)
    return sent


SENT: list[tuple[Wire, Wire]] = [
    ({}, {}),
    ({"max_tokens": 5, "temperature": 0.5, "top_p": 0.9}, {"max_output_tokens": 5, "temperature": 0.5, "top_p": 0.9}),
    ({"stream": True}, {"stream": True}),
    ({"logprobs": True, "top_logprobs": 2}, {"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}),
    ({"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}),
    ({"user": "u", "parallel_tool_calls": True}, {"safety_identifier": "u", "parallel_tool_calls": True}),
    ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {"b": 1, "a": 2}}}},
     {"text": {"format": {"type": "json_schema", "name": "r", "schema": {"b": 1, "a": 2}}}}),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]},
     {"tools": [{**FUNCTION, "parameters": {"type": "object", "properties": {}}, "strict": False}]}),
    ({"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"b": 1, "a": 2}, "strict": True}}]},
     {"tools": [{**FUNCTION, "description": "d", "parameters": {"b": 1, "a": 2}, "strict": True}]}),
    ({"tool_choice": "none"}, {"tool_choice": "none"}),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"tool_choice": FUNCTION}),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}},
     {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), SENT, ids=[json.dumps(fields)[:60] for fields, _ in SENT])
def test_requests_of_another_dialect(fields: Wire, expected: Wire) -> None:
    hello = {"type": "message", "role": "user", "content": "Hello"}
    assert from_chat(**fields) == {"model": "m", "input": [hello], "store": False, **expected}


def chat_call(id: str, name: str = "f") -> Wire:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


HISTORIES: dict[str, tuple[list[Wire], Wire]] = {
    "instructions": ([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
                     {"instructions": "Be brief.", "input": [says("user", "Hi")]}),
    "instructions and nothing else": ([{"role": "system", "content": "Say hi."}], {"input": [says("system", "Say hi.")]}),
    "instructions in pieces": (
        [{"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, {"role": "user", "content": "Hi"}],
        {"input": [says("system", [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]), says("user", "Hi")]},
    ),
    "a file without a name": (
        [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}]}],
        {"input": [says("user", [{"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"}])]},
    ),
    "a turn": (
        [{"role": "assistant", "content": "Let me see.", "reasoning_content": "Hm", "tool_calls": [chat_call("a"), chat_call("b")]},
         {"role": "tool", "tool_call_id": "a", "content": "1"}, {"role": "tool", "tool_call_id": "b", "content": "2"}],
        {"input": [says("assistant", [{"type": "output_text", "text": "Let me see.", "annotations": []}]), call("a"), call("b"),
                   result("1", "a"), result("2", "b")]},
    ),
    "an empty text beside a call": (
        [{"role": "assistant", "content": "", "tool_calls": [chat_call("a")]}, {"role": "tool", "tool_call_id": "a", "content": "1"}],
        {"input": [call("a"), result("1", "a")]},
    ),
    "calls without ids": (
        [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
         {"role": "function", "name": "f", "content": "4"}],
        {"input": [call("call_0"), result("4", "call_0")]},
    ),
    "a custom call": (
        [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
         {"role": "tool", "tool_call_id": "c", "content": "x"}],
        {"input": [CUSTOM, {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}]},
    ),
    "encrypted reasoning": (
        [{"role": "assistant", "content": "4", "reasoning_details": [
            {"type": "reasoning.summary", "id": "rs_1", "summary": "Hm", "format": "openai-responses-v1"},
            {"type": "reasoning.encrypted", "id": "rs_1", "data": "E", "format": "openai-responses-v1"},
            {"type": "reasoning.encrypted", "id": "x", "data": "F", "format": "openai-responses-v1"},
            {"type": "reasoning.encrypted", "data": "G", "format": "anthropic-claude-v1"}]}],
        {"input": [thought("Hm", id="rs_1", encrypted_content="E"), thought(encrypted_content="F"),
                   says("assistant", [{"type": "output_text", "text": "4", "annotations": []}])],
         "include": ["reasoning.encrypted_content"]},
    ),
    "parts of both": (
        [{"role": "assistant", "content": "Hi", "provider_parts": [
            {"dialect": OWN, "tool": "web_search_call", "part": SEARCH}, {"dialect": "anthropic", "tool": "t", "part": {"a": 1}}]}],
        {"input": [says("assistant", [{"type": "output_text", "text": "Hi", "annotations": []}]), SEARCH]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "expected"), HISTORIES.values(), ids=HISTORIES)
def test_conversations_of_another_dialect(messages: list[Wire], expected: Wire) -> None:
    assert from_chat(*messages) == {"model": "m", "store": False, **expected}


def test_a_result_of_nothing_is_an_empty_text() -> None:
    nothing = {"role": "tool", "tool_call_id": "a", "content": []}
    assert from_chat({"role": "assistant", "tool_calls": [chat_call("a")]}, nothing)["input"] == [call("a"), result("", "a")]


def test_what_a_model_made_is_shown_to_it_again() -> None:
    picture = Part("image", data="AAAA", media_type="image/png")
    request = Request(model="m", messages=(assistant(TEXT, picture, TEXT),), dialect="gemini")
    assert [item["role"] for item in encode_request(request, "m", False, NO_QUIRKS)["input"]] == ["assistant", "user", "assistant"]


def test_tools_that_come_later_are_tools_too() -> None:
    later = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late", "parameters": {}}]}
    asked, _ = sent_to_chat(input=[{"role": "user", "content": "Hi"}, later])
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["late"]
    assert len(asked["messages"]) == 1


@pytest.mark.parametrize("target", ["anthropic", "gemini"])
def test_calls_of_free_text_tools_go_on_elsewhere(target: str) -> None:
    """So that a conversation can change its provider."""
    called = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"}
    done = {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."}
    body = {"model": "m", "input": [{"role": "user", "content": "Hi"}, called, done]}
    request = openai_responses.decode_request(json.dumps(body).encode())
    assert isinstance(request, Request)
    sent = address(request, DIALECTS[target], "m", False, Manner())
    assert isinstance(sent, Outgoing), sent
    told = DIALECTS[target].decode_request(sent.body, Operation("m"), sent.headers)
    assert isinstance(told, Request)
    [call] = [part for message in told.messages for part in message.parts if part.kind == "tool_call"]
    assert (call.name, json.loads(call.text)) == ("apply_patch", {"input": "*** Begin"})
