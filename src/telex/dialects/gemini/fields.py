"""Objects as Google's JSON has them: every field in camelCase or in snake_case, numbers perhaps as strings, one thing for a list of one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from telex.core.messages import Fields
from telex.dialects.reading import WrongField

UNDERSCORE = re.compile(r"(?<=.)_([a-z0-9])")
KINDS: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


def wrong_type(field: str, expected: str, value: object) -> WrongField:
    return WrongField(field, f"expected {expected}, got {KINDS.get(type(value), 'something else')}", "invalid_type")


@lru_cache(1024)
def camel(name: str) -> str:
    return UNDERSCORE.sub(lambda match: match[1].upper(), name)


class Node:
    """One object and its `place`. Fields go by their camelCase names here, and in errors as the caller spelled them; null is not said."""

    __slots__ = ("_keys", "place", "wire")

    def __init__(self, wire: object, place: str = "") -> None:
        if not isinstance(wire, dict):
            raise wrong_type(place, "object", wire)
        self.wire: Fields = wire
        self.place = place
        self._keys = {camel(key): key for key, value in wire.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def where(self, name: str) -> str:
        name = self._keys.get(name, name)
        return f"{self.place}.{name}" if self.place else name

    def get(self, name: str) -> Any:
        return self.wire[self._keys[name]] if name in self._keys else None

    def wrong(self, name: str, why: str) -> WrongField:
        return WrongField(self.where(name), why)

    def missing(self, name: str) -> WrongField:
        return WrongField(self.where(name), "it is missing", "missing_required_parameter")

    def text(self, name: str) -> str:
        """Empty if it is not said."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong_type(self.where(name), "string", value)
        return value or ""

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise wrong_type(self.where(name), "array of strings", value)
        return tuple(value or ())

    def flag(self, name: str) -> bool | None:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise wrong_type(self.where(name), "boolean", value)
        return value

    def number(self, name: str) -> float | None:
        value = self.get(name)
        if isinstance(value, str):
            value = as_number(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)):
            raise wrong_type(self.where(name), "number", self.get(name))
        return value

    def integer(self, name: str, least: int | None = None) -> int | None:
        """A whole number, also if it is written as `40.0` or as a string."""
        value = self.number(name)
        if value is None:
            return None
        if value != int(value):
            raise self.wrong(name, "expected a whole number")
        if least is not None and value < least:
            raise self.wrong(name, f"expected at least {least}")
        return int(value)

    def object(self, name: str) -> Fields | None:
        """An object of the caller's own making, as it is."""
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise wrong_type(self.where(name), "object", value)
        return value

    def node(self, name: str) -> Node | None:
        return Node(self.get(name), self.where(name)) if name in self else None

    def nodes(self, name: str) -> list[Node]:
        """A list of objects; an object alone is a list of one."""
        value = self.get(name)
        if isinstance(value, dict):
            return [Node(value, self.where(name))]
        if value is not None and not isinstance(value, list):
            raise wrong_type(self.where(name), "array", value)
        return [Node(one, f"{self.where(name)}[{number}]") for number, one in enumerate(value or ())]

    def rest(self, *known: str) -> Fields:
        """All other fields, under their camelCase names."""
        return {name: self.wire[key] for name, key in self._keys.items() if name not in known}

    def rest_as_spelled(self, *known: str) -> Fields:
        return {key: self.wire[key] for name, key in self._keys.items() if name not in known}


def as_number(text: str) -> float | str:
    """The number that a string spells; the string if it spells none."""
    try:
        value = int(text) if text.lstrip("-").isdecimal() and len(text) < 40 else float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text
