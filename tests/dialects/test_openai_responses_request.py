"""Requests of Responses, to the vocabulary and through it to other dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from asked_responses import (
    CALL,
    CODEX,
    COMPACTED,
    CUSTOM,
    FUNCTION,
    OWN,
    SEARCH,
    TEXT,
    Wire,
    assistant,
    body,
    call,
    decode,
    encoded,
    refused,
    result,
    says,
    thought,
)
from telex.core.messages import Citation, Format, Message, Part, Request, Tool, ToolChoice
from telex.dialects import openai_chat
from telex.dialects.openai_responses import decode_request
from telex.dialects.seal import seal
from telex.dialects.translate import Manner, address

FIELDS: list[tuple[Wire, Wire]] = [
    ({}, {}),
    ({"max_output_tokens": 5}, {"max_tokens": 5}),
    ({"temperature": 0, "top_p": 0.9}, {"temperature": 0.0, "top_p": 0.9}),
    ({"parallel_tool_calls": False}, {"parallel_calls": False}),
    ({"tool_choice": "required"}, {"tool_choice": ToolChoice("required")}),
    ({"tool_choice": FUNCTION}, {"tool_choice": ToolChoice("required", ("f",))}),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}}, {"tool_choice": ToolChoice("auto", ("f",))}),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
     {"tool_choice": ToolChoice("required", extra={"type": "allowed_tools", "mode": "auto", "tools": []})}),
    ({"tool_choice": {"type": "web_search"}}, {"tool_choice": ToolChoice("required", extra={"type": "web_search"})}),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
    ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"top_logprobs": 0, "include": ["reasoning.encrypted_content"]}, {"extra": {"include": ["reasoning.encrypted_content"]}}),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"effort": "low", "show_thinking": True}),
    ({"reasoning": {"effort": None, "summary": None, "context": "all_turns"}}, {"extra": {"reasoning.context": "all_turns"}}),
    ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"format": Format("text"), "extra": {"text.verbosity": "low"}}),
    ({"text": {"format": {"type": "json_object"}}}, {"format": Format("json")}),
    ({"text": {"format": {"type": "json_schema", "name": "r", "schema": {"a": 1}, "strict": True, "description": "d"}}},
     {"format": Format("json_schema", "r", "d", {"a": 1}, True)}),
    ({"text": {}}, {}),
    ({"user": "u"}, {"user": "u"}),
    ({"user": "u", "safety_identifier": "s"}, {"user": "s"}),
    ({"stream": True, "stream_options": {"include_obfuscation": False}}, {"stream": True}),
    ({"stream": False, "stream_options": None}, {}),
    ({"tools": [{**FUNCTION, "description": "d", "parameters": {"b": 1, "a": 2}, "strict": True}]},
     {"tools": (Tool("f", "d", {"b": 1, "a": 2}, True),)}),
    ({"tools": [{**FUNCTION, "parameters": None, "strict": None, "defer_loading": True}]},
     {"tools": (Tool("f", extra={"defer_loading": True}),)}),
    ({"tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION]}]},
     {"tools": (Tool(kind="namespace", extra={"type": "namespace", "name": "n", "tools": [FUNCTION]}),)}),
    ({"store": False, "background": False, "truncation": "disabled", "conversation": None, "metadata": {"a": "b"}},
     {"extra": {"metadata": {"a": "b"}}}),
    ({"store": True, "truncation": "auto", "prompt_cache_key": "k"},
     {"cache_key": "k", "extra": {"store": True, "truncation": "auto"}}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), FIELDS, ids=[json.dumps(fields)[:60] for fields, _ in FIELDS])
def test_fields(fields: Wire, expected: Wire) -> None:
    data = body(**fields)
    hello = Message("user", (Part("text", "Hello"),))
    assert decode(data) == Request(model="m", messages=(hello,), include_usage=True, dialect=OWN, body=data, **expected)


def test_instructions_come_first() -> None:
    request = decode(body(instructions="Be brief.", input=[says("developer", "Now."), says("user", "Hello")]))
    assert request.messages == (
        Message("system", (Part("text", "Be brief."),)),
        Message("developer", (Part("text", "Now."),)),
        Message("user", (Part("text", "Hello"),)),
    )


SHOT = {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}}
SOURCE = {"type": "url_citation", "url": "https://x/", "title": "X", "start_index": 0, "end_index": 2}

COME_BACK: dict[str, tuple[list[Wire], list[Message]]] = {
    "a message without a type": ([{"role": "user", "content": "Hi"}], [Message("user", (TEXT,))]),
    "a system's": ([says("system", [{"type": "input_text", "text": "Hi"}, {"type": "input_text", "text": "!"}])],
                   [Message("system", (TEXT, Part("text", "!")))]),
    "nothing": ([says("user", [])], [Message("user")]),
    "an image": ([says("user", [{"type": "input_image", "image_url": "data:image/png;base64,AA-_"}])],
                 [Message("user", (Part("image", data="AA+/", media_type="image/png"),))]),
    "an image by its URL": ([says("user", [{"type": "input_image", "image_url": "https://x/y.png"}])],
                            [Message("user", (Part("image", url="https://x/y.png"),))]),
    "audio": ([says("user", [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}])],
              [Message("user", (Part("audio", data="AAAA", media_type="audio/wav"),))]),
    "a file": ([says("user", [{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}])],
               [Message("user", (Part("file", name="a.pdf", data="AAAA", media_type="application/pdf"),))]),
    "a file by its URL": ([says("user", [{"type": "input_file", "file_url": "https://x/a.pdf"}])],
                          [Message("user", (Part("file", url="https://x/a.pdf"),))]),
    "content without a word": ([says("user", [{"type": "hologram", "x": 1}])],
                               [Message("user", (Part("opaque", tool="hologram", dialect=OWN, extra={"type": "hologram", "x": 1}),))]),
    "a turn of the model": (
        [thought("Hm", "Ah", id="rs_1", encrypted_content="E"), says("assistant", [{"type": "output_text", "text": "Hi"}]), call(), SEARCH],
        [assistant(Part("reasoning", "Hm", "rs_1"), Part("reasoning", "Ah", "rs_1", data="E", dialect=OWN), TEXT, CALL,
                   Part("opaque", tool="web_search_call", dialect=OWN, extra=SEARCH))],
    ),
    "reasoning as it is": (
        [thought("Hm", encrypted_content="E", id="rs_1", content=[{"type": "reasoning_text", "text": "Oh"}])],
        [assistant(Part("reasoning", "Hm", "rs_1"),
                   Part("reasoning", "Oh", "rs_1", data="E", dialect=OWN, extra={"type": "reasoning_text"}))],
    ),
    "a refusal": ([says("assistant", [{"type": "refusal", "refusal": "No."}])], [assistant(Part("refusal", "No."))]),
    "results": (
        [call(), CUSTOM, result(), {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]}],
        [assistant(CALL, Part("tool_call", "ls", "c", "sh", "custom")),
         Message("tool", (Part("tool_result", id="call_1", parts=(Part("text", "4"),)),)),
         Message("tool", (Part("tool_result", id="c", tool="custom", parts=(Part("text", "a"),)),))],
    ),
    "a result with an image": (
        [call(), result([{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x/"}])],
        [assistant(CALL), Message("tool", (Part("tool_result", id="call_1", parts=(Part("text", "a"), Part("image", url="https://x/"))),))],
    ),
    "a picture": ([{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}],
                  [assistant(Part("image", data="AAAA", media_type="image/png", dialect=OWN, extra={"id": "ig_1"}))]),
}  # fmt: skip
"""Items that mean the same after they were said in the vocabulary."""

ITEMS: dict[str, tuple[list[Wire], list[Message]]] = {
    **COME_BACK,
    "detail, and fields without a word": (
        [says("user", [{"type": "input_image", "image_url": "https://x/", "detail": "low"},
                       {"type": "input_text", "text": "Hi", "x": 1}], y=2)],
        [Message("user", (Part("image", url="https://x/", dialect=OWN, extra={"detail": "low"}),
                          Part("text", "Hi", dialect=OWN, extra={"x": 1})), extra={"y": 2})],
    ),
    "stored files": ([says("user", [{"type": "input_image", "file_id": "f"}, {"type": "input_file", "file_id": "g"}])],
                     [Message("user", (Part("image", id="f"), Part("file", id="g")))]),
    "a file's bare base64": (
        [says("user", [{"type": "input_file", "filename": "a.PDF", "file_data": "AAAA"}, {"type": "input_file", "file_data": "AAAA"}])],
        [Message("user", (Part("file", name="a.PDF", data="AAAA", media_type="application/pdf"),
                          Part("file", data="AAAA", media_type="application/octet-stream")))],
    ),
    "ids, states and a phase": (
        [says("assistant", [{"type": "output_text", "text": "Hi"}], id="msg_1", status="completed", phase="commentary"),
         call(id="call_1", status="completed", caller={"type": "direct"})],
        [assistant(Part("text", "Hi", dialect=OWN, extra={"phase": "commentary"}),
                   Part("tool_call", "{}", "call_1", "f", "function", dialect=OWN, extra={"caller": {"type": "direct"}}))],
    ),
    "sources": (
        [says("assistant", [{"type": "output_text", "text": "Hi"}, {"type": "output_text", "text": "Yo", "annotations": [SOURCE]}])],
        [assistant(TEXT, Part("text", "Yo", citations=(Citation("https://x/", "X", 2, 4, dialect=OWN, fields=SOURCE),)))],
    ),
    "reasoning that another dialect signed": ([thought("Hm", encrypted_content=seal("anthropic", "S"))],
                                              [assistant(Part("reasoning", "Hm", signature="S", dialect="anthropic"))]),
    "reasoning that another dialect signed and hid": (
        [says("assistant", "Hi"), thought(encrypted_content=seal("anthropic", "S"))],
        [assistant(TEXT, Part("reasoning", signature="S", dialect="anthropic"))],
    ),
    "reasoning that another dialect encrypted": ([thought(encrypted_content=seal("anthropic", "D", data=True))],
                                                 [assistant(Part("reasoning", data="D", dialect="anthropic"))]),
    "a signature of the part before it": (
        [says("assistant", "Hi"), thought(encrypted_content=seal("gemini", "A")), call(), thought(encrypted_content=seal("gemini", "B"))],
        [assistant(replace(TEXT, signature="A", dialect="gemini"), replace(CALL, signature="B", dialect="gemini"))],
    ),
    "a signature of a part of its provider": (
        [{"type": "provider_part", "dialect": "gemini", "tool": "t", "part": {"a": 1}}, thought(encrypted_content=seal("gemini", "S"))],
        [assistant(Part("opaque", tool="t", signature="S", dialect="gemini", extra={"a": 1}))],
    ),
    "a part of another provider": (
        [says("assistant", "Hi"), {"type": "provider_part", "dialect": "anthropic", "tool": "t", "part": {"a": 1}, "text": "x"}],
        [assistant(TEXT, Part("opaque", "x", tool="t", dialect="anthropic", extra={"a": 1}))],
    ),
    "what is not the model's": (
        [SEARCH, SHOT, COMPACTED],
        [assistant(Part("opaque", tool="web_search_call", dialect=OWN, extra=SEARCH)),
         Message("user", (Part("opaque", tool="computer_call_output", dialect=OWN, extra=SHOT),)),
         Message("user", (Part("opaque", tool="compaction", dialect=OWN, extra=COMPACTED),))],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("items", "expected"), ITEMS.values(), ids=ITEMS)
def test_items(items: list[Wire], expected: list[Message]) -> None:
    assert list(decode(body(input=items)).messages) == expected


@pytest.mark.parametrize(("items", "expected"), COME_BACK.values(), ids=COME_BACK)
def test_items_come_back_from_the_vocabulary(items: list[Wire], expected: list[Message]) -> None:
    """As a target of this dialect is asked for a request that came in another one."""
    request = replace(decode(body(input=items)), dialect="other")
    assert list(decode(encoded(request, "m", False)).messages) == expected


def test_a_result_may_answer_a_call_that_is_elsewhere() -> None:
    for name in ("previous_response_id", "conversation", "prompt"):
        assert decode(body(input=[result()], **{name: "x"})).messages[0].role == "tool"
        assert decode(json.dumps({"model": "m", name: "x"}).encode()).messages == ()
    assert refused(body(input=[result()])).param == "input[0].call_id"
    assert refused(body(input=[result(), call()])).param == "input[0].call_id"


AS_IT_CAME = rb"""{ "zz" : {"b": 1.50, "a": 1e2, "a": null}, "stream" : true, "model":"alias",
  "input" : [ {"role":"user","content":"\u00e9 \"x\"", "vendor": [1 , 2]} ], "temperature":1.0 }"""


def test_the_same_dialect_keeps_order_bytes_and_unknown_fields() -> None:
    request = decode(AS_IT_CAME)
    kept = rb'"input":[ {"role":"user","content":"\u00e9 \"x\"", "vendor": [1 , 2]} ],"temperature":1.0}'
    assert encoded(request, "real", True) == rb'{"zz":{"b": 1.50, "a": 1e2, "a": null},"stream":true,"model":"real",' + kept
    assert encoded(request, "real", False) == rb'{"zz":{"b": 1.50, "a": 1e2, "a": null},"stream":false,"model":"real",' + kept


@pytest.mark.parametrize("stream", [True, False])
def test_options_of_a_stream_go_with_it(stream: bool) -> None:
    sent = json.loads(encoded(decode(body(stream=True, stream_options={"include_obfuscation": False})), "m", stream))
    assert (sent["stream"], "stream_options" in sent) == (stream, stream)
    assert "stream" not in json.loads(encoded(decode(body()), "m", False))


def item(**fields: Any) -> Wire:
    return {"input": [says("user", "Hi"), fields]}


def piece(**fields: Any) -> Wire:
    return {"input": [says("user", [fields])]}


PIECE = "input[0].content[0]"
WRONG: list[tuple[Wire, str]] = [
    ({"model": 5}, "model"),
    ({"model": ""}, "model"),
    ({"input": []}, "input"),
    ({"input": [], "previous_response_id": "x"}, "input"),
    ({"input": 5}, "input"),
    ({"input": [1]}, "input[0]"),
    ({"input": None}, "input"),
    ({"instructions": []}, "instructions"),
    (item(content="x"), "input[1].type"),
    (item(type=5), "input[1].type"),
    (item(role="robot", content="x"), "input[1].role"),
    (item(role="tool", content="x"), "input[1].role"),
    (item(role=[], content="x"), "input[1].role"),
    (item(role="user"), "input[1].content"),
    (item(role="user", content=5), "input[1].content"),
    (item(role="user", content=["x"]), "input[1].content[0]"),
    (piece(text="x"), f"{PIECE}.type"),
    (piece(type="input_text"), f"{PIECE}.text"),
    (piece(type="output_text", text="x", annotations={}), f"{PIECE}.annotations"),
    (piece(type="refusal"), f"{PIECE}.refusal"),
    (piece(type="input_image"), f"{PIECE}.image_url"),
    (piece(type="input_image", image_url={"url": "https://x"}), f"{PIECE}.image_url"),
    (piece(type="input_image", image_url="ftp://x"), f"{PIECE}.image_url"),
    (piece(type="input_image", image_url="data:text/plain;base64,AAAA"), f"{PIECE}.image_url"),
    (piece(type="input_image", image_url="data:image/png;base64,?"), f"{PIECE}.image_url"),
    (piece(type="input_image", image_url="data:image/png,AAAA"), f"{PIECE}.image_url"),
    (piece(type="input_file", file_data="?"), f"{PIECE}.file_data"),
    (piece(type="input_file", file_data=5), f"{PIECE}.file_data"),
    (piece(type="input_file", file_url="x"), f"{PIECE}.file_url"),
    (piece(type="input_audio", input_audio={"data": "AAAA"}), f"{PIECE}.input_audio.format"),
    (piece(type="input_audio", input_audio={"data": "?", "format": "wav"}), f"{PIECE}.input_audio.data"),
    (piece(type="provider_part", part={}), f"{PIECE}.dialect"),
    (item(**{**call(), "name": None}), "input[1].name"),
    (item(**{**call(), "call_id": None}), "input[1].call_id"),
    (item(**call(arguments={})), "input[1].arguments"),
    (item(**{**CUSTOM, "input": 5}), "input[1].input"),
    (item(**result(id="other")), "input[1].call_id"),
    (item(type="provider_part", dialect="x"), "input[1].part"),
    (item(type="reasoning", summary={}), "input[1].summary"),
    (item(type="reasoning", summary=["x"]), "input[1].summary[0]"),
    (item(type="reasoning", summary=[], content=[{}]), "input[1].content[0].text"),
    (item(type="reasoning", summary=[], encrypted_content=5), "input[1].encrypted_content"),
    ({"input": [call(), result(output=None)]}, "input[1].output"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": "many"}, "max_output_tokens"),
    ({"temperature": -0.1}, "temperature"),
    ({"top_logprobs": -1}, "top_logprobs"),
    ({"include": [1]}, "include[0]"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
    ({"text": {"format": 5}}, "text.format"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "r", "schema": 5}}}, "text.format.schema"),
    ({"reasoning": {"effort": 5}}, "reasoning.effort"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"name": "f"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{**FUNCTION, "parameters": []}]}, "tools[0].parameters"),
    ({"tools": [{**FUNCTION, "strict": "yes"}]}, "tools[0].strict"),
    ({"tool_choice": "maybe"}, "tool_choice"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=[f"{param}-{json.dumps(fields)[:50]}" for fields, param in WRONG])
def test_errors_name_the_field(fields: Wire, param: str) -> None:
    failure = refused(body(**fields))
    assert (failure.kind, failure.param, failure.http_status) == ("bad_request", param, 400)
    assert param in failure.message
    assert failure.message.endswith(".")
    assert failure.code


@pytest.mark.parametrize("missing", ["model", "input"])
def test_missing_fields_are_named(missing: str) -> None:
    fields = {"model": "m", "input": "Hello"}
    del fields[missing]
    failure = refused(json.dumps(fields).encode())
    assert (failure.param, failure.code) == (missing, "missing_required_parameter")


NO_REQUESTS = [
    (b"", "invalid_json"), (b"{", "invalid_json"), (b"\xff", "invalid_json"), (b'{"model":"\xff"}', "invalid_json"),
    (b"[]", "invalid_type"), (b"null", "invalid_type"), (b"[" * 100_000, "invalid_type"),
    (b'{"model":"m","input":"x","tools":[' + b'{"a":' * 100_000, "too_deep"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code"), NO_REQUESTS, ids=[repr(data[:20]) for data, _ in NO_REQUESTS])
def test_what_is_no_request_is_refused_in_one_sentence(data: bytes, code: str) -> None:
    failure = refused(data)
    assert (failure.kind, failure.code, failure.param) == ("bad_request", code, "")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "text", "id", "x"]), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data(), value=JSON_VALUES)
def test_any_value_anywhere_is_read_or_refused_but_never_a_crash(data: st.DataObject, value: Any) -> None:
    fields: Wire = json.loads(json.dumps({**CODEX, "input": [*CODEX["input"], *(i for items, _ in ITEMS.values() for i in items)]}))
    inner: Any = fields
    for _ in range(data.draw(st.integers(1, 5))):
        if not isinstance(inner, (dict, list)) or not inner:
            break
        step = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        parent, inner = inner, inner[step]
    parent[step] = value
    decoded = decode_request(json.dumps(fields).encode())
    if isinstance(decoded, Request):
        encoded(decoded, "m", True)
        encoded(replace(decoded, dialect="other"), "m", True)
        address(decoded, openai_chat, "m", True, Manner())
