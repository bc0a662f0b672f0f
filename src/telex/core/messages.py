"""Requests and replies, free of any dialect: a message is a role and its parts, a reply is messages that ended."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from telex.core.errors import Ending, Failure

Role = Literal["system", "developer", "user", "assistant", "tool"]
PartKind = Literal["text", "reasoning", "refusal", "tool_call", "tool_result", "image", "audio", "file", "opaque"]
Reason = Literal[
    "stop", "stop_sequence", "tool_calls", "length", "context_full", "content_filter", "refusal", "pause", "broken_call", "compaction"
]

Keeping = Literal["short", "long"]
"""How long a provider should keep a prompt in its cache: minutes, as all do where nothing is said, or hours."""

Fields = dict[str, Any]
"""Fields that the vocabulary has no word for, under the names of the dialect they came in."""


class Citation(Struct, frozen=True, omit_defaults=True):
    """Where something that the model said comes from.

    `start`, `end`: what is cited, in characters of the choice's whole text; both 0 where that is not known. `quote`: the words of
    the source. `fields`: the citation as `dialect` writes it.
    """

    url: str = ""
    title: str = ""
    start: int = 0
    end: int = 0
    quote: str = ""
    dialect: str = ""
    fields: Fields = field(default_factory=dict)


class Token(Struct, frozen=True, omit_defaults=True):
    """One token of a reply with its log probability. `bytes`: of its UTF-8, where said; `top`: the likeliest at its place."""

    text: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[Token, ...] = ()


class Part(Struct, frozen=True, omit_defaults=True):
    """One piece of a message, in a request as in a reply.

    `text`: the words; of a tool call its arguments as the model wrote them (JSON, perhaps broken); of audio its transcript; of an
    opaque part the JSON that was streamed into it.
    `id`: of a tool call, or of the call that a tool result answers; of a stored file. `name`: of the tool or file; of reasoning,
    the field that carried it. `tool`: `function`, `custom`, or `legacy` (a call from before calls had ids); of an opaque part, its
    own type.
    `data`: base64 in the standard alphabet, padded; of reasoning, what is encrypted. `signature`: state that must come back untouched.
    `parts`: what a tool result holds; `is_error`: the tool failed.
    `cache`: a mark: the prompt up to here, this part included, should be kept for that long. What a tool result holds has none itself.
    `dialect`: whose words `extra` and `signature` are, and an opaque part whole: its `extra` is all of it but the streamed JSON.
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
    citations: tuple[Citation, ...] = ()
    is_error: bool = False
    cache: Keeping | None = None
    dialect: str = ""
    extra: Fields = field(default_factory=dict)


class Message(Struct, frozen=True, omit_defaults=True):
    """`name`: of the participant, where a dialect has one. Tool results stand in messages of the role `tool` or, before any other part,
    in those of `user`."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""
    extra: Fields = field(default_factory=dict)


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    """`auto`: the model decides; `required`: at least one call. `names`: only these tools. `extra`: a choice of another kind, whole."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()
    extra: Fields = field(default_factory=dict)


class Tool(Struct, frozen=True, omit_defaults=True):
    """`schema` is the JSON schema of the arguments, its keys in the order they came; a tool of another kind than `function` is carried
    in `extra` whole."""

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

    `dialect`, `body` and `headers` are how it came: a target of the same dialect is sent that body, changed only where Telex must, with
    those headers, which are the dialect's own (versions, betas). `framing`: how the caller wants a stream cut.
    `choices`: how many answers. `max_tokens`: of the output, reasoning included. `effort`: how hard to reason, in the field's words
    (`none`, `minimal`, `low`, `medium`, `high`, …); `thinking_budget`: in tokens, 0 for none, -1 for as many as the model thinks fit;
    `show_thinking`: whether the reply shows it. `user`: an id of the end user. `cache_key`: the same for prompts that begin alike, so that
    what a provider keeps of them is found again. `cache`: for how long it should keep the prompt without a mark at its end, `off` for not
    at all.
    `extra`: fields that the vocabulary has no word for.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_calls: bool | None = None
    choices: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    format: Format | None = None
    effort: str | None = None
    thinking_budget: int | None = None
    show_thinking: bool | None = None
    user: str | None = None
    cache_key: str | None = None
    cache: Keeping | Literal["off"] | None = None
    stream: bool = False
    include_usage: bool = False
    framing: Literal["sse", "json-array"] = "sse"
    extra: Fields = field(default_factory=dict)
    dialect: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


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
    """Why a choice stopped. `raw` is the provider's own word, `sequence` the stop sequence that was met."""

    choice: int
    reason: Reason
    raw: str = ""
    sequence: str = ""


class Choice(Struct, frozen=True, omit_defaults=True):
    """`logprobs`: of the tokens of its text, `refusal_logprobs` of those of a refusal."""

    index: int
    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    logprobs: tuple[Token, ...] = ()
    refusal_logprobs: tuple[Token, ...] = ()
    extra: Fields = field(default_factory=dict)


class Reply(Struct, frozen=True, omit_defaults=True):
    """The fold of a generation's events, whole or as far as it came. `created` is in seconds since 1970. `dialect`: whose words all
    the `extra` in it are."""

    id: str
    model: str
    created: int = 0
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    failure: Failure | None = None
    dialect: str = ""
    extra: Fields = field(default_factory=dict)

    @property
    def ending(self) -> Ending:
        return self.failure.ending if self.failure else "complete"

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return "".join(p.text for p in self.choices[0].parts if p.kind == "text") if self.choices else ""
