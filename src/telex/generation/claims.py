"""What a generation takes of limits: a part of its owner's and its model's, and each attempt one of its target's.

Tokens are taken by estimate: those of the prompt, and as many of output as the request allows. When it is over, what the provider said
counts; where a reply broke off or said nothing, what is known of it, the prompt at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from telex.config import Target
from telex.core.errors import Failure
from telex.core.messages import Request
from telex.generation.traffic import Traffic
from telex.limits.table import Holder, Lease, Need, Quota, Refusal
from telex.metering.meter import CHARACTERS_PER_TOKEN, Meter
from telex.tokens.count import tools_of, words_of

OUTPUT = 1000
"""Tokens of output that are taken for each answer of a request that does not say `max_tokens`, if the limit has that many."""

NO_TOKENS = Need()


class Claims:
    """Of one generation, from `admit` until `end`, whatever ends it."""

    def __init__(self, request: Request, model: Holder, traffic: Traffic) -> None:
        self._request = request
        self._model = model
        self._traffic = traffic
        self._holders: list[Holder] = []
        self._lease: Lease | None = None
        self._reached = False  # a provider has had the prompt

    def admit(self, owner: Holder | None, now: float) -> Failure | None:
        """Take what it needs of its owner's and its model's limits, or say why not. The first time that nothing was in the way stands."""
        if self._lease is not None:
            return None
        self._holders = [holder for holder in (owner, self._model) if holder is not None and holder.limits]
        taken = self._take(self._holders, now)
        if isinstance(taken, Failure):
            return taken
        self._lease = taken
        return None

    def take(self, target: Target, now: float) -> Lease | Failure:
        """The same of a target's."""
        return self._take([Holder("target", f"{target.provider}/{target.model}", target.limits)], now)

    def give_back(self, lease: Lease | None, meter: Meter | None, now: float) -> None:
        """An attempt is over, or was never made. `meter`: of what was sent, if something was. Only the first call for a lease counts."""
        tokens = self._used(meter) if meter is not None and meter.reached else None
        self._reached = self._reached or tokens is not None
        if lease is not None:
            self._traffic.give_back(lease, tokens, now)

    def end(self, meter: Meter | None, now: float) -> None:
        """All is over. `meter`: of the attempt that was committed."""
        if self._lease is not None:
            unheard = self._prompt if self._reached else None
            self._traffic.give_back(self._lease, unheard if meter is None else self._used(meter), now)

    def quotas(self, now: float) -> list[Quota]:
        """What its owner and its model have left."""
        return self._traffic.quotas(self._holders, now) if self._holders else []

    def _take(self, holders: Sequence[Holder], now: float) -> Lease | Failure:
        need = self._need if any(holder.limits.tpm is not None for holder in holders) else NO_TOKENS
        taken = self._traffic.take(holders, need, now)
        if isinstance(taken, Refusal):
            return Failure("limited", str(taken), retry_after=taken.wait)
        return taken

    @cached_property
    def _need(self) -> Need:
        each = self._request.max_tokens
        if each is None:
            return Need(self._prompt, OUTPUT * self._request.choices)
        return Need(self._prompt + each * self._request.choices)

    @cached_property
    def _prompt(self) -> int:
        """Tokens of the prompt, by its bytes: in UTF-8, four of them are about a token, whatever the script."""
        texts = (*words_of(self._request), *tools_of(self._request))
        return -(-sum(len(text.encode(errors="surrogatepass")) for text in texts) // CHARACTERS_PER_TOKEN)

    def _used(self, meter: Meter) -> int:
        usage, _ = meter.tokens(complete=False)
        return self._prompt if usage is None else usage.input + usage.output
