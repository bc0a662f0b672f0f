"""Policy, health and generation together, in a thousand worlds: whatever providers do and whenever clients leave, the promises hold.

A failure prints its seed; `TELEX_SEED=n` runs that world alone. `make soak` runs many more.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from typing import Any, NamedTuple

import msgspec
import pytest

from telex.config import Config, OnDisconnect
from telex.core import sse
from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta
from telex.core.messages import Request
from telex.dialects import DIALECTS
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.generation.log import Reader
from telex.limits.window import SECONDS
from telex.routing.budget import REQUESTS, Budget

from .simulation import GOOD, NOT_AGAIN, Answer, Call, Net, Provider, generation_number, run_virtually
from .visiting import Visit, check_visits, visit

SEED = os.environ.get("TELEX_SEED")
WORLDS = 1000
PER_SECOND = 0.1
"""Of the retry budget: so few, that it is felt."""

TOTAL = 30.0
"""Seconds that one generation may take."""

HOLD = 2.0
"""Seconds for which a client that left is waited for."""

MOODS = {"good": 6.0, "slow": 1.0, "refuses": 1.0, "hangs": 0.5, "silent": 0.5, "broken": 1.5, "limited": 1.0, "refused": 0.3, "cut": 2.0}
BODIES: dict[str, dict[str, Any]] = {
    "openai-chat": {"messages": [{"role": "user", "content": "?"}]},
    "openai-responses": {"input": "?"},
    "anthropic": {"messages": [{"role": "user", "content": "?"}], "max_tokens": 9},
}


LIMITS: list[dict[str, int]] = [{}, {}, {}, {"rpm": 2}, {"rpm": 5, "concurrent": 2}, {"concurrent": 1}, {"tpm": 20}, {"tpm": 1500}]
"""Of a target or of a model, in most worlds none."""


class Seen(NamedTuple):
    """One client's request: what it got, whether it `left` before the end, and whether it was `away` for a while; and those
    who read the same meanwhile."""

    number: int
    generation: Generation
    body: bytes
    left: bool
    away: bool
    visits: list[Visit]


class World:
    """Everything in it follows from the seed."""

    def __init__(self, seed: int, peaceful: bool = False) -> None:
        """`peaceful`: no provider ever fails."""
        random.seed(seed)  # of what the code draws
        self.coin = coin = random.Random(seed)
        self.peaceful = peaceful
        names = [f"p{n}" for n in range(coin.randint(1, 3))]
        self.providers = {name: self.make_provider() for name in names}
        self.net = Net(self.providers)
        self.seen: list[Seen] = []

    def make_provider(self) -> Provider:
        usual = GOOD if self.peaceful else MOODS
        moods = {mood: MOODS[mood] * self.coin.choice([0, 0.3, 1, 3]) for mood in usual} | {"good": self.coin.choice([0.5, 5])}
        return Provider(random.Random(self.coin.random()), self.coin.choice(list(BODIES)), moods)

    def config(self) -> Config:
        coin = self.coin
        rows = {n: {"dialect": p.dialect.NAME, "base_url": f"http://{n}/v1"} for n, p in self.providers.items()}
        self.limits = {n: coin.choice(LIMITS) for n in self.providers}
        targets = [
            {"provider": n, "model": "m", "tier": coin.randint(1, 2), "weight": coin.uniform(0.1, 3), **self.limits[n]}
            for n in self.providers
        ]
        model = {
            "targets": targets,
            **coin.choice(LIMITS),
            "balance": coin.choice(["weighted", "least-latency", "prefix"]),
            "retries": coin.randint(0, 2),
            "hold": HOLD,
            "timeouts": {"total": TOTAL, "connect": 2.0, "first_byte": 4.0, "first_content": 8.0, "idle": 3.0, "content_idle": 6.0},
            **coin.choice([{}, {"hedge": coin.uniform(0.1, 3)}]),
        }
        return msgspec.convert({"providers": rows, "models": {"m": model}}, Config)

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        self.engine = Engine(self.config(), pool=self.net)
        self.engine.traffic.budget = Budget(PER_SECOND)
        clients = []
        for number in range(self.coin.randint(3, 12)):
            clients.append(loop.create_task(self.client(number, random.Random(self.coin.random()))))
            await asyncio.sleep(self.coin.choice([0.0, 0.1, 3.0, 20.0]))
        async with asyncio.timeout(100 * TOTAL):
            await asyncio.gather(*clients)
        await asyncio.sleep(5)  # for connections of finished streams to end
        self.lasted = loop.time()

    async def client(self, number: int, coin: random.Random) -> None:
        generation_number.set(number)
        self.net.streams[number] = stream = coin.random() < 0.7
        dialect = coin.choice(list(BODIES))
        body = {"model": "m", "stream": stream, **BODIES[dialect]}
        request = DIALECTS[dialect].decode_request(msgspec.json.encode(body))
        assert isinstance(request, Request)
        policy: OnDisconnect = coin.choice(["cancel", "hold", "finish"])
        generation = await self.engine.begin(new_id(), request, on_disconnect=policy)
        assert isinstance(generation, Generation)
        reader = generation.join()
        visitors = [visit(generation, random.Random(coin.random())) for _ in range(coin.choice([0, 0, 1, 3]) if policy != "cancel" else 0)]
        visiting = asyncio.gather(*visitors)
        generation.start()
        patience = coin.choice([0.0, 0.05, 0.5, 5.0]) if coin.random() < 0.4 else 1e6
        read = bytearray()
        left = await self.read(reader, read, patience, coin)
        if away := left:
            generation.leave(reader)
        while left and policy != "cancel" and coin.random() < 0.8:
            await asyncio.sleep(coin.choice([0.0, 0.1, HOLD - 0.1, HOLD + 0.1]))
            reader = generation.join(after=reader.position)
            left = await self.read(reader, read, coin.choice([0.05, 0.5, 1e6]), coin)
            generation.leave(reader)
        visits = [one for several in await visiting for one in several]
        await generation.finished()
        self.seen.append(Seen(number, generation, bytes(read), left, away, visits))

    async def read(self, reader: Reader, into: bytearray, patience: float, coin: random.Random) -> bool:
        """All that comes. Whether the client left before the end."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    await reader.wait()
                    if data := reader.take():
                        into += data
                        await asyncio.sleep(coin.choice([0.0, 0.0, 0.3]))
                    elif reader.over:
                        return False
        except TimeoutError:
            return True

    # what must hold

    def check(self) -> None:
        assert len(self.seen) == len(self.net.streams)
        for seen in self.seen:
            calls = [call for call in self.net.calls if call.generation == seen.number]
            check_ending(seen)
            check_text(seen, [call.answer for call in calls])
            check_calls(seen.generation, calls)
            if seen.visits:
                check_visits(seen.generation, seen.visits)
        extra = len(self.net.calls) - len(self.seen)
        assert extra <= len(self.seen) / REQUESTS + PER_SECOND * self.lasted + 1, "one budget for all"
        assert self.engine.traffic.health.running == 0, "no slot leaks"
        assert self.engine.traffic.limits.running == 0, "nor does a part of a limit"
        for target, limits in self.limits.items():
            check_limits([wire.at for wire in self.net.wires if wire.target == target], self.net.most[target], limits)
        assert not any(wire.open for wire in self.net.wires), "no connection is left open"
        if self.peaceful:
            rows = self.engine.traffic.health._rows.values()
            assert not any(row.spells or row.failures for row in rows), "clients that leave put nobody out"


def check_ending(seen: Seen) -> None:
    """Decided, in time, and once."""
    generation = seen.generation
    assert generation.ended
    assert (generation.ending == "complete") == (generation.failure is None)
    assert seen.away or generation.ending != "cancelled", "only who leaves is cancelled"
    assert generation.meter.timing(0.0).e2e <= TOTAL + 10, "a reader that is slow is waited for, but not for long"


def check_text(seen: Seen, answers: list[Answer]) -> None:
    """All of one attempt's text, or the beginning of it and an error: never two attempts, never a made-up end."""
    generation, request = seen.generation, seen.generation.request
    if not request.stream:
        if seen.body:
            text = read_text(DIALECTS[request.dialect].Decoder().whole(seen.body))
            assert text in {answer.text for answer in answers if answer.kind in GOOD}
            assert generation.ending == "complete" or seen.left
        return
    decoder, events = DIALECTS[request.dialect].Decoder(), list[Event]()
    for frame in sse.Decoder().feed(seen.body):
        events += decoder.feed(frame)
    text = read_text(events)
    sources = [answer for answer in answers if answer.text and answer.text.startswith(text)]
    assert sources or not text, f"{text!r} is nobody's"
    if seen.left:
        return
    if generation.ending == "complete":
        assert isinstance(events[-1], Done)
        assert text in {answer.text for answer in sources}
    else:
        assert isinstance(events[-1], Failure), "a stream that broke says so"
        assert not any(isinstance(event, Done) for event in events)


def read_text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, PartDelta)).strip()


def check_limits(times: list[float], most: int, limits: dict[str, int]) -> None:
    """`times`: of the calls that reached one target; `most`: of them at once."""
    times, rpm = sorted(times), limits.get("rpm", len(times))
    assert all(earlier + SECONDS <= later for earlier, later in zip(times, times[rpm:], strict=False))
    assert most <= limits.get("concurrent", most)


def check_calls(generation: Generation, calls: list[Call]) -> None:
    """Nothing behind the commit, nothing behind a refusal that is the caller's to mend, nothing sooner than was asked for."""
    retries = generation.route.retries
    for target in {call.target for call in calls}:
        assert sum(call.target == target for call in calls) <= retries + 1
    for earlier, later in itertools.pairwise(calls):
        assert generation.route.hedge is not None or earlier.answer.kind not in NOT_AGAIN
        after = earlier.answer.headers.get("retry-after")
        if after and earlier.target == later.target:
            assert later.at >= earlier.at + float(after)
    if generation.committed:
        [chosen] = [tried for tried in generation.tried if not tried.failure]
        whose = [call for call in calls if call.target == chosen.target.partition("/")[0]]
        assert whose[-1].answer.kind in GOOD | {"cut"}
        assert all(call.at <= whose[-1].at or generation.route.hedge is not None for call in calls), "nothing is tried behind the commit"


def run(seed: int, peaceful: bool = False) -> None:
    world = World(seed, peaceful)
    try:
        run_virtually(world.live())
        world.check()
    except BaseException as error:
        error.add_note(f"TELEX_SEED={seed}, peaceful={peaceful}")
        raise


@pytest.mark.parametrize("block", range(10))
@pytest.mark.parametrize("peaceful", [False, True], ids=["wild", "peaceful"])
def test_worlds(block: int, peaceful: bool) -> None:
    seeds = [int(SEED)] if SEED else range(block, WORLDS if not peaceful else WORLDS // 5, 10)
    for seed in seeds:
        run(seed, peaceful)
