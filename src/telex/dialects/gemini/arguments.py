"""The arguments of a call that are streamed piece by piece, as Vertex AI does: each piece says where in the whole it belongs."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from telex.core.messages import Fields
from telex.dialects.gemini.fields import Node
from telex.dialects.reading import WrongField

STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
ESCAPED = re.compile(r"\\(.)")
VALUES = ("stringValue", "numberValue", "boolValue")


class StreamedArguments:
    """Feed it `partialArgs`; `whole` is the object that they make. Pieces of one string come one after another."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._strings: dict[str, list[str]] = {}
        self._going_on = ""  # the path of a string that has more to come

    def feed(self, node: Node) -> None:
        path = node.text("jsonPath")
        name = next((name for name in VALUES if name in node), "")
        value = node.get(name)
        if isinstance(value, str):
            if path != self._going_on or path not in self._strings:
                self._strings[path] = []
            self._strings[path].append(value)
        else:
            self._strings.pop(path, None)
        self._values[path] = value
        self._going_on = path if node.flag("willContinue") else ""

    def whole(self) -> Fields:
        """Raises `WrongField` for a path that leads nowhere."""
        root: Fields = {}
        for path, value in self._values.items():
            place(root, path, "".join(self._strings[path]) if path in self._strings else value)
        return root


def place(root: Fields, path: str, value: Any) -> None:
    at: Any = root
    *_, last = steps = steps_of(path)
    for step, following in pairwise(steps):
        at = go(at, step, [] if isinstance(following, int) else {}, path)
    if isinstance(at, dict) and isinstance(last, str):
        at[last] = value
    elif isinstance(at, list) and isinstance(last, int) and last <= len(at):
        at[last : last + 1] = [value]
    else:
        raise WrongField("jsonPath", f"'{path}' leads nowhere")


def go(at: Any, step: str | int, empty: Any, path: str) -> Any:
    """One step down, to what is there or to something empty."""
    if isinstance(at, dict) and isinstance(step, str):
        return at.setdefault(step, empty)
    if isinstance(at, list) and isinstance(step, int) and step <= len(at):
        if step == len(at):
            at.append(empty)
        return at[step]
    raise WrongField("jsonPath", f"'{path}' leads nowhere")


def steps_of(path: str) -> list[str | int]:
    """`$.a[0]['b c']` as its names and indexes."""
    steps: list[str | int] = []
    at = 1
    while at < len(path) and (match := STEP.match(path, at)):
        name, index, single, double = match.groups()
        steps.append(int(index) if index is not None else ESCAPED.sub(r"\1", name or single or double or ""))
        at = match.end()
    if at != len(path) or not steps or not path.startswith("$"):
        raise WrongField("jsonPath", f"'{path}' is no path into an object")
    return steps
