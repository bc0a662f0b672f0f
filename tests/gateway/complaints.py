"""What an error says, in whichever dialect."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from telex.core import sse

from .client import Answer


class Complaint(NamedTuple):
    """What an error says, wherever its dialect says it."""

    message: str
    code: str | None
    retry_after: float | None


def told(client: str, error: dict[str, Any]) -> Complaint:
    """Of the body of an error, or of the data of one in a stream."""
    inner = error["error"]
    details: Any = inner.get("details") or ({} if client == "anthropic" else [])
    if client == "anthropic":
        return Complaint(inner["message"], details.get("error_code"), details.get("retry_after"))
    if client == "gemini":
        code = next((detail["reason"] for detail in details if "reason" in detail), None)
        delay = next((float(detail["retryDelay"].removesuffix("s")) for detail in details if "retryDelay" in detail), None)
        return Complaint(inner["message"], code, delay)
    return Complaint(inner["message"], inner["code"], inner.get("retry_after"))


def told_in(client: str, answer: Answer) -> Complaint:
    """The error in a stream, of which there is one."""
    datas = [json.loads(data) for data in answer.datas if data != sse.DONE]
    [error] = [data for data in datas if isinstance(data.get("error"), dict)]
    return told(client, error)
