"""Scripts: what the upstream does with one request, as plain values.

A script is a tuple of steps, so scripts are joined with `+`:

    (Head(200, (("content-type", "text/event-stream"),)), Send(b"data: 1\\n\\n"), Wait(0.1), Reset())

What is sent before (or without) a `Head` goes out as it is; after it, in the framing that the head announced. A script that
ends after its head ends the body properly and, where the framing allows, keeps the connection for the next request.
Whatever takes a script also takes a function from the `Call` to a script (or to such a function): a `Play`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from telex.testing.call import Call

Framing = Literal["chunked", "length", "until-close"]


class Head(Struct, frozen=True):
    """Status line and headers. `length` (bytes) is announced instead of the real one, so it can lie."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    framing: Framing = "chunked"
    length: int | None = None


class Send(Struct, frozen=True):
    """These bytes, in one write (and one chunk)."""

    data: bytes


class Wait(Struct, frozen=True):
    """Nothing for so many seconds."""

    seconds: float


class At(Struct, frozen=True):
    """Nothing until so many seconds after the request was complete."""

    seconds: float


class Until(Struct, frozen=True):
    """Nothing until `ready()` is true: a test's own condition, such as the `is_set` of a `threading.Event`. It is asked again and again."""

    ready: Callable[[], object]


class Stall(Struct, frozen=True):
    """Nothing more until the client leaves; at the end it keeps the connection open and the body unended."""


class Pour(Struct, frozen=True):
    """`unit` over and over, `count` times, as fast as the client takes it."""

    unit: bytes
    count: int


class Beat(Struct, frozen=True):
    """`data` every `gap` seconds until the client leaves."""

    data: bytes
    gap: float


class Close(Struct, frozen=True):
    """Close the connection cleanly (FIN), here and now, whatever the framing still owes."""


class Reset(Struct, frozen=True):
    """Close the connection with an RST, once the client's machine has all that was sent."""


class Refuse(Struct, frozen=True):
    """The port refuses connections. Played alone, to all: there is no request to answer."""


class Hang(Struct, frozen=True):
    """Connecting to the port never ends: its backlog is full. Played alone, to all."""


Step: TypeAlias = Head | Send | Wait | At | Until | Stall | Pour | Beat | Close | Reset | Refuse | Hang
Script: TypeAlias = tuple[Step, ...]
Play: TypeAlias = "Script | Callable[[Call], Play]"


ABRUPT: Script = (Close(),)


def resolve(play: Play, call: Call) -> Script:
    """The script that `play` has for this call."""
    while callable(play):
        play = play(call)
    return play


def size(script: Script) -> int:
    """Bytes of body that the steps send."""
    return sum(len(s.data) if isinstance(s, Send) else len(s.unit) * s.count if isinstance(s, Pour) else 0 for s in script)


def cut(play: Play, at: int, then: Script = ABRUPT) -> Play:
    """The same, but only the first `at` bytes of its body, and then `then` (an empty one ends the body properly)."""
    return lambda call: cut_script(resolve(play, call), at, then)


def cut_script(script: Script, at: int, then: Script = ABRUPT) -> Script:
    whole, steps, left = size(script), list[Step](), at
    for step in script:
        if isinstance(step, Pour):
            step = Send(step.unit * step.count)
        if isinstance(step, Send):
            step, left = Send(step.data[:left]), max(0, left - len(step.data))
        elif isinstance(step, Head) and step.framing == "length" and step.length is None:
            step = replace(step, length=whole)
        if not (isinstance(step, Send) and not step.data):
            steps.append(step)
        if not left and any(isinstance(s, Head) for s in steps):
            break
    return (*steps, *then)
