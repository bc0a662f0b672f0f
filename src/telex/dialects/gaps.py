"""What a request says that its target has no words for: refused where the answer would be another, else dropped and named.

Names are those of the caller's dialect, so that whoever wrote the request finds the place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from telex.core import json
from telex.core.messages import Message, Part, Request
from telex.dialects import Dialect
from telex.dialects.quirks import Quirks

ESSENTIAL_WORDS = frozenset({"choices", "stop", "logprobs", "top_logprobs", "format.json", "format.json_schema", "tools", "tool_choice"})
"""Words that change what the answer is; the others are hints, and an answer without them is still an answer."""

PLAIN_WORDS = (
    "max_tokens", "tools", "tool_choice", "parallel_calls", "choices", "temperature", "top_p", "top_k", "stop", "seed",
    "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "effort", "thinking_budget", "show_thinking", "user", "cache_key",
)  # fmt: skip
"""Words that are said when the field of `Request` holds something."""

FORMATS = ("format.json", "format.json_schema")
NOTHING_SAID = (("choices", 1), ("logprobs", False), ("top_logprobs", 0))
"""Values that ask for what happens anyway."""

NO_FIELD = "this model's provider has no field for it"
WORDS = (*PLAIN_WORDS, "cache", "parts.cache", *FORMATS, "tools.strict")

CONTENTS = {
    "image.data": "images",
    "image.url": "images by their URL",
    "audio": "audio",
    "file.data": "files",
    "file.url": "files by their URL",
}
"""What may stand in a message besides text, tool calls and their results, and what a person calls it."""


class Naming(Protocol):
    """What is asked of whoever a request comes from: how it names things. Every dialect does, and the client library."""

    @property
    def FIELDS(self) -> Mapping[str, str]: ...
    @property
    def ESSENTIAL(self) -> frozenset[str]: ...
    @property
    def PLACE(self) -> tuple[str, str, str]: ...
    @property
    def SYSTEM(self) -> str: ...


class Gap(Struct, frozen=True):
    """`field`: where it stands in the caller's request. `why`: empty if it may be dropped, else why the request is refused."""

    field: str
    why: str = ""


def find_gaps(request: Request, told: Request, source: Naming, target: Dialect, quirks: Quirks) -> list[Gap]:
    """Everything of `request`, which came in the dialect `source`, that a provider of the dialect `target` can't be told. `told`: the
    request with the marks for a cache that it takes."""
    gaps = [*word_gaps(request, source, target), *tool_gaps(request, source), *message_gaps(request, source, target, quirks)]
    return list(dict.fromkeys([*gaps, *mark_gaps(request, told, source)]))


def said_words(request: Request) -> Iterator[str]:
    """The words that a request uses."""
    for word in PLAIN_WORDS:
        value = getattr(request, word)
        if value is not None and value != () and (word, value) not in NOTHING_SAID:
            yield word
    if request.format is not None and request.format.kind != "text":
        yield f"format.{request.format.kind}"
    if any(tool.strict is not None for tool in request.tools):
        yield "tools.strict"


def word_gaps(request: Request, source: Naming, target: Dialect) -> Iterator[Gap]:
    withheld = getattr(target, "withheld", none_withheld)(request)
    for word in said_words(request):
        if word not in target.FIELDS or word in withheld:
            field = source.FIELDS[word]
            yield Gap(field, NO_FIELD if word in ESSENTIAL_WORDS else "")
    for name in request.extra:
        yield Gap(name, NO_FIELD if name in source.ESSENTIAL else "")
    if request.format is not None and request.format.kind == "json_schema" and request.format.schema is None:
        yield Gap(source.FIELDS["format.json_schema"], "this model's provider has no place for a schema that is only named")


def none_withheld(request: Request) -> frozenset[str]:
    return frozenset()


def tool_gaps(request: Request, source: Naming) -> Iterator[Gap]:
    """A tool of a provider's own may go where the model is free to use it or not, and has others."""
    choice = request.tool_choice
    free = choice is None or choice.mode != "required"
    others = free and any(tool.kind == "function" for tool in request.tools)
    for number, tool in enumerate(request.tools):
        field = source.FIELDS["tools"]
        if tool.kind != "function":
            why = "" if others else f"this model's provider has no tool of the kind '{tool.kind}'"
            yield Gap(f"{field}[{number}] ({tool.kind})" if others else f"{field}[{number}]", why)
        else:
            yield from (Gap(f"{field}[].{name}") for name in tool.extra)
    if request.tool_choice is not None and request.tool_choice.extra:
        yield Gap(source.FIELDS["tool_choice"], "this model's provider has no such choice of a tool")


def message_gaps(request: Request, source: Naming, target: Dialect, quirks: Quirks) -> Iterator[Gap]:
    for number, message in enumerate(request.messages):
        if message.name:
            yield Gap(f"{nowhere(source)}.name")
        yield from (Gap(f"{nowhere(source)}.{name}") for name in message.extra)
        for index, part in enumerate(message.parts):
            yield from part_gaps(part, message, place(request, source, number, index), source, target, quirks)


def mark_gaps(request: Request, told: Request, source: Naming) -> Iterator[Gap]:
    """Marks that are not told at all, or not that they last long."""
    ours, theirs = ([part.cache for message in one.messages for part in message.parts] for one in (request, told))
    for word, pairs in (("cache", [(request.cache, told.cache)]), ("parts.cache", list(zip(ours, theirs, strict=True)))):
        if any(said and not kept for said, kept in pairs):
            yield Gap(source.FIELDS[word])
        if any(said == "long" and kept == "short" for said, kept in pairs):
            yield Gap(f"{source.FIELDS[word]}.ttl")


def part_gaps(part: Part, message: Message, where: str, source: Naming, target: Dialect, quirks: Quirks) -> Iterator[Gap]:
    ours = part.dialect == target.NAME
    if part.kind == "opaque" and not ours:
        if message.role == "assistant":
            yield Gap(f"{nowhere(source, part=True)} ({part.tool})")
        else:
            yield Gap(where, f"this model's provider has no content of the type '{part.tool}'")
        return
    if part.id and part.kind in ("image", "file"):
        yield Gap(where, "a stored file is known only to the provider that stores it; send its content")
    elif (content := content_of(part)) in CONTENTS and content not in target.CONTENT:
        yield Gap(where, f"this model's provider takes no {CONTENTS[content]}")
    if part.kind == "tool_call" and part.tool != "custom" and "arguments.object" in target.CONTENT and not is_object(part.text):
        yield Gap(where, "the arguments of a call must be a JSON object, this model's provider takes nothing else")
    if part.kind == "reasoning" and not carries_reasoning(part, target, quirks):
        yield Gap(f"{nowhere(source, part=True)} (reasoning)")
    elif part.signature and not ours and not (quirks.google_signatures and part.dialect == "gemini"):
        yield Gap(f"{nowhere(source, part=True)} (signature)")
    if part.is_error and "tool_result.is_error" not in target.CONTENT:
        yield Gap(f"{nowhere(source, part=True)}.is_error")
    if part.citations and not all(citation.dialect == target.NAME for citation in part.citations):
        yield Gap(f"{nowhere(source, part=True)} (citations)")
    if not ours:
        yield from (Gap(f"{nowhere(source, part=True)}.{name}") for name in part.extra)
    for inner in part.parts:
        yield from part_gaps(inner, message, where, source, target, quirks)


def carries_reasoning(part: Part, target: Dialect, quirks: Quirks) -> bool:
    """Whether earlier reasoning can be shown to the target again: where it must be signed, only what it signed itself."""
    if "reasoning.signed" in target.CONTENT:
        return part.dialect == target.NAME and bool(part.signature or part.data)
    return bool(part.text) and ("reasoning" in target.CONTENT or bool(quirks.reasoning_field))


def content_of(part: Part) -> str:
    """What kind of content a part is, as `CONTENT` of a dialect lists it."""
    if part.kind in ("image", "file"):
        return f"{part.kind}.{'url' if part.url else 'data'}"
    return part.kind


def is_object(text: str) -> bool:
    """Whether arguments, as they were written, are a JSON object; none at all are an empty one."""
    try:
        return not text or isinstance(json.decode(text.encode("utf-8", "surrogatepass")), dict)
    except json.Malformed:
        return False


def place(request: Request, source: Naming, number: int, index: int) -> str:
    """Where part `index` of message `number` stands in the request as it came."""
    leading = bool(source.SYSTEM) and request.messages[0].role == "system"
    if leading and number == 0:
        return source.SYSTEM
    messages, content, calls = source.PLACE
    parts = request.messages[number].parts
    if parts[index].kind == "tool_call" and calls != content:
        return f"{messages}[{number - leading}].{calls}[{sum(part.kind == 'tool_call' for part in parts[:index])}]"
    return f"{messages}[{number - leading}].{content}[{index}]"


def nowhere(source: Naming, part: bool = False) -> str:
    """A place in any message, for what may stand in many."""
    messages, content, _ = source.PLACE
    return f"{messages}[].{content}[]" if part else f"{messages}[]"
