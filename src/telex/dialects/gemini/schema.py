"""Google's schemas, a subset of OpenAPI's, to JSON schemas. The order of keys is kept: caches of prompts depend on it.

Source of the format: "Schema" in the reference of the Gemini API.
"""

from __future__ import annotations

from typing import Any

from telex.core.messages import Fields
from telex.dialects.gemini.fields import as_number, camel

SCHEMAS = frozenset({"items", "additionalProperties", "not"})
LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
MAPS = frozenset({"properties", "$defs"})
COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""Whole numbers of 64 bits, which Google's JSON writes as strings."""

NAMES = {"defs": "$defs", "ref": "$ref"}
UNSAID = ("TYPE_UNSPECIFIED", "")


def to_json_schema(schema: Any) -> Any:
    """The JSON schema of a `Schema`; what is no object stays what it is (a schema may be `true`)."""
    if not isinstance(schema, dict):
        return schema
    wire = {NAMES.get(name := camel(key), name): value for key, value in schema.items() if value is not None}
    nullable, order = wire.pop("nullable", False), wire.pop("propertyOrdering", None)
    if wire.get("type") in UNSAID:
        del wire["type"]
    whole = {("examples" if name == "example" else name): keyword(name, value, order) for name, value in wire.items()}
    return or_null(whole) if nullable is True else whole


def keyword(name: str, value: Any, order: Any) -> Any:
    if name == "type":
        return [lower(one) for one in value] if isinstance(value, list) else lower(value)
    if name in SCHEMAS:
        return to_json_schema(value)
    if name in LISTS and isinstance(value, list):
        return [to_json_schema(one) for one in value]
    if name in MAPS and isinstance(value, dict):
        whole = {key: to_json_schema(one) for key, one in value.items()}
        return in_order(whole, order) if name == "properties" and isinstance(order, list) else whole
    if name in COUNTS and isinstance(value, str):
        return as_number(value)
    return [value] if name == "example" else value


def lower(type: Any) -> Any:
    return type.lower() if isinstance(type, str) else type


def in_order(properties: Fields, order: list[Any]) -> Fields:
    """`propertyOrdering` said by the order itself."""
    first = [name for name in order if isinstance(name, str) and name in properties]
    return {name: properties[name] for name in dict.fromkeys([*first, *properties])}


def or_null(schema: Fields) -> Fields:
    """The same, or null."""
    if "enum" in schema and isinstance(schema["enum"], list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(type := schema.get("type"), str):
        return schema if type == "null" else schema | {"type": [type, "null"]}
    if isinstance(type, list):
        return schema if "null" in type else schema | {"type": [*type, "null"]}
    if isinstance(several := schema.get("anyOf"), list):
        return schema | {"anyOf": [*several, {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema
