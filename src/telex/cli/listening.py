"""An answer is read in one thread, so that the main one can draw, wait, look after its reader and be interrupted."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from telex.cli.page import Page
from telex.cli.screen import Indicator, Plain, View, abandoned, movable, no_echo, printable
from telex.client.background import JobStream
from telex.client.blocking import Stream
from telex.client.errors import GenerationError
from telex.client.reply import Reply

TICK = 0.1
"""Seconds after which the main thread looks around although nothing came."""

PIECES = 256
"""How many wait to be shown: behind them the model does."""

LEAVE = 1.0
"""Seconds that an answer which was stopped has for its end."""

Say = Callable[[str], None]


class Listener:
    """Hears one answer. `work` reads it in a thread of its own, telling each piece of text, and returns the reply. It begins with `texts`,
    so that whoever stops it can know of it before there is anything to stop.

    Behind `texts`: `said` is all the text, and either there is the `reply`, or the `error` that came instead or after some of it.
    """

    def __init__(self, work: Callable[[Say], Reply[Any]]) -> None:
        self.said = ""
        self.reply: Reply[Any] | None = None
        self.error: BaseException | None = None
        self._work = work
        self._pieces: queue.Queue[str | None] = queue.Queue(PIECES)
        self._patience = float("inf")  # until when the end is waited for

    def _listen(self) -> None:
        try:
            self.reply = self._work(self._pieces.put)
        except GenerationError as error:
            self.error, self.reply = error, error.reply
        except BaseException as error:
            self.error = error
        finally:
            self._pieces.put(None)

    def texts(self) -> Iterator[str]:
        """All the text that is there each time; nothing when that was nothing for a tick. To be called once."""
        threading.Thread(target=self._listen, name="telex-listener", daemon=True).start()
        while time.monotonic() < self._patience:
            try:
                piece = self._pieces.get(timeout=TICK)
            except queue.Empty:
                yield ""
                continue
            text = ""
            while piece is not None:
                text += piece
                try:
                    piece = self._pieces.get_nowait()
                except queue.Empty:
                    break
            self.said += text
            if text:
                yield text
            if piece is None:
                return

    def hurry(self) -> None:
        """It was stopped: its end is waited for no longer than it should take."""
        self._patience = time.monotonic() + LEAVE


def reading(stream: Stream[Any] | JobStream[Any]) -> Callable[[Say], Reply[Any]]:
    """The work of reading a stream to its end."""

    def work(say: Say) -> Reply[Any]:
        with stream:
            for text in stream:
                say(text)
            reply = stream.reply()
        if not reply.text and reply.refusal:
            say(reply.refusal)
        return reply

    return work


def view_for(file: TextIO) -> View:
    """A page where the cursor can be moved, else the text as it is, without what could command a terminal."""
    return Page(file) if movable(file) else Plain(file, printable if file.isatty() else str)


def show(listener: Listener, view: View | None, indicator: Indicator) -> None:
    """Show an answer as it comes. Raises `BrokenPipeError` as soon as nobody reads standard output any more."""
    waiting = True
    with no_echo():
        try:
            indicator.turn()
            for text in listener.texts():
                if text and view is not None:
                    indicator.clear()
                    waiting = False
                    view.show(text)
                elif waiting:
                    indicator.turn()
                if abandoned(sys.stdout):
                    raise BrokenPipeError
        finally:
            indicator.clear()
            if view is not None:
                view.end()
