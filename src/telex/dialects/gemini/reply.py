"""The objects that replies of generateContent are made of, streamed and whole.

What other dialects say and this one has no field for stands in `partMetadata` of a part, or in fields of its own: `provider_fields`,
`native_finish_reason`, `provider_citation`. The official SDKs skip those that they don't know.
"""

from __future__ import annotations

from msgspec import Struct, field

from telex.core import json
from telex.core.messages import Choice, Citation, Fields, Finish, Part, Reason, Reply, Token
from telex.dialects.gemini.body import as_object
from telex.dialects.gemini.candidate import STOP_SEQUENCE
from telex.dialects.gemini.citations import is_said, write_sources
from telex.dialects.gemini.decoder import BLOCKED
from telex.dialects.gemini.errors import encode_error
from telex.dialects.gemini.parts import INVALID_JSON
from telex.dialects.gemini.signatures import NAME, write_signatures
from telex.dialects.gemini.times import timestamp
from telex.dialects.gemini.tokens import write_logprobs, write_usage
from telex.dialects.values import standard_base64

FINISHES: dict[Reason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "context_full": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
    "broken_call": "MALFORMED_FUNCTION_CALL",
    "compaction": "STOP",
}
EMPTY: Fields = {"text": ""}
"""What a content holds that says nothing: the SDKs' chats forget a turn if any of its contents has no parts."""


class Ending(Struct):
    """What the last chunk says of a choice. `text`: all of it, in pieces, to count its bytes."""

    finish: Finish | None = None
    text: list[str] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    logprobs: list[Token] = field(default_factory=list)
    extra: Fields = field(default_factory=dict)


def is_foreign(dialect: str) -> bool:
    """Whether a reply's extra fields are in the words of another dialect."""
    return dialect != NAME


def encode_reply(reply: Reply) -> bytes:
    """The body of a whole reply; of one that failed, the error."""
    if reply.failure is not None:
        return encode_error(reply.failure)
    foreign = is_foreign(reply.dialect)
    body: Fields = {}
    if not is_blocked(reply.extra, bool(reply.choices and reply.choices[0].parts), foreign):
        body["candidates"] = [candidate_of(choice, foreign) for choice in reply.choices]
    if reply.usage is not None:
        body["usageMetadata"] = write_usage(reply.usage, foreign)
    return json.encode(body | head(reply.id, reply.model, reply.created) | extra_fields(reply.extra, foreign))


def head(id: str, model: str, created: int) -> Fields:
    """What every chunk says of the reply."""
    fields: Fields = {"modelVersion": model, "responseId": id}
    if created and (time := timestamp(created)):
        fields["createTime"] = time
    return fields


def extra_fields(extra: Fields, foreign: bool) -> Fields:
    return {"provider_fields": extra} if foreign and extra else extra


def is_blocked(extra: Fields, said: bool, foreign: bool) -> bool:
    """Whether the reply is that the prompt was refused: such a one has no candidates."""
    feedback = None if foreign or said else extra.get("promptFeedback")
    return isinstance(feedback, dict) and any(feedback.get(name) for name in BLOCKED)


def candidate_of(choice: Choice, foreign: bool) -> Fields:
    parts = [wire for part in choice.parts for wire in write_part(part)]
    ending = Ending(
        choice.finish,
        [part.text for part in choice.parts if part.kind == "text"],
        [citation for part in choice.parts for citation in part.citations],
        [*choice.logprobs, *choice.refusal_logprobs],
        choice.extra,
    )
    return candidate(choice.index, parts) | last_fields(ending, foreign)


def candidate(index: int, parts: list[Fields]) -> Fields:
    return {"content": {"parts": parts or [EMPTY], "role": "model"}, "index": index}


def last_fields(ending: Ending, foreign: bool) -> Fields:
    """Why a choice ended, and what is said of it as a whole."""
    fields = finish_fields(ending.finish, foreign) if ending.finish else {}
    fields |= extra_fields(ending.extra, foreign)
    if ending.logprobs and "logprobsResult" not in fields:
        fields["logprobsResult"] = write_logprobs(ending.logprobs)
    unsaid = [citation for citation in ending.citations if not is_said(citation, fields)]
    if unsaid:
        metadata = fields.get("citationMetadata", {})
        sources = [*metadata.get("citationSources", ()), *write_sources(unsaid, "".join(ending.text))]
        fields["citationMetadata"] = {**metadata, "citationSources": sources}
    return fields


def finish_fields(finish: Finish, foreign: bool) -> Fields:
    """The reason in this dialect's words, which Google's own are, even new ones; a word of another provider stands beside it."""
    own = "" if foreign else finish.raw
    beside = (("native_finish_reason", "" if own else finish.raw), (STOP_SEQUENCE, finish.sequence))
    return {"finishReason": own or FINISHES[finish.reason], **{name: value for name, value in beside if value}}


def write_part(part: Part) -> list[Fields]:
    """A part as a content holds it; more than one where it is signed twice."""
    match part.kind:
        case "text" | "reasoning" | "refusal":
            first, *others = write_signatures(part) or [""]
            said = write_text(part, part.text) | ({"thoughtSignature": first} if first else {})
            return [said, *({**write_text(part, ""), "thoughtSignature": other} for other in others)]
        case "opaque":
            return [part.extra or EMPTY if part.dialect == NAME else write_foreign(part)]
        case "tool_call":
            wire = write_call(part)
        case _:
            wire = write_media(part)
    for signature in write_signatures(part):
        wire["thoughtSignature"] = signature
    return [wire]


def about(part: Part, **metadata: object) -> Fields:
    """Further fields of a part; those of another dialect in its metadata."""
    if part.dialect != NAME and part.extra:
        metadata["provider_fields"] = part.extra
    extra = part.extra if part.dialect == NAME else {}
    if not metadata:
        return extra
    own = extra.get("partMetadata")
    return extra | {"partMetadata": {**(own if isinstance(own, dict) else {}), **metadata}}


def write_text(part: Part, text: str) -> Fields:
    """`text`: of the part, or a piece of it."""
    wire: Fields = {"text": text}
    if part.kind == "reasoning":
        wire["thought"] = True
    if part.kind == "refusal":
        return wire | about(part, refusal=True)
    return wire | about(part) if part.extra else wire


def write_call(part: Part) -> Fields:
    arguments = as_object(part.text) if part.text else {}
    body: Fields = {"id": part.id} if part.id else {}
    body |= {"name": part.name, "args": {INVALID_JSON: part.text} if arguments is None else arguments}
    return {"functionCall": body} | about(part)


def write_media(part: Part) -> Fields:
    named = {"displayName": part.name} if part.name else {}
    media_type = part.media_type or f"{part.kind}/*"
    if part.url:
        return {"fileData": {"fileUri": part.url, "mimeType": media_type, **named}} | about(part)
    data = standard_base64(part.data) or ""  # the SDKs fail on anything else
    audio = {name: value for name, value in (("id", part.id), ("transcript", part.text), ("data", "" if data else part.data)) if value}
    wire: Fields = {"inlineData": {"mimeType": media_type, "data": data, **named}}
    return wire | about(part, **({"audio": audio} if audio or not data else {}))


def write_foreign(part: Part) -> Fields:
    """A part that only its own provider understands."""
    streamed = {"text": part.text} if part.text else {}
    return {"text": "", "partMetadata": {"provider_part": {"dialect": part.dialect, "tool": part.tool, "part": part.extra, **streamed}}}
