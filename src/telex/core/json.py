"""JSON as the wire has it: fast where it is well-formed, patient where it is merely odd.

Providers cut text in the middle of an escaped surrogate pair, so that a fragment is not text by itself; such JSON is read and
written by the standard library, all other by msgspec.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Malformed(ValueError):
    """These bytes are not JSON; the text says why."""


def decode(data: bytes) -> Any:
    """The value of a JSON text. Raises `Malformed`, also for what is nested too deeply."""
    try:
        return _decode(data)
    except UnicodeDecodeError:
        raise Malformed("it is not UTF-8") from None
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        if b"\\ud" not in data and b"\\uD" not in data:
            raise Malformed(str(error)) from None
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def encode(value: Any) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def join(fragments: list[str]) -> str:
    """Fragments of text as one, surrogate pairs made whole again."""
    text = "".join(fragments)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
