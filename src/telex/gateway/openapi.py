"""What this gateway answers, as an OpenAPI document: Telex's own paths in full, those of the dialects in outline.

An outline names what a request must say; everything else that a dialect knows may be there too. The statuses of a dialect are those that
its module gives to the kinds of failures.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, get_args

from telex.config import OnDisconnect
from telex.core.errors import CONSEQUENCES, Failure
from telex.core.messages import Fields
from telex.dialects import DIALECTS
from telex.gateway.generations import ROOT

TEXT: Fields = {"type": "string"}
NAME: Fields = {"type": "string", "minLength": 1}
FLAG: Fields = {"type": ["boolean", "null"]}
OBJECT: Fields = {"type": "object"}


def record(required: Fields, **more: Any) -> Fields:
    """An object with these fields, and perhaps others."""
    return {"type": "object", "required": list(required), "properties": {**required, **more}}


def several(item: Fields, least: int = 1) -> Fields:
    return {"type": "array", "items": item, "minItems": least}


CONTENT: Fields = {"anyOf": [TEXT, several(record({"type": TEXT}), 0)]}
CHAT = record({"model": NAME, "messages": several(record({"role": {"enum": ["system", "developer", "user"]}, "content": CONTENT}))})
RESPONSE = record({"model": NAME, "input": {"anyOf": [TEXT, several(record({"role": {"enum": ["user", "developer"]}, "content": TEXT}))]}})
TURN = record({"role": {"enum": ["user", "assistant"]}, "content": {"anyOf": [TEXT, several(record({"type": TEXT}))]}})
MESSAGE = record({"model": NAME, "messages": several(TURN)})
CONTENTS = record({"contents": several(record({"parts": several(record({"text": TEXT}))}, role={"enum": ["user", "model"]}))})

OPENAI_ERROR = record({"error": record({"message": TEXT, "type": TEXT, "param": {}, "code": {}})})
ERRORS: dict[str, Fields] = {
    "openai-chat": OPENAI_ERROR,
    "openai-responses": OPENAI_ERROR,
    "anthropic": record({"type": {"const": "error"}, "error": record({"type": TEXT, "message": TEXT})}, request_id=TEXT),
    "gemini": record({"error": record({"code": {"type": "integer"}, "message": TEXT, "status": TEXT})}),
}

STREAMED: Fields = {"stream": FLAG}
RESPONDED: Fields = {**STREAMED, "background": FLAG, "store": FLAG, "previous_response_id": {"type": ["string", "null"]}}
GENERATES: dict[str, tuple[str, Fields, Fields]] = {
    "/v1/chat/completions": ("openai-chat", CHAT, STREAMED),
    "/v1/responses": ("openai-responses", RESPONSE, RESPONDED),
    "/v1/messages": ("anthropic", record({**MESSAGE["properties"], "max_tokens": {"type": "integer", "minimum": 0}}), STREAMED),
    "/v1beta/models/{model}:generateContent": ("gemini", CONTENTS, {}),
    "/v1beta/models/{model}:streamGenerateContent": ("gemini", CONTENTS, {}),
    "/v1/models/{model}:generateContent": ("gemini", CONTENTS, {}),
    "/v1/models/{model}:streamGenerateContent": ("gemini", CONTENTS, {}),
}
"""Path: its dialect, the body that it takes, and what else that may say here."""

COUNTS: dict[str, tuple[str, Fields, Fields]] = {
    "/v1/chat/completions/input_tokens": ("openai-chat", CHAT, record({"input_tokens": {"type": "integer"}})),
    "/v1/responses/input_tokens": ("openai-responses", RESPONSE, record({"input_tokens": {"type": "integer"}})),
    "/v1/messages/count_tokens": ("anthropic", MESSAGE, record({"input_tokens": {"type": "integer"}})),
    "/v1beta/models/{model}:countTokens": ("gemini", CONTENTS, record({"totalTokens": {"type": "integer"}})),
    "/v1/models/{model}:countTokens": ("gemini", CONTENTS, record({"totalTokens": {"type": "integer"}})),
}
"""Path: its dialect, the body that it takes, and the answer."""

PROBLEM = record({"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT})
"""Errors of paths that are in no dialect (RFC 9457)."""

REFUSED = (400, 401, 403, 421, 503)
"""Different credentials or two hosts; no valid key; a page of another origin, or not an admin's; another server's name; keys can't be read.
Any path says so."""

GONE = (404, 409, 410)
"""Of a generation: none, nothing to read, not any more."""


GENERATION = record({"id": TEXT, "status": TEXT})
CURSOR: Fields = {"type": "integer", "minimum": 0}
PAGE: Fields = {"type": "integer", "minimum": 1, "maximum": 100}
DIALECT: Fields = {"enum": list(DIALECTS)}

NUMBERS = "Telex-Event-Ids"
WISHES: dict[str, Fields] = {
    "Telex-Timeouts": TEXT,
    "Telex-On-Disconnect": {"enum": list(get_args(OnDisconnect))},
    NUMBERS: {"enum": ["true", "false"]},
    "Prefer": {"type": "string", "pattern": "^respond-async(, ?wait=[0-9]{1,6})?$"},
    "Idempotency-Key": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
"""Headers in which a request says how it is to be answered."""


def answer(words: str, body: Fields | None = None, *types: str) -> Fields:
    content = {kind: {"schema": body} for kind in types or ("application/json",)} if body is not None else {}
    return {"description": words, "content": content} if content else {"description": words}


def refusal(whose: str) -> Fields:
    """`own`: a path in no dialect. `any`: whichever the client speaks, or none."""
    if whose == "own":
        return answer("Why not.", PROBLEM, "application/problem+json")
    body = {"anyOf": list(ERRORS.values())} if whose == "any" else ERRORS[whose]
    if whose == "gemini":
        body = {"anyOf": [body, several(body)]}  # where its stream is an array
    made = answer("Why not, in the client's dialect.", body)
    return {**made, "content": {**made["content"], **refusal("own")["content"]}} if whose == "any" else made


def statuses_of(*dialects: str) -> list[int]:
    kinds = [kind for kind in CONSEQUENCES if kind != "method_not_allowed"]
    return sorted({*REFUSED, *(DIALECTS[name].status_of(Failure(kind, "")) for name in dialects for kind in kinds)})


def operation(words: str, good: Fields, whose: str, statuses: Iterable[int], path: str, body: Fields | None = None) -> Fields:
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    parameters: list[Fields] = [{"name": name, "in": "path", "required": True, "schema": NAME} for name in names]
    refused = {str(status): {"$ref": f"#/components/responses/{whose}-error"} for status in sorted({*REFUSED, *statuses})}
    made: Fields = {"summary": words, "responses": {"200": good, **refused}}
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return {**made, "parameters": parameters} if parameters else made


def get(path: str, words: str, good: Fields, whose: str = "own", statuses: Iterable[int] = ()) -> Fields:
    return operation(words, answer(words, good), whose, statuses, path)


def own_paths() -> Fields:
    """Those that say how it is."""
    alive = record({"status": TEXT})
    paths: Fields = {
        "/": {"head": operation("Whether anybody is there.", answer("Somebody is."), "own", (), "/")},
        "/healthz": {"get": get("/healthz", "Whether it lives.", alive)},
        "/readyz": {"get": get("/readyz", "Whether it takes work.", alive)},
        "/openapi.json": {"get": get("/openapi.json", "This document.", OBJECT)},
    }
    paths["/readyz"]["get"]["responses"]["503"] = answer("Not yet, or not any more.", alive)
    return paths


def generation_paths() -> Fields:
    """Those of what can be come back to, however it was asked for."""
    one, page = ROOT + "/{id}", record({"data": several(GENERATION, 0), "has_more": {"type": "boolean"}})
    asking = ask(get(ROOT, "The newest generations, the newest first.", page), limit=PAGE, before=NAME, delivery={"const": "background"})
    reply = get(f"{one}/reply", "All that it said.", {}, "any", (*GONE, *statuses_of(*DIALECTS)))
    stream = follow(get(f"{one}/stream", "What it says from a cursor on.", {}, "own", GONE), after=CURSOR, of=DIALECT, dialect=DIALECT)
    stream["parameters"] += [header("Last-Event-ID", CURSOR), header(NUMBERS, WISHES[NUMBERS])]
    return {
        ROOT: {"get": asking},
        one: {"get": get(one, "What is known of a generation.", GENERATION, "own", GONE)},
        f"{one}/cancel": {"post": get(f"{one}/cancel", "Stop it.", GENERATION, "own", GONE)},
        f"{one}/reply": {"get": ask(reply, dialect=DIALECT)},
        f"{one}/stream": {"get": stream},
    }


def response_paths() -> Fields:
    """Those of what OpenAI's Responses call stored."""
    one = "/v1/responses/{id}"
    found = get(one, "A response that is stored, or runs in the background.", OBJECT, "any", (404,))
    items = get(f"{one}/input_items", "What it was asked with.", record({"data": several(OBJECT, 0)}), "any", (404,))
    return {
        one: {
            "get": follow(found, stream={"type": "boolean"}, starting_after=CURSOR),
            "delete": get(one, "Forget it.", OBJECT, "any", (404,)),
        },
        f"{one}/input_items": {"get": ask(items, limit=PAGE, order={"enum": ["asc", "desc"]}, after=NAME)},
        f"{one}/cancel": {"post": get(f"{one}/cancel", "Stop one that runs in the background.", OBJECT, "any", (404,))},
    }


def ask(operation: Fields, **queries: Fields) -> Fields:
    """The same with these parameters in its query."""
    more = [{"name": name, "in": "query", "schema": schema} for name, schema in queries.items()]
    return {**operation, "parameters": [*operation.get("parameters", ()), *more]}


def follow(operation: Fields, **queries: Fields) -> Fields:
    """The same of what may also be answered as a stream."""
    operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": {}}
    return ask(operation, **queries)


def header(name: str, schema: Fields) -> Fields:
    return {"name": name, "in": "header", "schema": schema}


def shared_paths() -> Fields:
    """Those that several dialects have, or that have no body."""
    paths: Fields = {}
    for root in ("/v1/models", "/v1beta/models"):
        paths[root] = {"get": get(root, "The models, as the client's dialect lists them.", OBJECT, "any")}
        one = root + "/{model}"
        paths[one] = {"get": get(one, "One model.", OBJECT, "any", statuses_of(*DIALECTS))}
    return paths


def generate(path: str, dialect: str, body: Fields) -> Fields:
    types = ("application/json",) if ":generate" in path else ("application/json", "text/event-stream")
    made = operation("Generate.", answer("A reply, whole or streamed.", {}, *types), dialect, statuses_of(dialect), path, body)
    later = answer("Accepted: come back to it ('Prefer: respond-async').", GENERATION)
    named = {"Telex-Generation": "The generation's id.", "Idempotent-Replayed": "It was asked for before, with the same Idempotency-Key."}
    made["responses"]["200"]["headers"] = describe(named)
    made["responses"]["202"] = {**later, "headers": describe({**named, "Location": "Where it is."})}
    made["parameters"] = [*made.get("parameters", ()), *(header(name, schema) for name, schema in WISHES.items())]
    return made


def describe(headers: dict[str, str]) -> Fields:
    return {name: {"description": words, "schema": TEXT} for name, words in headers.items()}


def document() -> Fields:
    paths = {**own_paths(), **generation_paths(), **response_paths(), **shared_paths()}
    for path, (dialect, body, more) in GENERATES.items():
        paths[path] = {"post": generate(path, dialect, {**body, "properties": {**body["properties"], **more}})}
    for path, (dialect, body, counted) in COUNTS.items():
        good = answer("The tokens of the prompt.", counted)
        paths[path] = {"post": operation("Count tokens.", good, dialect, statuses_of(dialect), path, body)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Telex", "version": version("telex"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {"responses": {f"{name}-error": refusal(name) for name in ("own", "any", *ERRORS)}},
    }
