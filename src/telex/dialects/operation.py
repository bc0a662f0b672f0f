"""What a path and its query say of a request, before its body is read."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Operation(Struct, frozen=True, omit_defaults=True):
    """`model`, `stream` and `framing` as the path says them, where a dialect says them there."""

    model: str = ""
    stream: bool = False
    framing: Literal["sse", "json-array"] = "sse"


GENERATE = Operation()
"""A path that says nothing but that a generation is wanted."""
