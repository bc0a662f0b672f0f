"""Where something stands in a configuration, so that an error can say it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from telex.config.expected import fields_at, values_at
from telex.core.errors import TelexError
from telex.core.messages import Fields

T = TypeVar("T")


class ConfigError(TelexError):
    """A configuration that can't be used: which file, line and key, and why."""


class Document:
    """The text of a configuration, to say where something stands in it."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = text.splitlines()
        self._name = name

    def error(self, path: list[str], reason: str) -> ConfigError:
        line = self.line_of(path)
        place = f"{self._name}, line {line}: " if line else f"{self._name}: " if self._name else ""
        return ConfigError(f"{place}{'.'.join(path)}: {reason}.")

    def table(self, tree: Fields, key: str) -> Fields:
        """A table of named tables, taken out of the tree."""
        value = tree.pop(key, {})
        if not isinstance(value, dict):
            raise self.error([key], "expected a table")
        return value

    def convert(self, value: object, type: type[T], path: list[str]) -> T:
        try:
            return msgspec.convert(value, type)
        except msgspec.ValidationError as error:
            raise self.error_of(str(error), type, path) from None

    def error_of(self, message: str, type: object, path: list[str]) -> ConfigError:
        """msgspec says "Expected `int`, got `str` - at `$.server.port`"."""
        what, _, place = message.partition(" - at ")
        below = [p for p in re.split(r"[.\[\]]+", place.strip("`").removeprefix("$")) if p and not p.isdigit()]
        names = [*path, *below]
        if unknown := re.search(r"contains unknown field `(.+)`", what):
            return self.error([*names, unknown[1]], f"this key is not known{nearest(unknown[1], fields_at(type, below))}")
        if wrong := re.search(r"invalid enum value (.+)", what, re.IGNORECASE):
            return self.error(names, f"{wrong[1]} is none of {', '.join(values_at(type, below))}")
        if missing := re.search(r"missing required field `(.+)`", what):
            return self.error([*names, missing[1]], "this key is missing")
        return self.error(names, what[:1].lower() + what[1:].replace("`", ""))

    def line_of(self, path: list[str]) -> int:
        """The line, from 1, where a key stands, or its table where it is missing; 0 if neither is found."""
        table: list[str] = []
        best, depth = 0, 0
        for number, line in enumerate(self._lines, 1):
            if header := re.match(r"\s*\[+([^\]]+)\]+", line):
                table = [part.strip().strip("\"'") for part in header[1].split(".")]
                if table == path[: len(table)] and len(table) > depth:
                    best, depth = number, len(table)
            if path[: len(table)] != table:
                continue
            for name in re.findall(r"([\w-]+)[\"']?\s*=", line.partition("#")[0]):
                rest = path[max(depth, len(table)) :]
                if name in rest:
                    best, depth = number, max(depth, len(table)) + rest.index(name) + 1
        return best


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at what may have been meant, to stand behind the name that is wrong."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(n) for n in close)}?)" if close else ""
