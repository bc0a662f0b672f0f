"""Rounds: every stack is started, measured and ended in turn, then again from the first, so that figures of one round are of one time."""

import contextlib
import http.client
import json
import math
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from . import loads
from .install import LOGS, Missing
from .loads import MEMORY, START, TESTS, Figures, Load, Outcome
from .machine import Cores, Foreign, Noise, Process, memory, pinned, running, tree
from .stacks import PADDED, SCRATCH, UPSTREAM_PORT, Stack

PATIENCE = 30.0  # seconds for the load generator to end after its last request began; it gives up by itself after 20


QUIET = Noise(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one stack."""

    figures: Figures
    noise: Noise = QUIET
    discarded: tuple[Noise, ...] = ()  # of the runs that were noisier and were not kept
    failures: int = 0
    sample: str = ""  # what a failure looked like
    outcome: Outcome | None = None


@dataclass(slots=True)
class Turn:
    """One stack in one round."""

    runs: dict[str, Run] = field(default_factory=dict)
    problem: str = ""
    relay: str = ""  # the stack beside which its figures are quoted


Round = dict[str, Turn]


class NotReady(Exception):
    """The message is for the user, as it is."""


@dataclass(frozen=True, slots=True)
class Bench:
    cores: Cores
    quick: bool = False
    padded: Sequence[str] = PADDED
    max_foreign: float = 12.0
    repeats: int = 2  # of a run that was too noisy
    repeat_until: float = math.inf  # of time.monotonic()
    begin_until: float = math.inf  # a round

    def rounds(self, stacks: Sequence[Stack], tests: Sequence[str], count: int) -> Iterator[Round]:
        with self._upstream() as upstream:
            for number in range(1, count + 1):
                if number > 1 and time.monotonic() > self.begin_until:
                    print(f"time is up: {number - 1} of {count} rounds are done")
                    return
                this: Round = {}
                for stack in stacks:
                    print(f"round {number} of {count}, {stack.name} …", end=" ", flush=True)
                    turn = this[stack.name] = self._turn(stack, tests, upstream)
                    print(turn.problem or _brief(turn, self.max_foreign), flush=True)
                yield this

    def _turn(self, stack: Stack, tests: Sequence[str], upstream: Sequence[Process]) -> Turn:
        turn = Turn(relay=stack.relay)
        wanted = [test for test in tests if not stack.only or test in stack.only]
        under_load = [test for test in wanted if test in TESTS]
        try:
            if under_load or wanted == [START]:
                with self._started(stack, turn) as root:
                    if under_load:
                        self._pace_and_load(stack, loads.WARM_UP)
                    for test in under_load:
                        turn.runs[test] = self._quietest(stack, test, root, upstream)
            if MEMORY in wanted:
                with self._started(stack, turn) as root:  # a new process: what the other tests left behind is not a stream's
                    turn.runs[MEMORY] = self._memory_of_streams(stack, root)
        except (NotReady, Missing, subprocess.SubprocessError, OSError) as error:
            turn.problem = str(error)
        return turn

    # ---- One measurement ----

    def _quietest(self, stack: Stack, test: str, root: int | None, upstream: Sequence[Process]) -> Run:
        """Repeats while others use too much of the machine, and keeps the run that was disturbed least."""
        attempts: list[tuple[Noise, Outcome]] = []
        load = TESTS[test].quick if self.quick else TESTS[test].load
        while True:
            gateway = tree(root) if root else []
            foreign = Foreign([*gateway, *upstream])
            outcome = self._pace_and_load(stack, load, gateway)
            noise = foreign.noise()
            attempts.append((noise, outcome))
            if noise.percent < self.max_foreign or len(attempts) > self.repeats or time.monotonic() > self.repeat_until:
                break
            time.sleep(1)
        attempts.sort(key=lambda attempt: attempt[0].percent)
        (least, outcome), *others = attempts
        figures = TESTS[test].figures(outcome) if outcome.ok else {}
        return Run(figures, least, tuple(noise for noise, _ in others), outcome.failures, outcome.bad_sample, outcome)

    def _memory_of_streams(self, stack: Stack, root: int | None) -> Run:
        if root is None:
            return Run({})
        self._pace_and_load(stack, loads.WARM_UP)
        self._pace_and_load(stack, loads.BEFORE_OPEN_STREAMS)
        time.sleep(0.3)
        gateway = tree(root)
        before = memory(gateway)
        load = loads.OPEN_STREAMS_QUICK if self.quick else loads.OPEN_STREAMS
        outcome = self._pace_and_load(stack, load, gateway)
        figures = {"base_pss_mb": before.pss_kb / 1024, "kb_per_stream": (outcome.pss_kb - before.pss_kb) / load.connections}
        return Run(figures, failures=outcome.failures, sample=outcome.bad_sample, outcome=outcome)

    def _pace_and_load(self, stack: Stack, load: Load, measured: Sequence[Process] = ()) -> Outcome:
        _set_pace(load)
        return self._generate(stack, load, measured)

    def _generate(self, stack: Stack, load: Load, measured: Sequence[Process]) -> Outcome:
        command = [str(SCRATCH / "loadgen"), "--port", str(stack.port), "--mode", "whole" if load.whole else "stream"]
        command += ["--connections", str(load.connections), "--events", str(load.events), "--seconds", str(load.seconds)]
        command += ["--ramp", str(load.ramp), "--dialect", stack.dialect, "--model", stack.model]
        if load.requests is not None:
            command += ["--requests", str(load.requests)]
        if load.window:
            command += ["--window", "{},{}".format(*load.window)]
        if measured:
            command += ["--pids", ",".join(str(process.pid) for process in measured)]
        if stack.path:
            command += ["--path", stack.path]
        for header in stack.headers:
            command += ["--header", header]
        done = subprocess.run(
            pinned(self.cores.load, command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=load.seconds + PATIENCE
        )
        if done.returncode:
            raise Missing(f"the load generator failed: {done.stderr.strip()}")
        return Outcome(**json.loads(done.stdout))

    # ---- What runs meanwhile ----

    @contextlib.contextmanager
    def _upstream(self) -> Iterator[list[Process]]:
        require_free(UPSTREAM_PORT)
        command = [str(SCRATCH / "upstream"), str(UPSTREAM_PORT), ",".join(self.padded)]
        with running(command, core=self.cores.load, log=LOGS / "upstream.log", directory=SCRATCH / "run" / "upstream") as process:
            give_up_at = time.monotonic() + 5
            while not _answers(UPSTREAM_PORT):
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise NotReady(f"the upstream did not start: {_last_line('upstream')}")
                time.sleep(0.01)
            yield tree(process.pid)

    @contextlib.contextmanager
    def _started(self, stack: Stack, turn: Turn) -> Iterator[int | None]:
        """The stack's first process, when it has answered a stream; its start is the turn's `start`, if that has none yet."""
        if not stack.command:
            yield None
            return
        require_free(stack.port)
        _set_pace(loads.ONE_STREAM)
        began = time.monotonic()
        directory = stack.directory or SCRATCH / "run" / stack.name
        log = LOGS / f"{stack.name}.log"
        with running(stack.command, core=self.cores.gateway, log=log, directory=directory, environment=stack.environment) as process:
            self._wait_until_ready(stack, process, began + stack.ready_within)
            ready_s = time.monotonic() - began
            self._pace_and_load(stack, loads.FIRST_STREAMS)
            time.sleep(0.5)
            idle = memory(tree(process.pid))
            figures = {"ready_s": ready_s, "idle_rss_mb": idle.rss_kb / 1024, "idle_pss_mb": idle.pss_kb / 1024}
            turn.runs.setdefault(START, Run(figures))
            yield process.pid

    def _wait_until_ready(self, stack: Stack, process: subprocess.Popen[bytes], give_up_at: float) -> None:
        sample = ""
        while time.monotonic() < give_up_at:
            if process.poll() is not None:
                raise NotReady(f"ended at once with status {process.returncode}: {_last_line(stack.name)}")
            if _answers(stack.port):
                outcome = self._generate(stack, loads.ONE_STREAM, ())
                if outcome.ok:
                    return
                sample = outcome.bad_sample
                time.sleep(0.1)
            time.sleep(0.01)
        raise NotReady(f"not ready within {stack.ready_within:.0f} s: {sample or _last_line(stack.name)}")


# ---- Small things ----


def require_free(port: int) -> None:
    if _answers(port):
        raise NotReady(f"port {port} of 127.0.0.1 is in use by another program: the benchmark needs it")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _set_pace(load: Load) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", UPSTREAM_PORT, timeout=5)
    try:
        connection.request("GET", f"/ctl?n={load.events}&i={load.interval_ms}")
        connection.getresponse().read()
    finally:
        connection.close()


def _last_line(name: str) -> str:
    log = LOGS / f"{name}.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].strip()} ({log})" if lines else f"{log} is empty"


def _brief(turn: Turn, max_foreign: float) -> str:
    """Where the turn was less than clean."""
    noisy = [f"{name} noisy ({run.noise.percent:.0f} %)" for name, run in turn.runs.items() if run.noise.percent >= max_foreign]
    failed = [f"{name}: {run.failures} failed" for name, run in turn.runs.items() if run.failures]
    repeated = [f"{name} took {len(run.discarded) + 1} tries" for name, run in turn.runs.items() if run.discarded]
    return ", ".join(["done", *failed, *repeated, *noisy])
