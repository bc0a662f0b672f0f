"""What a request may be wrong in, and what whoever sent it hears."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telex.testing import ScriptedUpstream

from .client import PATH, Answer, ask, chat, connect, request, send
from .house import House, gateway

LIMIT = 100_000
MESSAGES = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    models = {"chatty": {"targets": [{"provider": "up", "model": "m"}]}}
    with ScriptedUpstream(models=["scripted-mini", "scripted-maxi"]) as upstream:
        async with gateway(upstream.url, models=models, server={"body_limit": LIMIT}) as house:
            yield house
        assert upstream.calls == []


async def sent(house: House, body: bytes, **options: Any) -> Answer:
    return await send(house.port, request(body, **options))


def refused(answer: Answer, status: int, param: str | None = None) -> str:
    """Checks the status and the field of an error in the dialect's form, and returns its message."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert answer.error["param"] == param
    assert answer.error["type"] == "invalid_request_error"
    return str(answer.error["message"])


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"model": "up/m",}', b"{'model': 1}", b'{"a": NaN}', b"{} {}"])
async def test_not_json(body: bytes, house: House) -> None:
    assert "JSON" in refused(await sent(house, body), 400)


@pytest.mark.parametrize("body", [b'{"model": "\xff"}', b"\xff\xfe{\x00}\x00", b'{"model": "\xed\xa0\x80"}'])
async def test_invalid_utf8(body: bytes, house: House) -> None:
    refused(await sent(house, body), 400)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true"])
async def test_json_but_no_object(body: bytes, house: House) -> None:
    refused(await sent(house, body), 400)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 7}, "model"),
        ({"model": ""}, "model"),
        ({"messages": "Hello?"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hello?"]}, "messages[0]"),
        ({"messages": [*MESSAGES, {"role": "king", "content": ""}]}, "messages[1].role"),
        ({"messages": [{"content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "?"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "tool", "content": "?"}]}, "messages[0].tool_call_id"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": False, "stream_options": {"include_usage": True}}, "stream_options"),
        ({"stop": 1}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"response_format": {"type": "poem"}}, "response_format.type"),
    ],
    ids=str,
)
async def test_wrong_fields_are_named(fields: dict[str, Any], param: str, house: House) -> None:
    assert param.rpartition("]")[0] in refused(await ask(house.port, **fields), 400, param)


@pytest.mark.parametrize("field", ["model", "messages"])
async def test_missing_fields_are_named(field: str, house: House) -> None:
    body = json.loads(chat())
    del body[field]
    assert f"'{field}'" in refused(await sent(house, json.dumps(body).encode()), 400, field)


@pytest.mark.parametrize(("name", "near"), [("scripted-mino", "'scripted-mini'"), ("chaty", "'chatty'"), ("nope/x", ""), ("zzz", "")])
async def test_an_unknown_model_with_the_nearest_names(name: str, near: str, house: House) -> None:
    answer = await ask(house.port, model=name)
    message = refused(answer, 404, "model")
    assert f"'{name}'" in message
    assert near in message
    assert answer.error["code"] == "model_not_found"
    assert ("did you mean" in message) == bool(near)


@pytest.mark.parametrize("what", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [2_000, 16_000])
async def test_nested_too_deep(what: str, depth: int, house: House) -> None:
    inner = what * depth + "1" + "}]"["[" in what] * depth
    body = chat(unheard_of="HERE").replace(b'"HERE"', inner.encode())
    assert "nested too deeply" in refused(await sent(house, body), 400)


@pytest.mark.parametrize("depth", range(960, 1010, 3))
async def test_depths_at_the_limit_are_no_mistake_of_ours(depth: int, house: House) -> None:
    deep = "[" * depth + "]" * depth
    for fields in ({"unheard_of": "HERE"}, {"tools": [{"type": "new", "inner": "HERE"}]}):
        answer = await sent(house, chat(model="zzz", **fields).replace(b'"HERE"', deep.encode()))
        assert answer.status in (400, 404)


# ---- bodies


async def test_a_declared_body_over_the_limit(house: House) -> None:
    async with connect(house.port) as client:
        client.send(request(b"", headers={"content-length": str(LIMIT + 1)}))
        assert "server.body_limit" in refused(await client.answer(), 413)


async def test_a_chunked_body_over_the_limit(house: House) -> None:
    async with connect(house.port) as client:
        client.send(request(b"", headers={"content-length": "", "transfer-encoding": "chunked"}))
        client.send(b"%x\r\n%b\r\n" % (LIMIT + 1, b" " * (LIMIT + 1)))
        refused(await client.answer(), 413)


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 20])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_that_is_all_sent_before_the_client_reads(chunked: bool, size: int, house: House) -> None:
    data = request(b" " * size)
    if chunked:
        head = request(b"", headers={"content-length": "", "transfer-encoding": "chunked"})
        data = head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b" " * size)
    async with connect(house.port) as client:
        for start in range(0, len(data), 1 << 14):
            client.send(data[start : start + (1 << 14)])
            await client.drain()
            await asyncio.sleep(0)
        refused(await client.answer(), 413)


async def test_a_body_at_the_limit(house: House) -> None:
    body = chat(model="zzz")
    refused(await sent(house, body + b" " * (LIMIT - len(body))), 404, "model")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "nonsense"])
async def test_row39_compressed_bodies(encoding: str, house: House) -> None:
    refused(await sent(house, chat(), headers={"content-encoding": encoding}), 415)


# ---- addresses


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method(method: str, house: House) -> None:
    answer = await sent(house, b"", method=method)
    assert method in refused(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/", "/v1/completions", "/v1/chat/completions/", "/v1/%2e%2e/v1/chat"])
async def test_an_unknown_path(path: str, house: House) -> None:
    refused(await sent(house, b"", method="GET", path=path), 404)


async def test_another_method_of_a_shared_path(house: House) -> None:
    assert "POST" in refused(await sent(house, b"{}", path="/v1/models"), 405)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/", 405), ("POST", "/healthz", 405)])
async def test_own_paths_answer_with_problem_details(method: str, path: str, status: int, house: House) -> None:
    answer = await sent(house, b"", method=method, path=path)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json["status"], answer.json["type"], bool(answer.json["title"])) == (status, "about:blank", True)


async def test_an_unknown_model_of_the_list(house: House) -> None:
    assert "scripted-mini" in refused(await sent(house, b"", method="GET", path="/v1/models/scripted-minu"), 404, "model")


def turned_away(answer: Answer, status: int, path: str) -> None:
    """In the form of the path."""
    if path.startswith("/v1/"):
        refused(answer, status)
    else:
        assert (answer.status, answer.headers["content-type"], answer.json["status"]) == (status, "application/problem+json", status)


FOREIGN = [
    "http://evil.example", "https://127.0.0.1.evil.example", "null", "file://", "http://[::1", "nonsense", "http://127.0.0.1:1",
    "http://127.0.0.1@evil.example", "ftp://127.0.0.1", "//127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1, http://evil.example",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", [PATH, "/v1/models", "/healthz"])
async def test_rebinding_a_foreign_origin(origin: str, path: str, house: House) -> None:
    turned_away(await sent(house, chat(), path=path, headers={"origin": origin}), 403, path)


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LocalHost:{}", "[::1]:{}", "127.0.0.1"])
async def test_an_origin_of_its_own(host: str, house: House) -> None:
    own = host.format(house.port)
    answer = await sent(house, b"", method="GET", path="/v1/models", headers={"host": own, "origin": f"http://{own}"})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


STRANGE = [
    "evil.example", "evil.example:8484", "127.0.0.1.evil.example", "[::1", "192.0.2.1", "127.0.0.1@evil.example", "evil@127.0.0.1", "",
    "127.0.0.1.", "localhost.", "127.1", "0", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "[::]", "127.0.0.1/evil",
    "127.0.0.1#evil", "127.0.0.1?evil", "127.0.0.1\\evil", "127.0.0.1:80:80", "127.0.0.1:x", "127.0.0.1, evil.example", "127.0.0.1 evil",
    "http://127.0.0.1", "%31", "localhost\u00ad",
]  # fmt: skip


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("path", [PATH, "/v1/models", "/healthz"])
async def test_rebinding_a_foreign_host(host: str, path: str, house: House) -> None:
    turned_away(await sent(house, chat(), path=path, headers={"host": host}), 421, path)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8484", "[::1]:8484", "127.0.0.1:1"])
async def test_a_host_of_its_own(host: str, house: House) -> None:
    assert (await sent(house, b"", method="GET", path="/healthz", headers={"host": host})).status == 200


async def test_a_name_of_ones_own_is_the_same_in_any_letters() -> None:
    with ScriptedUpstream() as upstream:
        async with gateway(upstream.url, server={"hosts": ["Telex.Test"]}) as house:
            for host in ("telex.test", "Telex.Test:8484"):
                assert (await sent(house, b"", method="GET", path="/healthz", headers={"host": host})).status == 200


LENGTHS = [
    "content-length: 2|transfer-encoding: chunked", "content-length: 2|content-length: 3", "content-length: 2|content-length: 2",
    "content-length: -2", "content-length: x", "content-length: +2", "content-length: 0x2", "content-length: 2, 2",
    "content-length: 99999999999999999999", "content-length: ", "transfer-encoding: chunked|transfer-encoding: chunked",
    "transfer-encoding: chunked, identity", "transfer-encoding: xchunked", "transfer-encoding: \x0bchunked", "transfer-encoding : chunked",
    "transfer-encoding: identity", "content-length: 2|Transfer-Encoding: Chunked", "content-length: 2|transfer-encoding: identity",
    "content-length : 2", "content-length: 2\x00",
]  # fmt: skip
FIELDS = ["x: a\0b", "x: a\rb", "x y: z", "x : y", ": y", "x\0: y", "x: y| folded", "x: y|\tfolded", "x", "x\x7f: y", "x(: y"]


@pytest.mark.parametrize("fields", LENGTHS + [f"content-length: 2|{fields}" for fields in FIELDS], ids=ascii)
async def test_row40_smuggling_heads_that_two_parsers_could_read_differently(fields: str, house: House) -> None:
    """A second request hides in the body of the first, for whoever reads its length otherwise."""
    lines = fields.replace("|", "\r\n").encode("latin-1")
    async with connect(house.port) as client:
        client.send(b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\n%b\r\n\r\n" % (PATH.encode(), lines))
        client.send(b"{}GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        answer = await client.end()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1


CHUNKS = [
    b"x\r\n{}\r\n",
    b"2\r\n{}x\r\n",
    b"-2\r\n{}\r\n",
    b"2\n{}\r\n",
    b"0x2\r\n{}\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"ffffffffffffffffff\r\n{}\r\n",
]


@pytest.mark.parametrize("chunk", CHUNKS, ids=ascii)
async def test_row40_smuggling_chunks_that_are_none(chunk: bytes, house: House) -> None:
    async with connect(house.port) as client:
        client.send(request(headers={"content-length": "", "transfer-encoding": "chunked"}) + chunk)
        client.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        answer = await client.end()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1


LINES = ["POST {} HTTP/1.1 x", "POST {} HTTP/3.0", "POST {}", "{} HTTP/1.1", "p {} HTTP/1.1", "POST /\xff HTTP/1.1"]


@pytest.mark.parametrize("line", LINES, ids=ascii)
async def test_row40_smuggling_request_lines(line: str, house: House) -> None:
    async with connect(house.port) as client:
        client.send(f"{line.format(PATH)}\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{{}}".encode("latin-1"))
        assert (await client.end()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("second", ["evil.example", "127.0.0.1"])
async def test_row40_smuggling_two_hosts(second: str, house: House) -> None:
    assert "host" in refused(await send(house.port, request(chat()).replace(b"\r\n", f"\r\nhost: {second}\r\n".encode(), 1)), 400)


async def test_smuggling_an_upgrade_leads_nowhere(house: House) -> None:
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    answer = await sent(house, b"", method="GET", path="/healthz", headers=headers)
    assert answer.status == 200


# ---- anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["tools", "stream", "n", "stop", "tool_choice", "response_format", "stream_options", "messages", "content", "seed"])
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"])},
    optional={"content": JSON, "tool_calls": JSON, "name": JSON, "tool_call_id": JSON, "function_call": JSON},
)
BODIES = st.binary(max_size=200) | st.builds(
    lambda fields, messages: json.dumps({"model": "zzz", "messages": messages, **fields}).encode(),
    st.dictionaries(NAMES, JSON, max_size=4),
    st.lists(MESSAGE, max_size=2) | JSON,
)


@given(BODIES)
@settings(max_examples=150)
async def test_no_body_makes_a_500(house: House, body: bytes) -> None:
    answer = await sent(house, body)
    assert answer.status in (400, 404)
    assert answer.error["message"]
