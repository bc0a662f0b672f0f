"""Marks of how much of a prompt a provider should keep in its cache, on their way to a provider of another dialect.

All have two lifetimes. They are told as each other's because they are meant alike: the shorter is what a mark means that does not say,
and writing it costs 1.25 of the tokens' price on both sides; the longer is for prompts that are not used every few minutes.

| | Anthropic | OpenAI Responses | OpenAI Chat Completions |
|---|---|---|---|
| short | 5 minutes, anew with each use | 30 minutes at least | 30 minutes at least |
| long | 1 hour, anew with each use | 12 hours at least | there is none: short |

Sources: "Prompt caching" in the guides of Anthropic and OpenAI, and the types of OpenAI's SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from telex.core.messages import Keeping, Message, Part, Request
from telex.dialects.quirks import Quirks

Place = tuple[int, int]
"""The number of a message, and of a part in it."""


class Marks(Struct, frozen=True):
    """What a dialect can mark. `takes`: whether a part of a message may be. `most`: how many of a request's. `long`: whether there is the
    longer lifetime. `some_models`: all others than `Quirks.cache_marks` names refuse marks."""

    takes: Callable[[Part, Message], bool]
    most: Callable[[Request], int]
    long: bool = True
    some_models: bool = False


def keep_marks(request: Request, marks: Marks | None, model: str, quirks: Quirks) -> Request:
    """The request with no other marks than its provider takes. `marks`: what its dialect can mark, if anything.

    Of too many the last are kept: each holds all that stands before it, and OpenAI too writes the last.
    """
    places = [(n, i) for n, message in enumerate(request.messages) for i, part in enumerate(message.parts) if part.cache]
    if not places and request.cache is None:
        return request
    if marks is None or (marks.some_models and not any(fnmatchcase(model, names) for names in quirks.cache_marks)):
        return replace(with_marks(request, {}), cache=None)
    taken = [(n, i) for n, i in places if marks.takes(request.messages[n].parts[i], request.messages[n])]
    kept: dict[Place, Keeping | None]
    kept = {(n, i): request.messages[n].parts[i].cache if marks.long else "short" for n, i in taken[-marks.most(request) :]}
    return replace(with_marks(request, kept), cache="short" if request.cache == "long" and not marks.long else request.cache)


def with_marks(request: Request, lives: dict[Place, Keeping | None]) -> Request:
    """The request with these marks and no others."""
    messages = [
        replace(message, parts=tuple(replace(part, cache=lives.get((n, i))) for i, part in enumerate(message.parts)))
        for n, message in enumerate(request.messages)
    ]
    return replace(request, messages=tuple(messages))


def hoist_marks(result: Part) -> Part:
    """A tool's result with the marks of what it holds as its own: dialects differ in which of the two they mark."""
    lives = {result.cache, *(part.cache for part in result.parts)}
    if lives == {None}:
        return result
    return replace(result, cache="long" if "long" in lives else "short", parts=tuple(replace(part, cache=None) for part in result.parts))
