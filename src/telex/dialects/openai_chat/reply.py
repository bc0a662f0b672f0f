"""The objects that replies of Chat Completions are made of, streamed and whole.

What other dialects say and this one has no field for stands where others have made it usual, or under `provider_fields` and
`provider_parts`. All lists have an `index` in each entry: the official SDK's accumulator wants it.
"""

from __future__ import annotations

from typing import Any

from telex.core import json
from telex.core.fold import merge
from telex.core.messages import Choice, Citation, Fields, Finish, Part, Reply, Token, Usage
from telex.dialects.openai_chat.errors import error_object
from telex.dialects.openai_chat.parts import NAME
from telex.dialects.openai_chat.signatures import reasoning_detail, signed

FINISH_WORDS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})
"""All that `finish_reason` may say; SDKs know no others."""

REASONS = {
    "stop_sequence": "stop",
    "context_full": "length",
    "refusal": "content_filter",
    "pause": "stop",
    "broken_call": "stop",
    "compaction": "stop",
}
"""What it says for reasons that it has no word for."""

REASONING = "reasoning_content"
"""The field for reasoning that came without a name of its own: the one that most of this dialect's providers use."""


def is_foreign(dialect: str) -> bool:
    """Whether a reply's extra fields are in the words of another dialect."""
    return dialect not in ("", NAME)


def encode_reply(reply: Reply) -> bytes:
    """The body of a whole reply; of one that failed, the error."""
    if reply.failure is not None:
        return json.encode(error_object(reply.failure))
    foreign = is_foreign(reply.dialect)
    body: Fields = {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [choice_object(choice, foreign) for choice in reply.choices],
        **extra_fields(reply.extra, foreign),
    }
    if reply.usage is not None:
        body["usage"] = usage_object(reply.usage, foreign)
    return json.encode(body)


def extra_fields(extra: Fields, foreign: bool) -> Fields:
    return {"provider_fields": extra} if foreign and extra else extra


def choice_object(choice: Choice, foreign: bool) -> Fields:
    extra = dict(extra_fields(choice.extra, foreign))
    message = message_object(choice.parts)
    merge(message, extra.pop("message", {}))
    finish = finish_fields(choice.finish) if choice.finish else {"finish_reason": None}
    logprobs = logprobs_object(choice.logprobs, choice.refusal_logprobs)
    return {"index": choice.index, "message": message, "logprobs": logprobs, **finish, **extra}


def message_object(parts: tuple[Part, ...]) -> Fields:
    """An assistant's message: text of one kind is one string, whatever other parts it was written between."""
    message: Fields = {"role": "assistant", "content": None, "refusal": None}
    calls: list[Fields] = []
    for part in parts:
        match part.kind, part.tool:
            case "text", _:
                message["content"] = (message["content"] or "") + part.text
                merge(message, signed(part.signature, part.dialect))
            case "refusal", _:
                message["refusal"] = (message["refusal"] or "") + part.text
            case "reasoning", _:
                if part.text:
                    name = part.name or REASONING
                    message[name] = message.get(name, "") + part.text
            case "audio", _:
                message["audio"] = {"id": part.id, "transcript": part.text, "data": part.data}
            case "tool_call", "legacy":
                message["function_call"] = {"name": part.name, "arguments": part.text}
            case "tool_call", _:
                calls.append({**call(part.tool, part.id, part.name, part.text), **signed(part.signature, part.dialect)})
    if calls:
        message["tool_calls"] = calls
    return message | lists(parts)


def lists(parts: tuple[Part, ...]) -> Fields:
    """What a message holds in lists."""
    thoughts = [part for part in parts if part.kind == "reasoning"]
    signed_ones = thoughts if any(part.signature or part.data for part in thoughts) else []
    entries = {
        "reasoning_details": [reasoning_detail(index, part) for index, part in enumerate(signed_ones)],
        "annotations": [annotation(index, one) for index, one in enumerate(c for part in parts for c in part.citations)],
        "images": [image_entry(index, part) for index, part in enumerate(p for p in parts if p.kind == "image")],
        "provider_parts": [part_entry(index, part) for index, part in enumerate(p for p in parts if p.kind == "opaque")],
    }
    return {name: several for name, several in entries.items() if several}


def part_entry(index: int, part: Part) -> Fields:
    """A part that only its own provider understands."""
    streamed = {"text": part.text} if part.text else {}
    return {"index": index, "dialect": part.dialect, "tool": part.tool, "part": part.extra, **streamed}


def image_entry(index: int, part: Part) -> Fields:
    """A picture that the model made, as OpenRouter writes it."""
    return {"index": index, "type": "image_url", "image_url": {"url": part.url or f"data:{part.media_type};base64,{part.data}"}}


def annotation(index: int, citation: Citation) -> Fields:
    """A citation as this dialect writes them; as its own dialect wrote it, it stands beside that."""
    if citation.dialect == NAME:
        return {"index": index, **citation.fields}
    body: Fields = {"start_index": citation.start, "end_index": citation.end, "title": citation.title, "url": citation.url}
    if citation.quote:
        body["quote"] = citation.quote
    native = {"provider_citation": {"dialect": citation.dialect, **citation.fields}} if citation.dialect else {}
    return {"index": index, "type": "url_citation", "url_citation": body, **native}


def finish_fields(finish: Finish) -> Fields:
    """The reason in this dialect's words; a provider's own word that is none of them stands beside it."""
    if finish.raw in FINISH_WORDS:
        return {"finish_reason": finish.raw}
    reason = REASONS.get(finish.reason, finish.reason)
    return {
        "finish_reason": reason,
        **({"native_finish_reason": finish.raw} if finish.raw else {}),
        **({"stop_sequence": finish.sequence} if finish.sequence else {}),
    }


def logprobs_object(text: tuple[Token, ...], refusal: tuple[Token, ...]) -> Fields | None:
    if not (text or refusal):
        return None
    return {"content": [token(t) for t in text] or None, "refusal": [token(t) for t in refusal] or None}


def token(token: Token) -> Fields:
    return {**bare_token(token), "top_logprobs": [bare_token(top) for top in token.top]}


def bare_token(token: Token) -> Fields:
    return {"token": token.text, "logprob": token.logprob, "bytes": None if token.bytes is None else list(token.bytes)}


def call(tool: str, id: str, name: str, text: str) -> Fields:
    if tool == "custom":
        return {"id": id, "type": "custom", "custom": {"name": name, "input": text}}
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text}}


def usage_object(usage: Usage, foreign: bool = False) -> Fields:
    body: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    if usage.cache_write:
        body["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write
    merge(body, extra_fields(usage.extra, foreign))
    return body
