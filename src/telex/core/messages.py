"""Requests and replies, free of any dialect: a message is a role and its parts, a reply is messages that ended."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from telex.core.errors import Ending, Failure

Role = Literal["system", "developer", "user", "assistant", "tool"]
PartKind = Literal["text", "reasoning", "refusal", "tool_call", "tool_result", "image", "audio", "file", "opaque"]
Reason = Literal["stop", "length", "tool_calls", "content_filter"]

Fields = dict[str, Any]
"""Fields that the vocabulary has no word for, under the names of the dialect they came in."""


class Part(Struct, frozen=True, omit_defaults=True):
    """One piece of a message, in a request as in a reply.

    `text`: the words; of a tool call its arguments as the model wrote them (JSON, perhaps broken); of audio its transcript.
    `id`: of a tool call, or of the call that a tool result answers; of a stored file. `name`: of the tool or file; of reasoning,
    the field that carried it. `tool`: `function`, `custom`, or `legacy` (a call from before calls had ids).
    `data`: base64. `signature`: opaque state that must come back untouched. `parts`: what a tool result holds.
    """

    kind: PartKind
    text: str = ""
    id: str = ""
    name: str = ""
    tool: str = ""
    url: str = ""
    data: str = ""
    media_type: str = ""
    signature: str = ""
    parts: tuple[Part, ...] = ()
    extra: Fields = field(default_factory=dict)


class Message(Struct, frozen=True, omit_defaults=True):
    """`name`: of the participant, where a dialect has one."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""
    extra: Fields = field(default_factory=dict)


class Tool(Struct, frozen=True, omit_defaults=True):
    """`schema` is the JSON schema of the arguments; a tool of another kind than `function` is carried in `extra` whole."""

    name: str = ""
    description: str = ""
    schema: Fields | None = None
    strict: bool | None = None
    kind: str = "function"
    extra: Fields = field(default_factory=dict)


class Format(Struct, frozen=True, omit_defaults=True):
    """What the text must be: free `text`, any `json`, or `json_schema` with its schema."""

    kind: Literal["text", "json", "json_schema"]
    name: str = ""
    description: str = ""
    schema: Fields | None = None
    strict: bool | None = None


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asked for. `None` means not said, so the model's own default holds.

    `dialect` and `body` are how it came: a target of the same dialect is sent that body, changed only where Telex must.
    `choices`: how many answers. `max_tokens`: of the output, reasoning included. `tool_choice`: `auto`, `none`, `required`, or
    the name of the one tool. `effort`: how hard to reason, in the field's words (`low`, `medium`, `high`, …).
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str | Fields | None = None
    parallel_calls: bool | None = None
    choices: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    format: Format | None = None
    effort: str | None = None
    stream: bool = False
    include_usage: bool = False
    extra: Fields = field(default_factory=dict)
    dialect: str = ""
    body: bytes = b""


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one generation, as far as known. As an event it is a snapshot: the last one seen wins.

    `input` includes `cached` (read from a cache) and `cache_write`; `output` includes `reasoning`.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    extra: Fields = field(default_factory=dict)


class Finish(Struct, frozen=True, omit_defaults=True):
    """Why a choice stopped. `raw` is the provider's own word."""

    choice: int
    reason: Reason
    raw: str = ""


class Choice(Struct, frozen=True, omit_defaults=True):
    index: int
    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    extra: Fields = field(default_factory=dict)


class Reply(Struct, frozen=True, omit_defaults=True):
    """The fold of a generation's events, whole or as far as it came. `created` is in seconds since 1970."""

    id: str
    model: str
    created: int = 0
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    failure: Failure | None = None
    extra: Fields = field(default_factory=dict)

    @property
    def ending(self) -> Ending:
        return self.failure.ending if self.failure else "complete"

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return "".join(p.text for p in self.choices[0].parts if p.kind == "text") if self.choices else ""
