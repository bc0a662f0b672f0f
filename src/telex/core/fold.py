"""The only two roads between a stream and a whole reply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from telex.core.errors import Failure
from telex.core.events import Cite, Done, Event, Extra, Logprobs, PartDelta, PartEnd, PartStart, Start
from telex.core.json import join
from telex.core.messages import Choice, Citation, Fields, Finish, Part, Reply, Token, Usage

UNENDED = Failure("truncated", "The stream ended without its terminator.")


class OpenPart:
    """A part while it grows."""

    __slots__ = ("citations", "data", "dialect", "signature", "start", "text")

    def __init__(self, start: PartStart) -> None:
        self.start = start
        self.text: list[str] = []
        self.data: list[str] = []
        self.citations: list[Citation] = []
        self.signature = ""
        self.dialect = start.dialect

    def feed(self, event: PartDelta) -> None:
        if event.text:
            self.text.append(event.text)
        if event.data:
            self.data.append(event.data)
        if event.signature:
            self.signature = event.signature
        if event.dialect:
            self.dialect = event.dialect

    def part(self) -> Part:
        start = self.start
        return Part(
            start.kind,
            join(self.text),
            start.id,
            start.name,
            start.tool,
            start.url,
            "".join(self.data),
            start.media_type,
            self.signature,
            citations=tuple(self.citations),
            dialect=self.dialect,
            extra=start.extra,
        )


class OpenChoice:
    __slots__ = ("extra", "finish", "logprobs", "parts", "refusal_logprobs")

    def __init__(self) -> None:
        self.parts: dict[int, OpenPart] = {}
        self.finish: Finish | None = None
        self.logprobs: list[Token] = []
        self.refusal_logprobs: list[Token] = []
        self.extra: Fields = {}

    def choice(self, index: int) -> Choice:
        parts = tuple(part.part() for _, part in sorted(self.parts.items()))
        return Choice(index, parts, self.finish, tuple(self.logprobs), tuple(self.refusal_logprobs), self.extra)


class Folder:
    """Feed it events one at a time; `reply()` is the whole so far.

    Events that break the grammar (a delta of a part that never started) are the decoders' to prevent: here they raise `KeyError`.
    """

    def __init__(self) -> None:
        self._start = Start("", "")
        self._choices: dict[int, OpenChoice] = {}
        self._usage: Usage | None = None
        self._extra: Fields = {}
        self._failure: Failure | None = UNENDED

    def feed(self, event: Event) -> None:
        match event:
            case PartDelta():
                self._choices[event.choice].parts[event.index].feed(event)
            case PartStart():
                self._choice(event.choice).parts[event.index] = OpenPart(event)
            case Cite():
                self._choices[event.choice].parts[event.index].citations.append(event.citation)
            case Logprobs():
                choice = self._choice(event.choice)
                choice.logprobs += event.text
                choice.refusal_logprobs += event.refusal
            case Finish():
                self._choice(event.choice).finish = event
            case Extra():
                if event.choice < 0:
                    self._extra |= event.fields
                else:
                    merge(self._choice(event.choice).extra, event.fields)
            case Usage():
                self._usage = event
            case Start():
                self._start = event
            case Done():
                self._failure = None
            case Failure():
                self._failure = event

    def _choice(self, index: int) -> OpenChoice:
        return self._choices.setdefault(index, OpenChoice())

    def reply(self) -> Reply:
        """What was said so far; its `failure` is `truncated` until the end was heard."""
        choices = tuple(choice.choice(index) for index, choice in sorted(self._choices.items()))
        start = self._start
        return Reply(start.id, start.model, start.created, choices, self._usage, self._failure, start.dialect, self._extra)


def merge(into: Fields, fields: Fields) -> None:
    """Add later fields to earlier ones: objects merge, lists grow, the rest is replaced, but never by null."""
    for name, value in fields.items():
        old = into.get(name)
        if isinstance(value, dict):
            if not isinstance(old, dict):
                old = into[name] = {}
            merge(old, value)
        elif isinstance(value, list):
            if not isinstance(old, list):
                old = into[name] = []
            old.extend(value)
        elif value is not None or name not in into:
            into[name] = value


def fold(events: Iterable[Event]) -> Reply:
    folder = Folder()
    for event in events:
        folder.feed(event)
    return folder.reply()


def unfold(reply: Reply) -> Iterator[Event]:
    """The shortest stream that folds to `reply`."""
    yield Start(reply.id, reply.model, reply.created, reply.dialect)
    for choice in reply.choices:
        yield from unfold_choice(choice)
    if reply.extra:
        yield Extra(-1, reply.extra)
    if reply.usage is not None:
        yield reply.usage
    yield reply.failure or Done()


def unfold_choice(choice: Choice) -> Iterator[Event]:
    for index, part in enumerate(choice.parts):
        yield start_of(part, choice.index, index)
        if part.text or part.data or part.signature:
            yield PartDelta(choice.index, index, part.text, part.data, part.signature)
        for citation in part.citations:
            yield Cite(choice.index, index, citation)
        yield PartEnd(choice.index, index)
    if choice.logprobs or choice.refusal_logprobs:
        yield Logprobs(choice.index, choice.logprobs, choice.refusal_logprobs)
    if choice.extra or not (choice.parts or choice.finish or choice.logprobs or choice.refusal_logprobs):
        yield Extra(choice.index, choice.extra)
    if choice.finish:
        yield choice.finish


def start_of(part: Part, choice: int, index: int) -> PartStart:
    return PartStart(choice, index, part.kind, part.id, part.name, part.tool, part.url, part.media_type, part.dialect, part.extra)
