"""Whether a prompt is too long for a model, so that no call is spent on hearing it.

Only what is certain is refused: text that has too many tokens by the model's own tokeniser, or, where that is not known, so many letters
that they would be twice too many at four a token. No tokeniser gets near eight letters a token over a whole prompt; spaces, of which
some take a hundred for one, do not count. The frame, tools and media come on top and
are not needed to be sure; earlier reasoning may be left out by the provider.
"""

from __future__ import annotations

from telex.core.errors import Failure
from telex.core.messages import Request
from telex.dialects import DIALECTS, library
from telex.metering.meter import estimate
from telex.tokens.count import texts_of
from telex.tokens.encodings import count_texts, encoding_of

MARGIN = 2
"""How far beyond the window an estimate must be."""

BYTES = 2
"""Bytes that a token has at least; what is shorter fits, and is not looked at."""

ELASTIC = frozenset({"anthropic-beta", "context_management", "plugins", "transforms", "truncation"})
"""Fields and headers by which a provider may shorten a prompt or widen its window: whether it fits is then its to say."""


def size_of(request: Request) -> int:
    """Bytes of a prompt: of the body that it came in or, where it was made in this process, of its texts."""
    texts = (text for message in request.messages for text in texts_of(message.parts))
    return len(request.body) or sum(len(text.encode(errors="surrogatepass")) for text in texts)


def may_exceed(request: Request, size: int, window: int) -> bool:
    """Whether it is worth a closer look: a matter of lengths, at the cost of nothing. `size`: from `size_of`."""
    return size > BYTES * window and ELASTIC.isdisjoint(request.extra) and ELASTIC.isdisjoint(request.headers)


def exceed(request: Request, model: str, window: int) -> Failure | None:
    """Why a prompt cannot be answered in `window` tokens; None if it might be. May take long: call it in a thread."""
    texts = [text for message in request.messages for text in texts_of(tuple(part for part in message.parts if part.kind != "reasoning"))]
    if (tokens := estimate(sum(map(letters, texts)))) > MARGIN * window:
        return too_long(request, tokens, window, " The count is an estimate.")
    encoding = encoding_of(model) if sum(map(len, texts)) > window else None
    if encoding is not None and (counts := count_texts(texts, encoding)) is not None and (tokens := sum(counts)) > window:
        return too_long(request, tokens, window)
    return None


def letters(text: str) -> int:
    """Characters that are no spaces."""
    return len(text) - text.count(" ") - text.count("\n") - text.count("\t")


def too_long(request: Request, tokens: int, window: int, how: str = "") -> Failure:
    """In words that clients of several dialects look for."""
    message = f"The prompt is too long: {tokens} tokens > {window} maximum. This model's maximum context length is {window} tokens.{how}"
    source = DIALECTS[request.dialect] if request.dialect else library
    return Failure("context_too_long", message, source.PLACE[0])
