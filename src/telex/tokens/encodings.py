"""The tokenisers that are public: OpenAI's, by the package `toktok`, which brings their vocabularies.

It counts without making ids, lets other threads run meanwhile and takes runs of any length. Loading an encoding takes half a second and
60 MB, so it is loaded at its first use, and from a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

Encoding = Literal["o200k_base", "cl100k_base"]
CountsTexts = Callable[..., list[int]]

ENCODINGS: tuple[tuple[re.Pattern[str], Encoding], ...] = (
    (re.compile(r"(?:chatgpt-|gpt-)(?:4o|4\.1|4\.5|5|oss)(?![\w])|o[134](?![\w])"), "o200k_base"),
    (re.compile(r"gpt-(?:4|3\.5-turbo|35-turbo)(?![\w.])"), "cl100k_base"),
)
"""Beginnings of model names, as OpenAI's tiktoken has them."""

FRAMED = re.compile(r"(?:chatgpt-|gpt-)(?:4o|4\.1|4|3\.5-turbo|35-turbo)(?![\w.])")
"""Models whose frame around messages OpenAI documents; that of those which reason is not."""


def bare(model: str) -> str:
    """A model's own name, without who serves it or whose fine-tuning it is."""
    return model.rpartition("/")[2].removeprefix("ft:").lower()


def encoding_of(model: str) -> Encoding | None:
    """Which encoding a model by that name has; None if it is not known."""
    return next((encoding for pattern, encoding in ENCODINGS if pattern.match(bare(model))), None)


def is_framed(model: str) -> bool:
    return FRAMED.match(bare(model)) is not None


def count_texts(texts: Iterable[str], encoding: Encoding) -> list[int] | None:
    """The tokens of each text, words for special tokens being words; None without the package."""
    count = load()
    return count([whole(text) for text in texts], encoding, threads=1) if count else None


def load() -> CountsTexts | None:
    try:
        from toktok import batch_count
    except ImportError:
        return None
    counts: CountsTexts = batch_count
    return counts


def whole(text: str) -> str:
    """Half a surrogate pair is no text: a mark stands for it, as it would in a provider's eyes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
