"""The vocabulary to requests of Anthropic Messages."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import defaultdict, deque
from hashlib import sha256
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Raw

from telex.core.messages import Fields, Message, Part, Request, Tool, ToolChoice
from telex.dialects.anthropic.blocks import PROVIDER_PART, TEXT_SOURCE
from telex.dialects.anthropic.caching import MARK, MARKS, end_mark, settle_marks
from telex.dialects.anthropic.citations import ORIGINAL
from telex.dialects.anthropic.words import NAME, is_own, to_input
from telex.dialects.quirks import Quirks
from telex.dialects.seal import unseal

ROLES = {"assistant": "assistant", "system": "system", "developer": "system"}
"""Of messages; all others are the user's."""

NO_THINKING = frozenset({"none", "minimal"})
"""Efforts that this dialect says by switching thinking off."""

ROOM = 8192
"""Tokens for what is said behind the thinking, where nobody said how many."""

LEAST_TOP_P = 0.95
"""That it takes from who thinks."""

LEAST_BUDGET = 1024
"""The smallest number of tokens that a provider takes as a budget for thinking."""

NO_SCHEMA: Fields = {"type": "object", "properties": {}}
"""Of a tool without any: one must be said."""

IDS = re.compile(r"[a-zA-Z0-9_-]+")
_fields = msgspec.json.Decoder(dict[str, Raw])
_messages = msgspec.json.Decoder(list[Fields])


def encode_request(request: Request, model: str, stream: bool, quirks: Quirks) -> Fields:
    """The body for a provider of this dialect, under the provider's name for the model.

    A request that came in this dialect keeps its own bytes, field order and unknown fields, but for what Telex put into its messages
    for the providers of other dialects.
    """
    fields: dict[str, Any] = dict(_fields.decode(request.body)) if request.dialect == NAME else from_request(request)
    if request.dialect == NAME and any(is_carried(part) for message in request.messages for part in message.parts):
        fields["messages"] = [kept for message in _messages.decode(fields["messages"]) if (kept := without_carried(message))]
    fields["model"] = model
    fields.pop("stream", None)
    return {**fields, "stream": True} if stream else fields


def is_carried(part: Part) -> bool:
    """Whether a part of a message is, or brings, something of another dialect's provider."""
    return part.kind == "audio" or not is_own(part.dialect) or any(not is_own(citation.dialect) for citation in part.citations)


def without_carried(message: Fields) -> Fields | None:
    """A message without what Anthropic would refuse in it; None if nothing is left."""
    content = message["content"]
    if not isinstance(content, list):
        return message
    kept = [own_citations(block) for block in content if not (is_carried_block(block) or block.get("text") == "")]
    return {**message, "content": kept} if kept else None


def is_carried_block(block: Fields) -> bool:
    state = block.get({"thinking": "signature", "redacted_thinking": "data"}.get(block["type"], ""))
    return block["type"] == PROVIDER_PART or (isinstance(state, str) and bool(unseal(state)[0]))


def own_citations(block: Fields) -> Fields:
    citations = block.get("citations")
    if not isinstance(citations, list):
        return block
    return {**block, "citations": [one for one in citations if ORIGINAL not in one]}


def from_request(request: Request) -> Fields:
    system, messages = from_messages(request.messages)
    end = settle_marks(system, messages, end_mark(request))
    thinking, unsaid = from_thinking(request), withheld(request)
    choice = request.tool_choice
    named = bool(choice and choice.names) and not (choice and choice.mode == "required" and len(choice.names) == 1)
    tools = [
        from_tool(tool) for tool in request.tools if tool.kind == "function" and not (choice and named and tool.name not in choice.names)
    ]
    fields: Fields = {"model": request.model}
    for name, value in (
        ("system", system),
        ("messages", messages),
        ("max_tokens", from_limit(request, thinking)),
        ("tools", tools or None),
        ("tool_choice", from_choice(choice, request.parallel_calls) if tools else None),
        ("temperature", None if "temperature" in unsaid else request.temperature),
        ("top_p", None if "top_p" in unsaid else request.top_p),
        ("top_k", None if "top_k" in unsaid else request.top_k),
        ("stop_sequences", list(request.stop) or None),
        ("thinking", thinking),
        ("output_config", from_output(request) or None),
        ("metadata", {"user_id": request.user} if request.user else None),
        (MARK, MARKS[end] if end else None),
    ):
        if value is not None:
            fields[name] = value
    return fields


def from_messages(messages: tuple[Message, ...]) -> tuple[str | list[Fields] | None, list[Fields]]:
    """(system, messages). Tool results stand right behind their calls, messages of one role are one message."""
    first = next((i for i, message in enumerate(messages) if message.role not in ("system", "developer")), len(messages))
    leading, others = messages[:first], messages[first:]
    waiting: defaultdict[str, deque[list[Fields]]] = defaultdict(deque)  # where the results of calls belong
    turns: list[tuple[str, list[Fields]]] = []
    for message in others:
        late: list[Fields] = []
        for part in message.parts:
            if part.kind == "tool_result":
                place = waiting[call_key(part)].popleft() if waiting[call_key(part)] else late
                place.append(from_result(part))
        turns += [("user", late), (ROLES.get(message.role, "user"), [block for part in message.parts for block in from_part(part)])]
        behind: list[Fields] = []
        turns.append(("user", behind))
        for part in message.parts:
            if part.kind == "tool_call":
                waiting[call_key(part)].append(behind)
    system = [block for message in leading for part in message.parts for block in from_part(part)]
    said = ((role, blocks) for role, blocks in turns if blocks)
    merged = [(role, [block for _, blocks in group for block in blocks]) for role, group in groupby(said, key=lambda turn: turn[0])]
    if not merged and system:  # there must be a message
        return None, [{"role": "user", "content": plain(system)}]
    return plain(system), [{"role": role, "content": plain(blocks)} for role, blocks in merged]


def call_key(part: Part) -> str:
    """What a call and its result share; calls from before they had ids are known by their function's name."""
    return part.id or f"name:{part.name}"


def plain(blocks: list[Fields]) -> str | list[Fields] | None:
    """Content that is nothing but one text, as a string; None of no content."""
    alone = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
    return blocks[0]["text"] if alone else blocks or None


def from_part(part: Part) -> list[Fields]:
    """A part as blocks with its mark: none of what this dialect has no place for, and of results, which stand elsewhere."""
    return [marked(block, part) for block in from_unmarked(part)]


def marked(block: Fields, part: Part) -> Fields:
    return {**block, MARK: MARKS[part.cache]} if part.cache else block


def from_unmarked(part: Part) -> list[Fields]:
    extra = part.extra if part.dialect == NAME else {}
    match part.kind:
        case "text" | "refusal" if part.text.strip():
            cited = [citation.fields for citation in part.citations if citation.dialect == NAME]
            return [{"type": "text", "text": part.text, **({"citations": cited} if cited else {}), **extra}]
        case "reasoning" if part.dialect == NAME and part.data:
            return [{"type": "redacted_thinking", "data": part.data}]
        case "reasoning" if part.dialect == NAME and part.signature:
            return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
        case "tool_call":
            return [{"type": "tool_use", "id": to_id(call_key(part)), "name": part.name, "input": input_of(part), **extra}]
        case "image" | "file":
            return [{**from_media(part), **extra}]
        case "opaque" if part.dialect == NAME:
            return [opaque_block(part)]
    return []


def opaque_block(part: Part) -> Fields:
    """A block that only Anthropic understands, with what streamed into it where that belongs."""
    block = {"type": part.tool, **part.extra}
    if part.tool == "compaction":
        return {**block, "content": part.text or None}
    return {**block, "input": to_input(part.text)} if part.text else block


def from_media(part: Part) -> Fields:
    """An image, or a document with its title."""
    source: Fields = {"type": "base64", "media_type": part.media_type, "data": part.data}
    if part.url:
        source = {"type": "url", "url": part.url}
    elif part.id:
        source = {"type": "file", "file_id": part.id}
    elif part.kind == "file" and part.media_type.startswith("text/") and (text := as_text(part.data)) is not None:
        source = {"type": "text", "media_type": TEXT_SOURCE, "data": text}
    if part.kind == "image":
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, **({"title": part.name} if part.name else {})}


def as_text(data: str) -> str | None:
    """The text in base64; None if it is none in UTF-8."""
    try:
        return b64decode(data).decode()
    except ValueError:
        return None


def from_result(part: Part) -> Fields:
    content = plain([block for inner in part.parts for block in from_part(inner)])
    result = {
        "type": "tool_result",
        "tool_use_id": to_id(call_key(part)),
        **({"content": content} if content else {}),
        **({"is_error": True} if part.is_error else {}),
        **(part.extra if part.dialect == NAME else {}),
    }
    return marked(result, part)


def input_of(part: Part) -> Fields:
    """What a call was given: of a free-text tool, which this dialect has not, its text."""
    return {"input": part.text} if part.tool == "custom" else to_input(part.text)


def to_id(id: str) -> str:
    """The id of a call as this dialect takes it: the same for the same, another for another."""
    if IDS.fullmatch(id):
        return id
    return f"{re.sub('[^a-zA-Z0-9_-]', '_', id)}_{sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def from_tool(tool: Tool) -> Fields:
    fields: Fields = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    fields["input_schema"] = tool.schema or NO_SCHEMA
    return fields if tool.strict is None else {**fields, "strict": tool.strict}


def from_choice(choice: ToolChoice | None, parallel: bool | None) -> Fields | None:
    """`parallel` stands in the choice, so that one must be said."""
    fields: Fields | None = None
    if choice is not None and not choice.extra:
        one = choice.mode == "required" and len(choice.names) == 1
        fields = {"type": "tool", "name": choice.names[0]} if one else {"type": "any" if choice.mode == "required" else choice.mode}
    if parallel is None or fields == {"type": "none"}:
        return fields
    return {**(fields or {"type": "auto"}), "disable_parallel_tool_use": not parallel}


def from_thinking(request: Request) -> Fields | None:
    """A budget says it exactly; an effort lets the model decide. Tools that it must call forbid it to think, and so does, within a
    budget, a turn that goes on without the thoughts that it began with."""
    budget, effort = request.thinking_budget, request.effort
    forced = request.tool_choice is not None and request.tool_choice.mode == "required"
    if budget == 0 or (budget is None and effort in NO_THINKING):
        return {"type": "disabled"}
    if forced or (budget is not None and budget > 0 and unthought(request)):
        return None
    if budget is not None and budget > 0:
        thinking: Fields = {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, budget)}
    elif budget is not None or effort or request.show_thinking:
        thinking = {"type": "adaptive"}
    else:
        return None
    if request.show_thinking is not None:
        thinking["display"] = "summarized" if request.show_thinking else "omitted"
    return thinking


def withheld(request: Request) -> frozenset[str]:
    """Words of a request that can't be said beside its others: who thinks may not be told how to sample, and whom a tool is forced upon
    may not think."""
    thinking = from_thinking(request)
    if thinking is None:
        return frozenset({"thinking_budget", "show_thinking"})
    if thinking["type"] == "disabled":
        return frozenset()
    sampling = {"top_k"}
    if request.temperature != 1:
        sampling.add("temperature")
    if request.top_p is not None and request.top_p < LEAST_TOP_P:
        sampling.add("top_p")
    return frozenset(sampling)


def from_limit(request: Request, thinking: Fields | None) -> int | None:
    """The limit of an answer holds its thinking too, and must be more than that."""
    budget = thinking.get("budget_tokens", 0) if thinking else 0
    if not budget or (request.max_tokens is not None and request.max_tokens > budget):
        return request.max_tokens
    return budget + (request.max_tokens or ROOM)


def unthought(request: Request) -> bool:
    """Whether the turn that tools' results continue has lost its thoughts: thinking can't begin in the middle of one."""
    spoken = (message for message in reversed(request.messages) if message.role in ("assistant", "user"))
    turn = next((message for message in spoken if not only_results(message)), None)
    if turn is None or turn.role != "assistant" or not any(part.kind == "tool_call" for part in turn.parts):
        return False
    return not any(part.kind == "reasoning" and part.dialect == NAME and (part.signature or part.data) for part in turn.parts)


def only_results(message: Message) -> bool:
    return bool(message.parts) and all(part.kind == "tool_result" for part in message.parts)


def from_output(request: Request) -> Fields:
    fields: Fields = {}
    if request.effort and request.effort not in NO_THINKING:
        fields["effort"] = request.effort
    if request.format is not None and request.format.kind == "json_schema" and request.format.schema is not None:
        fields["format"] = {"type": "json_schema", "schema": request.format.schema}
    return fields
