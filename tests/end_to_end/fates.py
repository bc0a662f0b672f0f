"""What llmock, a provider of somebody else's making, does to each call, and what a good client makes of that.

It sees every attempt and when it came, and passes a verdict: it finds retries that came too soon, too often or of what can't be mended,
and streams that were taken for whole and were not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from llmock.chaos import StreamChaos
from llmock.scenarios import Behavior, Delay, Fail, Match, Reply, SlowFirstToken, StreamFault, StreamFaultKind
from llmock.testing import LLMockServer
from llmock.verdict import Verdict, judge
from msgspec import Struct

TEXT = "One two three four five six seven eight nine ten eleven twelve"
AGAIN = 10
"""Calls of a test that need another attempt: so many the budget of retries always grants."""

BASES = {"openai-chat": "v1", "openai-responses": "v1", "anthropic": "anthropic/v1", "gemini": "gemini/v1beta"}
"""Where it speaks each dialect."""

GIVEN_UP = ("gave_up",)
"""Its only objection to what is passed on at once and might have come out well a second time."""


class Fate(Struct, frozen=True):
    """`faults`: makes them, the next one for each further attempt. `status`: what the client hears, 0 where it is any of a server's
    errors. `attempts`: how many a good client makes. `streams`: whole replies are not harmed. `warns`: what the verdict has to say."""

    faults: tuple[Any, ...] = ()
    status: int = 200
    attempts: int = 1
    streams: bool = False
    warns: tuple[str, ...] = ()


def broken(kind: StreamFaultKind, after: int = 0) -> partial[StreamFault]:
    return partial(StreamFault, kind, after_chunks=after, stall_seconds=20.0)


FINAL: dict[str, Fate] = {
    "well": Fate(),
    "late": Fate((partial(Delay, 0.3),)),
    "slow to speak": Fate((partial(SlowFirstToken, 0.3),), streams=True),
    "limited for a minute": Fate((partial(Fail, 429, retry_after=60.0, times=None),), 429, warns=GIVEN_UP),
    "denied": Fate((partial(Fail, 401, times=None),), 0),
    **{f"refused {status}": Fate((partial(Fail, status, times=None),), status) for status in (400, 403, 404, 422)},
}
"""What one attempt settles."""

RETRIED: dict[str, Fate] = {
    "limited once": Fate((partial(Fail, 429, retry_after=0.5),), attempts=2),
    "limited twice": Fate((partial(Fail, 429, retry_after=0.2, times=2),), 429, 2),
    "down": Fate((partial(Fail, 500, times=None),), 0, 2),
    "cut before content": Fate((broken("truncate"),), attempts=2, streams=True),
    "dropped before content": Fate((broken("disconnect"),), attempts=2, streams=True),
    "garbled before content": Fate((broken("malformed"),), attempts=2, streams=True),
    "gone silent before content": Fate((broken("stall"),), attempts=2, streams=True),
    "limited, then down": Fate((partial(Fail, 429, retry_after=0.3), partial(Fail, 500)), 0, 2),
    **{f"once {status}": Fate((partial(Fail, status, retry_after=0.2),), attempts=2) for status in (408, 409, 500, 502, 503, 504, 529)},
}
"""What a second attempt mends, or does not."""

LIMITS = {"idle": 3.0, "first_content": 10.0}
"""Seconds; the silence of "gone silent" is longer."""


PACE = 30
"""Milliseconds between two chunks: in a stream that it sends in one go, it would not see where its client stopped reading."""


class Call(Struct, frozen=True):
    """`by`: who asks. The name of the model is the call's own, and so says to llmock what is to become of it."""

    by: str
    up: str
    stream: bool
    number: int
    fate: Fate

    @property
    def name(self) -> str:
        return f"m{self.number}"

    @property
    def model(self) -> str:
        return f"{self.up}/{self.name}"

    @property
    def attempts(self) -> int:
        return 1 if self.fate.streams and not self.stream else self.fate.attempts

    def behaviors(self) -> Iterator[Behavior]:
        stream = True if self.fate.streams else None
        for make in self.fate.faults:
            yield make(match=Match(model=self.name, stream=stream))


def draw(seed: int, askers: tuple[str, ...]) -> list[Call]:
    """Every asker at every dialect, streaming and not; what becomes of each is drawn."""
    coin = random.Random(seed)
    rooms = [(by, up, stream) for by in askers for up in BASES for stream in (True, False)]
    again = set(coin.sample(range(len(rooms)), AGAIN))
    fates = [coin.choice(list((RETRIED if number in again else FINAL).values())) for number in range(len(rooms))]
    return [Call(by, up, stream, number, fates[number]) for number, (by, up, stream) in enumerate(rooms)]


def providers(url: str) -> dict[str, Any]:
    """Providers of every dialect at a server of llmock."""
    rows: dict[str, Any] = {name: {"dialect": name, "base_url": f"{url}/{base}", "api_key": "k"} for name, base in BASES.items()}
    rows["anthropic"]["defaults"] = {"max_tokens": 100}
    return rows


class Judge:
    """A server of llmock that does to `calls` what is to become of them, and answers whatever else with `TEXT`."""

    def __init__(self, server: LLMockServer, *calls: Call) -> None:
        self._state = server.state
        self.providers = providers(server.url)
        self._state.reset()
        self._state.stream_chaos = StreamChaos(chunk_delay_ms=PACE)
        self._state.scenarios.add(Reply(TEXT, times=None), *(behavior for call in calls for behavior in call.behaviors()))

    def verdict(self) -> Verdict:
        return judge(self._state.journal.records(wait=10.0))

    def hear(self, *calls: Call) -> None:
        """No error, no more attempts than there should be, and no warning but those that are the point of a fate."""
        verdict = self.verdict()
        assert verdict.passed, verdict.render()
        expected = {call.name: (call.attempts, call.fate.warns) for call in calls}
        assert found(verdict) == expected, verdict.render()


def found(verdict: Verdict) -> dict[str | None, tuple[int, tuple[str, ...]]]:
    """By model: attempts, and the codes of what the verdict has to say."""
    codes = [tuple(finding.code for finding in verdict.findings if finding.call == n) for n in range(1, len(verdict.calls) + 1)]
    return {call.first.model: (len(call.attempts), said) for call, said in zip(verdict.calls, codes, strict=True)}
