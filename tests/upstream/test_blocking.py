"""Exchanges of a thread that blocks, straight on the transport: the same failures in the same words as those of the pool."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telex.core.errors import Failure
from telex.testing import Close, Hang, Head, Reset, ScriptedUpstream, Send, Stall, say
from telex.upstream.address import parse_url, render_head, render_request
from telex.upstream.blocking import Exchange, Transport, fetch
from telex.upstream.endpoint import make_endpoint as endpoint
from telex.upstream.fetch import Answer
from telex.upstream.timers import Timers

from .asking import PATIENT, Recorder
from .certificates import make_certificate, serving
from .test_proxies import proxy


@pytest.fixture
async def transport(direct: None) -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


def exchange(transport: Transport, url: str, timers: Timers | None = None, connect: float = PATIENT) -> tuple[Exchange, Recorder]:
    origin, _ = parse_url(url)
    recorder, made = Recorder(), Exchange(transport, origin, timers or Timers(), connect)
    made.send(render_request(render_head("POST", origin, "/v1/chat/completions", {}), b"{}"), recorder)
    return made, recorder


def run(made: Exchange) -> None:
    while not made.over:
        made.pump()


async def test_a_receiver_is_told_everything_in_order(transport: Transport) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        made, recorder = exchange(transport, upstream.url)
        run(made)
    assert recorder.told == ["head", "data", "end"]
    assert (recorder.status, recorder.headers["content-type"]) == (200, "application/json")


FAILURES: list[tuple[Any, str, list[str]]] = [
    ((Close(),), "unreachable", ["failure"]),
    ((Send(b"SSH-2.0-nothing\r\n\r\n"), Close()), "malformed", ["failure"]),
    ((Head(200, (), "length", 9), Send(b"123"), Close()), "truncated", ["head", "data", "failure"]),
    ((Head(200, (), "chunked"), Send(b"123"), Reset()), "truncated", ["head", "data", "failure"]),
    ((Head(200, (), "until-close"), Send(b"123"), Reset()), "truncated", ["head", "data", "failure"]),
]


@pytest.mark.parametrize(("script", "kind", "told"), FAILURES)
async def test_what_breaks_is_said(script: Any, kind: str, told: list[str], transport: Transport) -> None:
    with ScriptedUpstream(script) as upstream:
        made, recorder = exchange(transport, upstream.url)
        run(made)
    assert (recorder.failure and recorder.failure.kind, recorder.told) == (kind, told)


async def test_connecting_has_its_own_limit(transport: Transport) -> None:
    with ScriptedUpstream((Hang(),)) as upstream:
        made, recorder = exchange(transport, upstream.url, connect=0.1)
        run(made)
    assert recorder.failure
    assert (recorder.failure.kind, recorder.failure.code) == ("timeout", "connect")


@pytest.mark.parametrize("script", [(Hang(),), (Stall(),), (Head(200), Send(b"x"), Stall())], ids=["connecting", "waiting", "reading"])
async def test_another_thread_can_cut_it_in_every_phase(script: Any, transport: Transport) -> None:
    with ScriptedUpstream(script) as upstream:
        made, recorder = exchange(transport, upstream.url)
        thread = threading.Thread(target=run, args=(made,))
        thread.start()
        if not isinstance(script[0], Hang):
            [call] = upstream.wait_for(1)
        if len(script) > 2:
            call.wait("first_byte")
        made.cut()
        thread.join(PATIENT)
        assert not thread.is_alive()
        assert "end" not in recorder.told
        assert recorder.failure is None
        upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_a_timer_can_end_it_while_it_waits(transport: Transport) -> None:
    timers = Timers()
    with ScriptedUpstream((Stall(),)) as upstream:
        made, recorder = exchange(transport, upstream.url, timers)
        timers.call_later(0.05, made.abort)
        run(made)
        assert recorder.told == []
        upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_what_ended_is_used_again_and_cannot_be_cut_any_more(transport: Transport) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        first, _ = exchange(transport, upstream.url)
        run(first)
        second, recorder = exchange(transport, upstream.url)
        second.pump()
        first.cut()
        run(second)
        assert recorder.told[-1] == "end"
        assert upstream.connections == 1


async def test_what_was_given_up_is_not_used_again(transport: Transport) -> None:
    with ScriptedUpstream((Head(200), Send(b"x"), Stall()), say("Hi")) as upstream:
        first, _ = exchange(transport, upstream.url)
        first.pump()
        first.abort()
        second, recorder = exchange(transport, upstream.url)
        run(second)
        assert recorder.told[-1] == "end"
        assert upstream.connections == 2


async def test_a_mistake_of_a_receiver_closes_and_shows(transport: Transport) -> None:
    def broken(data: bytes) -> None:
        raise RuntimeError("ours")

    with ScriptedUpstream((Head(200), Send(b"x"), Stall())) as upstream:
        made, recorder = exchange(transport, upstream.url)
        recorder.on_data = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="ours"):
            run(made)
        upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_twenty_cancelling_threads_leave_a_transport_that_works(transport: Transport) -> None:
    """P2, smaller."""
    with ScriptedUpstream((Head(200), Send(b"x"), Stall())) as upstream:

        def churn() -> None:
            for _ in range(10):
                made, _ = exchange(transport, upstream.url)
                made.pump()
                made.cut()
                run(made)

        threads = [threading.Thread(target=churn) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join, PATIENT)
        upstream.play(say("Hi"))
        for _ in range(10):
            made, recorder = exchange(transport, upstream.url)
            run(made)
            assert recorder.told[-1] == "end"
        await upstream.until(lambda: upstream.open_connections == 1)


# ---- TLS and proxies


async def ask(transport: Transport, url: str) -> Answer | Failure:
    where = endpoint("POST", url, "/chat/completions", {})
    return await asyncio.to_thread(fetch, transport, where, PATIENT)


async def test_certificates_are_verified(transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, "IP:127.0.0.1")
    with ScriptedUpstream(say("Hi"), tls=serving(certificate)) as upstream:
        failure = await ask(transport, upstream.url)
        assert isinstance(failure, Failure)
        assert (failure.kind, "certificate" in failure.message) == ("tls", True)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = Transport()
        for _ in range(2):
            answer = await ask(trusting, upstream.url)
            assert isinstance(answer, Answer), answer
        trusting.close()
        assert upstream.connections == 1  # that of those who do not trust it came to nothing


async def test_tls_can_be_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: Transport) -> None:
    certificate = make_certificate(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedUpstream((Head(200), Send(b"x"), Stall()), tls=serving(certificate)) as upstream:
        made, _ = exchange(transport, upstream.url)
        thread = threading.Thread(target=run, args=(made,))
        thread.start()
        [call] = upstream.wait_for(1)
        call.wait("first_byte")
        began = time.monotonic()
        made.cut()
        thread.join(PATIENT)
        assert call.wait("left_at") - began < 10 * 0.25


async def test_plain_requests_go_through_a_proxy(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstream(say("Hi")) as upstream:
        async with proxy(upstream) as (seen, address):
            monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@{address}")
            answer = await ask(transport, "http://provider.test/v1")
            assert isinstance(answer, Answer), answer
            transport.close()
        [head] = seen.heads
        assert head.startswith(b"POST http://provider.test/v1/chat/completions HTTP/1.1\r\n")
        assert b"host: provider.test\r\n" in head
        assert head.lower().count(b"proxy-authorization: basic dxnlcjpwqhnz\r\n") == 1


async def test_tls_goes_through_a_tunnel(transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, "DNS:provider.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedUpstream(say("Hi"), tls=serving(certificate)) as upstream:
        async with proxy(upstream) as (seen, address):
            monkeypatch.setenv("HTTPS_PROXY", f"user:pass@{address}")
            for _ in range(2):
                answer = await ask(transport, "https://provider.test/v1")
                assert isinstance(answer, Answer), answer
            transport.close()
        [head] = seen.heads  # one tunnel for both
        assert head.startswith(b"CONNECT provider.test:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: basic dxnlcjpwyxnz\r\n" in head.lower()
        assert all("proxy-authorization" not in call.headers for call in upstream.calls)


async def test_a_proxy_that_lets_nobody_through(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstream() as upstream:
        async with proxy(upstream, b"407 Proxy Authentication Required") as (_, address):
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            failure = await ask(transport, "https://provider.test/v1")
            assert isinstance(failure, Failure)
            assert (failure.kind, "407" in failure.message) == ("unreachable", True)


@pytest.mark.parametrize("value", ["http://", "ftp://h", "http://h:99999"])
async def test_an_impossible_proxy_is_said(value: str, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    failure = await ask(transport, "https://provider.test/v1")
    assert isinstance(failure, Failure)
    assert (failure.kind, "proxy" in failure.message) == ("unreachable", True)
