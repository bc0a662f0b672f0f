"""A connection to nobody."""

from __future__ import annotations

from telex.upstream.connection import Receiver


class Wire:
    """It only notes what it is told."""

    def __init__(self) -> None:
        self.paused = self.aborted = False

    def send(self, request: bytes, receiver: Receiver) -> None: ...

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True
