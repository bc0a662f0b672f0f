"""One run of one request, as far as it is the same whether its driver awaits or blocks."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from telex.config import Target, Timeouts
from telex.core.errors import Ending, Failure
from telex.core.messages import Reply, Request
from telex.dialects import DIALECTS, Dialect
from telex.dialects.translate import Manner, Outgoing, address
from telex.generation.attempt import Attempt
from telex.generation.backend import Backend
from telex.generation.catalog import Route
from telex.generation.log import Log
from telex.generation.output import EventOutput, KeptOutput, Output, StreamOutput, WholeOutput, named
from telex.metering.meter import Meter
from telex.routing import policy
from telex.tokens.fit import may_exceed, size_of
from telex.upstream.timers import Loop

Delivery = Literal["stream", "complete"]
CANCELLED = Failure("cancelled", "The client left, so the generation was stopped.")


class Tried(Struct, frozen=True):
    """One attempt for the record: where, why not (empty if it was the one), how many seconds until that was known."""

    target: str
    failure: str
    seconds: float


class Run:
    """`log` has what the reader gets; `failure` says, once `ended`, why it was not complete.

    `committed`: the first content is there, so the reader's headers may say 200. `dropped`: fields of the request that the target which
    was asked last is not told. `headers`: of the answer that was committed. `keep`: its `reply` will be asked for.
    """

    def __init__(
        self, id: str, request: Request, route: Route, backends: dict[str, Backend], loop: Loop, on_end: Callable[[Any], None]
    ) -> None:
        self.id = id
        self.request = request
        self.log = Log()
        self.committed = False
        self.failure: Failure | None = None
        self.tried: list[Tried] = []
        self.dropped: tuple[str, ...] = ()
        self.headers: dict[str, str] = {}
        self.bug: Exception | None = None
        self.route = route
        self._backends = backends
        self._on_end = on_end
        self._clock = loop
        self._began = loop.time()
        self._created = int(time.time())
        self.keep = False
        self._output: Output | None = None
        self.meter = Meter(request, self._began)

    @property
    def delivery(self) -> Delivery:
        return "stream" if self.request.stream else "complete"

    @property
    def timeouts(self) -> Timeouts:
        return self.route.timeouts

    @property
    def dialect(self) -> Dialect:
        """The client's; one that reads events has none."""
        return DIALECTS[self.request.dialect]

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

    def _policy(self) -> policy.Policy:
        rules = policy.Rules(self.route.retries, self.timeouts.total)
        return policy.decide(len(self.route.targets), rules, self._began, random.random)

    def _note(self, target: Target, verdict: str, began: float) -> None:
        self.tried.append(Tried(f"{target.provider}/{target.model}", verdict, round(self._clock.time() - began, 4)))

    def _streams(self, target: Target) -> bool:
        """Whether the provider is asked for a stream."""
        return self.request.stream or (target.whole or self._backends[target.provider].provider.whole) == "stream"

    def _address(self, target: Target) -> Outgoing | Failure:
        backend, stream = self._backends[target.provider], self._streams(target)
        provider = backend.provider
        manner = Manner(provider.quirks, provider.defaults, provider.always if stream else {})
        outgoing = address(self.request, backend.dialect, target.model, stream, manner, self.route.strict)
        if not isinstance(outgoing, Failure):
            self.dropped = outgoing.dropped
        return outgoing

    def _narrow(self, target: Target) -> int | None:
        """The window of a target, in tokens, if the prompt may be beyond it."""
        if not self.route.check_context:
            return None
        size = size_of(self.request)
        window = self._backends[target.provider].window(target, size)
        return window if window is not None and may_exceed(self.request, size, window) else None

    def _make_attempt(self, target: Target) -> Attempt:
        self.meter = Meter(self.request, self._began)  # what a failed attempt said counts for nothing
        backend, timeouts = self._backends[target.provider], self.timeouts
        decoder, end = backend.dialect.Decoder(backend.provider.quirks), self._began + timeouts.total
        output, stream = self._make_output(backend), self._streams(target)
        if self.keep:
            output = KeptOutput(output)
        self._output = output
        return Attempt(self._clock, backend.dialect, decoder, output, self.log, self.meter, timeouts, end, stream)

    def _make_output(self, backend: Backend) -> Output:
        request = self.request
        if not request.dialect:
            return EventOutput(fold=not request.stream)
        verbatim = backend.provider.dialect == request.dialect and not backend.provider.quirks.repair
        if request.stream:
            return StreamOutput(self.dialect, verbatim, request.include_usage, self.id, self._created)
        return WholeOutput(self.dialect, verbatim, self.id, self._created)

    @property
    def reply(self) -> Reply | None:
        """What was said, if it is kept."""
        return named(self._output.reply(), self.id, self._created) if isinstance(self._output, KeptOutput) else None

    def _commit(self, attempt: Attempt) -> None:
        self.committed = True
        self.headers = attempt.headers
        attempt.commit()
        self.log.wake()

    def _end(self, failure: Failure | None) -> None:
        """The first ending stands."""
        if self.ended:
            return
        self.failure = failure
        self.meter.end(self._clock.time())
        if failure is not None and self.request.stream and self.request.dialect:
            self.log.append(self._output.fail(failure) if self._output else self.dialect.Encoder(id=self.id).feed(failure))
        self.log.close()
        self._on_end(self)
