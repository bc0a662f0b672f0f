"""The objects that replies of Anthropic Messages are made of, streamed and whole.

What other dialects say and this one has no field for stands under `provider_fields`, in blocks of the type `provider_part`, or,
where it is signed or encrypted, in the places of Anthropic's own state, marked with whose it is.
"""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from telex.core import json
from telex.core.fold import merge
from telex.core.messages import Choice, Fields, Finish, Part, Reply, Token, Usage
from telex.dialects.anthropic.blocks import PROVIDER_PART
from telex.dialects.anthropic.body import from_media, opaque_block
from telex.dialects.anthropic.citations import from_citation
from telex.dialects.anthropic.errors import error_object
from telex.dialects.anthropic.words import NAME, REASONS, STOP_REASONS, is_own, to_input
from telex.dialects.seal import seal

NOTHING = Usage()


def encode_reply(reply: Reply) -> bytes:
    """The body of a whole reply, of its first choice; of one that failed, the error."""
    if reply.failure is not None:
        return json.encode(error_object(reply.failure))
    choice = next((choice for choice in reply.choices if choice.index == 0), Choice(0))
    fields = reply_fields(reply.extra, choice.extra, choice.logprobs, choice.refusal_logprobs, reply.dialect)
    return json.encode(
        {
            **fields,
            "id": reply.id,
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": [block for part in choice.parts for block in blocks_of(part, reply.dialect)],
            **stop_fields(choice.finish, {part.kind for part in choice.parts}, reply.dialect),
            "usage": usage_object(reply.usage or NOTHING, reply.dialect),
        }
    )


def blocks_of(part: Part, dialect: str) -> list[Fields]:
    """A part as whole blocks. `dialect`: of the reply; what belongs to no dialect in particular is of that one."""
    part = part if part.dialect else replace(part, dialect=dialect)
    extra = part.extra if is_own(part.dialect) else {}
    match part.kind:
        case "text" | "refusal":
            cited = {"citations": [from_citation(one) for one in part.citations]} if part.citations else {}
            return [{"type": "text", "text": part.text, **cited, **extra}, *signed(part)]
        case "reasoning":
            return reasoning_blocks(part)
        case "tool_call":
            return [tool_use(part, extra) | {"input": to_input(part.text)}, *signed(part)]
        case "image" | "file":
            return [{**from_media(part), **extra}]
        case "opaque" if is_own(part.dialect):
            return [opaque_block(part)]
    return [provider_part(part)]


def tool_use(part: Part, extra: Fields) -> Fields:
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": {}, **extra}


def reasoning_blocks(part: Part) -> list[Fields]:
    """Thinking with what signs it, which may be the whole of it encrypted; encrypted thinking that nobody can read is redacted."""
    thinking = {"type": "thinking", "thinking": part.text, "signature": signature_of(part)}
    if part.data and (part.signature or not part.text):
        return [thinking, encrypted(part)] if part.text or part.signature else [encrypted(part)]
    if part.signature and not (part.text or is_own(part.dialect)):
        return [redact(seal(part.dialect, part.signature))]
    return [thinking]


def signature_of(part: Part) -> str:
    """What stands in the signature of a thinking block, which must have one. Of another dialect's thinking it says whose that is even
    where there is nothing to carry: Anthropic refuses what it did not sign, so it must be known when it comes back."""
    if part.data and not part.signature:
        return seal(part.dialect or NAME, part.data, data=True)
    return part.signature if is_own(part.dialect) else seal(part.dialect, part.signature)


def encrypted(part: Part) -> Fields:
    return redact(part.data if is_own(part.dialect) else seal(part.dialect, part.data, data=True))


def signed(part: Part) -> list[Fields]:
    """The block behind a text or a call that holds what another dialect's provider signed it with."""
    return [redact(seal(part.dialect, part.signature))] if part.signature and not is_own(part.dialect) else []


def redact(data: str) -> Fields:
    return {"type": "redacted_thinking", "data": data}


def provider_part(part: Part) -> Fields:
    """A part that this dialect has no block for."""
    if part.kind == "opaque":
        streamed = {"text": part.text} if part.text else {}
        return {"type": PROVIDER_PART, "dialect": part.dialect, "tool": part.tool, "part": part.extra, **streamed}
    named = {"id": part.id, "transcript": part.text, "data": part.data, "media_type": part.media_type}
    return {"type": PROVIDER_PART, "dialect": "", "tool": part.kind, "part": {k: v for k, v in named.items() if v}}


def stop_fields(finish: Finish | None, kinds: set[Any], dialect: str) -> Fields:
    """Why it stopped, in this dialect's words; a provider's own word that is none of them stands beside it. `kinds`: of its parts."""
    if finish is None:
        return {"stop_reason": None, "stop_sequence": None}
    if finish.raw and (dialect == NAME or (not dialect and finish.raw in REASONS)):
        word = finish.raw
    elif "tool_call" in kinds and finish.reason == "stop":
        word = "tool_use"
    elif "refusal" in kinds and "tool_call" not in kinds:
        word = "refusal"
    else:
        word = STOP_REASONS[finish.reason]
    native = {"native_finish_reason": finish.raw} if finish.raw not in ("", word) else {}
    return {"stop_reason": word, "stop_sequence": finish.sequence or None, **native}


def usage_object(usage: Usage, dialect: str) -> Fields:
    body: Fields = {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    merge(body, extra_fields(usage.extra, dialect))
    return body


def reply_fields(reply: Fields, choice: Fields, text: tuple[Token, ...], refusal: tuple[Token, ...], dialect: str) -> Fields:
    """What has no word, of the reply and of its choice, and log probabilities, for which this dialect has no place."""
    fields: Fields = {}
    merge(fields, reply)
    merge(fields, choice)
    logprobs = {"text": text, "refusal": refusal} if text or refusal else {}
    own = fields if is_own(dialect) else {}
    foreign = {**({} if is_own(dialect) else fields), **({"logprobs": to_builtins(logprobs)} if logprobs else {})}
    return {**own, **({"provider_fields": foreign} if foreign else {})}


def extra_fields(extra: Fields, dialect: str) -> Fields:
    return extra if is_own(dialect) or not extra else {"provider_fields": extra}
