"""One question as a client of each dialect asks it, and what its errors say."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from telex.core import sse

from .client import Answer

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
KEYS = {
    "openai-chat": {"authorization": "Bearer none"},
    "openai-responses": {"authorization": "Bearer none"},
    "anthropic": {"x-api-key": "none", "anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": "none"},
}


def asks(client: str, model: str, stream: bool = False, **fields: Any) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The path, the body and the headers of a request."""
    messages = [{"role": "user", "content": "Hi"}]
    body: dict[str, Any]
    match client:
        case "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path, body = f"/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        case "anthropic":
            path, body = "/v1/messages", {"model": model, "max_tokens": 9, "messages": messages, "stream": stream}
        case "openai-responses":
            path, body = "/v1/responses", {"model": model, "input": "Hi", "stream": stream}
        case _:
            path, body = "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream}
    return path, {**body, **fields}, KEYS[client]


class Told(NamedTuple):
    """What an error says, wherever its dialect says it."""

    message: str
    code: str | None
    retry_after: float | None


def told(client: str, error: dict[str, Any]) -> Told:
    """Of the body of an error, or of the data of one in a stream."""
    inner = error["error"]
    details: Any = inner.get("details") or ({} if client == "anthropic" else [])
    if client == "anthropic":
        return Told(inner["message"], details.get("error_code"), details.get("retry_after"))
    if client == "gemini":
        code = next((detail["reason"] for detail in details if "reason" in detail), None)
        delay = next((float(detail["retryDelay"].removesuffix("s")) for detail in details if "retryDelay" in detail), None)
        return Told(inner["message"], code, delay)
    return Told(inner["message"], inner["code"], inner.get("retry_after"))


def told_in(client: str, answer: Answer) -> Told:
    """The error in a stream, of which there is one."""
    datas = [json.loads(data) for data in answer.datas if data != sse.DONE]
    [error] = [data for data in datas if isinstance(data.get("error"), dict)]
    return told(client, error)
