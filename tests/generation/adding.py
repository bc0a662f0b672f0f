"""What a part of a stream says, as a sum that others can be added to: where a reader goes on in another dialect, they add up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart
from telex.core.messages import Finish, Usage
from telex.generation.crossing import WHOLE

Texts = dict[int, str]


class Sum(Struct):
    """By choice: `texts` (a refusal is one: some dialects don't tell them apart), `thoughts`, `calls` (in no order, since parallel ones
    have none) and which was `refused`. `opaque`: how many parts of a provider's own. `finishes`, `usage`: what was said of them last;
    `ends`: each end."""

    texts: Texts = field(default_factory=dict)
    thoughts: Texts = field(default_factory=dict)
    calls: dict[int, list[str]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    opaque: int = 0
    finishes: dict[int, str] = field(default_factory=dict)
    usage: tuple[int, int] | None = None
    ends: list[str] = field(default_factory=list)

    def reason(self, choice: int) -> str:
        return "refusal" if choice in self.refused else "tool_calls" if self.calls.get(choice) else self.finishes[choice]


def add(before: Sum, behind: Sum) -> Sum:
    """Words go on where they stopped; what is said of the whole is what was said last."""
    calls = {choice: sorted(before.calls.get(choice, []) + behind.calls.get(choice, [])) for choice in before.calls | behind.calls}
    texts, thoughts = join(before.texts, behind.texts), join(before.thoughts, behind.thoughts)
    finishes, usage = before.finishes | behind.finishes, behind.usage or before.usage
    return Sum(texts, thoughts, calls, before.refused | behind.refused, before.opaque + behind.opaque, finishes, usage, behind.ends)


def settle(told: Sum, broken: bool) -> Sum:
    """The sum of a whole reply without what dialects differ in: by what is there, some say that they called or refused; of a stream that
    broke, some had said their last words before."""
    finishes = {} if broken else {choice: told.reason(choice) for choice in told.finishes}
    texts, thoughts = ({choice: text for choice, text in texts.items() if text} for texts in (told.texts, told.thoughts))
    return replace(told, texts=texts, thoughts=thoughts, refused=set(), finishes=finishes, usage=None if broken else told.usage)


def join(before: Texts, behind: Texts) -> Texts:
    return {choice: before.get(choice, "") + behind.get(choice, "") for choice in before | behind}


def tally(events: Iterable[Event], cut: bool = False, choices: int = 99) -> Sum:
    """The sum of events, of the first `choices`. `cut`: there is more, so what makes no sense without it does not count yet."""
    told, parts = Sum(), dict[tuple[int, int], tuple[PartStart, list[str]]]()
    ended = set[tuple[int, int]]()
    for event in events:
        if getattr(event, "choice", 0) >= choices:
            continue
        match event:
            case PartStart():
                parts[event.choice, event.index] = event, []
            case PartDelta():
                parts[event.choice, event.index][1].append(event.text)
            case PartEnd():
                ended.add((event.choice, event.index))
            case Finish():
                told.finishes[event.choice] = event.reason
            case Usage() if event.input or event.output:  # nothing is what a dialect says that must say something
                told.usage = event.input, event.output
            case Done():
                told.ends.append("done")
            case Failure():
                told.ends.append("failure")
    for key, (start, texts) in parts.items():
        if not cut or start.kind not in WHOLE or key in ended:
            count(told, start, "".join(texts))
    return told


def count(told: Sum, start: PartStart, text: str) -> None:
    match start.kind:
        case "reasoning":
            told.thoughts[start.choice] = told.thoughts.get(start.choice, "") + text
        case "tool_call":
            told.calls.setdefault(start.choice, []).append(f"{start.name} {plain(text)}")
            told.calls[start.choice].sort()
        case "opaque" | "audio":  # which few have a word for
            told.opaque += 1
        case _:
            told.refused |= {start.choice} if start.kind == "refusal" else set()
            told.texts[start.choice] = told.texts.get(start.choice, "") + text


def plain(arguments: str) -> str:
    """Arguments without what a dialect may change of them; those that are not whole as they are."""
    try:
        value: Any = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    if isinstance(value, dict) and value.keys() == {"INVALID_JSON"}:  # so Anthropic documents to wrap them
        return str(value["INVALID_JSON"])
    return json.dumps(value, sort_keys=True)
