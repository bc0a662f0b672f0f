"""What of a prompt a provider should keep in its cache: marks of one dialect as those of another where it takes them, else named."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from telex.config.load import known_rows
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.dialects.quirks import Quirks
from telex.dialects.translate import Manner, Outgoing, address, address_count

Wire = dict[str, Any]
OPENAI = Manner(msgspec.convert(known_rows()["openai"]["quirks"], Quirks))
NEW, OLD = "gpt-5.6", "gpt-5.5"
EPHEMERAL: Wire = {"type": "ephemeral"}
HOUR: Wire = {"type": "ephemeral", "ttl": "1h"}
EXPLICIT: Wire = {"mode": "explicit"}
HALF_HOUR: Wire = {"mode": "explicit", "ttl": "30m"}
LONG: Wire = {"mode": "explicit", "ttl": "12h"}
TOOL: Wire = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
CALL: Wire = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
BLOCK = "messages[].content[].cache_control"
CHAT_PART = "messages[].content[].prompt_cache_breakpoint"
ITEM_PART = "input[].content[].prompt_cache_breakpoint"


def text(words: str, mark: Wire | None = None) -> Wire:
    return {"type": "text", "text": words, **({"cache_control": mark} if mark else {})}


def chat_text(words: str, mark: Wire | None = None) -> Wire:
    return {"type": "text", "text": words, **({"prompt_cache_breakpoint": mark} if mark else {})}


def input_text(words: str, mark: Wire | None = None) -> Wire:
    return {**chat_text(words, mark), "type": "input_text"}


def says(*content: Wire, role: str = "user") -> Wire:
    return {"role": role, "content": list(content)}


def read(source: str, **fields: Any) -> Request:
    needed = {"max_tokens": 9} if source == "anthropic" else {}
    request = DIALECTS[source].decode_request(json.dumps({"model": "m", **needed, **fields}).encode())
    assert isinstance(request, Request), request
    return request


def sent(source: str, target: str, model: str = NEW, manner: Manner = OPENAI, **fields: Any) -> tuple[Wire, tuple[str, ...]]:
    """(the body that a provider is sent, what is named as dropped)."""
    outgoing = address(read(source, **fields), DIALECTS[target], model, False, manner)
    assert isinstance(outgoing, Outgoing), outgoing
    return json.loads(outgoing.body), outgoing.dropped


def marks(value: Any) -> list[tuple[str, Wire]]:
    """The marks in a body in their order, each with the text that it stands behind."""
    if isinstance(value, list):
        return [mark for one in value for mark in marks(one)]
    if not isinstance(value, dict):
        return []
    own = [(value.get("text", ""), value[name]) for name in ("cache_control", "prompt_cache_breakpoint") if name in value]
    return [mark for one in value.values() for mark in marks(one)] + own


# ---- from one to another


PICTURE: Wire = {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}}
CONVERSATION: Wire = {
    "system": [text("Be brief."), text("Be kind.", HOUR)],
    "messages": [
        says(text("Hi"), {**PICTURE, "cache_control": EPHEMERAL}),
        says(CALL, role="assistant"),
        says({"type": "tool_result", "tool_use_id": "c", "content": "4", "cache_control": EPHEMERAL}, text("So?")),
    ],
    "tools": [TOOL],
}


def test_anthropics_marks_are_those_of_chat() -> None:
    body, dropped = sent("anthropic", "openai-chat", **CONVERSATION)
    system, user, _, result, last = body["messages"]
    assert system["content"] == [chat_text("Be brief."), chat_text("Be kind.", HALF_HOUR)]
    assert user["content"][1]["prompt_cache_breakpoint"] == HALF_HOUR
    assert result["content"] == [chat_text("4", HALF_HOUR)]
    assert last["content"] == "So?"
    assert dropped == (f"{BLOCK}.ttl",)


def test_anthropics_marks_are_those_of_responses() -> None:
    body, dropped = sent("anthropic", "openai-responses", **CONVERSATION)
    system, user, _, result, _ = body["input"]
    assert system["content"] == [input_text("Be brief."), input_text("Be kind.", LONG)]
    assert user["content"][1]["prompt_cache_breakpoint"] == HALF_HOUR
    assert result["output"] == [input_text("4", HALF_HOUR)]
    assert dropped == ()


def test_instructions_with_a_mark_are_a_message_since_only_that_can_have_one() -> None:
    body, _ = sent("anthropic", "openai-responses", system=[text("Be brief.", EPHEMERAL)], messages=[says(text("Hi"))])
    assert body["input"][0] == {"type": "message", "role": "system", "content": [input_text("Be brief.", HALF_HOUR)]}
    assert "instructions" not in body


def test_chats_marks_are_those_of_anthropic() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}, "prompt_cache_breakpoint": EXPLICIT}
    body, dropped = sent(
        "openai-chat",
        "anthropic",
        messages=[
            says(chat_text("Be brief.", LONG), role="system"),
            says(picture),
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": [chat_text("4"), chat_text("5", HALF_HOUR)]},
        ],
    )
    assert body["system"] == [text("Be brief.", HOUR)]
    assert body["messages"][0]["content"] == [{**PICTURE, "cache_control": EPHEMERAL}]
    result = {"type": "tool_result", "tool_use_id": "c", "content": [text("4"), text("5")], "cache_control": EPHEMERAL}
    assert body["messages"][2]["content"] == [result]
    assert dropped == ()


def test_between_openais_two_they_pass() -> None:
    body, dropped = sent("openai-chat", "openai-responses", messages=[says(chat_text("a", LONG), chat_text("b"))])
    assert (body["input"][0]["content"], dropped) == ([input_text("a", LONG), input_text("b")], ())
    body, dropped = sent("openai-responses", "openai-chat", input=[says(input_text("a", LONG), input_text("b", EXPLICIT))])
    assert body["messages"][0]["content"] == [chat_text("a", HALF_HOUR), chat_text("b", HALF_HOUR)]
    assert dropped == (f"{ITEM_PART}.ttl",)


def test_gemini_is_told_no_marks_and_the_caller_which() -> None:
    body, dropped = sent("anthropic", "gemini", messages=[says(text("a", EPHEMERAL))], cache_control=EPHEMERAL)
    assert (marks(body), dropped) == ([], ("cache_control", BLOCK))
    body, dropped = sent("openai-chat", "gemini", messages=[says(chat_text("a", EXPLICIT))], prompt_cache_options={"mode": "explicit"})
    assert (marks(body), dropped) == ([], ("prompt_cache_options", CHAT_PART))


@pytest.mark.parametrize("target", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(("model", "manner"), [(OLD, OPENAI), ("gpt-4.1", OPENAI), (NEW, Manner())])
def test_models_that_refuse_marks_are_sent_none(target: str, model: str, manner: Manner) -> None:
    """Of OpenAI those before gpt-5.6; of others that speak its dialects, all of which nobody said that they take them."""
    asked: Wire = {"system": [text("Be brief.", HOUR)], "messages": [says(text("Hi", EPHEMERAL))], "cache_control": EPHEMERAL}
    body, dropped = sent("anthropic", target, model, manner, **asked)
    plain, _ = sent("anthropic", target, model, manner, system="Be brief.", messages=[says(text("Hi"))])
    assert (body, dropped) == (plain, ("cache_control", BLOCK))


@pytest.mark.parametrize("model", [NEW, "gpt-5.6-mini-2026-09-01", "gpt-5.9", "gpt-6", "gpt-7.1-turbo"])
def test_openais_later_models_take_marks(model: str) -> None:
    body, dropped = sent("anthropic", "openai-chat", model, messages=[says(text("Hi", EPHEMERAL))])
    assert (marks(body), dropped) == ([("Hi", HALF_HOUR)], ())


@pytest.mark.parametrize("target", ["openai-chat", "openai-responses"])
def test_what_the_model_said_is_not_marked_at_openai_nor_a_result_of_nothing(target: str) -> None:
    said = says(text("b", EPHEMERAL), {**CALL, "cache_control": EPHEMERAL}, role="assistant")
    empty = says({"type": "tool_result", "tool_use_id": "c", "cache_control": EPHEMERAL})
    body, dropped = sent("anthropic", target, messages=[says(text("a")), said, empty], tools=[TOOL])
    assert (marks(body), dropped) == ([], (BLOCK,))


@pytest.mark.parametrize("target", ["openai-chat", "openai-responses", "gemini"])
def test_a_mark_behind_tools_has_no_place_elsewhere(target: str) -> None:
    body, dropped = sent("anthropic", target, messages=[says(text("a"))], tools=[{**TOOL, "cache_control": EPHEMERAL}])
    assert (marks(body), dropped) == ([], ("tools[].cache_control",))


def test_a_text_of_nothing_is_not_marked_at_anthropic() -> None:
    body, dropped = sent("openai-chat", "anthropic", messages=[says(chat_text("a"), chat_text(" ", EXPLICIT))])
    assert (marks(body), dropped) == ([], (CHAT_PART,))


@pytest.mark.parametrize("mark", [{"mode": "explicit", "ttl": "7d"}, {"mode": "implicit"}, "yes", {**HALF_HOUR, "x": 1}])
def test_a_mark_of_an_unknown_kind_is_named(mark: Any) -> None:
    body, dropped = sent("openai-chat", "anthropic", messages=[says(chat_text("a", mark))])
    assert (marks(body), dropped) == ([], (CHAT_PART,))
    body, dropped = sent("openai-responses", "anthropic", input=[says(input_text("a", mark))])
    assert (marks(body), dropped) == ([], (ITEM_PART,))


@pytest.mark.parametrize("mark", [{"type": "ephemeral", "ttl": "1d"}, {"type": "eternal"}, {"type": "ephemeral", "scope": "all"}])
def test_a_block_with_an_unknown_mark_is_named(mark: Wire) -> None:
    body, dropped = sent("anthropic", "openai-chat", messages=[says(text("a", mark))], cache_control=mark)
    assert (marks(body), dropped) == ([], ("cache_control", BLOCK))


@pytest.mark.parametrize("nothing", [None, {"type": "ephemeral", "ttl": None}])
def test_a_lifetime_or_a_mark_of_null_is_not_said(nothing: Wire | None) -> None:
    expected = [("a", HALF_HOUR)] if nothing else []
    body, dropped = sent("anthropic", "openai-chat", messages=[says({"type": "text", "text": "a", "cache_control": nothing})])
    assert (marks(body), dropped) == (expected, ())


# ---- Anthropic's rules


def many(*lives: Wire) -> Wire:
    return says(*(chat_text(str(number), mark) for number, mark in enumerate(lives)))


def test_of_more_than_four_marks_the_last_are_kept() -> None:
    body, dropped = sent("openai-chat", "anthropic", messages=[many(*[EXPLICIT] * 6)])
    assert ([where for where, _ in marks(body)], dropped) == (["2", "3", "4", "5"], (CHAT_PART,))
    assert sent("openai-chat", "anthropic", messages=[many(*[EXPLICIT] * 4)])[1] == ()


def test_the_mark_of_the_end_is_one_of_the_four() -> None:
    asked = [many(*[EXPLICIT] * 4), says(chat_text("so?"))]
    body, dropped = sent("openai-chat", "anthropic", messages=asked, prompt_cache_key="k")
    assert [where for where, _ in marks(body["messages"])] == ["1", "2", "3"]
    assert (body["cache_control"], dropped) == (EPHEMERAL, (CHAT_PART,))


def test_a_prompt_whose_last_block_is_marked_has_no_other_mark_of_its_end() -> None:
    body, dropped = sent("openai-chat", "anthropic", messages=[many(LONG)], prompt_cache_key="k")
    assert (marks(body), dropped) == ([("0", HOUR)], ())


def test_no_longer_mark_stands_behind_a_shorter_one() -> None:
    body, dropped = sent("openai-chat", "anthropic", messages=[many(EXPLICIT, LONG, EXPLICIT)])
    assert marks(body) == [("0", HOUR), ("1", HOUR), ("2", EPHEMERAL)]
    assert dropped == ()


def test_a_long_end_makes_all_marks_long() -> None:
    asked = says(input_text("a", HALF_HOUR), input_text("b"))
    body, _ = sent("openai-responses", "anthropic", input=[asked], prompt_cache_options={"ttl": "12h"})
    assert (marks(body["messages"]), body["cache_control"]) == ([("a", HOUR)], HOUR)
    marked_end = says(input_text("a"), input_text("b", HALF_HOUR))
    body, _ = sent("openai-responses", "anthropic", input=[marked_end], prompt_cache_options={"ttl": "12h"})
    assert marks(body) == [("b", HOUR)]


# ---- the end of the prompt


@pytest.mark.parametrize(
    ("options", "cache"),
    [
        ({}, None),
        ({"mode": "implicit"}, "short"),
        ({"ttl": "30m"}, "short"),
        ({"ttl": "12h"}, "long"),
        ({"mode": "explicit", "ttl": "12h"}, "off"),
    ],
)
@pytest.mark.parametrize("source", ["openai-chat", "openai-responses"])
def test_what_openai_keeps_unmarked(source: str, options: Wire, cache: str | None) -> None:
    asked = {"input": "Hi"} if source == "openai-responses" else {"messages": [says(chat_text("Hi"))]}
    request = read(source, **asked, prompt_cache_options=options)
    assert (request.cache, request.extra) == (cache, {})


def test_options_of_an_unknown_kind_are_named() -> None:
    asked: Wire = {"messages": [says(chat_text("Hi"))], "prompt_cache_options": {"mode": "other", "ttl": "30m"}}
    assert sent("openai-chat", "anthropic", **asked)[1] == ("prompt_cache_options.mode", "prompt_cache_options.ttl")


def test_marks_without_a_lifetime_have_that_of_the_request() -> None:
    asked = says(input_text("a", EXPLICIT), input_text("b", HALF_HOUR))
    [message] = read("openai-responses", input=[asked], prompt_cache_options={"mode": "explicit", "ttl": "12h"}).messages
    assert [part.cache for part in message.parts] == ["long", "short"]


def test_anthropics_mark_of_the_end_is_openais_implicit_one() -> None:
    asked: Wire = {"messages": [says(text("a"))]}
    for mark, target, options, named in (
        (EPHEMERAL, "openai-chat", {"mode": "implicit"}, ()),
        (EPHEMERAL, "openai-responses", {"mode": "implicit"}, ()),
        (HOUR, "openai-chat", {"mode": "implicit"}, ("cache_control.ttl",)),
        (HOUR, "openai-responses", {"mode": "implicit", "ttl": "12h"}, ()),
    ):
        body, dropped = sent("anthropic", target, **asked, cache_control=mark)
        assert (body["prompt_cache_options"], dropped) == (options, named)


def test_a_key_to_a_cache_asks_anthropic_to_keep_the_prompt_unless_only_marks_count() -> None:
    asked: Wire = {"messages": [says(chat_text("a", EXPLICIT), chat_text("b"))], "prompt_cache_key": "k"}
    assert sent("openai-chat", "anthropic", **asked)[0]["cache_control"] == EPHEMERAL
    body, dropped = sent("openai-chat", "anthropic", **asked, prompt_cache_options={"mode": "explicit"})
    assert (marks(body), dropped) == ([("a", EPHEMERAL)], ())


def test_a_prompt_that_shall_only_be_kept_is_answered_by_nobody_else() -> None:
    request = read("openai-responses", input="Hi", prompt_cache_options={"prewarm": True})
    failure = address(request, DIALECTS["anthropic"], "m", False, Manner())
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.param) == ("unsupported", "prompt_cache_options.prewarm")


# ---- beside


@pytest.mark.parametrize("target", [name for name in DIALECTS if name != "gemini"])
@pytest.mark.parametrize("name", ["cachedContent", "cached_content"])
def test_a_cache_that_one_provider_keeps_is_refused_by_name_elsewhere(target: str, name: str) -> None:
    request = read("gemini", contents=[{"role": "user", "parts": [{"text": "x"}]}], **{name: "cachedContents/1"})
    refused = address(request, DIALECTS[target], "m", False, Manner())
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.param) == ("unsupported", "cachedContent")
    outgoing = address(request, DIALECTS["gemini"], "m", False, Manner())
    assert isinstance(outgoing, Outgoing)
    assert json.loads(outgoing.body)[name] == "cachedContents/1"


def test_tokens_are_counted_of_a_prompt_with_its_marks() -> None:
    request = read("openai-chat", messages=[many(*[EXPLICIT] * 5)])
    outgoing = address_count(request, DIALECTS["anthropic"], "m", OPENAI.quirks)
    assert isinstance(outgoing, Outgoing)
    assert (len(marks(json.loads(outgoing.body))), outgoing.dropped) == (4, (CHAT_PART,))


def test_in_its_own_dialect_nothing_of_it_changes() -> None:
    asked: Wire = {"messages": [many(*[EXPLICIT] * 6)], "prompt_cache_options": {"mode": "explicit", "ttl": "30m"}}
    assert sent("openai-chat", "openai-chat", OLD, Manner(), **asked) == ({**asked, "model": OLD}, ())
    own: Wire = {"max_tokens": 9, "messages": [says(*(text(str(n), mark) for n, mark in enumerate([EPHEMERAL, HOUR] * 3)))]}
    assert sent("anthropic", "anthropic", **own) == ({**own, "model": NEW}, ())
