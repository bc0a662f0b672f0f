"""The grammar of a generation: what a model said, as a flow of small frozen events.

    Start (PartStart (PartDelta | Cite)* PartEnd | Logprobs | Extra | Usage | Progress | Finish)* (Done | Failure)

Each choice numbers its parts from 0. Several parts may be open at once (parallel tool calls do that), none opens twice. Only what
is about the whole reply (`Extra`, `Usage`, `Progress`) or a `Failure` may come before `Start`.
`Done` says that the upstream sent its terminator: no decoder ever makes one up.
"""

from __future__ import annotations

from msgspec import Struct, field

from telex.core.errors import Failure
from telex.core.messages import Citation, Fields, Finish, PartKind, Token, Usage


class Start(Struct, frozen=True, omit_defaults=True):
    """The upstream's own id and model name; `created` in seconds since 1970. `dialect`: whose words all `extra` is."""

    id: str
    model: str
    created: int = 0
    dialect: str = ""


class PartStart(Struct, frozen=True, omit_defaults=True):
    """A part begins: what is known of it at once, under the names of `Part`."""

    choice: int
    index: int
    kind: PartKind
    id: str = ""
    name: str = ""
    tool: str = ""
    url: str = ""
    media_type: str = ""
    dialect: str = ""
    extra: Fields = field(default_factory=dict)


class PartDelta(Struct, frozen=True, omit_defaults=True, gc=False):
    """More of a part: what it holds is appended, a signature replaces. `dialect`: whose a signature or encrypted data is."""

    choice: int
    index: int
    text: str = ""
    data: str = ""
    signature: str = ""
    dialect: str = ""


class Cite(Struct, frozen=True):
    """Something that a part of text says has a source. It comes while the part is open, when the cited words are known."""

    choice: int
    index: int
    citation: Citation


class PartEnd(Struct, frozen=True, omit_defaults=True):
    choice: int
    index: int


class Logprobs(Struct, frozen=True, omit_defaults=True):
    """Log probabilities of the next tokens: of the text, and of a refusal."""

    choice: int
    text: tuple[Token, ...] = ()
    refusal: tuple[Token, ...] = ()


class Extra(Struct, frozen=True, omit_defaults=True):
    """Fields without a word of their own. Those of a choice merge (lists grow), those of the whole reply (choice -1) replace."""

    choice: int
    fields: Fields = field(default_factory=dict)


class Progress(Struct, frozen=True, omit_defaults=True):
    """How many tokens of the prompt the model has read; no content, but a sign of life."""

    done: int
    total: int


class Done(Struct, frozen=True):
    """The upstream said that this was all."""


Event = Start | PartStart | PartDelta | Cite | PartEnd | Logprobs | Extra | Progress | Usage | Finish | Done | Failure


def is_content(event: Event) -> bool:
    """Whether an event commits a generation: text, reasoning, a refusal, audio, or the start of a tool call, ours or the provider's own."""
    if type(event) is PartDelta:
        return bool(event.text or event.data)
    return type(event) is PartStart and event.kind in ("tool_call", "opaque")
