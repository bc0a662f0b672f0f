"""Requests of Chat Completions, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strategies import requests
from telex.core import json as wire_json
from telex.core.errors import Failure
from telex.core.messages import Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects.openai_chat import decode_request, encode_request
from telex.dialects.quirks import Quirks

OWN = "openai-chat"
THINKS = Quirks(reasoning_field="reasoning_content")

HELLO = {"role": "user", "content": "Hello"}


def encoded(request: Request, model: str, stream: bool) -> bytes:
    return wire_json.encode(encode_request(request, model, stream, THINKS))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [HELLO], **fields}).encode()


def decode(data: bytes) -> Request:
    request = decode_request(data)
    assert isinstance(request, Request), request
    return request


def refused(data: bytes) -> Failure:
    failure = decode_request(data)
    assert isinstance(failure, Failure), failure
    return failure


def message(**fields: Any) -> Message:
    *_, one = decode(body(messages=[*BEFORE, fields])).messages
    return one


FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"n": 3}, {"choices": 3}),
    ({"max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"max_tokens": 5}, {"max_tokens": 5}),
    ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
    ({"temperature": 0, "top_p": 0.9}, {"temperature": 0.0, "top_p": 0.9}),
    ({"stop": "END"}, {"stop": ("END",)}),
    ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
    ({"stop": None}, {}),
    ({"tool_choice": "required"}, {"tool_choice": ToolChoice("required")}),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"tool_choice": ToolChoice("required", ("f",))}),
    (
        {"tool_choice": {"type": "custom", "custom": {"name": "f"}}},
        {"tool_choice": ToolChoice("required", extra={"type": "custom", "custom": {"name": "f"}})},
    ),
    ({"user": "u", "safety_identifier": "s"}, {"user": "s"}),
    ({"seed": -7}, {"seed": -7}),
    ({"frequency_penalty": -1, "presence_penalty": 0.5}, {"frequency_penalty": -1.0, "presence_penalty": 0.5}),
    ({"logprobs": True, "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
    ({"reasoning_effort": "medium"}, {"effort": "medium"}),
    ({"parallel_tool_calls": False}, {"parallel_calls": False}),
    ({"tool_choice": "auto"}, {"tool_choice": ToolChoice("auto")}),
    ({"response_format": {"type": "text"}}, {"format": Format("text")}),
    ({"response_format": {"type": "json_object"}}, {"format": Format("json")}),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "r", "strict": True, "schema": {"type": "object"}}}},
        {"format": Format("json_schema", "r", schema={"type": "object"}, strict=True)},
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}, "strict": True}}]},
        {"tools": (Tool("f", "d", {"a": 1}, True),)},
    ),
    (
        {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
        {"tools": (Tool(kind="custom", extra={"type": "custom", "custom": {"name": "f"}}),)},
    ),
    ({"stream": True}, {"stream": True}),
    ({"stream": False, "stream_options": None}, {}),
    ({"stream": True, "stream_options": {}}, {"stream": True}),
    ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "include_usage": True}),
    ({"stream": True, "stream_options": {"include_obfuscation": False}}, {"stream": True}),
    ({"logit_bias": {"5": 1}, "verbosity": "low", "new": [1]}, {"extra": {"logit_bias": {"5": 1}, "verbosity": "low", "new": [1]}}),
]


@pytest.mark.parametrize(("fields", "expected"), FIELDS, ids=[json.dumps(fields)[:60] for fields, _ in FIELDS])
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    data = body(**fields)
    hello = Message("user", (Part("text", "Hello"),))
    assert decode(data) == Request(model="m", messages=(hello,), dialect="openai-chat", body=data, **expected)


def call(name: str, arguments: str, id: str = "call_1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
BEFORE = [
    {"role": "assistant", "tool_calls": [call("f", "{}"), call("g", "{}", "c")]},
    {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
]
"""Calls for the messages that answer them."""

MESSAGES: list[tuple[dict[str, Any], Message]] = [
    ({"role": "developer", "content": "Be brief."}, Message("developer", (Part("text", "Be brief."),))),
    ({"role": "system", "content": ""}, Message("system", (Part("text"),))),
    ({"role": "user", "content": [], "name": "ann"}, Message("user", name="ann")),
    ({"role": "user", "content": [{"type": "text", "text": "a"}, PNG]},
     Message("user", (Part("text", "a"), Part("image", data="AAAA", media_type="image/png", dialect=OWN, extra={"detail": "low"})))),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
     Message("user", (Part("image", url="https://x/y.png"),))),
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
     Message("user", (Part("audio", data="AAAA", media_type="audio/wav"),))),
    ({"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}}]},
     Message("user", (Part("file", name="a.pdf", data="AAAA", media_type="application/pdf"),))),
    ({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}, Message("user", (Part("file", id="file-1"),))),
    ({"role": "user", "content": [{"type": "hologram", "x": 1}]},
     Message("user", (Part("opaque", tool="hologram", dialect=OWN, extra={"type": "hologram", "x": 1}),))),
    ({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
     Message("user", (Part("text", "a", dialect=OWN, extra={"cache_control": {"type": "ephemeral"}}),))),
    ({"role": "assistant", "content": None, "tool_calls": [call("get_weather", '{"city":"Oslo"}')]},
     Message("assistant", (Part("tool_call", '{"city":"Oslo"}', "call_1", "get_weather", "function"),))),
    ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
     Message("assistant", (Part("tool_call", "x", "c", "f", "custom"),))),
    ({"role": "assistant", "content": "a", "function_call": {"name": "f", "arguments": "{}"}},
     Message("assistant", (Part("text", "a"), Part("tool_call", "{}", "", "f", "legacy")))),
    ({"role": "assistant", "content": None, "refusal": "No."}, Message("assistant", (Part("refusal", "No."),))),
    ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, Message("assistant", (Part("refusal", "No."),))),
    ({"role": "assistant", "content": "4", "reasoning_content": "2+2"},
     Message("assistant", (Part("reasoning", "2+2", name="reasoning_content"), Part("text", "4")))),
    ({"role": "tool", "tool_call_id": "call_1", "content": '{"c":4}'},
     Message("tool", (Part("tool_result", id="call_1", parts=(Part("text", '{"c":4}'),)),))),
    ({"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
     Message("tool", (Part("tool_result", id="c", parts=(Part("text", "a"), Part("text", "b"))),))),
    ({"role": "function", "name": "f", "content": "4"},
     Message("tool", (Part("tool_result", name="f", tool="legacy", parts=(Part("text", "4"),)),))),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "expected"), MESSAGES, ids=[json.dumps(wire)[:60] for wire, _ in MESSAGES])
def test_messages(wire: dict[str, Any], expected: Message) -> None:
    assert message(**wire) == expected


@pytest.mark.parametrize("wire", [wire for wire, _ in MESSAGES], ids=[json.dumps(wire)[:60] for wire, _ in MESSAGES])
def test_messages_come_back_from_the_vocabulary(wire: dict[str, Any]) -> None:
    """As a target of this dialect is asked for a request that came in another one."""
    request = decode(body(messages=[*BEFORE, wire]))
    again = decode(encoded(replace(request, dialect="other"), "m", False))
    assert again.messages == request.messages


@given(request=requests())
def test_a_request_of_the_vocabulary_is_read_as_it_was_meant(request: Request) -> None:
    data = encoded(request, request.model, request.stream)
    assert decode(data) == replace(request, dialect="openai-chat", body=data)


AS_IT_CAME = rb"""{ "zz" : {"b": 1.50, "a": 1e2, "a": null}, "model":"alias",
  "messages" : [ {"role":"user","content":"\u00e9 \"x\"", "vendor": [1 , 2]} ], "top_k": 40.0, "temperature":1.0,
  "seed":12345678901234567890123 }"""


def test_the_same_dialect_keeps_order_bytes_and_unknown_fields() -> None:
    request = decode(AS_IT_CAME)
    sent = encoded(request, "real", False)
    assert sent == (
        rb'{"zz":{"b": 1.50, "a": 1e2, "a": null},"model":"real",'
        rb'"messages":[ {"role":"user","content":"\u00e9 \"x\"", "vendor": [1 , 2]} ],"top_k":40.0,"temperature":1.0,'
        rb'"seed":12345678901234567890123}'
    )


STREAMS: list[tuple[dict[str, Any], bool, Any]] = [
    ({}, False, (None, None)),
    ({"stream": True, "stream_options": {"include_usage": True}}, False, (None, None)),
    ({"stream": False}, True, (True, {"include_usage": True})),
    ({"stream": True}, True, (True, {"include_usage": True})),
    ({"stream": True, "stream_options": None}, True, (True, {"include_usage": True})),
    ({"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}}, True,
     (True, {"include_usage": True, "include_obfuscation": False})),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "stream", "expected"), STREAMS)
def test_a_stream_is_always_asked_for_its_usage(fields: dict[str, Any], stream: bool, expected: Any) -> None:
    sent = json.loads(encoded(decode(body(**fields)), "m", stream))
    assert (sent.get("stream"), sent.get("stream_options")) == expected


@pytest.mark.parametrize("fields", [{}, {"stream": False}, {"stream": None}])
@pytest.mark.parametrize("options", [{}, {"include_usage": True}])
def test_stream_options_without_a_stream_are_refused(fields: dict[str, Any], options: dict[str, Any]) -> None:
    failure = refused(body(stream_options=options, **fields))
    assert (failure.param, failure.kind) == ("stream_options", "bad_request")


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": function}]}


def says(**fields: Any) -> dict[str, Any]:
    return {"messages": [HELLO, {"role": "user", **fields}]}


def part(**fields: Any) -> dict[str, Any]:
    return says(content=[fields])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": 5}, "model"),
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": [1]}, "messages[0]"),
    ({"messages": [HELLO, {"content": "x"}]}, "messages[1].role"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    (says(content=5), "messages[1].content"),
    (says(content=["x"]), "messages[1].content[0]"),
    (part(text="x"), "messages[1].content[0].type"),
    (part(type="text"), "messages[1].content[0].text"),
    (part(type="text", text=5), "messages[1].content[0].text"),
    (part(type="image_url", image_url="https://x"), "messages[1].content[0].image_url"),
    (part(type="image_url", image_url={"url": 5}), "messages[1].content[0].image_url.url"),
    (part(type="input_audio", input_audio={"data": "A"}), "messages[1].content[0].input_audio.format"),
    (part(type="file", file="x"), "messages[1].content[0].file"),
    (part(type="file", file={"file_data": 5}), "messages[1].content[0].file.file_data"),
    (part(type="file", file={"file_id": 5}), "messages[1].content[0].file.file_id"),
    (part(type="file", file={"file_id": "f", "filename": []}), "messages[1].content[0].file.filename"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0].tool_calls[0].function"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}]}, "messages[0].tool_calls[0].function.name"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}, "messages[0].tool_calls[0].id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}]},
     "messages[0].tool_calls[0].function.arguments"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": "many"}, "max_completion_tokens"),
    ({"n": 0}, "n"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_logprobs": -1}, "top_logprobs"),
    ({"stop": [1]}, "stop[0]"),
    ({"seed": 1.5}, "seed"),
    ({"stream": "yes"}, "stream"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"tools": {}}, "tools"),
    (tool(), "tools[0].function.name"),
    (tool(name="f", parameters=[]), "tools[0].function.parameters"),
    (tool(name="f", description=5), "tools[0].function.description"),
    (tool(name="f", strict="yes"), "tools[0].function.strict"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": 5}}}, "response_format.json_schema.schema"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=[f"{param}-{json.dumps(fields)[:50]}" for fields, param in WRONG])
def test_errors_name_the_field(fields: dict[str, Any], param: str) -> None:
    failure = refused(body(**fields))
    assert (failure.kind, failure.param, failure.http_status) == ("bad_request", param, 400)
    assert param in failure.message
    assert failure.message.endswith(".")
    assert failure.code


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_missing_fields_are_named(missing: str) -> None:
    fields = {"model": "m", "messages": [HELLO]}
    del fields[missing]
    failure = refused(json.dumps(fields).encode())
    assert (failure.param, failure.code) == (missing, "missing_required_parameter")


NO_REQUESTS = [
    (b"", "invalid_json"), (b"{", "invalid_json"), (b"\xff", "invalid_json"), (b'{"model":"\xff"}', "invalid_json"),
    (b"[]", "invalid_type"), (b"1", "invalid_type"), (b'"x"', "invalid_type"), (b"null", "invalid_type"),
    (b"[" * 100_000, "invalid_type"),
    (b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[' + b'{"a":' * 100_000, "too_deep"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code"), NO_REQUESTS, ids=[repr(data[:20]) for data, _ in NO_REQUESTS])
def test_what_is_no_request_is_refused_in_one_sentence(data: bytes, code: str) -> None:
    failure = refused(data)
    assert (failure.kind, failure.code, failure.param) == ("bad_request", code, "")


def test_unknown_fields_that_are_nested_too_deeply_are_refused() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert refused(body()[:-1] + b',"x":' + deep + b"}").kind == "bad_request"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    ("messages", 0), ("messages", 0, "content"), ("messages", 0, "content", 0), ("messages", 0, "content", 0, "file"),
    ("messages", 0, "content", 0, "file", "file_data"), ("messages", 0, "content", 0, "image_url"), ("messages", 0, "tool_calls"),
    ("messages", 0, "tool_calls", 0), ("messages", 0, "tool_calls", 0, "function"), ("messages", 0, "function_call"),
    ("tools",), ("tools", 0), ("tools", 0, "function"), ("tools", 0, "function", "strict"), ("tool_choice",),
    ("tool_choice", "function"), ("response_format",), ("response_format", "json_schema"), ("stream_options",), ("x",),
]  # fmt: skip


@given(path=st.sampled_from(PATHS), value=JSON_VALUES)
def test_any_value_anywhere_is_read_or_refused_but_never_a_crash(path: tuple[Any, ...], value: Any) -> None:
    fields: Any = {
        "model": "m",
        "messages": [
            {
                "role": "assistant",
                "content": [{"type": "file", "file": {}, "image_url": {}}],
                "tool_calls": [call("f", "{}")],
                "function_call": {"name": "f"},
            }
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "r"}},
        "stream": True,
        "stream_options": {},
    }
    inner = fields
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    decoded = decode_request(json.dumps(fields).encode())
    if isinstance(decoded, Request):
        encoded(decoded, "m", True)
        encoded(replace(decoded, dialect="other"), "m", True)
