"""A request on its way to a target: the body and headers that it is sent, what of it is left behind, or why it can't go there."""

from __future__ import annotations

from msgspec import Struct

from telex.core import json
from telex.core.errors import Failure
from telex.core.messages import Fields, Request
from telex.dialects import DIALECTS, Dialect, library
from telex.dialects.gaps import NO_FIELD, find_gaps
from telex.dialects.marks import keep_marks
from telex.dialects.quirks import Quirks


class Outgoing(Struct, frozen=True):
    """`path`: behind the base URL. `dropped`: fields of the caller's request that the target is not told."""

    path: str
    body: bytes
    headers: dict[str, str]
    dropped: tuple[str, ...] = ()


class Manner(Struct, frozen=True):
    """What is particular to a provider: `defaults` are fields of requests that do not say them, `always` of every one."""

    quirks: Quirks = Quirks()
    defaults: Fields = {}
    always: Fields = {}


def address(request: Request, target: Dialect, model: str, stream: bool, manner: Manner, strict: bool = False) -> Outgoing | Failure:
    """`request` for a provider of the dialect `target`, under its name for the model. `strict`: nothing may be dropped.

    A failure of the kind `unsupported` names the first field that the target can't be told.
    """
    told = tell(request, target, model, manner.quirks)
    dropped = find_dropped(request, told, target, manner.quirks, strict)
    if isinstance(dropped, Failure):
        return dropped
    try:
        path = target.generate_path(model, stream)
    except ValueError as error:
        return no_model(model, error)
    fields = target.encode_request(told, model, stream, manner.quirks)
    body = json.encode({**target.DEFAULTS, **manner.defaults, **fields, **manner.always})
    return Outgoing(path, body, target.request_headers(request), dropped)


def address_count(request: Request, target: Dialect, model: str, quirks: Quirks, strict: bool = False) -> Outgoing | Failure | None:
    """The question how many tokens the prompt of `request` has, for a provider of the dialect `target`; None if it does not count."""
    try:
        path = target.COUNT.path(model, quirks)
    except ValueError as error:
        return no_model(model, error)
    if path is None:
        return None
    told = tell(request, target, model, quirks)
    dropped = find_dropped(request, told, target, quirks, strict)
    if isinstance(dropped, Failure):
        return dropped
    body = json.encode(target.COUNT.encode_request(told, model, quirks))
    return Outgoing(path, body, target.request_headers(request), dropped)


def tell(request: Request, target: Dialect, model: str, quirks: Quirks) -> Request:
    """The request as a provider is told it: of marks for a cache, those that it takes."""
    return request if request.dialect == target.NAME else keep_marks(request, target.MARKS, model, quirks)


def find_dropped(request: Request, told: Request, target: Dialect, quirks: Quirks, strict: bool) -> tuple[str, ...] | Failure:
    if request.dialect == target.NAME:
        return ()
    source = DIALECTS[request.dialect] if request.dialect else library
    gaps = find_gaps(request, told, source, target, quirks)
    for gap in gaps:
        if gap.why or strict:
            why = gap.why or f"{NO_FIELD}, and this model lets nothing go"
            return Failure("unsupported", f"Unsupported '{gap.field}': {why}.", gap.field, code="unsupported_parameter")
    return tuple(gap.field for gap in gaps)


def no_model(model: str, error: ValueError) -> Failure:
    return Failure("bad_request", f"'{model}' is no name of a model: {error}.", "model", code="invalid_value")
