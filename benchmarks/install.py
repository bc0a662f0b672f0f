"""What the benchmark needs: compiled, found or installed, or a sentence that says what is missing and what to do."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

from .stacks import HERE, SCRATCH, VENVS, Stack

PROGRAMS = {
    "gcc": "apt-get install gcc libc6-dev",
    "nginx": "apt-get install nginx",
    "taskset": "apt-get install util-linux",
    "setpriv": "apt-get install util-linux",
}
LOGS = SCRATCH / "logs"
SOURCES = {"upstream": ("upstream.c",), "loadgen": ("loadgen.c", "reply.c", "figures.c")}


class Missing(Exception):
    """The message is for the user, as it is."""


def find(program: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{program} is missing. On Debian and Ubuntu: {PROGRAMS.get(program, f'install {program}')}")
    return path


def compile_load() -> None:
    """upstream and loadgen into SCRATCH, if their sources are newer."""
    SCRATCH.mkdir(exist_ok=True)
    newest_header = max(header.stat().st_mtime for header in HERE.glob("*.h"))
    for name, files in SOURCES.items():
        sources, program = [HERE / file for file in files], SCRATCH / name
        newest = max(newest_header, *(source.stat().st_mtime for source in sources))
        if program.exists() and program.stat().st_mtime > newest:
            continue
        compiler = [find("gcc"), "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(program), *map(str, sources)]
        done = subprocess.run(compiler, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Missing(f"gcc could not compile {name}:\n{done.stderr.strip()}")


def prepare(stack: Stack) -> Stack:
    """The stack with its command's program found, or installed by pip when it is a package."""
    if not stack.command:
        return stack
    if stack.requirement:
        _install_package(stack)
        return stack
    return replace(stack, command=(find(stack.command[0]), *stack.command[1:]))


def _install_package(stack: Stack) -> None:
    home = VENVS / stack.name
    stamp = home / "installed.txt"
    if stamp.exists() and stamp.read_text() == stack.requirement:
        return
    print(f"installing {stack.requirement} into {home.relative_to(HERE.parent)} …", flush=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"install-{stack.name}.log"
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", stack.requirement],
    )
    with log.open("w") as output:
        for step in steps:
            try:
                failed = subprocess.run(step, stdout=output, stderr=subprocess.STDOUT, timeout=600).returncode != 0
            except subprocess.TimeoutExpired:
                failed = True
            if failed:
                raise Missing(f"pip could not install {stack.requirement}: see {log}, or leave it out with --stacks")
    stamp.write_text(stack.requirement)


def version(stack: Stack) -> str:
    if not stack.version:
        return ""
    try:
        done = subprocess.run([find(stack.version[0]), *stack.version[1:]], capture_output=True, text=True, timeout=30)
    except (Missing, OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[-1].removeprefix("nginx version: nginx/") if lines and done.returncode == 0 else ""
