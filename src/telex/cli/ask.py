"""`telex ask`: one question, one answer on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from telex.cli import WrongCall
from telex.cli.asking import Asker, explain, remark
from telex.cli.listening import Listener, Say, reading, show, view_for
from telex.cli.screen import Indicator, write
from telex.client.errors import GenerationError
from telex.client.reply import Reply
from telex.core import json
from telex.core.errors import TelexError

COUNTS = ("input", "output", "cached", "cache_write", "reasoning")
"""The tokens of `usage`."""


def question(prompt: str | None, command: str = "ask") -> str:
    """The prompt, with what is piped in behind it, or in its place. Raises `WrongCall` if there is neither."""
    piped = ""
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = sys.stdin.buffer.read().decode(errors="replace").rstrip("\n")
    parts = [part for part in (prompt, piped) if part and part.strip()]
    if not parts:
        raise WrongCall(f'There is nothing to ask. Say it, as in telex {command} "Why is the sky blue?", or pipe it in.')
    return "\n\n".join(parts)


def ask_once(asker: Asker, prompt: str, system: str | None, stream: bool, as_json: bool) -> int:
    """Raises `TelexError` if the answer is not there or not whole."""
    with asker.client:
        listener = Listener(work_of(asker, prompt, system, stream))
        show(listener, None if as_json else view_for(sys.stdout), Indicator(sys.stderr, asker.waiting_for))
    error = listener.error
    if error is not None and not isinstance(error, TelexError):
        raise error
    if as_json:
        write(sys.stdout, json.encode(record(asker, listener)).decode() + "\n")
        return 1 if error else 0
    if isinstance(error, GenerationError):
        raise TelexError(explain(error, asker.url))
    if error is not None:
        raise error
    if listener.reply is not None and (note := remark(listener.reply)):
        print(f"telex: {note}", file=sys.stderr)
    return 0


def work_of(asker: Asker, prompt: str, system: str | None, stream: bool) -> Callable[[Say], Reply[Any]]:
    if stream:
        return reading(asker.client.stream(prompt, model=asker.model, system=system))

    def work(say: Say) -> Reply[Any]:
        reply = asker.client.generate(prompt, model=asker.model, system=system)
        say(reply.text or reply.refusal)
        return reply

    return work


def record(asker: Asker, listener: Listener) -> dict[str, Any]:
    """What `--json` prints: every key is always there, and null where nothing is known."""
    reply, error = listener.reply, listener.error
    failure = error.failure if isinstance(error, GenerationError) else None
    return {
        "text": listener.said,
        "model": (reply.model if reply else "") or asker.model,
        "finish_reason": reply.finish_reason if reply else None,
        "ending": reply.ending if reply else failure.ending if failure else "failed",
        "usage": {name: getattr(reply.usage, name) for name in COUNTS} if reply and reply.usage else None,
        "certainty": reply.certainty if reply else None,
        "timing": msgspec.structs.asdict(reply.timing) if reply else None,
        "id": reply.id if reply else None,
        "dropped": list(reply.dropped) if reply else [],
        "error": {"kind": failure.kind if failure else "internal", "message": str(error)} if error else None,
    }
