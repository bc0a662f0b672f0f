"""Fields of a request or a reply as strangers write them, read with the place they stand at."""

from __future__ import annotations

import re
from typing import TypeVar

from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.dialects.values import standard_base64

T = TypeVar("T")
TYPES: dict[type, str] = {str: "str", bool: "bool", dict: "object", list: "array"}


class WrongField(Exception):
    """A field that can't be meant: which, and why."""

    def __init__(self, field: str, why: str, code: str = "invalid_value") -> None:
        super().__init__(why)
        self.field, self.code = field, code

    @property
    def failure(self) -> Failure:
        if self.code == "missing_required_parameter":
            return Failure("bad_request", f"Missing required field '{self.field}'.", self.field, code=self.code)
        return Failure("bad_request", f"Invalid '{self.field}': {self}.", self.field, code=self.code)


def inner(wire: Fields, name: str, place: str) -> Fields:
    if not isinstance(value := wire.get(name), dict):
        raise WrongField(f"{place}.{name}", "expected object")
    return value


def text(wire: Fields, name: str, place: str) -> str:
    if not isinstance(value := wire.get(name), str):
        raise WrongField(f"{place}.{name}", "expected str")
    return value


def said(wire: Fields, name: str, place: str, type: type[T]) -> T | None:
    """A field that may be left out or null."""
    value = wire.get(name)
    if value is not None and not isinstance(value, type):
        raise WrongField(f"{place}.{name}", f"expected {TYPES[type]}")
    return value


def rest(wire: Fields, *known: str) -> Fields:
    return {k: v for k, v in wire.items() if k not in known}


def base64(data: str, place: str) -> str:
    if (standard := standard_base64(data)) is None:
        raise WrongField(place, "its data is not base64")
    return standard


def invalid(message: str, place: str = "") -> Failure:
    """msgspec says "Expected `int`, got `str` - at `$.max_tokens`"; callers want to hear about 'max_tokens'. `place`: of what was read."""
    what, _, path = message.partition(" - at ")
    field = ".".join(filter(None, [place, path.strip("`").removeprefix("$").removeprefix(".")]))
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        field = f"{field}.{missing[1]}" if field else missing[1]
        return Failure("bad_request", f"Missing required field '{field}'.", field, code="missing_required_parameter")
    if field == "messages" and "length" in what:
        return Failure("bad_request", "Invalid 'messages': empty. Expected at least one message.", field, code="empty_array")
    if not field:
        return Failure("bad_request", f"The body is not such a request: {what}.", code="invalid_type")
    what = what[:1].lower() + what[1:].replace("`", "")
    return Failure("bad_request", f"Invalid '{field}': {what}.", field, code="invalid_type" if "got" in what else "invalid_value")
