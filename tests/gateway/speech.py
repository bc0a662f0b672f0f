"""The four dialects from a client's side: how each asks, and what an answer in each says, read from nothing but its bytes.

What is read is only what the dialect's official SDK understands: an error in any other form counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from telex.core import sse

from .client import Answer, request

Wire = dict[str, Any]

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
KEYS = {
    "openai-chat": {"authorization": "Bearer none"},
    "openai-responses": {"authorization": "Bearer none"},
    "anthropic": {"x-api-key": "none", "anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": "none"},
}
ALIVE = {
    "openai-chat": b": keep-alive\n\n",
    "openai-responses": b": keep-alive\n\n",
    "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n',
    "gemini": b"\r\n",
}
"""The sign of life that each dialect's SDK bears."""


# ---- asking


def asks(client: str, model: str, stream: bool = False, text: str = "Hi", **fields: Any) -> tuple[str, Wire, dict[str, str]]:
    """The path, the body and the headers of a request in the client's dialect."""
    messages = [{"role": "user", "content": text}]
    body: Wire
    match client:
        case "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path, body = f"/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        case "openai-responses":
            path, body = "/v1/responses", {"model": model, "input": text, "stream": stream}
        case "anthropic":
            path, body = "/v1/messages", {"max_tokens": 9, "model": model, "messages": messages, "stream": stream}
        case _:
            path, body = "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream}
    return path, {**body, **fields}, KEYS[client]


def asked(client: str, model: str, stream: bool = False, path: str = "", **fields: Any) -> bytes:
    """The whole request. `path`: another than the usual one."""
    usual, body, headers = asks(client, model, stream, **fields)
    return request(json.dumps(body).encode(), path=path or usual, headers=headers)


# ---- what came


class Told(Struct):
    """`text`, `calls`: what the model said, of calls their names and arguments. `finishes`: the reasons to stop that were given.
    `done`: its terminator came, as the last thing (Google has none but the reason). `errors`: those that the SDK raises; `broken`: one
    was the last thing."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    done: bool = False
    errors: list[Wire] = field(default_factory=list)
    broken: bool = False


def told(client: str, answer: Answer) -> Told:
    """What a good answer says, or one that broke behind its headers."""
    if answer.headers["content-type"].startswith("application/json"):
        return WHOLE[client](answer.json)
    return STREAMED[client](list(sse.Decoder().feed(answer.body)), answer.body)


def error_of(client: str, answer: Answer) -> Wire:
    """The error that came instead of an answer, in the client's own shape."""
    body: Wire = answer.json
    match client:
        case "anthropic":
            assert (set(body), body["type"]) == ({"type", "error", "request_id"}, "error")
        case "gemini":
            assert next(iter(body)) == "error"
            assert body["error"]["code"] == answer.status
        case _:
            assert set(body["error"]) - {"retry_after"} == {"message", "type", "param", "code"}
    error: Wire = body["error"]
    assert error["message"]
    return error


def chat_stream(frames: list[sse.Frame], body: bytes) -> Told:
    heard, calls = Told(), dict[int, list[str]]()
    assert b"\nid:" not in body
    for frame in frames:
        assert not frame.event
        heard.done, heard.broken = frame.data == sse.DONE, False
        if heard.done:
            continue
        chunk = json.loads(frame.data)
        if chunk.get("error"):
            heard.errors.append(chunk["error"])
            heard.broken = True
        for choice in chunk.get("choices", ()):
            heard.text += choice["delta"].get("content") or ""
            heard.finishes += [choice["finish_reason"]] if choice.get("finish_reason") else []
            for call in choice["delta"].get("tool_calls", ()):
                entry = calls.setdefault(call.get("index", max(calls, default=0)), ["", ""])
                entry[0] += call["function"].get("name") or ""
                entry[1] += call["function"].get("arguments") or ""
    heard.calls = [(name, json.loads(arguments)) for name, arguments in calls.values()] if heard.done else []
    return heard


def responses_stream(frames: list[sse.Frame], body: bytes) -> Told:
    heard = Told()
    assert b"\nid:" not in body
    for frame in frames:
        event = json.loads(frame.data)
        assert event["type"] == frame.event
        kind = frame.event.removeprefix("response.")
        heard.done = kind in ("completed", "incomplete")
        heard.broken = kind == "failed" and bool(heard.errors)  # an error alone leaves the helper without its last event
        if kind == "output_text.delta":
            heard.text += event["delta"]
        elif kind == "error" and event.get("error"):
            heard.errors.append(event["error"])
        elif heard.done:
            heard.finishes.append(event["response"]["status"])
            heard.calls = responses_calls(event["response"])
    return heard


def anthropic_stream(frames: list[sse.Frame], body: bytes) -> Told:
    heard, names, pieces = Told(), dict[int, str](), dict[int, str]()
    for frame in frames:
        event = json.loads(frame.data)
        assert event["type"] == frame.event
        heard.done, heard.broken = frame.event == "message_stop", frame.event == "error"
        if heard.broken:
            heard.errors.append(event["error"])
        elif frame.event == "content_block_start" and event["content_block"]["type"] == "tool_use":
            names[event["index"]] = event["content_block"]["name"]
        elif frame.event == "content_block_delta":
            heard.text += event["delta"].get("text", "")
            pieces[event["index"]] = pieces.get(event["index"], "") + event["delta"].get("partial_json", "")
        elif frame.event == "message_delta":
            assert event["usage"]
            heard.finishes.append(event["delta"]["stop_reason"])
    heard.calls = [(name, json.loads(pieces[index])) for index, name in names.items()] if heard.done else []
    return heard


def gemini_stream(frames: list[sse.Frame], body: bytes) -> Told:
    heard = Told()
    assert all(line.startswith(b"data: ") for line in body.splitlines() if line)  # the SDK raises on any other
    for frame in frames:
        chunk = json.loads(frame.data)
        heard.broken = next(iter(chunk)) == "error" and isinstance(chunk["error"]["code"], int)
        if heard.broken:
            heard.errors.append(chunk["error"])
            continue
        said = gemini_whole(chunk)
        heard.text, heard.calls, heard.finishes = heard.text + said.text, heard.calls + said.calls, heard.finishes + said.finishes
        heard.done = heard.done or said.done
    return heard


def chat_whole(body: Wire) -> Told:
    [choice] = body["choices"]
    calls = [call["function"] for call in choice["message"].get("tool_calls") or ()]
    named = [(call["name"], json.loads(call["arguments"])) for call in calls]
    return Told(choice["message"]["content"] or "", named, [choice["finish_reason"]], done=True)


def responses_whole(body: Wire) -> Told:
    text = "".join(content["text"] for item in body["output"] if item["type"] == "message" for content in item["content"])
    return Told(text, responses_calls(body), [body["status"]], done=True)


def responses_calls(body: Wire) -> list[tuple[str, Any]]:
    return [(item["name"], json.loads(item["arguments"])) for item in body["output"] if item["type"] == "function_call"]


def anthropic_whole(body: Wire) -> Told:
    calls = [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"]
    return Told("".join(block.get("text", "") for block in body["content"]), calls, [body["stop_reason"]], done=True)


def gemini_whole(body: Wire) -> Told:
    candidates = body.get("candidates", ())
    parts = [part for candidate in candidates for part in candidate.get("content", {}).get("parts", ())]
    calls = [(part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part]
    finishes = [candidate["finishReason"] for candidate in candidates if candidate.get("finishReason")]
    return Told("".join(part.get("text", "") for part in parts), calls, finishes, done=bool(finishes))


STREAMED: dict[str, Callable[[list[sse.Frame], bytes], Told]] = {
    "openai-chat": chat_stream,
    "openai-responses": responses_stream,
    "anthropic": anthropic_stream,
    "gemini": gemini_stream,
}
WHOLE: dict[str, Callable[[Wire], Told]] = {
    "openai-chat": chat_whole,
    "openai-responses": responses_whole,
    "anthropic": anthropic_whole,
    "gemini": gemini_whole,
}
