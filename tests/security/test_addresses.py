"""Where Telex connects to is what its configuration says, whatever a request or a provider says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.client import request, send
from gateway.house import gateway, provider
from gateway.speech import CLIENTS, KEYS, asks, error_of
from telex.testing import Head, ScriptedUpstream, Send, say, status

from .rooms import KEY, Room

each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", CLIENTS)
each_delivery = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture
def elsewhere() -> Iterator[ScriptedUpstream]:
    """A server on this machine that nobody may be made to call."""
    with ScriptedUpstream() as other:
        yield other
        assert other.connections == 0


@each_upstream
@each_client
@pytest.mark.parametrize("field", ["api_base", "base_url", "api_key", "extra_headers"])
async def test_ssrf_base_url_a_request_cannot_say_where_it_goes(
    here: Room, elsewhere: ScriptedUpstream, client: str, up: str, field: str
) -> None:
    before = len(here.upstream.calls)
    answer = await here.ask(client, up, fields={field: {"authorization": "x"} if field == "extra_headers" else elsewhere.url})
    assert answer.status == 400
    assert f"'{field}'".replace("_", "").lower() in error_of(client, answer)["message"].replace("_", "").lower()
    assert len(here.upstream.calls) == before


@each_client
@pytest.mark.parametrize("model", ["http://127.0.0.1:{}/v1", "//127.0.0.1:{}/m", "openai-chat@127.0.0.1:{}/m", "http:%2f%2f127.0.0.1:{}/m"])
async def test_ssrf_base_url_a_model_is_no_address(here: Room, elsewhere: ScriptedUpstream, client: str, model: str) -> None:
    path, body, headers = asks(client, model.format(elsewhere.port))
    assert (await send(here.house.port, request(json.dumps(body).encode(), path=path, headers=headers))).status in (400, 404)


@pytest.mark.parametrize("target", ["http://127.0.0.1:{}/v1/chat/completions", "//127.0.0.1:{}/v1/chat/completions"])
async def test_ssrf_base_url_a_request_line_is_no_order_to_a_proxy(here: Room, elsewhere: ScriptedUpstream, target: str) -> None:
    """Whoever names a whole address means this server or nobody."""
    _, body, headers = asks("openai-chat", "openai-chat/m")
    answer = await send(here.house.port, request(json.dumps(body).encode(), path=target.format(elsewhere.port), headers=headers))
    assert answer.status in (200, 404)


@each_delivery
@each_upstream
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_key_origin_a_redirect_is_not_followed(here: Room, elsewhere: ScriptedUpstream, code: int, up: str, stream: bool) -> None:
    here.upstream.play((Head(code, (("location", elsewhere.url), ("content-length", "0")), "length"), Send(b"")))
    answer = await here.ask("openai-chat", up, stream)
    assert (answer.status, "location" in answer.headers) == (502, False)


async def test_key_origin_a_redirect_of_a_list_or_a_count_is_not_followed(elsewhere: ScriptedUpstream) -> None:
    away = (Head(302, (("location", elsewhere.url),)),)
    with ScriptedUpstream(away, counting=away) as upstream:
        row = provider(upstream.url + "/moved", dialect="anthropic", api_key=KEY)
        async with gateway(providers={"up": row}) as house:
            path, body, headers = asks("anthropic", "up/m")
            await send(house.port, request(json.dumps(body).encode(), path=f"{path}/count_tokens", headers=headers))
            await send(house.port, request(method="GET", path="/v1/models", headers=headers))


async def test_key_origin_the_next_target_gets_its_own_key_alone() -> None:
    with ScriptedUpstream(status(500)) as one, ScriptedUpstream(say("Hi")) as two, ScriptedUpstream(say("Hi")) as three:
        rows = {
            "one": provider(one.url, api_key="key-one"),
            "two": provider(two.url, api_key="key-two", auth="api-key"),
            "three": provider(three.url),
        }
        targets = [{"provider": name, "model": "m", "tier": tier} for tier, name in enumerate(rows)]
        async with gateway(providers=rows, models={"m": {"targets": targets, "retries": 0}}) as house:
            path, body, headers = asks("openai-chat", "m")
            data = request(json.dumps(body).encode(), path=path, headers=headers)
            assert (await send(house.port, data)).status == 200
            two.play(status(500))
            assert (await send(house.port, data)).status == 200
    for upstream, own in ((one, "key-one"), (two, "key-two"), (three, "")):
        for call in upstream.calls:
            assert re.findall(r"key-\w+", str(call.headers.pairs)) == [own] * bool(own)


# ---- files and images are passed on, never looked at

FETCHED: dict[str, Any] = {
    "openai-chat": lambda url: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]},
    "openai-responses": lambda url: {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}, {"type": "input_file", "file_url": url}]}]
    },
    "anthropic": lambda url: {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": url}}]}]},
    "gemini": lambda url: {"contents": [{"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": url}}]}]},
}


@each_upstream
@each_client
async def test_ssrf_image_url_nobody_fetches_it(here: Room, elsewhere: ScriptedUpstream, client: str, up: str) -> None:
    answer = await here.ask(client, up, fields=FETCHED[client](f"{elsewhere.url}/secret.png"))
    assert answer.status in (200, 400)


# ---- names in paths

HOSTILE = [
    "..",
    "../../admin",
    "a/../b",
    "a/b",
    "a\\b",
    "a?b=c",
    "a#b",
    "a%2fb",
    "%2e%2e",
    "a\r\nHost: x",
    "a\0",
    "a\x7f",
    "a b",
    "ü",
    ".",
    "a;b",
    "a:b",
    "\u2028",
]


@each_client
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
async def test_path_a_model_is_one_segment_or_refused(here: Room, client: str, name: str) -> None:
    before = len(here.upstream.calls)
    path, body, headers = asks(client, f"gemini/{name}")
    if client == "gemini":
        path = "/v1beta/models/gemini/" + "".join(f"%{byte:02x}" for byte in name.encode()) + ":generateContent"
    answer = await send(here.house.port, request(json.dumps(body).encode(), path=path, headers=headers))
    calls = here.upstream.calls[before:]
    assert answer.status == 200 if calls else answer.status in (400, 404)
    for call in calls:
        found = re.fullmatch(r"/v1/models/([A-Za-z0-9%:._~-]+):generateContent", call.path)
        assert found, call.path
        assert unquote(found[1]) == name
        assert not re.search(r"[/\\?#\x00-\x1f\x7f]|\.\.", unquote(found[1]))


@pytest.mark.parametrize("id", ["..", "../../etc/passwd", "%2e%2e%2f", "%00", "a%0d%0ab", "x" * 3000])
@pytest.mark.parametrize("path", ["/v1/responses/{}", "/v1/responses/{}/input_items", "/v1/models/{}"])
async def test_path_an_id_is_looked_up_and_nothing_else(here: Room, id: str, path: str) -> None:
    answer = await send(here.house.port, request(method="GET", path=path.format(id), headers=KEYS["openai-chat"]))
    assert answer.status in (400, 404)
    assert len(answer.headers) < 12


@each_client
async def test_path_ids_are_minted_here(here: Room, client: str) -> None:
    ids = set()
    for _ in range(2):
        answer = await here.ask(client, client, headers={"telex-generation": "gen_mine", "x-request-id": "mine", "request-id": "mine"})
        ids.add(answer.headers["telex-generation"])
        assert "mine" not in str(answer.headers)
    assert all(re.fullmatch(r"gen_[0-9a-f]{24}", id) for id in ids)
    assert len(ids) == 2
