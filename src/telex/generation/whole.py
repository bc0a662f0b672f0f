"""How the provider of a whole reply is asked: for the whole, or for a stream that Telex folds."""

from __future__ import annotations

from telex.config import Provider, Target
from telex.core.messages import Request
from telex.dialects import DIALECTS

LONG = 21_333
"""Tokens of output that may take longer than anything between here and the provider keeps a silent connection: ten minutes, at the
128,000 an hour that Anthropic's SDKs reckon with. Beyond it they refuse to ask for a whole reply."""

DEEP = 8_192
"""Tokens of reasoning that may take four minutes at that rate: as long as Azure's load balancers keep a silent connection."""

HARD = frozenset({"high", "xhigh", "max"})
"""Words for how hard to reason that mean the same."""


def asks_stream(request: Request, provider: Provider, target: Target, background: bool = False) -> bool:
    """Whether the provider is asked for a stream: the reader wants one, it is configured, or (`auto`) a whole reply might never arrive.

    That is what its row says that it refuses, and what is long or deep, if nothing of it can be lost. So is what is done in the
    background, since somebody may come to watch.
    """
    how = target.whole or provider.whole
    if request.stream or how != "auto":
        return request.stream or how == "stream"
    tokens = output_limit(request, provider)
    if provider.whole_limit is not None and tokens > provider.whole_limit:
        return True
    return is_plain(request) and (background or tokens > LONG or is_deep(request))


def output_limit(request: Request, provider: Provider) -> int:
    """The most tokens that are asked for; 0 where nobody says."""
    if request.max_tokens is not None:
        return request.max_tokens
    dialect = DIALECTS[provider.dialect]
    default = {**dialect.DEFAULTS, **provider.defaults}.get(dialect.FIELDS["max_tokens"])
    return default if isinstance(default, int) else 0


def is_deep(request: Request) -> bool:
    """Whether the model may think for minutes before it says anything."""
    return request.effort in HARD or (request.thinking_budget or 0) > DEEP


def is_plain(request: Request) -> bool:
    """Whether everything in it is understood here, so that nothing of its reply can be lost on the way through a fold."""
    functions = all(tool.kind == "function" for tool in request.tools)
    return functions and not request.extra and request.choices == 1 and not request.logprobs
