"""Responses as tests write them: the events of a stream, the items of an output, and both ways between those and a reply."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from telex.core import sse
from telex.core.events import Event
from telex.core.fold import fold
from telex.core.messages import Part, Reply
from telex.dialects.openai_responses import Decoder, Encoder

OWN = "openai-responses"
Wire = dict[str, Any]

IN: Wire = {"dialect": OWN, "extra": {"id": "msg_1"}}
"""What every part of a message has here."""

HELLO = Part("text", "Hello", **IN)
NEWS: Wire = {"type": "url_citation", "url": "https://x/", "title": "X", "start_index": 1, "end_index": 3}
SEARCH: Wire = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
SEARCHED = Part("opaque", tool="web_search_call", dialect=OWN, extra=SEARCH)


def read(data: bytes) -> list[Event]:
    frames, decoder = sse.Decoder(), Decoder()
    decoded = [event for frame in [*frames.feed(data), *frames.end()] for event in decoder.feed(frame)]
    return [*decoded, *decoder.end()]


def wire(*events: Wire | str) -> bytes:
    return b"".join(sse.encode(one.encode() if isinstance(one, str) else json.dumps(one).encode()) for one in events)


def event(type: str, output: int = 0, **fields: Any) -> Wire:
    return {"type": f"response.{type}", "output_index": output, **fields}


def response(output: list[Wire] | None = None, status: str = "completed", **fields: Any) -> Wire:
    return {"id": "resp_1", "object": "response", "created_at": 5, "model": "m", "status": status, "output": output or [], **fields}


CREATED: Wire = {"type": "response.created", "response": response(status="in_progress")}


def last(output: list[Wire] | None = None, status: str = "completed", **fields: Any) -> Wire:
    return {"type": f"response.{status}", "response": response(output, status, **fields)}


def decode(*events: Wire | str) -> Reply:
    return fold(read(wire(CREATED, *events)))


def parts(*events: Wire | str, end: Wire | None = None) -> list[Part]:
    reply = decode(*events, end or last())
    assert reply.failure is None, reply.failure
    return list(reply.choices[0].parts)


def text_part(text: str = "", *sources: Wire) -> Wire:
    return {"type": "output_text", "text": text, "annotations": list(sources), "logprobs": []}


def message(*content: Wire, id: str = "msg_1", **fields: Any) -> Wire:
    return {"type": "message", "id": id, "status": "completed", "role": "assistant", "content": list(content), **fields}


def call(arguments: Any = "", id: str = "call_1", name: str = "f", **fields: Any) -> Wire:
    return {"type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments, **fields}


def thought(*summary: str, **fields: Any) -> Wire:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text} for text in summary], **fields}


def added(item: Wire, output: int = 0) -> Wire:
    return event("output_item.added", output, item=item)


def done(item: Wire, output: int = 0) -> Wire:
    return event("output_item.done", output, item=item)


def said(delta: str, output: int = 0, index: int = 0) -> Wire:
    return event("output_text.delta", output, content_index=index, delta=delta)


def whole(body: Any) -> Reply:
    return fold(Decoder().whole(body if isinstance(body, bytes) else json.dumps(body).encode()))


def encode(events: Iterable[Event], **options: Any) -> list[Wire]:
    encoder = Encoder(**options)
    frames = sse.Decoder().feed(b"".join(frame for e in events for frame in encoder.feed(e)))
    datas = [json.loads(frame.data) for frame in frames]
    assert [data["type"] for data in datas] == [frame.event for frame in frames]
    assert [data["sequence_number"] for data in datas] == list(range(len(datas)))
    return datas
