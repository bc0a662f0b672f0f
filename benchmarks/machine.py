"""What Linux tells about processes and cores, and the processes that the benchmark starts and ends."""

import contextlib
import os
import platform
import resource
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Cores:
    """The gateway's core, and the core of all that is not the gateway. None: not pinned."""

    gateway: int | None
    load: int | None

    @property
    def words(self) -> str:
        if self.gateway is None:
            return "NOT PINNED: there is one core, which gateway, upstream and load share; only ratios mean anything, and those little"
        return f"gateway on core {self.gateway}, upstream and load generator on core {self.load}"


def choose_cores() -> Cores:
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1]) if len(allowed) > 1 else Cores(None, None)


def describe() -> dict[str, str | int]:
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "python": platform.python_version()}


@dataclass(frozen=True, slots=True)
class Process:
    """A process's identity: a number alone may be another process by the time it is used."""

    pid: int
    started: int

    def alive(self) -> bool:
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state != "Z"


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent: int
    cpu_us: float
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(fields[0], int(fields[1]), (int(fields[11]) + int(fields[12])) * TICK_US, int(fields[19]))


def tree(pid: int) -> list[Process]:
    """The process and its descendants."""
    children: dict[int, list[Process]] = {}
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            process = Process(int(entry.name), stat.started)
            children.setdefault(stat.parent, []).append(process)
            if process.pid == pid:
                found.append(process)
    for process in found:  # grows while it is walked
        found += children.get(process.pid, [])
    return found


def cpu_us(processes: Iterable[Process]) -> float:
    return sum(stat.cpu_us for process in processes if (stat := _stat(process.pid)) and stat.started == process.started)


@dataclass(frozen=True, slots=True)
class Memory:
    rss_kb: int  # counts a page shared by two processes of the tree twice
    pss_kb: int  # shares it out


def memory(processes: Iterable[Process]) -> Memory:
    rss = pss = 0
    for process in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in (PROC / str(process.pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss += int(line.split()[1])
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1])
    return Memory(rss, pss)


def busy_and_stolen_us() -> tuple[float, float]:
    """Time that all cores have not been idle, interrupts included; and that part of it which the host gave to others."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_US, steal * TICK_US


def _ended_children_us() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e6


@dataclass(frozen=True, slots=True)
class Noise:
    """What others used, in percent of one core."""

    percent: float
    stolen: float  # that part which the host took: no program of this machine is to blame


class Foreign:
    """What others use meanwhile: all that is busy, less ours (those named, and children that have ended since)."""

    def __init__(self, ours: Sequence[Process]) -> None:
        self._ours = ours
        self._began = time.monotonic()
        self._mine = self._used()
        self._busy, self._stolen = busy_and_stolen_us()

    def _used(self) -> float:
        return cpu_us(self._ours) + _ended_children_us()

    def noise(self) -> Noise:
        busy, stolen = busy_and_stolen_us()
        percent_us = (time.monotonic() - self._began) * 1e4
        others = busy - self._busy - (self._used() - self._mine)
        return Noise(round(others / percent_us, 1), round((stolen - self._stolen) / percent_us, 1))


# ---- Processes of our own ----


def pinned(core: int | None, command: Sequence[str]) -> list[str]:
    return [*(("taskset", "-c", str(core)) if core is not None else ()), *command]


@contextlib.contextmanager
def running(
    command: Sequence[str], *, core: int | None, log: Path, directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command as long as the block lasts, however it ends. If we are killed, the kernel sends it SIGTERM for us."""
    log.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned(core, ["setpriv", "--pdeathsig", "TERM", *command]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env=clean_environment(environment or {}),
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it in order
        )
    try:
        yield process
    finally:
        _end(process)


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without proxies (they would be asked for loopback), keys (a gateway might find providers for them) and Python's settings."""
    unwanted = ("_proxy", "_api_key")
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith(unwanted) and not name.startswith("PYTHON")}
    return {**kept, **more}


def _end(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    family = tree(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    give_up_at = time.monotonic() + patience
    while any(member.alive() for member in family) and time.monotonic() < give_up_at:
        process.poll()
        time.sleep(0.02)
    for member in family:
        if member.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
    process.wait()
