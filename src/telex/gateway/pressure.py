"""Whether this process is near what it may use of open files and of memory: then new work is refused, while what runs goes on.

Looking costs system calls, so it is done once a second at most, and more often only where it is getting close.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

OFTEN, SELDOM = 0.05, 1.0
"""Seconds between two looks: where it was close, and else."""

FULL = 0.9
"""The part of what there is above which nothing new is begun."""

EACH = 2
"""Open files that one generation takes, at most: its client's and its provider's connection."""

NO_LIMIT = 1 << 60
"""Bytes of memory that stand for no limit."""

CGROUPS = Path("/sys/fs/cgroup")


class Level(Struct, frozen=True):
    """How much is used of what there is."""

    used: int
    limit: int

    def is_full(self, more: int = 0) -> bool:
        return self.used + more > FULL * self.limit


Measure = Callable[[], Level | None]
"""None where there is no limit."""


class Pressure:
    """Looked at by who is about to begin something; `running`: how much is going on."""

    def __init__(self, files: Measure, memory: Measure) -> None:
        self._files = files
        self._memory = memory
        self._looked = float("-inf")
        self._begun = 0  # since then
        self._levels: tuple[Level | None, Level | None] = None, None

    def why(self, running: int, now: float) -> str:
        """What there is too little of, for a sentence; empty if one more may begin. `now`: in seconds."""
        age = now - self._looked
        if age >= SELDOM or (age >= OFTEN and self._judge(running)):
            self._looked, self._begun = now, 0
            self._levels = self._files(), self._memory()
        short = self._judge(running)
        if not short:
            self._begun += 1
        return short

    def _judge(self, running: int) -> str:
        files, memory = self._levels
        if files is not None and files.is_full(EACH * (self._begun + 1)):
            return "open files"
        if memory is not None and memory.is_full() and running:  # where nothing runs, nothing would become free
            return "memory"
        return ""


def count_files() -> Level | None:
    """Open files of this process."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else Level(len(os.listdir("/dev/fd")), limit)


def measure_memory(limit: int | None) -> Measure:
    """Bytes of memory. `limit`: of this process; without one, that of its control group holds, if it has one."""
    if limit is not None:
        return lambda: Level(resident(), limit)
    folder = find_group()
    return lambda: read_group(folder) if folder is not None else None


def resident() -> int:
    """Bytes of memory that this process has now, or where that is not known, the most that it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def find_group() -> Path | None:
    """The folder of the control group, of either version, that counts this process's memory; None if there is none with a limit."""
    try:
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return None
    folders = [CGROUPS / path.lstrip("/") for _, kinds, path in lines if not kinds]
    folders += [CGROUPS / "memory" / path.lstrip("/") for _, kinds, path in lines if "memory" in kinds.split(",")]
    for folder in (*folders, CGROUPS, CGROUPS / "memory"):  # in a container, its own group may be the root
        if read_group(folder) is not None:
            return folder
    return None


def read_group(folder: Path) -> Level | None:
    """What its processes use, without files that are only cached; None if it has no limit."""
    for most, now, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit, used = (folder / most).read_text().strip(), int((folder / now).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if limit.isdecimal() and int(limit) < NO_LIMIT:
            return Level(used - int(stat.get(cached, 0)), int(limit))
    return None
