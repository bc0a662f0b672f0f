"""P17: no key of a provider or of a client is anywhere but where it belongs. Canaries fly through everything, and no sink has one."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.shell import telex
from client.colours import COLOURS, QUESTION, Colour, read, speaker
from gateway.client import connect, request
from gateway.house import Child, serve
from gateway.keyed import FORMS, with_key
from gateway.speech import CLIENTS, asks
from telex import GenerationError
from telex.config import Secret, load_config
from telex.generation.catalog import Catalog
from telex.testing import Play, ScriptedUpstream, Send, say, status
from telex.testing.answers import error, render, stream, words
from telex.testing.call import Call

WRONG = "tx-canary-of-a-client-that-nobody-knows"


def provider_key(dialect: str) -> str:
    return f"sk-canary-of-the-provider-{dialect}"


class Canaries:
    """All that must not be seen, and all sinks so far."""

    def __init__(self) -> None:
        self.secrets = {WRONG, *map(provider_key, CLIENTS)}
        self.sinks: dict[str, str] = {}

    def pour(self, name: str, sink: object) -> None:
        self.sinks[name] = self.sinks.get(name, "") + (sink.decode("latin-1") if isinstance(sink, bytes) else str(sink))

    def check(self) -> None:
        for name, text in self.sinks.items():
            for secret in self.secrets:
                assert secret not in text, (name, secret, text[max(0, text.index(secret) - 200) :][:400])


def repeated(code: int) -> Play:
    """A provider that says again, in an error, all that it was sent."""
    return lambda call: status(code, error(call, code, f"Not with {list(call.headers.items())} {call.path}", "odd"))


def repeated_inside(call: Call) -> Play:
    """The same inside a stream, behind the first words."""
    frames = render(words(call, "One", " two", " three"), call).flat
    told = json.dumps(error(call, 500, f"Not with {list(call.headers.items())}")).encode()
    event = b"event: error\n" if call.dialect.NAME != "gemini" else b""
    return stream([*map(Send, frames[:-2]), Send(event + b"data: " + told + b"\n\n")])


CODES = (400, 401, 402, 403, 404, 413, 422, 429, 500, 503)
PLAYS: dict[str, Play] = {
    "well": say("Hello"),
    **{str(code): repeated(code) for code in CODES},
    "inside": repeated_inside,
    "broken": stream([Send(b"data: {\n\n")]),
}


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(models=["m"]) as upstream:
        yield upstream


def configuration(upstream: ScriptedUpstream, access: str = "keys") -> str:
    """A key is written out, in a file, and twice in the environment."""
    rows = [f'[server]\naccess = "{access}"\n']
    for dialect in CLIENTS:
        source = {
            "openai-chat": f'"{provider_key(dialect)}"',
            "anthropic": '{ file = "anthropic.key" }',
        }.get(dialect, f'{{ env = "{variable(dialect)}" }}')
        rows.append(f'[providers.{dialect}]\ndialect = "{dialect}"\nbase_url = "{upstream.url}"\napi_key = {source}\n')
        rows.append(f'[models.to-{dialect}]\nretries = 0\ntargets = [{{ provider = "{dialect}", model = "m" }}]\n')
    return "".join(rows)


def variable(dialect: str) -> str:
    return f"CANARY_{dialect.replace('-', '_').upper()}"


@pytest.fixture(autouse=True)
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for dialect in CLIENTS:
        monkeypatch.setenv(variable(dialect), provider_key(dialect))
    (tmp_path / "anthropic.key").write_text(provider_key("anthropic"))
    monkeypatch.chdir(tmp_path)


def create(canaries: Canaries, folder: Path, *more: str) -> str:
    """A key, which is where it belongs on standard output and nowhere else."""
    code, out, err = telex("keys", "create", "--name", f"web{len(canaries.secrets)}", *more, cwd=folder)
    assert code == 0
    canaries.secrets.add(out.strip())
    canaries.pour("keys create", err)
    return out.strip()


async def heard(gateway: Child, data: bytes) -> bytes:
    """All that comes back, with its head."""
    async with connect(gateway.port) as client:
        client.send(data)
        return await client.end()


async def test_a_gateway(canaries: Canaries, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Every dialect to every provider, every fault, every form of a key that is good, bad, or two."""
    async with serve(tmp_path, configuration(upstream)) as gateway:
        good = await asyncio.to_thread(create, canaries, tmp_path)
        narrow = await asyncio.to_thread(create, canaries, tmp_path, "--models", "other")
        jobs: list[tuple[str, str, str, str]] = []
        jobs += [("bearer", good, dialect, name) for dialect in CLIENTS for name in PLAYS]
        jobs += [(form, key, dialect, "well") for form in FORMS for key in (good, WRONG, narrow) for dialect in CLIENTS]
        answered = 0
        for number, (form, key, dialect, name) in enumerate(jobs):
            target = CLIENTS[(number + number // len(CLIENTS)) % len(CLIENTS)]
            for streams in (False, True):
                path, body, marks = asks(dialect, f"to-{target}", streams)
                marks = {name: value for name, value in marks.items() if name == "anthropic-version"}
                path, headers = with_key(path, key, form)
                if key == good:
                    upstream.play(PLAYS[name])
                data = request(json.dumps(body).encode(), path=path, headers={**marks, **headers, "connection": "close"})
                answer = await heard(gateway, data)
                canaries.pour("answers", answer)
                answered += answer.startswith(b"HTTP/1.1 200")
                if key != good:
                    assert answer[9:12] in (b"401", b"404")
        assert answered > 2 * len(CLIENTS) * len(FORMS)
        for call in upstream.calls:
            told = repr((call.path, dict(call.headers), call.body))
            assert not any(key in told for key in (good, narrow, WRONG)), "a client's key went to a provider"
            assert any(provider_key(dialect) in told for dialect in CLIENTS), told
        for path in ("/v1/models", "/v1beta/models?pageSize=1", "/nothing", "/metrics", "/v1/responses/x"):
            for key in (WRONG, good, narrow):
                there, headers = with_key(path, key, "?key=")
                canaries.pour("answers", await heard(gateway, request(method="GET", path=there, headers={"connection": "close"})))
        both = {"authorization": f"Bearer {good}", "x-api-key": narrow, "connection": "close"}
        canaries.pour("answers", await heard(gateway, request(method="GET", path="/v1/models", headers=both)))
        for odd in (f"GET /v1/models?key={good} HTTP/1.1\r\nhost: x\r\nx y: {good}\r\n\r\n", f"{good} / HTTP/9\r\n\r\n"):
            canaries.pour("answers", await heard(gateway, odd.encode()))
        gateway.process.terminate()
        _, out, err = await gateway.end()
        canaries.pour("standard output of serve", out)
        canaries.pour("the log", err)
    assert err.count('"event":"generation"') >= len(upstream.calls)
    canaries.check()


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_library(colour: Colour, canaries: Canaries, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Its objects, and its exceptions with their tracebacks, in this process and through a gateway."""
    (tmp_path / "telex.toml").write_text(text := configuration(upstream))
    config = load_config(tmp_path / "telex.toml")
    canaries.pour("configuration", [config, *config.providers.values(), config.server, Secret(WRONG)])
    canaries.pour("backends", [*Catalog(config).backends.values(), vars(next(iter(Catalog(config).backends.values())))])
    async with serve(tmp_path, text) as gateway:
        good = await asyncio.to_thread(create, canaries, tmp_path)
        url = f"http://127.0.0.1:{gateway.port}"
        places: list[tuple[str, dict[str, Any]]] = []
        places += [("here", {"config": config}), ("there", {"url": url, "api_key": good}), ("kept out", {"url": url, "api_key": WRONG})]
        raised = 0
        for place, options in places:
            client = speaker(colour, **options)
            canaries.pour("clients", [client, vars(client)])
            for play in PLAYS.values():
                for dialect in CLIENTS:
                    for streams in (False, True):
                        if place != "kept out":
                            upstream.play(play)
                        try:
                            if streams:
                                async with client.stream(QUESTION, model=f"to-{dialect}") as stream_:
                                    canaries.pour("text", await read(stream_))
                            else:
                                canaries.pour("replies", await client.generate(QUESTION, model=f"to-{dialect}"))
                        except GenerationError as error_:
                            raised += 1
                            canaries.pour(
                                f"exceptions {place}", [repr(error_), error_, vars(error_), error_.failure, error_.reply, error_.args]
                            )
                            canaries.pour(f"tracebacks {place}", "".join(traceback.format_exception(error_)))
            await client.close()
        assert raised > 100
    canaries.check()


async def test_the_command_line(canaries: Canaries, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text(text := configuration(upstream))
    for name in ("400", "401", "500", "inside"):
        for dialect in CLIENTS:
            upstream.play(PLAYS[name])
            canaries.pour("ask", await asyncio.to_thread(telex, "ask", "Why?", "--model", f"to-{dialect}", cwd=tmp_path))
    upstream.play(*(repeated(code) for code in (400, 401, 403, 500)))
    canaries.pour("check", await asyncio.to_thread(telex, "check", "--ask", cwd=tmp_path))
    async with serve(tmp_path, text) as gateway:
        good = await asyncio.to_thread(create, canaries, tmp_path)
        url = f"http://127.0.0.1:{gateway.port}"
        for key in (good, WRONG):
            upstream.play(repeated(400))
            for arguments in (
                ["ask", "Why?", "--url", url, "--model", "to-anthropic"],
                ["ask", "Why?", "--url", url],
                ["race", "--url", url],
            ):
                canaries.pour("through a gateway", await asyncio.to_thread(telex, *arguments, cwd=tmp_path, TELEX_API_KEY=key))
    for arguments in (["keys", "list"], ["keys", "revoke", good], ["keys", "create", "--name", good[:60]], ["models"]):
        canaries.pour(" ".join(arguments[:2]), await asyncio.to_thread(telex, *arguments, cwd=tmp_path))
    canaries.check()
