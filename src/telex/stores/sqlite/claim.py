"""Who may write generations to a file: one process at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from telex.stores.ports import StoreError

try:
    import fcntl
except ImportError:  # Windows has none: there nobody keeps a second Telex from the file of the first
    fcntl = None  # type: ignore[assignment]

TAKEN = (
    "The store {path} is in use by another Telex: end that one, or name another file as `store`; several at once need PostgreSQL, which"
    " comes later."
)


class Claim:
    """A lock on a file beside the store's, which the kernel opens when the process ends, however it does. The file stays: if it were
    deleted, two could have locks on two files of one name."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` if another process has the claim, or another store in this one."""
        place = f"{os.path.realpath(path)}-lock"
        try:
            self._file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"The lock of the store, {place}, can't be opened: {error.strerror}.") from None
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise StoreError(TAKEN.format(path=path)) from None
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"The lock of the store, {place}, can't be taken: {error.strerror}.") from None

    def release(self) -> None:
        with suppress(OSError):
            os.close(self._file)
