"""Replies of Responses: what Telex says, whatever dialect it was said in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.core.errors import Failure
from telex.core.events import Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.fold import fold, unfold
from telex.core.messages import Choice, Citation, Finish, Part, Reason, Reply, Token, Usage
from telex.dialects.openai_responses import Encoder, encode_reply
from wire_responses import IN, NEWS, OWN, SEARCHED, Wire, encode, read, whole


def types(datas: list[Wire]) -> list[str]:
    return [data["type"].removeprefix("response.") for data in datas]


def chat(*several: Part, reason: Reason = "stop", raw: str = "stop", **fields: Any) -> Reply:
    return Reply("chatcmpl-1", "m", 5, (Choice(0, several, Finish(0, reason, raw)),), dialect="openai-chat", **fields)


def test_every_bracket() -> None:
    thinks, says = Part("reasoning", "Hm", name="reasoning_content"), Part("text", "Hello")
    datas = encode(unfold(chat(thinks, says, Part("refusal", "No."), Part("tool_call", "{}", "call_1", "f", "function"))))
    assert types(datas) == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done",
        "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "content_part.added", "refusal.delta", "refusal.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    items = [data["item"] for data in datas if data["type"] == "response.output_item.done"]
    assert items == datas[-1]["response"]["output"]
    assert [item["id"] for item in items] == ["rs_chatcmpl-1_0", "msg_chatcmpl-1_1", "fc_chatcmpl-1_2"]
    assert datas[0]["response"]["id"] == "resp_chatcmpl-1"
    assert [data["part"]["text"] for data in datas if data["type"].endswith("summary_part.added")] == [""]
    assert [data["content_index"] for data in datas if data["type"].startswith("response.content_part")] == [0, 0, 1, 1]


def test_parts_that_are_open_at_once() -> None:
    events: list[Event] = [
        Start("c", "m", dialect="openai-chat"),
        PartStart(0, 0, "text"), PartDelta(0, 0, "a"), PartStart(0, 1, "tool_call", "x", "f", "function"),
        PartStart(0, 2, "tool_call", "y", "g", "function"), PartDelta(0, 2, "{2}"), PartDelta(0, 1, "{1}"), PartDelta(0, 0, "b"),
        PartEnd(0, 2), PartEnd(0, 0), PartEnd(0, 1), Finish(0, "tool_calls", "tool_calls"), Done(),
    ]  # fmt: skip
    datas = encode(events)
    assert [data["output_index"] for data in datas if data["type"] == "response.output_item.done"] == [2, 0, 1]
    output = datas[-1]["response"]["output"]
    assert [item.get("arguments") for item in output] == [None, "{1}", "{2}"]
    assert output[0]["content"][0]["text"] == "ab"


def test_parts_that_never_ended_end_with_the_reply() -> None:
    datas = encode([Start("c", "m"), PartStart(0, 0, "text"), PartDelta(0, 0, "a"), Done()])
    assert types(datas)[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]


FOREIGN: dict[str, tuple[list[Part], list[Wire]]] = {
    "signed reasoning": ([Part("reasoning", "Hm", signature="S", dialect="anthropic")],
                         [{"summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "anthropic:S"}]),
    "encrypted reasoning": ([Part("reasoning", data="D", dialect="anthropic")], [{"summary": [], "encrypted_content": "anthropic/data:D"}]),
    "a signed text": ([Part("text", "Hello", signature="S", dialect="gemini"), Part("text", "!")],
                      [{"type": "message"}, {"type": "reasoning", "summary": [], "encrypted_content": "gemini:S"}, {"type": "message"}]),
    "a signed call": ([Part("tool_call", "{}", "c", "f", "function", signature="S", dialect="gemini")],
                      [{"type": "function_call"}, {"type": "reasoning", "summary": [], "encrypted_content": "gemini:S"}]),
    "a call without an id": ([Part("tool_call", "{}", name="f", tool="function")], [{"call_id": "call_fc_chatcmpl-1_0"}]),
    "a custom call": ([Part("tool_call", "ls", "c", "sh", "custom")],
                      [{"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}]),
    "a picture": ([Part("image", data="AAAA", media_type="image/png")],
                  [{"type": "image_generation_call", "result": "AAAA", "output_format": "png", "status": "completed"}]),
    "a picture's URL": ([Part("image", url="https://x/")], [{"type": "image_generation_call", "result": None, "image_url": "https://x/"}]),
    "another's part": ([Part("opaque", '{"q":1}', tool="server_tool_use", dialect="anthropic", extra={"id": "s"})],
                       [{"type": "provider_part", "dialect": "anthropic", "tool": "server_tool_use", "part": {"id": "s"},
                         "text": '{"q":1}'}]),
    "audio": ([Part("audio", "Hi", "a1", data="AAAA")],
              [{"type": "provider_part", "dialect": "openai-chat", "tool": "audio", "part": {"id": "a1", "data": "AAAA", "text": "Hi"}}]),
}  # fmt: skip


@pytest.mark.parametrize(("several", "expected"), FOREIGN.values(), ids=FOREIGN)
def test_what_other_dialects_say(several: list[Part], expected: list[Wire]) -> None:
    output = json.loads(encode_reply(chat(*several)))["output"]
    assert [{name: item.get(name) for name in fields} for item, fields in zip(output, expected, strict=True)] == expected
    assert len({item["id"] for item in output}) == len(output)


def test_a_signature_stands_right_behind_its_part_even_among_parallel_calls() -> None:
    events: list[Event] = [
        Start("c", "m", dialect="gemini"),
        PartStart(0, 0, "tool_call", "x", "f", "function"), PartDelta(0, 0, signature="S", dialect="gemini"),
        PartStart(0, 1, "tool_call", "y", "g", "function"), PartEnd(0, 0), PartEnd(0, 1), Done(),
    ]  # fmt: skip
    output = encode(events)[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["function_call", "reasoning", "function_call"]


def test_sources_of_other_dialects() -> None:
    quoted = Citation("https://x/", "X", 7, 9, "said", "anthropic", {"cited_text": "said"})
    reply = chat(Part("text", "12345"), Part("text", "6789", citations=(quoted,)))
    [item] = json.loads(encode_reply(reply))["output"]
    [source] = item["content"][1]["annotations"]
    assert source == {**NEWS, "start_index": 2, "end_index": 4, "quote": "said",
                      "provider_citation": {"dialect": "anthropic", "cited_text": "said"}}  # fmt: skip
    assert [e["annotation"] for e in encode(unfold(reply)) if "annotation" in e] == [source]
    assert whole(encode_reply(reply)).choices[0].parts[1].citations == (quoted,)


REASONS: list[tuple[Reason, str, str | None]] = [
    ("stop", "completed", None),
    ("stop_sequence", "completed", None),
    ("tool_calls", "completed", None),
    ("pause", "completed", None),
    ("broken_call", "completed", None),
    ("compaction", "completed", None),
    ("length", "incomplete", "max_output_tokens"),
    ("context_full", "incomplete", "max_output_tokens"),
    ("content_filter", "incomplete", "content_filter"),
    ("refusal", "incomplete", "content_filter"),
]


@pytest.mark.parametrize(("reason", "status", "why"), REASONS)
def test_why_it_stopped(reason: Reason, status: str, why: str | None) -> None:
    reply = chat(Part("text", "a"), reason=reason, raw="the_word")
    datas = encode(unfold(reply))
    assert datas[-1]["type"] == f"response.{status}"
    for body in (datas[-1]["response"], json.loads(encode_reply(reply))):
        assert body["status"] == body["output"][0]["status"] == status
        assert body["incomplete_details"] == ({"reason": why} if why else None)
        assert body["native_finish_reason"] == "the_word"


def test_a_stop_sequence_is_named() -> None:
    events: list[Event] = [Start("m", "m", dialect="anthropic"), Finish(0, "stop_sequence", "stop_sequence", "END"), Done()]
    assert encode(events)[-1]["response"]["stop_sequence"] == "END"


def test_fields_of_other_dialects_are_set_apart() -> None:
    events: list[Event] = [
        Start("m", "m", dialect="anthropic"), Extra(0, {"stop_details": {"a": 1}}), Extra(-1, {"container": "c"}),
        Usage(3, 2, extra={"iterations": [1]}), Finish(0, "stop", "end_turn"), Done(),
    ]  # fmt: skip
    body = encode(events)[-1]["response"]
    assert body["provider_fields"] == {"stop_details": {"a": 1}, "container": "c"}
    assert body["usage"]["provider_fields"] == {"iterations": [1]}


def test_a_failure_is_said_so_that_sdks_raise_and_responses_fail() -> None:
    failure = Failure("overloaded", "Busy.")
    datas = encode([Start("c", "m"), PartStart(0, 0, "text"), PartDelta(0, 0, "a"), failure, Done(), failure])
    assert types(datas)[-3:] == ["output_text.delta", "error", "failed"]
    assert datas[-2]["error"] == {"type": "service_unavailable_error", "code": "server_is_overloaded", "message": "Busy.", "param": None}
    failed = datas[-1]["response"]
    assert failed["error"] == {"code": "server_is_overloaded", "message": "Busy."}
    assert (failed["status"], failed["output"][0]["content"][0]["text"]) == ("failed", "a")
    alone = encode([failure], id="gen_1", created=7)
    assert types(alone) == ["error", "failed"]
    assert (alone[1]["response"]["id"], alone[1]["response"]["created_at"]) == ("resp_gen_1", 7)
    assert json.loads(encode_reply(chat(failure=failure)))["error"]["message"] == "Busy."


def test_what_stands_in_where_the_upstream_gave_nothing() -> None:
    body = encode([Start("", "m"), Done()], id="gen_1", created=7)[-1]["response"]
    assert (body["id"], body["created_at"]) == ("resp_gen_1", 7)


def test_only_one_choice_is_told() -> None:
    two = Reply("c", "m", 5, (Choice(0, (Part("text", "a"),)), Choice(1, (Part("text", "b"),))), dialect="openai-chat")
    assert whole(encode_reply(two)).text == "a"
    assert [e["delta"] for e in encode(unfold(two)) if "delta" in e] == ["a"]


def test_ids_that_several_items_came_with_are_given_once() -> None:
    twice = [Part("text", "a", **IN), SEARCHED, Part("text", "b", **IN)]
    output = json.loads(encode_reply(Reply("resp_1", "m", 5, (Choice(0, tuple(twice)),), dialect=OWN)))["output"]
    assert [item["id"] for item in output] == ["msg_1", "ws_1", "msg_1_2"]


def test_log_probabilities_of_words_that_no_part_has() -> None:
    held = (Token("Hi", -0.5, (72, 105), (Token("Yo", -1.0),)),)
    encoder = Encoder()
    said: list[Event] = [Start("", ""), Logprobs(0, held, held[:1]), Done()]
    choice = fold(read(b"".join(frame for event in said for frame in encoder.feed(event)))).choices[0]
    assert choice.logprobs == choice.refusal_logprobs == held
    assert [part.text for part in choice.parts] == ["", ""]
