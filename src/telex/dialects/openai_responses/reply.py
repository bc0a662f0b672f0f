"""The response object: what surrounds its output."""

from __future__ import annotations

from typing import Any

from telex.core.errors import Failure
from telex.core.fold import merge
from telex.core.messages import Fields, Finish, Usage
from telex.dialects.openai_chat.reply import extra_fields
from telex.dialects.openai_responses.errors import error_of_response
from telex.dialects.openai_responses.parts import NAME

DEFAULTS: Fields = {
    "background": False,
    "completed_at": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""Fields that a response must have, as they are where nothing is known of them; so said, they say nothing."""

IN_BACKGROUND: Fields = {"background": True, "store": True}
"""What a response says that nobody waits for, whichever provider made it, and whatever it was told."""

COMPLETED, INCOMPLETE = "completed", "incomplete"
REASONS = {
    "length": "max_output_tokens",
    "context_full": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""Why a response is incomplete, for the reasons to stop of which it is."""


def is_foreign(dialect: str) -> bool:
    """Whether a reply's extra fields are in the words of another dialect."""
    return dialect not in ("", NAME)


def response_object(head: Fields, status: str, output: list[Fields], more: Fields) -> Fields:
    """`head`: its id, when it was made and by what model. `more`: what else is known, in place of the defaults."""
    empty: Fields = {"error": None, "incomplete_details": None, "usage": None}
    return {**head, "status": status, **DEFAULTS, **empty, **more, "output": output}


def ending(finish: Finish | None, dialect: str) -> tuple[str, Fields]:
    """(status, the fields that say more of it). A provider's own word that is none of this dialect's stands beside them."""
    if finish is None:
        return COMPLETED, {}
    if dialect == NAME and finish.raw:
        if finish.raw in (COMPLETED, INCOMPLETE):
            return finish.raw, {}
        return INCOMPLETE, {"incomplete_details": {"reason": finish.raw}}
    reason = REASONS.get(finish.reason)
    return INCOMPLETE if reason else COMPLETED, {
        **({"incomplete_details": {"reason": reason}} if reason else {}),
        **({"native_finish_reason": finish.raw} if finish.raw else {}),
        **({"stop_sequence": finish.sequence} if finish.sequence else {}),
    }


def usage_object(usage: Usage, foreign: bool = False) -> Fields:
    body: dict[str, Any] = {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
    if usage.cache_write:
        body["input_tokens_details"]["cache_write_tokens"] = usage.cache_write
    merge(body, extra_fields(usage.extra, foreign))
    return body


def status_object(head: Fields, status: str, failure: Failure | None) -> Fields:
    """A response that runs in the background, or that ended with nothing to show; `failure`: why, unless it was cancelled."""
    error = error_of_response(failure) if failure is not None and status == "failed" else None
    return response_object(head, status, [], {**IN_BACKGROUND, "error": error})
