"""`response_format`: the schema that goes to the model, and what its answer becomes here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from telex.client.errors import refuse
from telex.core import json
from telex.core.messages import Fields, Format

T = TypeVar("T")


class Shape(Struct, Generic[T], frozen=True):
    """`read`: text to a value. Raises `ValueError` for text that is none."""

    format: Format
    read: Callable[[str], T]


def shape_of(response_format: Any) -> Shape[Any] | None:
    """Of a JSON schema, also in the form in which OpenAI's API wants it; of a type that msgspec or pydantic knows; or of "json"."""
    match response_format:
        case None | "text" | {"type": "text"}:
            return None
        case "json" | {"type": "json_object"}:
            return Shape(Format("json"), read_json)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)} as named}:
            format = Format("json_schema", named.get("name", ""), named.get("description", ""), schema, named.get("strict"))
            return Shape(format, read_json)
        case Mapping():
            return Shape(Format("json_schema", schema_name(response_format.get("title", "")), schema=dict(response_format)), read_json)
    name = schema_name(getattr(response_format, "__name__", ""))
    if hasattr(response_format, "model_json_schema"):  # pydantic's, which whoever brings one has imported
        return Shape(Format("json_schema", name, schema=response_format.model_json_schema()), response_format.model_validate_json)
    try:
        schema = msgspec.json.schema(response_format)
        decoder = msgspec.json.Decoder(response_format)
    except TypeError as error:
        raise refuse("response_format", f"Neither a JSON schema nor a type that has one: {error}.") from None
    return Shape(Format("json_schema", name, schema=inline(schema)), lambda text: decoder.decode(text))


def read_json(text: str) -> Any:
    return json.decode(text.encode("utf-8", "surrogatepass"))


def schema_name(name: str) -> str:
    """As the providers allow it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def inline(schema: Fields) -> Fields:
    """With an object at its root, which providers want, instead of a reference to one."""
    definitions: Fields = dict(schema.get("$defs", {}))
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    if name not in definitions:
        return schema
    root = definitions[name]
    if f'"#/$defs/{name}"' not in json.encode(definitions).decode():
        del definitions[name]  # unless it refers to itself
    return {**root, "$defs": definitions} if definitions else root
