"""How a provider's use of its dialect differs: data of its row, read by the dialect's module."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Quirks(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`no_done`: the stream ends without `[DONE]`; the end of the connection behind every finish reason is its end.
    `calls_by_id`: every tool call has the same index, or none; a new id is a new call, or a new name where there are no ids.
    `repair`: what is sent confuses official SDKs (repeated roles, names and ids); frames are encoded anew even in the same dialect.
    `no_stream_options`: it refuses them, and says usage unasked.
    `limit_field`: what it calls the limit of the output. `reasoning_field`: where a message may bring earlier reasoning back; nowhere
    if it is empty. `google_signatures`: it takes back what Gemini signed, in `extra_content`.
    `counting`: how it counts the tokens of a prompt where that is not its dialect's own way: `beside`, at a path that the dialect itself
    has not; `flat`, with the request's fields in the question itself.
    `cache_marks`: patterns of the names of models that take marks of what of a prompt to cache, where a dialect's models refuse them.
    """

    no_done: bool = False
    calls_by_id: bool = False
    repair: bool = False
    no_stream_options: bool = False
    limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    reasoning_field: Literal["", "reasoning_content", "reasoning"] = ""
    google_signatures: bool = False
    counting: Literal["", "beside", "flat"] = ""
    cache_marks: tuple[str, ...] = ()


NO_QUIRKS = Quirks()
