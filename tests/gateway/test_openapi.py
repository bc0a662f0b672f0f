"""The document of what the gateway answers: it is a valid one, it is true, and nothing that it allows makes a mistake of ours."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from telex.dialects.paths import find_operation
from telex.gateway.openapi import COUNTS, GENERATES, document
from telex.testing import ScriptedUpstream

from . import chat_document
from .client import request, send
from .house import House, gateway
from .speech import CLIENTS, KEYS

EXAMPLES = settings().max_examples // 5
"""Requests of each operation in each mode: for every change, not for the night."""

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    with ScriptedUpstream() as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": "k"} for name in CLIENTS}
        async with gateway(providers=providers) as house:
            yield house


def known_models(tree: Any) -> Any:
    """The same document with the names of models that there are, so that more than refusals are tried."""
    if isinstance(tree, list):
        return [known_models(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    names = {"enum": [*(f"{name}/m" for name in CLIENTS), "nobody"]}
    if tree.get("in") == "path" and tree.get("name") == "model":
        return {**tree, "schema": names}
    return {key: names if key == "model" and value.get("type") == "string" else known_models(value) for key, value in tree.items()}


def operations(document: dict[str, Any]) -> dict[str, Any]:
    results: list[Any] = list(schemathesis.openapi.from_dict(document).get_all_operations())
    return {result.ok().label: result.ok() for result in results}


OPERATIONS = operations(known_models(document()))
CHAT = operations(chat_document.DOCUMENT)


def modes(operations: dict[str, Any]) -> list[tuple[str, GenerationMode]]:
    """What is not as the document says must be in a body: a path is any text."""
    return [(label, mode) for label, found in operations.items() for mode in GenerationMode if found.body or mode.is_positive]


def try_all(port: int, operation: Any, mode: GenerationMode) -> None:
    """Each on a connection of its own: while a request is being drawn, one that is kept may end."""

    @settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_one(case: Any) -> None:
        case.call_and_validate(f"http://127.0.0.1:{port}", checks=CHECKS)

    try_one()


@pytest.mark.parametrize(("label", "mode"), modes(OPERATIONS))
async def test_what_it_allows_and_what_it_does_not(house: House, label: str, mode: GenerationMode) -> None:
    await asyncio.to_thread(try_all, house.port, OPERATIONS[label], mode)


@pytest.mark.parametrize(("label", "mode"), modes(CHAT))
async def test_a_strangers_document_of_openais_operations(house: House, label: str, mode: GenerationMode) -> None:
    await asyncio.to_thread(try_all, house.port, CHAT[label], mode)


# ---- it is true


def test_it_is_valid() -> None:
    schemathesis.openapi.from_dict(document()).validate()


async def test_it_is_served(house: House) -> None:
    answer = await send(house.port, request(method="GET", path="/openapi.json"))
    assert (answer.status, answer.json) == (200, json.loads(json.dumps(document())))


def test_every_route_is_in_it(house: House) -> None:
    routes: list[Any] = house.process.gateway._rest.routes
    named = {(method, re.sub(r"{(name:path)}", "{model}", route.path)) for route in routes for method in route.methods}
    served = {(method, path) for method, path in named if method != "HEAD" or ("GET", path) not in named}
    written = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert written - served == {("POST", path) for path in (*GENERATES, *COUNTS)}
    assert served <= written


@pytest.mark.parametrize("path", [*GENERATES, *COUNTS])
def test_a_path_is_of_the_dialect_that_it_says(path: str) -> None:
    found = find_operation(path.replace("{model}", "m"), "")
    assert found is not None
    name, _, _ = (GENERATES | COUNTS)[path]
    assert (found[0].NAME, found[1].kind) == (name, "generate" if path in GENERATES else "count")


LEAST: dict[str, Any] = {"model": "{}/m", "max_tokens": 1, "input": "Hi", "contents": [{"parts": [{"text": "Hi"}]}]}


@pytest.mark.parametrize("path", [*GENERATES, *COUNTS])
async def test_what_is_required_is_enough_and_needed(house: House, path: str) -> None:
    name, _, _ = (GENERATES | COUNTS)[path]
    schema = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    least = {**LEAST, "model": f"{name}/m", "messages": [{"role": "user", "content": "Hi"}]}
    body = {field: least[field] for field in schema["required"]}

    async def ask(body: dict[str, Any]) -> int:
        data = request(json.dumps(body).encode(), path=path.replace("{model}", f"{name}/m"), headers=KEYS[name])
        return (await send(house.port, data)).status

    assert await ask(body) == 200
    for field in schema["required"]:
        assert await ask({key: value for key, value in body.items() if key != field}) == 400


@pytest.mark.parametrize("path", GENERATES)
async def test_what_a_request_wishes_is_answered_as_it_says(house: House, path: str) -> None:
    """Accepted for later, found again by its key, refused with another body, and come back to."""
    name, _, _ = GENERATES[path]
    said = document()["paths"][path]["post"]
    assert {"Prefer", "Idempotency-Key", "Telex-On-Disconnect"} <= {row["name"] for row in said["parameters"] if row["in"] == "header"}
    fields = {"model": f"{name}/m", "input": "Hi", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    bodies: list[dict[str, Any]] = [LEAST, {**LEAST, "contents": []}] if name == "gemini" else [fields, {**fields, "max_tokens": 8}]
    wishes = {**KEYS[name], "prefer": "respond-async", "idempotency-key": path}

    async def ask(body: dict[str, Any]) -> Any:
        return await send(house.port, request(json.dumps(body).encode(), path=path.replace("{model}", f"{name}/m"), headers=wishes))

    first, again, other = await ask(bodies[0]), await ask(bodies[0]), await ask(bodies[1])
    assert (first.status, again.status, again.headers["idempotent-replayed"]) == (202, 202, "true")
    assert first.json["id"] == again.json["id"] == first.headers["location"].rpartition("/")[2]
    assert other.status == 422
    assert {"202", "422"} <= set(said["responses"])
