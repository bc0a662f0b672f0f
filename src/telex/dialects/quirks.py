"""How a provider's use of its dialect differs: data of its row, read by the dialect's decoder."""

from __future__ import annotations

from msgspec import Struct


class Quirks(Struct, frozen=True, omit_defaults=True):
    """`no_done`: the stream ends without `[DONE]`; the end of the connection behind every finish reason is its end.
    `calls_by_id`: every tool call has the same index; a new id is a new call.
    `repair`: what is sent confuses official SDKs (repeated names and ids); frames are encoded anew even in the same dialect.
    """

    no_done: bool = False
    calls_by_id: bool = False
    repair: bool = False


NO_QUIRKS = Quirks()
