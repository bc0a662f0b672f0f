"""Where a fuzzer begins: replies, errors and requests that use what the dialects have, as each dialect writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from telex.core.errors import CONSEQUENCES, Failure
from telex.core.fold import unfold
from telex.core.messages import Choice, Citation, Finish, Part, Reply, Token, Usage
from telex.dialects import DIALECTS

from .targets import header

PNG = "iVBORw0KGgo="
FOLDER = Path(__file__).with_name("requests")


def replies(dialect: str) -> Iterator[Reply]:
    """One that says a bit of everything, and a small one of each kind."""
    cited = Citation("https://example.com/a", "A", 0, 5, "a quote", dialect, {"type": "x"})
    parts = (
        Part("reasoning", "Let me think.", signature="c2ln", dialect=dialect),
        Part("reasoning", data="ZW5jcnlwdGVk", dialect=dialect),
        Part("text", "Grüße \N{GRINNING FACE}\n", citations=(cited,)),
        Part("opaque", '{"query":"x"}', tool="server_tool_use", dialect=dialect, extra={"type": "server_tool_use", "id": "s", "name": "n"}),
        Part("tool_call", '{"a":{"b":[1,"\\u00e9"]}}', "call_1", "f", "function", signature="c2ln", dialect=dialect),
        Part("tool_call", "{}", "call_2", "g", "function"),
        Part("refusal", "No."),
        Part("image", data=PNG, media_type="image/png"),
        Part("audio", "spoken", "a1", data="AAAA", media_type="audio/wav"),
    )
    usage = Usage(30, 20, 5, 2, 7, {"odd": 1})
    tokens = (Token("a", -0.5, (97,), (Token("b", -1.5),)),)
    everything = Choice(0, parts, Finish(0, "tool_calls", "tool_calls"), tokens, (), {"odd": {"a": 1}})
    yield Reply("r1", "m", 1, (everything,), usage, dialect=dialect, extra={"odd": [1]})
    for part in parts:
        yield Reply("r1", "m", 1, (Choice(0, (part,), Finish(0, "stop", "stop")),), usage, dialect=dialect)
    yield Reply("r1", "m", 1, (Choice(0, (), Finish(0, "length", "length")),), None, dialect=dialect)
    yield Reply("r1", "m", 1, (everything,), usage, Failure("overloaded", "Busy."), dialect)


def seeds() -> Iterator[bytes]:
    for name, dialect in DIALECTS.items():
        for source in DIALECTS:
            for reply in replies(source):
                encoder = dialect.Encoder()
                frames = [frame for event in unfold(reply) for frame in encoder.feed(event)]
                yield header(name, "stream") + b"".join(frames)
                yield header(name, "whole") + dialect.encode_reply(reply)
        for kind in CONSEQUENCES:
            yield header(name, "error") + dialect.encode_error(Failure(kind, "Boom."))
        for request in sorted(FOLDER.glob(f"{name}.*.json")):
            yield header(name, "request") + request.read_bytes()
            yield header(name, "count") + request.read_bytes()
        yield header(name, "count") + dialect.COUNT.encode(7)
