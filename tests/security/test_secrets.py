"""Keys are in the one header that the provider reads, and nowhere else: P17, with canaries over every place that Telex writes to."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from gateway.client import connect, request, send
from gateway.house import serve, telex
from gateway.speech import CLIENTS, KEYS, asks
from telex.config import Config, ConfigError, parse_config
from telex.gateway.server import Process, listen
from telex.testing import FAULTS, Call, Play, ScriptedUpstream, status
from telex.upstream.address import BadAddress, Origin, parse_url
from telex.upstream.endpoint import make_endpoint

OWN = "sk-canary-of-the-provider-0123456789"
CLIENT_KEY = "tx-canary-of-the-client-0123456789"
PASSWORD = "canary-of-the-proxy"

FAULTY = [
    "row10-400",
    "row08-500-before-body",
    "row10-401",
    "row13-error-mid-stream",
    "row14-eof-without-terminator",
    "row19-malformed-event",
    "row30-redirect",
]


def echo(call: Call) -> Play:
    """A provider that says in its errors what it was sent."""
    said = f"Incorrect API key provided: {OWN} ({CLIENT_KEY}). {dict(call.headers)}"
    return status(401, {"error": {"message": said, "type": said, "code": said}})


def keyed(dialect: str, key: str) -> dict[str, str]:
    return {name: value.replace("none", key) for name, value in KEYS[dialect].items()}


async def test_p17_no_key_is_in_an_answer_an_output_or_a_log(tmp_path: Path) -> None:
    plays = [FAULTS[name]() for name in FAULTY]
    with ScriptedUpstream(echo, *plays) as upstream:
        rows = [f'[providers.{name}]\ndialect = "{name}"\nbase_url = "{upstream.url}"\napi_key = "{OWN}"\n' for name in CLIENTS]
        seen = []
        async with serve(tmp_path, "[timeouts]\ntotal = 1.0\n" + "".join(rows)) as child:
            for client in CLIENTS:
                upstream.play(echo, *plays, echo)
                for stream in (True, False):
                    for number in range(len(plays)):
                        up = CLIENTS[number % len(CLIENTS)]
                        path, body, _ = asks(client, f"{up}/m", stream)
                        data = request(json.dumps(body).encode(), path=path, headers=keyed(client, CLIENT_KEY))
                        async with connect(child.port) as one:
                            one.send(data)
                            seen.append(repr(await one.answer()))
                for path in (
                    f"/v1/models?key={CLIENT_KEY}",
                    f"/v1/nothing?key={CLIENT_KEY}",
                    f"/nothing?key={CLIENT_KEY}",
                    "/v1/responses/x",
                ):
                    headers = {} if "?" in path else keyed(client, CLIENT_KEY)
                    seen.append(repr(await send(child.port, request(method="GET", path=path, headers=headers))))
                both = {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": "another", "host": "evil.example"}
                seen += [repr(await send(child.port, request(headers=headers))) for headers in (both, {**both, "host": "127.0.0.1"})]
            (tmp_path / "telex.toml").write_text(f'{rows[0]}base_uri = "http://user:{PASSWORD}@h/v1"\n')
            child.signal(signal.SIGHUP)
            child.signal(signal.SIGTERM)
            code, out, err = await child.end()
        assert all(OWN in str(call.headers.pairs) for call in upstream.calls)  # so the canary was alive
    assert code == 0
    for sink in (*seen, out, err):
        assert not [canary for canary in (OWN, CLIENT_KEY, PASSWORD) if canary in sink], sink
    assert err.count('"event":"generation"') >= len(CLIENTS) * 2 * len(plays)


@pytest.mark.parametrize(
    "command", [("check",), ("check", "--ask"), ("models",), ("ask", "--model", "up/m", "Hi"), ("serve", "--port", "0")]
)
async def test_p17_no_key_is_in_what_a_command_prints(command: tuple[str, ...], tmp_path: Path) -> None:
    with ScriptedUpstream(echo) as upstream:
        row = f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\napi_key = "{OWN}"\n'
        broken = f'{row}nope = "http://user:{PASSWORD}@h"\n'
        (tmp_path / "telex.toml").write_text(broken if command[0] == "serve" else row)
        process = await telex(tmp_path, *command)
        out, err = await process.communicate()
    assert OWN.encode() not in out + err
    assert PASSWORD.encode() not in out + err
    assert out + err


def toml(url: str) -> str:
    return f'[providers.up]\ndialect = "openai-chat"\nbase_url = "{url}"\n'


PASSWORDS = [
    "http://user:{}@h/v1?x",
    "http://user:{}@h:x/v1",
    "http://user:{}/v1",
    "http://user:{}@[h/v1",
    "http://h:{}@h h/",
    "ftp://user:{}@h",
]


@pytest.mark.parametrize("url", PASSWORDS)
def test_p17_an_error_about_a_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(BadAddress) as wrong:
        parse_url(url.format(PASSWORD))
    with pytest.raises(ConfigError) as refused:
        parse_config(toml(url.format(PASSWORD)), "telex.toml")
    assert PASSWORD not in str(wrong.value) + str(refused.value)


async def test_p17_no_repr_shows_a_key() -> None:
    config: Config = parse_config("store = 'memory:'\n" + toml("http://127.0.0.1:1/v1") + f'api_key = "{OWN}"\n', "t")
    process = Process(config, listen("127.0.0.1", 0))
    backend = process.engine.catalog.backends["up"]
    endpoints = [backend.remote_endpoint("/x"), backend.list_endpoint(), make_endpoint("GET", "http://h", "/", {"x-api-key": OWN})]
    assert all(OWN.encode() in endpoint.head for endpoint in endpoints)
    origin, _ = parse_url(f"http://user:{PASSWORD}@proxy:3128")
    assert origin.credentials
    shown = repr([config, backend, vars(backend), endpoints, origin, Origin(False, "h", 1, PASSWORD), vars(process.engine.catalog)])
    assert OWN not in shown
    assert PASSWORD not in shown
    process._listener.close()


async def test_p17_the_key_is_a_header_and_not_in_the_url(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        row = f'[providers.up]\ndialect = "gemini"\nbase_url = "{upstream.url}"\napi_key = "{OWN}"\n'
        async with serve(tmp_path, row) as child:
            for stream in (True, False):
                path, body, _ = asks("gemini", "up/m", stream)
                mark = "&" if "?" in path else "?"
                await send(child.port, request(json.dumps(body).encode(), path=f"{path}{mark}key={CLIENT_KEY}"))
        assert len(upstream.calls) == 2
        for call in [*upstream.calls, *upstream.model_calls]:
            assert call.headers["x-goog-api-key"] == OWN
            assert "key" not in call.path
