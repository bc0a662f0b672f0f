"""What a generation came to, as its caller sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import jiter
from msgspec import Struct

from telex.core import messages
from telex.core.errors import Ending, Failure, TelexError
from telex.core.messages import Choice, Message, Part, Reason, Usage
from telex.metering.meter import Certainty, Timing

T = TypeVar("T")


class ToolCall(Struct, frozen=True):
    """`text`: its arguments as the model wrote them."""

    id: str
    name: str
    text: str

    @property
    def arguments(self) -> Any:
        """The arguments as far as they have come: the JSON so far, closed where it is still open. Raises `ValueError` where it is none."""
        text = self.text.encode("utf-8", "replace")
        return jiter.from_json(text, partial_mode="trailing-strings") if text.strip() else {}


class Reply(Generic[T]):
    """`whole`: all of it, with every choice, in the words of `telex.core.messages`; what stands here is about the first choice.

    `id`: the generation's. `model`: as the provider names it. `ending`: `complete`, or how it was cut; `failure`: why.
    `usage`: tokens, `certainty` how sure they are. `cost`: None while nobody knows the price. `dropped`: the arguments that the model
    was not told, because its provider has no place for them. `read`: its text as what `response_format` asks for, if that was given;
    raises `ValueError` for a text that is nothing such.
    """

    __slots__ = ("_read", "certainty", "cost", "dropped", "id", "timing", "usage", "whole")

    def __init__(
        self,
        whole: messages.Reply,
        id: str,
        timing: Timing,
        usage: Usage | None,
        certainty: Certainty,
        dropped: tuple[str, ...],
        read: Callable[[str], T] | None,
    ) -> None:
        self.whole = whole
        self.id = id
        self.timing = timing
        self.usage = usage
        self.certainty = certainty
        self.cost: float | None = None
        self.dropped = dropped
        self._read = read

    def __repr__(self) -> str:
        return f"Reply({self.text!r}, ending={self.ending!r}, id={self.id!r})"

    @property
    def text(self) -> str:
        return self._words("text")

    @property
    def reasoning(self) -> str:
        return self._words("reasoning")

    @property
    def refusal(self) -> str:
        return self._words("refusal")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(part.id, part.name, part.text) for part in self._parts if part.kind == "tool_call")

    @property
    def finish_reason(self) -> Reason | None:
        """None where the provider has not said."""
        choice = self._choice
        return choice.finish.reason if choice is not None and choice.finish is not None else None

    @property
    def ending(self) -> Ending:
        return self.whole.ending

    @property
    def failure(self) -> Failure | None:
        return self.whole.failure

    @property
    def model(self) -> str:
        return self.whole.model

    @property
    def message(self) -> Message:
        """It as a message, for the next turn; a reply among the messages of a call means the same."""
        return Message("assistant", self._parts)

    @property
    def parsed(self) -> T:
        """The text as what `response_format` asks for. Raises `TelexError` where none was asked for, or where the text is nothing such."""
        if self._read is None:
            raise TelexError("There is nothing to parse: the call had no response_format.")
        if self.ending != "complete":
            raise TelexError(f"There is nothing to parse: the reply is not complete but {self.ending}.")
        try:
            return self._read(self.text)
        except ValueError as error:
            raise TelexError(f"The reply is not what response_format asks for: {error}") from error

    @property
    def _choice(self) -> Choice | None:
        return self.whole.choices[0] if self.whole.choices else None

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self._choice.parts if self._choice is not None else ()

    def _words(self, kind: str) -> str:
        return "".join(part.text for part in self._parts if part.kind == kind)

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what reads it, which may hold what no other process knows."""
        return cast("type[Any]", Reply), (self.whole, self.id, self.timing, self.usage, self.certainty, self.dropped, None)
