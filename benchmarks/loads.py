"""How it is measured: one row a test. The numbers are the method; README.md says why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the load generator, and the pace at which the upstream answers it."""

    connections: int
    seconds: float  # no request begins after this
    events: int = 1  # content events of each stream
    interval_ms: int = 0  # between two of them; 0: as fast as they are read
    whole: bool = False  # whole replies, not streams
    requests: int | None = None  # no more than this
    ramp: float = 0.0  # the connections begin spread over this many seconds
    window: tuple[float, float] | None = None  # seconds between which CPU, events and requests are counted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the load generator printed."""

    elapsed_s: float
    ok: int
    bad: int
    net_errors: int
    unfinished: int
    out_of_order: int
    events: int
    bytes: int
    events_per_read: float
    ttft_p50_us: float
    ttft_p99_us: float
    latency_p50_us: float
    latency_p99_us: float
    latency_mean_us: float
    round_trip_p50_us: float
    round_trip_p99_us: float
    window_s: float
    window_cpu_us: float
    window_cpu_ticks_us: float
    window_events: int
    window_requests: int
    rss_kb: int
    pss_kb: int
    statuses: Mapping[str, int]
    bad_sample: str

    @property
    def failures(self) -> int:
        return self.bad + self.unfinished or int(self.ok == 0)


Figures = dict[str, float]


def _rates(**fractions: tuple[float, float]) -> Figures:
    """Leaves out what could not be computed: `direct` has no process, and what fails counts nothing."""
    return {name: amount / count for name, (amount, count) in fractions.items() if amount > 0 and count > 0}


def first_event(o: Outcome) -> Figures:
    return {"p50_us": o.ttft_p50_us, "p99_us": o.ttft_p99_us}


def per_event(o: Outcome) -> Figures:
    rates = _rates(
        cpu_us_per_event=(o.window_cpu_us, o.window_events),
        ticks_us_per_event=(o.window_cpu_ticks_us, o.window_events),
        core_percent=(o.window_cpu_us / 1e4, o.window_s),
        events_per_s=(o.window_events, o.window_s),
        events_per_core_s=(o.window_events * 1e6, o.window_cpu_us),
    )
    return {**rates, "latency_p50_us": o.latency_p50_us, "latency_p99_us": o.latency_p99_us, "events_per_read": o.events_per_read}


def per_request(o: Outcome) -> Figures:
    rates = _rates(
        cpu_us_per_request=(o.window_cpu_us, o.window_requests),
        core_percent=(o.window_cpu_us / 1e4, o.window_s),
        requests_per_s=(o.window_requests, o.window_s),
    )
    return {**rates, "round_trip_p50_us": o.round_trip_p50_us, "round_trip_p99_us": o.round_trip_p99_us}


@dataclass(frozen=True, slots=True)
class Test:
    name: str
    title: str
    load: Load
    quick: Load
    figures: Callable[[Outcome], Figures]


TESTS = {
    test.name: test
    for test in (
        Test(
            "ttft",
            "time to the first event: one connection, one stream after the other",
            Load(1, 4, events=2, interval_ms=1, requests=300),
            Load(1, 2, events=2, interval_ms=1, requests=100),
            first_event,
        ),
        Test(
            "setup",
            "streams of one event: 16 connections, closed loop",
            Load(16, 2.5, window=(0.5, 2.5)),
            Load(16, 1.2, window=(0.2, 1.2)),
            per_request,
        ),
        Test(
            "json",
            "whole replies: 16 connections, closed loop",
            Load(16, 2.5, whole=True, window=(0.5, 2.5)),
            Load(16, 1.2, whole=True, window=(0.2, 1.2)),
            per_request,
        ),
        # The windows of the paced tests begin when all streams are open and end before the first one ends: events and nothing else.
        Test(
            "paced20",
            "20 streams of 50 events/s",
            Load(20, 1.01, events=250, interval_ms=20, ramp=1.0, window=(1.2, 4.95)),
            Load(20, 0.51, events=100, interval_ms=20, ramp=0.5, window=(0.7, 1.95)),
            per_event,
        ),
        Test(
            "paced100",
            "100 streams of 50 events/s",
            Load(100, 1.01, events=250, interval_ms=20, ramp=1.0, window=(1.2, 4.95)),
            Load(100, 0.51, events=100, interval_ms=20, ramp=0.5, window=(0.7, 1.95)),
            per_event,
        ),
        Test(
            "sat",
            "20 streams as fast as they go",
            Load(20, 3, events=2000, window=(0.5, 3)),
            Load(20, 1.5, events=2000, window=(0.5, 1.5)),
            per_event,
        ),
    )
}

# Not tests of the table above: they read memory and time, not CPU. `rss` opens streams and looks at the memory between 4 and 4.5 s,
# `start` comes with every start of a process.
MEMORY, START = "rss", "start"
OPEN_STREAMS = Load(1000, 2.05, events=6, interval_ms=1000, ramp=2.0, window=(4.0, 4.5))
OPEN_STREAMS_QUICK = Load(300, 0.55, events=3, interval_ms=1000, ramp=0.5, window=(1.2, 1.5))

# What comes before a measurement.
ONE_STREAM = Load(1, 3, events=2, interval_ms=1, requests=1)
FIRST_STREAMS = Load(4, 3, events=2, interval_ms=1, requests=20)
WARM_UP = Load(8, 1, events=1)
BEFORE_OPEN_STREAMS = Load(50, 0.5, events=1)

DEFAULT = ("ttft", "setup", "json", "paced100", "sat", MEMORY)
QUICK = ("ttft", "json", "paced100", MEMORY)
ALL = (*TESTS, MEMORY, START)
