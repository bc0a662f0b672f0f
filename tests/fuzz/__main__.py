"""`python -m fuzz --seconds 600`: a coverage-guided fuzzer over everything that reads bytes of strangers.

It keeps what it learns in the folder `.fuzz`, and says what it did. Needs the extra `fuzz`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["telex"]):
    from fuzz.seeds import seeds
    from fuzz.targets import feed

CORPUS = Path(".fuzz")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    CORPUS.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()):
        CORPUS.joinpath(f"seed-{number:04}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={CORPUS}/found-", str(CORPUS)], feed)
    atheris.Fuzz()
