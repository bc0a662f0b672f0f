"""`telex chat`: a conversation in the terminal, or line by line through a pipe."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import msgspec

from telex.cli.asking import Asker, explain, remark
from telex.cli.listening import Listener, reading, show, view_for
from telex.cli.screen import Indicator, write
from telex.client.blocking import Stream
from telex.client.errors import Cancelled, GenerationError
from telex.core.errors import TelexError
from telex.core.messages import Message, Part

PROMPT = "> "

TICK = 0.2
"""Seconds between two signals while a line is read."""

HELP = """\
/model M    ask another model from here on
/system S   give other instructions; without S, none
/retry      ask the last question again
/quit       end; so do Ctrl-D, and Ctrl-C twice
Ctrl-C stops an answer; what it has said by then stays part of the conversation."""

COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?\Z", re.DOTALL)


def converse(asker: Asker, system: str | None) -> int:
    """The status is that of the work, unless somebody sat there and saw it."""
    talk = Talk(asker, system)
    with asker.client:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return sit(talk)
        for line in sys.stdin:
            if not talk.take(line.rstrip("\n")):
                break
    return 1 if talk.failed else 0


def sit(talk: Talk) -> int:
    """Questions and answers until somebody has had enough."""
    import readline  # noqa: F401  # from here on lines are edited, and remembered as long as this lasts

    tell(f"{talk.asker.model} answers. /help says what can be typed; Ctrl-D ends it.")
    signal.signal(signal.SIGINT, talk.interrupt)
    interrupted = False
    while True:
        try:
            with ticking():
                line = input(PROMPT)
            interrupted = False
            if not talk.take(line):
                return 0
            write(sys.stdout, "\n")
        except EOFError:
            write(sys.stdout, "\n")
            return 0
        except KeyboardInterrupt:
            write(sys.stdout, "\n")
            if interrupted:
                return 0
            interrupted = True
            tell("Ctrl-C again ends it.")


@contextmanager
def ticking() -> Iterator[None]:
    """Python hears of a Ctrl-C at the prompt when it interrupts readline's wait, but not if it comes just before: more signals follow."""
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def tell(text: str) -> None:
    """What is no answer."""
    print(text, file=sys.stderr, flush=True)


class Talk:
    """A conversation so far, in memory alone. `failed`: whether any answer did."""

    def __init__(self, asker: Asker, system: str | None) -> None:
        self.asker = asker
        self.failed = False
        self._system = system
        self._messages: list[Message] = []
        self._before: list[Message] = []  # the last question
        self._question = ""
        self._running: tuple[Stream[Any], Listener] | None = None

    def take(self, line: str) -> bool:
        """Answer a line, or do what it commands. False if that is to end."""
        if (command := COMMAND.match(line.strip())) is not None:
            return self._obey(command[1], (command[2] or "").strip())
        if line.strip():
            self._before = self._messages
            self._answer(line)
        return True

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C: stop the answer, or tell whoever reads a line."""
        if self._running is None:
            raise KeyboardInterrupt
        stream, listener = self._running
        stream.cancel()
        listener.hurry()

    def _obey(self, name: str, rest: str) -> bool:
        match name:
            case "quit":
                return False
            case "help":
                tell(HELP)
            case "model":
                self.asker = msgspec.structs.replace(self.asker, model=rest or self.asker.model)
                tell(f"{self.asker.model} answers.")
            case "system":
                self._system = rest or None
                tell("The model is given these instructions." if rest else "The model is given no instructions.")
            case "retry" if self._question:
                self._messages = self._before
                self._answer(self._question)
            case "retry":
                tell("Nothing has been asked yet.")
            case _:
                tell(f"There is no /{name}; /help says what there is.")
        return True

    def _answer(self, question: str) -> None:
        self._question = question
        asked = [*self._messages, Message("user", (Part("text", question),))]
        stream = self.asker.client.stream(asked, model=self.asker.model, system=self._system)
        listener = Listener(reading(stream))
        self._running = stream, listener
        try:
            show(listener, view_for(sys.stdout), Indicator(sys.stdout, self.asker.waiting_for))
        finally:
            self._running = None
        self._report(listener)
        if listener.said:
            whole = listener.reply.message if listener.reply is not None and listener.error is None else None
            self._messages = [*asked, whole or Message("assistant", (Part("text", listener.said),))]

    def _report(self, listener: Listener) -> None:
        """Say how it ended, unless that was well."""
        error, reply = listener.error, listener.reply
        if error is None and reply is not None:
            note = remark(reply)
        elif error is None or isinstance(error, Cancelled):
            note = "Stopped."
        elif isinstance(error, GenerationError):
            note, self.failed = explain(error, self.asker.url), True
        elif isinstance(error, TelexError):
            note, self.failed = str(error), True
        else:
            raise error
        if note:
            tell(f"telex: {note}")
