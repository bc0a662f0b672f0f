"""What the client library calls the words of a request, so that what a target can't be told is named as its caller wrote it.

It is no dialect: nothing is ever encoded in it, and a request whose `dialect` is empty came from it.
"""

from __future__ import annotations

FIELDS = {
    "max_tokens": "max_tokens",
    "tools": "tools",
    "tools.strict": "tools[].strict",
    "tool_choice": "tool_choice",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
    "format.json": "response_format",
    "format.json_schema": "response_format",
    "effort": "reasoning",
    "thinking_budget": "reasoning",
    "cache_key": "cache",
    "parts.cache": "messages[].parts[].cache",
}
ESSENTIAL: frozenset[str] = frozenset()
PLACE, SYSTEM = ("messages", "content", "tool_calls"), "system"
