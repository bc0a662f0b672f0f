"""What is measured: one row a stack. A stack is whatever stands between the load generator and the upstream."""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRATCH = HERE / "scratch"
VENVS = SCRATCH / "venvs"

UPSTREAM_PORT = 9000  # conf/ names it too
UPSTREAM = f"http://127.0.0.1:{UPSTREAM_PORT}"

DIALECTS = ("openai-chat", "anthropic")  # of dialects.h
PADDED = ("anthropic",)  # those whose events the upstream pads


@dataclass(frozen=True, slots=True)
class Stack:
    name: str
    port: int
    command: tuple[str, ...] = ()  # empty: nothing stands between
    requirement: str = ""  # a package that pip puts into an environment of its own, SCRATCH/venvs/<name>
    version: tuple[str, ...] = ()  # a command that prints it
    dialect: str = DIALECTS[0]  # the clients'
    model: str = "gpt-4o-mini"  # that they ask for
    path: str = ""  # where the requests go, if not to the dialect's own path
    headers: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None  # where the command runs; SCRATCH/run/<name> if not given
    ready_within: float = 30.0
    only: tuple[str, ...] = ()  # the tests that say something about it; empty: all
    relay: str = ""  # the stack of the same gateway that only relays, if this one translates: it is quoted beside it


def _router(name: str, port: int, requirement: str, *launch: str) -> Stack:
    """An inference router written in Rust, with the upstream as its only worker."""
    flags = f"--worker-urls {UPSTREAM} --policy round_robin --host 127.0.0.1 --port {port} --prometheus-port 2{port}"
    return Stack(
        name,
        port,
        command=(str(VENVS / name / "bin" / name), *launch, *flags.split(), "--max-concurrent-requests", "100000", "--log-level", "error"),
        requirement=requirement,
        version=(str(VENVS / name / "bin" / "python"), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"),
        ready_within=60.0,
    )


def _telex(name: str, port: int, config: str = "gateway.toml", **more: Any) -> Stack:
    return Stack(
        name,
        port,
        command=(sys.executable, "-m", "telex", "serve", "--config", str(HERE / "conf" / config), "--port", str(port)),
        **more,
    )


TRANSLATES: dict[str, Any] = {"relay": "telex", "only": ("json", "paced20", "paced100", "sat")}

STACKS = {
    stack.name: stack
    for stack in (
        Stack("direct", UPSTREAM_PORT, only=("ttft", "paced20", "paced100")),  # the floor of every latency
        Stack(
            "nginx",
            9101,
            command=("nginx", "-e", "error.log", "-p", str(SCRATCH / "run" / "nginx"), "-c", str(HERE / "conf" / "nginx.conf")),
            version=("nginx", "-v"),
        ),
        _router("smg", 9102, "smg==1.13.0", "launch"),
        _router("vllm-router", 9104, "vllm-router==0.1.17"),
        _telex("telex", 9103, version=(sys.executable, "-c", "import importlib.metadata as m; print(m.version('telex'))")),
        _telex("telex-to-anthropic", 9105, model="claude-sonnet-4-5", **TRANSLATES),
        _telex("telex-from-anthropic", 9106, dialect="anthropic", **TRANSLATES),
        _telex("telex-hold", 9107, "memory.toml", headers=("Telex-On-Disconnect: hold",), **TRANSLATES),
        _telex("telex-finish", 9108, headers=("Telex-On-Disconnect: finish",), **TRANSLATES),
    )
}
DEFAULT = ("direct", "nginx", "smg", "telex", "telex-to-anthropic", "telex-from-anthropic")
YARDSTICK = "nginx"


def read_more(path: Path) -> dict[str, Stack]:
    """Stacks of a TOML file: a table each, its keys the fields of `Stack` (command, port, environment, directory, …)."""
    more = {}
    for name, row in tomllib.loads(path.read_text()).items():
        for key in ("command", "headers", "only", "version"):
            if key in row:
                row[key] = tuple(row[key])
        if "directory" in row:
            row["directory"] = (path.parent / row["directory"]).resolve()
        more[name] = Stack(name, **row)
    return more
