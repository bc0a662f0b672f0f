"""Who may come in: every form of a key, one refusal for all that open nothing, and what a key may see."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from telex.config import Config
from telex.core.errors import Failure
from telex.core.keys import Key
from telex.gateway import keyring
from telex.gateway.access import Access, find_token
from telex.stores.memory import MemoryStore
from telex.stores.minting import digest, mint_token
from telex.stores.ports import StoreError
from telex.testing import ScriptedUpstream, say

from .client import PATH, Answer, request, send
from .complaints import told
from .house import House, gateway
from .keyed import FORMS, keyed, make_key, with_key
from .speech import CLIENTS, asks

each_form = pytest.mark.parametrize("form", FORMS)
each_dialect = pytest.mark.parametrize("dialect", CLIENTS)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(models=["mini", "maxi"]) as upstream:
        yield upstream


MODELS: dict[str, Any] = {name: {"targets": [{"provider": "up", "model": f"{name}-1"}]} for name in ("chat", "secret")}


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with keyed(tmp_path_factory.mktemp("keys"), upstream.url, models=MODELS) as house:
        yield house


@pytest.fixture(scope="module")
async def tokens(house: House) -> dict[str, str]:
    store, now = house.process.store, time.time()
    tokens = {
        "all": await make_key(store, "all"),
        "narrow": await make_key(store, "narrow", models=("chat", "up/mini")),
        "admin": await make_key(store, "admin", admin=True),
        "expired": await make_key(store, "expired", expires_at=now - 1),
        "revoked": await make_key(store, "revoked"),
        "lasting": await make_key(store, "lasting", expires_at=now + 3600),
    }
    await asyncio.wrap_future(store.keys.revoke("revoked", now))
    return {**tokens, "missing": "", "unknown": mint_token(), "short": tokens["all"][:-1], "long": tokens["all"] + "A"}


INVALID = ("missing", "unknown", "expired", "revoked", "short", "long")


async def asked(house: House, dialect: str, token: str, model: str = "chat", form: str = "bearer", stream: bool = False) -> Answer:
    """One question in a dialect, with the key in one form and no other."""
    path, body, headers = asks(dialect, model, stream)
    kept = {name: value for name, value in headers.items() if name == "anthropic-version"}
    path, more = with_key(path, token, form)
    return await send(house.port, request(json.dumps(body).encode(), path=path, headers={**kept, **more}))


async def looked(house: House, path: str, token: str = "", method: str = "GET", **headers: str) -> Answer:
    path, more = with_key(path, token)
    return await send(house.port, request(method=method, path=path, headers={**more, **headers}))


# ---- the door


@each_form
@each_dialect
async def test_a_key_opens_in_every_form(dialect: str, form: str, house: House, tokens: dict[str, str], upstream: ScriptedUpstream) -> None:
    """And goes no further: the provider never sees it."""
    upstream.play(say("Hello"))
    answer = await asked(house, dialect, tokens["all"], form=form)
    assert answer.status == 200
    call = upstream.calls[-1]
    sent = repr((call.method, call.path, dict(call.headers), call.body))
    assert tokens["all"] not in sent
    assert "authorization" not in call.headers  # the provider `up` has no key of its own


@pytest.mark.parametrize("name", ["all", "admin", "lasting"])
async def test_valid_keys(name: str, house: House, tokens: dict[str, str], upstream: ScriptedUpstream) -> None:
    upstream.play(say("Hello"))
    assert (await asked(house, "openai-chat", tokens[name])).status == 200


@each_form
@each_dialect
async def test_whatever_opens_nothing_hears_the_same(
    dialect: str, form: str, house: House, tokens: dict[str, str], upstream: ScriptedUpstream
) -> None:
    """In the client's dialect, without a word of what it sent, and before anything was done."""
    before = len(upstream.calls)
    heard = set()
    for name in INVALID:
        answer = await asked(house, dialect, tokens[name], form=form)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "A key is needed that is valid here" in told(dialect, answer.json).message
        heard.add(re.sub(rb"gen_[0-9a-f]+", b"", answer.body))
    assert len(heard) == 1
    assert len(upstream.calls) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/chat"),
        ("GET", "/v1beta/models"),
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/nothing"),
        ("GET", PATH),
        ("OPTIONS", PATH),
    ],
)
async def test_every_path_of_the_api_wants_a_key(method: str, path: str, house: House, tokens: dict[str, str]) -> None:
    assert (await looked(house, path, method=method)).status == 401
    assert (await looked(house, path, tokens["unknown"], method)).status == 401
    assert (await looked(house, path, tokens["all"], method)).status != 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_whether_it_lives_is_for_everybody(path: str, house: House, tokens: dict[str, str]) -> None:
    for token in ("", tokens["unknown"], tokens["revoked"]):
        assert (await looked(house, path, token)).status == 200
    assert (await looked(house, "/", method="HEAD")).status == 200
    assert (await looked(house, path, method="POST")).status == 401


@pytest.mark.parametrize("path", ["/", "/metrics"])
async def test_what_is_everybodys_is_for_admins(path: str, house: House, tokens: dict[str, str]) -> None:
    for name, status in (("missing", 401), ("revoked", 401), ("all", 403)):
        answer = await looked(house, path, tokens[name])
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert (await looked(house, path, tokens["admin"])).status not in (401, 403)


async def test_admin_keys_may_be_wanted_where_access_is_open(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/telex.db"
    async with gateway(upstream.url, models=MODELS, admin={"keys_only": True}, store=store) as house:
        token = await make_key(house.process.store, "admin", admin=True)
        upstream.play(say("Hello"))
        assert (await asked(house, "openai-chat", "")).status == 200
        assert (await looked(house, "/metrics")).status == 401
        assert (await looked(house, "/metrics", token)).status == 404


async def test_where_access_is_open_nobody_is_asked_and_nothing_is_written(
    upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with gateway(upstream.url, models=MODELS) as house:
        upstream.play(say("Hello"), say("Hello"))
        assert (await asked(house, "openai-chat", "")).status == 200
        assert (await asked(house, "openai-chat", "anything")).status == 200
        assert house.process.store.place == "memory"
        assert (await looked(house, "/metrics")).status == 404
    assert os.listdir(tmp_path) == []


# ---- what it is found in


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({}, "", ""),
        ({"authorization": "Bearer"}, "", ""),
        ({"authorization": "Bearer "}, "key=", ""),
        ({"authorization": "BEARER a"}, "", "a"),
        ({"authorization": "Bearer a, Bearer a"}, "", "a"),
        ({"authorization": "Bearer a", "x-api-key": "a", "api-key": " a ", "x-goog-api-key": "a"}, "key=a&key=a", "a"),
        ({"authorization": "Basic a"}, "", "Basic a"),
        ({"x-api-key": "a"}, "keys=b&alt=sse", "a"),
    ],
)
def test_one_key(headers: dict[str, str], query: str, found: str) -> None:
    assert find_token(headers, query) == found


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer a, Bearer b"}, ""),
        ({"authorization": "Bearer a", "x-api-key": "b"}, ""),
        ({"x-api-key": "a", "api-key": "b"}, ""),
        ({"x-api-key": "a, b"}, ""),
        ({"x-goog-api-key": "a"}, "key=b"),
        ({}, "key=a&key=b"),
        ({"authorization": "Basic a", "x-api-key": "a"}, ""),
    ],
)
def test_two_are_refused(headers: dict[str, str], query: str) -> None:
    failure = find_token(headers, query)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.code) == ("bad_request", "conflicting_credentials")


async def test_a_valid_key_beside_another_does_not_open(house: House, tokens: dict[str, str]) -> None:
    answer = await looked(house, "/v1/models", tokens["all"], **{"x-api-key": tokens["admin"]})
    assert answer.status == 400
    assert not any(token in answer.body.decode() for token in tokens.values() if token)


# ---- what it may see


@each_dialect
async def test_other_models_are_not_there_for_a_key(dialect: str, house: House, tokens: dict[str, str], upstream: ScriptedUpstream) -> None:
    """Whatever they are called, also in a hint at what was meant."""
    for model in ("secret", "up/maxi", "maxi", "mini", "up/secret-1", "secre", "up%2Fmaxi" if dialect == "gemini" else "Chat"):
        for stream in (False, True):
            answer = await asked(house, dialect, tokens["narrow"], model, stream=stream)
            body: Any = answer.json if not stream or dialect != "gemini" else json.loads(answer.body)
            error = told(dialect, body[0] if isinstance(body, list) else body)
            assert (answer.status, "does not exist here" in error.message) == (404, True)
            said = error.message.replace(f"'{model.replace('%2F', '/')}'", "")
            assert "secret" not in said
            assert "maxi" not in said
    for model in ("chat", "up/mini"):
        upstream.play(say("Hello"))
        assert (await asked(house, dialect, tokens["narrow"], model)).status == 200


async def test_tokens_are_counted_for_its_models_only(house: House, tokens: dict[str, str]) -> None:
    for model, status in (("chat", 200), ("secret", 404)):
        path, headers = with_key("/v1/messages/count_tokens", tokens["narrow"])
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}]}).encode()
        assert (await send(house.port, request(body, path=path, headers=headers))).status == status


async def test_other_models_are_not_listed(house: House, tokens: dict[str, str]) -> None:
    def names(answer: Answer) -> list[str]:
        body = answer.json
        return [row.get("id") or row["name"].removeprefix("models/") for row in body.get("data") or body["models"]]

    every = ["chat", "secret", "mini", "maxi"]
    for path, headers in (("/v1/models", {}), ("/v1/models", {"anthropic-version": "2023-06-01"}), ("/v1beta/models", {})):
        assert names(await looked(house, path, tokens["all"], **headers)) == every
        assert names(await looked(house, path, tokens["narrow"], **headers)) == ["chat"]
    for root in ("/v1", "/v1beta"):
        assert (await looked(house, f"{root}/models/chat", tokens["narrow"])).status == 200
        assert (await looked(house, f"{root}/models/secret", tokens["narrow"])).status == 404
        assert (await looked(house, f"{root}/models/secret", tokens["all"])).status == 200


# ---- pages, and names


@pytest.mark.parametrize("host", ["telex.example", "telex.example:443", "192.0.2.1", "127.0.0.1"])
async def test_any_name_will_do(host: str, house: House, tokens: dict[str, str]) -> None:
    assert (await looked(house, "/v1/models", tokens["all"], host=host)).status == 200


async def test_pages_of_other_origins_change_nothing(house: House, tokens: dict[str, str], upstream: ScriptedUpstream) -> None:
    path, headers = with_key(PATH, tokens["all"])
    body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    for origin in ("https://evil.example", "null", "http://127.0.0.1", "nonsense"):
        answer = await send(house.port, request(body, path=path, headers={**headers, "host": "telex.example", "origin": origin}))
        assert answer.status == 403
        assert answer.error["code"] == "foreign_origin"
    upstream.play(say("Hello"))
    own = {**headers, "host": "telex.example", "origin": "https://telex.example"}
    assert (await send(house.port, request(body, path=path, headers=own))).status == 200
    assert (await looked(house, "/v1/models", tokens["all"], origin="https://evil.example")).status == 200


# ---- what the store says


async def test_a_key_that_is_revoked_meanwhile_opens_no_more(
    house: House, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    store = house.process.store
    token = await make_key(store, "brief")
    upstream.play(say("Hello"))
    assert (await asked(house, "openai-chat", token)).status == 200
    await asyncio.wrap_future(store.keys.revoke("brief", time.time()))
    assert (await asked(house, "openai-chat", token)).status == 401


async def test_a_key_expires_while_it_is_remembered() -> None:
    store, now = MemoryStore(), [100.0]
    store.keys.create(Key("key_1", "web", expires_at=200.0), digest("tx-web"))
    access = Access(convert({"server": {"access": "keys"}}, Config), store.keys, lambda: now[0])
    scope: Any = {"type": "http", "method": "GET", "path": "/v1/models"}
    for time_, id in ((100.0, "key_1"), (199.9, "key_1"), (200.0, None)):
        now[0] = time_
        assert getattr(await access.admit(scope, {"x-api-key": "tx-web"}, ""), "id", None) == id


async def test_the_store_is_asked_alike_for_whatever_opens_nothing() -> None:
    """So that how long it takes tells nothing."""
    store = MemoryStore()
    for name, key in {"expired": Key("1", "a", expires_at=1.0), "revoked": Key("2", "b", revoked_at=1.0)}.items():
        store.keys.create(key, digest(name))
    asked: list[bytes] = []
    find = store.keys.find

    def watched(digest: bytes) -> Future[Key | None]:
        asked.append(digest)
        return find(digest)

    store.keys.find = watched  # type: ignore[method-assign]
    access = Access(convert({"server": {"access": "keys"}}, Config), store.keys)
    scope: Any = {"type": "http", "method": "GET", "path": "/v1/models"}
    refusals = [await access.admit(scope, {"x-api-key": token}, "") for token in ("", "unknown", "expired", "revoked")]
    assert len({id(refusal) for refusal in refusals}) == 1
    assert asked == [digest(token) for token in ("", "unknown", "expired", "revoked")]


async def test_row52_a_store_that_breaks_shuts_out_who_is_not_known(
    house: House, tokens: dict[str, str], upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]]
) -> None:
    """With a status that tells clients to come back; who is known, and whoever is being answered, goes on."""
    stranger = await make_key(house.process.store, "stranger")
    upstream.play(say("Hello"), say("Hello"))
    assert (await asked(house, "openai-chat", tokens["all"])).status == 200

    def broken(work: Any) -> Any:
        raise StoreError("The store is damaged.")

    monkeypatch.setattr(house.process.store.keys, "_reader", type("Reader", (), {"do": staticmethod(broken)})())
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    assert (await asked(house, "openai-chat", tokens["all"])).status == 200
    answer = await asked(house, "openai-chat", stranger)
    assert (answer.status, answer.headers["retry-after"], answer.error["code"]) == (503, "5", "keys_unreadable")
    assert (await looked(house, "/healthz")).status == 200
