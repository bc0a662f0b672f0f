"""What may stand at a place of a configuration, by its types, for whoever wrote something else there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import inspect


def fields_at(type: Any, path: Sequence[str]) -> list[str]:
    """The keys that the table at `path` below a value of `type` may have."""
    return [field.encode_name for kind in kinds_at(type, path) if isinstance(kind, inspect.StructType) for field in kind.fields]


def values_at(type: Any, path: Sequence[str]) -> list[str]:
    """The words that may stand there, where only some may."""
    return [str(value) for kind in kinds_at(type, path) if isinstance(kind, inspect.LiteralType) for value in kind.values]


def kinds_at(type: Any, path: Sequence[str]) -> list[inspect.Type]:
    """`path`: names of keys; what stands in a list is where the list is."""
    kinds = list(spread([inspect.type_info(type)]))
    for name in path:
        kinds = list(spread(step for kind in kinds for step in steps(kind, name)))
    return kinds


def steps(kind: inspect.Type, name: str) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        yield from (field.type for field in kind.fields if field.encode_name == name)
    elif isinstance(kind, inspect.DictType):
        yield kind.value_type


def spread(kinds: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    """The types that a value of each may have, and those of what stands in it where it is a list."""
    for kind in kinds:
        if isinstance(kind, inspect.UnionType):
            yield from spread(kind.types)
        elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
            yield from spread([kind.item_type])
        else:
            yield kind
