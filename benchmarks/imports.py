"""What a user waits for before anything happens: `import telex`, and `telex serve` until it answers. `python -m benchmarks.imports`"""

import importlib.util
import statistics
import subprocess
import sys

from .install import Missing, compile_load, prepare
from .loads import START
from .machine import choose_cores, clean_environment, pinned
from .measure import Bench, NotReady
from .report import as_text, judge
from .stacks import SCRATCH, STACKS

AT_MOST_S = 0.3
PROBE = "import time; began = time.perf_counter(); import telex; print(time.perf_counter() - began)"


def compile_bytecode() -> None:
    """As it is after the first start, or after pip: or else the first measurement would be of the compiler."""
    spec = importlib.util.find_spec("telex")
    if spec is None or not spec.submodule_search_locations:
        raise Missing("telex is not installed for this Python: run `make` first, or call the project's own .venv/bin/python")
    subprocess.run([sys.executable, "-m", "compileall", "-q", *spec.submodule_search_locations], env=clean_environment({}), timeout=60)


def import_seconds(core: int | None, times: int = 5) -> list[float]:
    """The statement alone, in fresh interpreters."""
    compile_bytecode()
    found = []
    for _ in range(times + 1):
        done = subprocess.run(
            pinned(core, [sys.executable, "-c", PROBE]), cwd=SCRATCH, env=clean_environment({}), capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise Missing(f"telex cannot be imported: {done.stderr.strip().splitlines()[-1]}")
        found.append(float(done.stdout))
    return found[1:]


def import_line(core: int | None) -> str:
    found = import_seconds(core)
    return judge("seconds for `import telex`", statistics.median(found), AT_MOST_S)


def main() -> int:
    cores = choose_cores()
    try:
        compile_load()
        line = import_line(cores.gateway)
        rounds = list(Bench(cores).rounds([prepare(STACKS["telex"])], [START], 3))
    except (Missing, NotReady) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(as_text({"cores": cores.words}, rounds, 100.0, [line]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
