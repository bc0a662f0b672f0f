"""The command: python -m benchmarks"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from . import loads
from .imports import import_line
from .install import Missing, compile_load, find, prepare, version
from .machine import choose_cores, describe
from .measure import Bench, NotReady
from .report import as_json, as_text, clean
from .stacks import DEFAULT, DIALECTS, PADDED, SCRATCH, STACKS, YARDSTICK, Stack, read_more


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a gateway costs, beside its peers.")
    parser.add_argument("--stacks", default=",".join(DEFAULT), metavar="A,B,…", help=f"of {', '.join(STACKS)}; default %(default)s")
    parser.add_argument("--more", type=Path, metavar="FILE.toml", help="more stacks, a table each; they are added to those measured")
    parser.add_argument("--tests", metavar="A,B,…", help=f"of {', '.join(loads.ALL)}; default {','.join(loads.DEFAULT)}")
    parser.add_argument(
        "--padded",
        default=",".join(PADDED),
        metavar="A,B,…",
        help=f"of {', '.join(DIALECTS)}: the upstream pads their events; default %(default)s, '' for none",
    )
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument(
        "--quick", action="store_true", help=f"one round of shorter {','.join(loads.QUICK)}: to see that it works, not to quote"
    )
    parser.add_argument(
        "--minutes", type=float, default=14.0, help="after half of them nothing is repeated, then no round begins; default %(default)g"
    )
    parser.add_argument(
        "--max-foreign", type=float, default=12.0, metavar="PERCENT", help="of a core; noisier runs are repeated; default %(default)g"
    )
    parser.add_argument("--repeats", type=int, default=2, help="of a noisy run, at most; default %(default)s")
    parser.add_argument("--install", action="store_true", help="compile and install what the stacks need, and end")
    return parser.parse_args(argv)


def chosen_stacks(arguments: argparse.Namespace) -> list[Stack]:
    more = read_more(arguments.more) if arguments.more else {}
    known = {**STACKS, **more}
    names = list(dict.fromkeys([*filter(None, arguments.stacks.split(",")), *more]))
    if unknown := [name for name in names if name not in known]:
        raise Missing(f"no stack is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names]


def chosen_tests(arguments: argparse.Namespace) -> list[str]:
    tests = arguments.tests.split(",") if arguments.tests else list(loads.QUICK if arguments.quick else loads.DEFAULT)
    if unknown := [test for test in tests if test not in loads.ALL]:
        raise Missing(f"no test is called {', '.join(unknown)}; there are {', '.join(loads.ALL)}")
    return tests


def chosen_padded(arguments: argparse.Namespace) -> list[str]:
    padded = [name for name in arguments.padded.split(",") if name]
    if unknown := [name for name in padded if name not in DIALECTS]:
        raise Missing(f"no dialect is called {', '.join(unknown)}; there are {', '.join(DIALECTS)}")
    return padded


def prepared(stacks: Sequence[Stack]) -> list[Stack]:
    """Those that can run. A peer that is missing is left out aloud; without the yardstick there is nothing to compare with."""
    able = []
    for stack in stacks:
        try:
            able.append(prepare(stack))
        except Missing as missing:
            if stack.name == YARDSTICK:
                raise
            print(f"left out: {stack.name}: {missing}", file=sys.stderr)
    return able


def run(arguments: argparse.Namespace) -> int:
    cores = choose_cores()
    if cores.gateway is not None:
        find("taskset")
    find("setpriv")
    stacks, tests, padded = chosen_stacks(arguments), chosen_tests(arguments), chosen_padded(arguments)
    compile_load()
    able = prepared(stacks)
    if arguments.install:
        return 0 if len(able) == len(stacks) else 1

    print(cores.words)
    about: dict[str, object] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(),
        "cores": cores.words,
        "versions": {stack.name: found for stack in able if (found := version(stack))},
        "tests": ", ".join(tests) + (" (quick: do not quote)" if arguments.quick else ""),
        "padded": ", ".join(padded) or "nothing",
    }
    extra = []
    if any(stack.name == "telex" for stack in able):
        try:
            extra.append(import_line(cores.gateway))
        except Missing as missing:
            extra.append(str(missing))

    if cores.load is not None:
        os.sched_setaffinity(0, [cores.load])  # what this process does between the runs is not the gateway's either
    now, seconds = time.monotonic(), arguments.minutes * 60
    bench = Bench(cores, arguments.quick, padded, arguments.max_foreign, arguments.repeats, now + seconds / 2, now + seconds)
    count = arguments.rounds or (1 if arguments.quick else 3)
    rounds = []
    try:
        for turns in bench.rounds(able, tests, count):
            rounds.append(turns)  # noqa: PERF402 - what is there is kept when the next round is interrupted
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    if not rounds:
        return 130

    text = as_text(about, rounds, arguments.max_foreign, extra)
    results = SCRATCH / "results"
    results.mkdir(exist_ok=True)
    name = datetime.now().strftime("%Y%m%d-%H%M%S")
    (results / f"{name}.md").write_text(text)
    (results / f"{name}.json").write_text(json.dumps(as_json(about, rounds), indent=1))
    print(f"\n{text}\nkept in {results / name}.md and .json")
    return 0 if len(rounds) == count and len(able) == len(stacks) and clean(rounds) else 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(read_arguments())
    except (Missing, NotReady) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
