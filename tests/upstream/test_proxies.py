"""Proxies as the environment names them. Loopback addresses never go through one, so the provider has a name that only the proxy knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from telex.core.errors import Failure
from telex.testing import ScriptedUpstream, say
from telex.upstream.address import parse_url
from telex.upstream.endpoint import make_endpoint as endpoint
from telex.upstream.fetch import Answer, fetch
from telex.upstream.pool import Pool
from telex.upstream.proxies import find_proxy

from .asking import PATIENT
from .certificates import make_certificate, serving


class Proxy:
    """Lets everything through to one port, whatever was asked for, and remembers the heads; `status` answers CONNECT."""

    def __init__(self, port: int, status: bytes = b"200 OK") -> None:
        self._port = port
        self._status = status
        self.heads: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        up, down = await asyncio.open_connection("127.0.0.1", self._port)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
        else:
            down.write(head)
        self.tasks |= {asyncio.create_task(copy(reader, down)), asyncio.create_task(copy(up, writer))}


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(1 << 16):
            target.write(data)
    except ConnectionError:
        pass
    finally:
        target.close()


@asynccontextmanager
async def proxy(upstream: ScriptedUpstream, status: bytes = b"200 OK") -> AsyncIterator[tuple[Proxy, str]]:
    made = Proxy(upstream.port, status)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    try:
        yield made, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        async with asyncio.timeout(PATIENT):
            for task in made.tasks:
                task.cancel()
            await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_plain_requests_name_the_whole_address(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with proxy(upstream) as (seen, address):
            monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@{address}")
            answer = await fetch(pool, endpoint("POST", "http://provider.test/v1", "/chat/completions", {}), b"{}", PATIENT)
            assert isinstance(answer, Answer)
            assert answer.status == 200
            pool.close()
        [head] = seen.heads
        assert head.startswith(b"POST http://provider.test/v1/chat/completions HTTP/1.1\r\nhost: provider.test\r\n")
        assert b"proxy-authorization: Basic dXNlcjpwQHNz\r\n" in head


async def test_tls_goes_through_a_tunnel(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, "DNS:provider.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedUpstream(say("Hi"), tls=serving(certificate)) as upstream:
        async with proxy(upstream) as (seen, address):
            monkeypatch.setenv("HTTPS_PROXY", f"user:pass@{address}")
            for _ in range(2):
                answer = await fetch(pool, endpoint("POST", "https://provider.test/v1", "/chat/completions", {}), b"{}", PATIENT)
                assert isinstance(answer, Answer), answer
            pool.close()
        [head] = seen.heads  # one tunnel for both
        assert head.startswith(b"CONNECT provider.test:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic dXNlcjpwYXNz\r\n" in head
        assert [call.path for call in upstream.calls] == ["/v1/chat/completions"] * 2
        assert all("proxy-authorization" not in call.headers for call in upstream.calls)


async def test_certificates_are_verified_through_a_tunnel_too(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, "DNS:elsewhere.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedUpstream(tls=serving(certificate)) as upstream:
        async with proxy(upstream) as (_, address):
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            failure = await pool.open(parse_url("https://provider.test")[0], PATIENT)
            assert isinstance(failure, Failure)
            assert failure.kind == "tls"


async def test_a_proxy_that_lets_nobody_through(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstream() as upstream:
        async with proxy(upstream, b"407 Proxy Authentication Required") as (_, address):
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            failure = await pool.open(parse_url("https://provider.test")[0], PATIENT)
            assert isinstance(failure, Failure)
            assert (failure.kind, "407" in failure.message) == ("unreachable", True)


@pytest.mark.parametrize("value", ["http://", "ftp://h", "http://h:99999"])
async def test_an_impossible_proxy_is_said(value: str, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    failure = await pool.open(parse_url("https://provider.test")[0], PATIENT)
    assert isinstance(failure, Failure)
    assert (failure.kind, "proxy" in failure.message) == ("unreachable", True)


@pytest.mark.parametrize(
    ("environ", "url", "through"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://provider.test", True),
        ({"http_proxy": "p:1"}, "http://provider.test", True),
        ({"HTTP_PROXY": "http://p:1"}, "https://provider.test", False),
        ({"HTTPS_PROXY": "http://p:1"}, "https://provider.test", True),
        ({"ALL_PROXY": "http://p:1"}, "https://provider.test", True),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "provider.test"}, "https://provider.test", False),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "other.test"}, "https://provider.test", True),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://provider.test", False),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:9", False),
        ({"ALL_PROXY": "http://p:1"}, "http://localhost", False),
        ({"ALL_PROXY": "http://p:1"}, "http://[::1]:9", False),
        ({}, "https://provider.test", False),
    ],
    ids=str,
)
@pytest.mark.usefixtures("direct")
def test_the_environment_says_which_way(environ: dict[str, str], url: str, through: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (find_proxy(parse_url(url)[0]) is not None) == through
