"""What a path and its query say of a request, before its body is read."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Operation(Struct, frozen=True, omit_defaults=True):
    """`kind`: an answer, or only the number of tokens that its prompt has. `model`, `stream` and `framing` as the path says them, where a
    dialect says them there."""

    model: str = ""
    stream: bool = False
    framing: Literal["sse", "json-array"] = "sse"
    kind: Literal["generate", "count"] = "generate"


GENERATE = Operation()
"""A path that says nothing but that a generation is wanted."""

COUNT = Operation(kind="count")
"""A path that says nothing but that tokens are to be counted."""
