"""One run of one request, as far as it is the same whether its driver awaits or blocks."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from telex.config import Target, Timeouts
from telex.core import json
from telex.core.errors import Ending, Failure
from telex.core.messages import Reply, Request
from telex.dialects import DIALECTS, Dialect
from telex.dialects.translate import Manner, Outgoing, address
from telex.generation.asking import Asking
from telex.generation.attempt import Attempt, too_slow
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.generation.claims import Claims
from telex.generation.kept import KeptLog
from telex.generation.log import Log
from telex.generation.output import FoldingOutput, Naming, Output, SourceOutput, call
from telex.generation.reading import Reading, Source, is_verbatim, make_output
from telex.generation.resuming import Resuming
from telex.generation.traffic import Traffic
from telex.generation.whole import asks_stream
from telex.limits.table import Holder, Lease, Quota
from telex.metering.meter import Meter
from telex.routing import policy
from telex.routing.balance import Delivery
from telex.routing.health import Slot
from telex.tokens.fit import may_exceed, size_of
from telex.upstream.address import Origin
from telex.upstream.timers import Loop

EARLY = 0.001
"""Seconds by which a timer may come before its time."""

CANCELLED = Failure("cancelled", "The client left, so the generation was stopped.")
PASSED_OVER = "out"
"""Stands for the failure of a target that was not asked first, since it was known to be out."""


class Tried(Struct, frozen=True):
    """One attempt for the record: where, why not (empty if it was the one), how many seconds until that was known; `why`: in words."""

    target: str
    failure: str
    seconds: float
    why: str = ""


class Try:
    """One attempt as it is being made. `attempt` is there once something was sent; `dropped`: what its target is not told; `lease`: its
    part of its target's limits."""

    def __init__(self, target: Target, slot: Slot, began: float) -> None:
        self.target = target
        self.slot = slot
        self.began = began
        self.attempt: Attempt | None = None
        self.dropped: tuple[str, ...] = ()
        self.lease: Lease | None = None


class Run:
    """`log` has what its readers get; `failure` says, once `ended`, why it was not complete.

    `committed`: the first content is there, so a reader's headers may say 200. `dropped`: fields of the request that the target which
    answers is not told. `headers`: of the answer that was committed. `keep`: its `reply` will be asked for. `background`: nobody need wait
    for it. `created`, `born`: in seconds since 1970, the latter with their fractions. `owner`: the id of the key whose it is; empty where
    access is open. `queued`: seconds that it waited for its turn before it began.
    """

    def __init__(
        self,
        id: str,
        request: Request,
        route: Route,
        backends: dict[str, Backend],
        traffic: Traffic,
        loop: Loop,
        log: Log,
        on_end: Callable[[Any], None],
    ) -> None:
        self.id = id
        self.request = request
        self.log = log
        self.committed = False
        self.failure: Failure | None = None
        self.tried: list[Tried] = []
        self.dropped: tuple[str, ...] = ()
        self.headers: dict[str, str] = {}
        self.bug: Exception | None = None
        self.route = route
        self._backends = backends
        self._traffic = traffic
        self._on_end = on_end
        self._clock = loop
        self._began = loop.time()
        self.born = time.time()
        self.created = int(self.born)
        self.keep = self.background = False
        self.owner = ""
        self.queued = 0.0
        self._claims = Claims(request, Holder("model", route.model, route.limits), traffic)
        self._output: Output | None = None
        self.meter = Meter(request, self._began)
        self._trying: list[Try] = []  # without a verdict
        self._chosen: Try | None = None

    @property
    def delivery(self) -> Delivery:
        if self.background:
            return "background"
        return "stream" if self.request.stream else "complete"

    @property
    def timeouts(self) -> Timeouts:
        return self.route.timeouts

    @property
    def dialect(self) -> Dialect:
        """The client's; one that reads events has none."""
        return DIALECTS[self.request.dialect]

    @property
    def reading(self) -> Reading:
        """What its client wants to read. Under the name that it has here its client may ask for the reply of one that nobody waits for,
        before there is any."""
        request, background = self.request, self.background
        prefix = self.dialect.REPLY_ID if request.dialect else ""
        name = prefix + self.id if prefix else ""
        return Reading(request.dialect, not request.stream, request.include_usage, self.id, self.created, name, background)

    @property
    def now(self) -> float:
        """In seconds, by the clock of its meter."""
        return self._clock.time()

    @property
    def ended(self) -> bool:
        return self.log.closed

    @property
    def ending(self) -> Ending:
        """How it ended; only once it has."""
        return self.failure.ending if self.failure else "complete"

    def admit(self, owner: Holder | None = None) -> Failure | None:
        """Take its part of its owner's and its model's limits, or say why not. One that begins without has no owner."""
        return self._claims.admit(owner, self.now)

    @property
    def quotas(self) -> list[Quota]:
        """What is left of those limits."""
        return self._claims.quotas(self.now)

    def _policy(self, hedges: bool) -> policy.Policy:
        """`hedges`: whether this driver can follow two attempts at once."""
        if (refused := self.admit()) is not None:
            return policy.refuse(refused)
        route, traffic, now = self.route, self._traffic, self._began
        prefix = prefix_of(self.request) if route.balance == "prefix" else b""
        targets = traffic.plan(route, self.delivery, prefix, now)
        if not targets:
            return policy.refuse(Failure("unsupported", f"'{route.model}' has no target for this delivery ({self.delivery})."))
        self._pass_over(targets[0])
        rules = policy.Rules(route.retries, self.timeouts.total, route.hedge if hedges else None)
        return policy.decide(targets, rules, traffic.spend, now, random.random)

    def _pass_over(self, first: int) -> None:
        """Note who would have been asked before the first, were it not out."""
        health, now, targets = self._traffic.health, self._began, self.route.targets
        for number, target in enumerate(targets):
            if number != first and target.tier <= targets[first].tier and (why := health.why(target, now)):
                words = f"out for another {health.waiting(target, now):.0f} s: {why}"
                self.tried.append(Tried(name_of(target), PASSED_OVER, 0.0, words))

    def _begin(self, target: Target) -> Try:
        tried = Try(target, self._traffic.begin(target), self._clock.time())
        self._trying.append(tried)
        return tried

    def _take(self, tried: Try) -> Failure | None:
        """Its part of its target's limits: the last thing before it is sent."""
        taken = self._claims.take(tried.target, self.now)
        if isinstance(taken, Failure):
            return taken
        tried.lease = taken
        return None

    def _settle(self, tried: Try, failure: Failure | None) -> None:
        """The verdict: a line for the record, and what the table of health learns."""
        self._trying.remove(tried)
        now = self._clock.time()
        seconds = round(now - tried.began, 4)
        if failure is None:
            self.tried.append(Tried(name_of(tried.target), "", seconds))
            self._traffic.commit(tried.slot, now - tried.began if self._streams(tried.target) else None, now)
        else:
            self.tried.append(Tried(name_of(tried.target), failure.kind, seconds, explain(failure)))
            self._give_back(tried, failure)

    def _streams(self, target: Target) -> bool:
        """Whether the provider is asked for a stream."""
        return asks_stream(self.request, self._backends[target.provider].provider, target, self.background)

    def _conclude(self, tried: Try, failure: Failure | None) -> None:
        """What became of a committed attempt. The first call counts."""
        self._give_back(tried, failure)

    def _give_back(self, tried: Try, failure: Failure | None) -> None:
        now = self._clock.time()
        self._traffic.end(tried.slot, self._lesson(failure), now)
        self._claims.give_back(tried.lease, tried.attempt.meter if tried.attempt is not None else None, now)

    def _lesson(self, failure: Failure | None) -> Failure | None:
        """What the table of health learns: nothing of a target for which its caller had no patience."""
        hasty = failure is not None and failure.kind == "timeout" and failure.code in self.route.hasty
        return CANCELLED if hasty else failure

    def _address(self, tried: Try) -> Outgoing | Failure:
        target = tried.target
        backend, stream = self._backends[target.provider], self._streams(target)
        provider = backend.provider
        manner = Manner(provider.quirks, provider.defaults, provider.always if stream else {})
        outgoing = address(self.request, backend.dialect, target.model, stream, manner, self.route.strict)
        if not isinstance(outgoing, Failure):
            tried.dropped = outgoing.dropped
            if self.route.headers:
                outgoing = replace(outgoing, headers={**outgoing.headers, **self.route.headers})
        return outgoing

    @property
    def _last_moment(self) -> float:
        """When the time for everything is over."""
        return self._began + self.timeouts.total

    @property
    def _patience(self) -> float:
        """Seconds that connecting may take."""
        return max(0.0, min(self.timeouts.connect, self._last_moment - self.now))

    def _in_time(self, failure: Failure | None) -> Failure | None:
        """A failure to connect because the time for everything was over is said to be that."""
        late = failure is not None and failure.code == "connect" and self.now >= self._last_moment - EARLY
        return too_slow("total", self.timeouts.total) if late else failure

    def _not_ready(self, target: Target) -> Failure:
        seconds = self.timeouts.total
        return Failure("timeout", f"'{target.provider}' was not ready within {seconds:g} s (timeouts.total).", code="total")

    def _narrow(self, target: Target) -> int | None:
        """The window of a target, in tokens, if the prompt may be beyond it."""
        if not self.route.check_context:
            return None
        size = size_of(self.request)
        window = self._backends[target.provider].window(target, size)
        return window if window is not None and may_exceed(self.request, size, window) else None

    def _make_attempt(self, target: Target) -> Attempt:
        backend, timeouts = self._backends[target.provider], self.timeouts
        decoder, end = backend.dialect.Decoder(backend.provider.quirks), self._last_moment
        output, stream = self._make_output(backend), self._streams(target)
        meter = Meter(self.request, self._began)
        return Attempt(self._clock, backend.dialect, decoder, output, self.log, meter, timeouts, end, stream)

    def _make_resuming(self, attempt: Attempt, target: Target, origin: Origin, request: bytes) -> Resuming:
        """What stands between an attempt at a gateway and its connections."""
        asking = Asking(self._backends[target.provider], origin, request, self.route.key)
        return Resuming(self._clock, attempt, asking, self._streams(target), random.random)

    def _make_output(self, backend: Backend) -> Output:
        kept = isinstance(self.log, KeptLog)
        output = SourceOutput(self.request.stream) if kept else make_output(self.reading, source_of(backend))
        return FoldingOutput(output) if self.keep else output

    @property
    def reply(self) -> Reply | None:
        """What was said, if it is kept."""
        if not isinstance(self._output, FoldingOutput) or self._chosen is None:
            return None
        reading = self.reading
        theirs = is_verbatim(reading, source_of(self._backends[self._chosen.target.provider])) and not reading.renamed
        return call(self._output.reply(), Naming(self.id, self.created, "" if theirs else reading.name))

    def _commit(self, tried: Try) -> Attempt:
        """What the other attempts said counts for nothing."""
        attempt = tried.attempt
        assert attempt is not None
        self.committed, self._chosen = True, tried
        self.headers, self.meter, self._output, self.dropped = attempt.headers, attempt.meter, attempt.output, tried.dropped
        if isinstance(self.log, KeptLog):
            self.log.source = replace(source_of(self._backends[tried.target.provider]), whole=not attempt.streams)
        attempt.commit()
        self.log.wake()
        return attempt

    def _end(self, failure: Failure | None) -> None:
        """The first ending stands."""
        if self.ended:
            return
        self.failure = failure = self._redact(failure) if failure else None
        for tried in list(self._trying):
            self._settle(tried, CANCELLED)
        if self._chosen is not None:
            self._conclude(self._chosen, CANCELLED)  # unless its attempt has ended
        self._claims.end(self.meter if self._chosen is not None else None, self.now)
        self.meter.end(self.now)
        if failure is not None and self.request.stream and self.request.dialect and not isinstance(self.log, KeptLog):
            self.log.append(self._output.fail(failure) if self._output else self.dialect.Encoder(id=self.id).feed(failure))
        self.log.close(failure)
        self._on_end(self)

    def _redact(self, failure: Failure) -> Failure:
        """It may be in the words of any provider that was asked."""
        for provider in {target.provider for target in self.route.targets}:
            failure = self._backends[provider].redact(failure)
        return failure


def source_of(backend: Backend) -> Source:
    """What it sends, as far as that is known before it comes."""
    return Source(backend.provider.dialect, backend.provider.quirks)


def name_of(target: Target) -> str:
    return f"{target.provider}/{target.model}"


def explain(failure: Failure) -> str:
    """Why an attempt failed, in words that are Telex's own: what a provider says may hold what the prompt or the key was."""
    if failure.status:
        return f"{failure.kind}, HTTP {failure.status}"
    return failure.message if failure.kind in ("timeout", "unreachable", "tls", "limited") else failure.kind


def prefix_of(request: Request) -> bytes:
    """What prompts share that begin alike: the key that says so, else what stands before the conversation."""
    if request.cache_key is not None:
        return request.cache_key.encode()
    system = [message for message in request.messages if message.role in ("system", "developer")]
    return json.encode(msgspec.to_builtins((system, request.tools)))
