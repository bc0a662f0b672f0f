"""Marks of how much of a prompt OpenAI should keep in its cache, and what it keeps unmarked. Models before gpt-5.6 refuse all of it.

Source of the format: OpenAI's API reference, `prompt_cache_breakpoint` and `prompt_cache_options`, and its guide "Prompt caching".
"""

from __future__ import annotations

from typing import Literal

from telex.core.messages import Fields, Keeping, Message, Part, Request

MARK = "prompt_cache_breakpoint"
LIFETIMES: dict[str, Keeping] = {"30m": "short", "12h": "long"}
TTLS = {life: ttl for ttl, life in LIFETIMES.items()}
OPTIONS: dict[str | None, Fields | None] = {
    None: None,
    "off": {"mode": "explicit"},
    "short": {"mode": "implicit"},
    "long": {"mode": "implicit", "ttl": TTLS["long"]},
}
"""What `prompt_cache_options` says of the end of the prompt; marks say their own lifetime."""


def most_marks(request: Request) -> int:
    """The marks that are looked at, the last ones. It writes up to four of them, and needs the others to find what it wrote before."""
    return 80


def takes_mark(part: Part, message: Message) -> bool:
    """The model's own words and calls can't be marked; of a result its last text is."""
    match part.kind:
        case "text":
            return message.role != "assistant" and bool(part.text)
        case "tool_result":
            texts = [inner.text for inner in part.parts if inner.kind == "text"]
            return bool(texts and texts[-1])
    return message.role != "assistant" and part.kind in ("image", "audio", "file")


def marked(piece: Fields, life: Keeping | None) -> Fields:
    """A piece of content with its mark, if it has one."""
    return {**piece, MARK: {"mode": "explicit", "ttl": TTLS[life]}} if life else piece


def read_mark(mark: object, usual: Keeping = "short") -> Keeping | None:
    """The lifetime of a mark, `usual` where it does not say; None where there is no mark, or one of a kind unknown here."""
    match mark:
        case {"mode": "explicit", "ttl": str(ttl), **more} if not more:
            return LIFETIMES.get(ttl)
        case {"mode": "explicit", **more} if not more:
            return usual
    return None


def read_options(options: Fields) -> tuple[Keeping | Literal["off"] | None, Keeping, Fields]:
    """(what is kept of an unmarked prompt, how long marks last that do not say, what there is no word for)."""
    mode, ttl = options.get("mode"), options.get("ttl")
    more = {name: value for name, value in options.items() if value not in (None, False)}
    usual: Keeping = "short" if ttl is None else LIFETIMES.get(str(ttl), "short")
    if mode not in (None, "implicit", "explicit") or (ttl is not None and ttl not in LIFETIMES):
        return None, usual, more
    said: Keeping | Literal["off"] | None = "off" if mode == "explicit" else usual if mode or ttl else None
    return said, usual, {name: value for name, value in more.items() if name not in ("mode", "ttl")}
