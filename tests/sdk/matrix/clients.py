"""The official SDK that speaks each dialect."""

from __future__ import annotations

from collections.abc import Callable

from .responses import Responses
from .speakers import Anthropic, Google, OpenAI, Speaker

CLIENTS: dict[str, Callable[[str], Speaker]] = {
    "openai-chat": OpenAI,
    "openai-responses": Responses,
    "anthropic": Anthropic,
    "gemini": Google,
}
