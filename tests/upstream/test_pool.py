"""Connections are used again, and never when somebody gave one up."""

from __future__ import annotations

import asyncio
import os
import random
import resource
from contextlib import suppress
from pathlib import Path

import pytest

from telex.core.errors import Failure
from telex.testing import Close, Head, Reset, ScriptedUpstream, Send, Stall, say
from telex.upstream.address import parse_url
from telex.upstream.endpoint import make_endpoint as endpoint
from telex.upstream.fetch import Answer, fetch
from telex.upstream.pool import Pool

from .asking import PATIENT, begin, exchange
from .certificates import make_certificate, serving

CHURN = 2.0
"""Seconds of cancellations; the promise is made for 5."""


async def test_a_connection_is_used_again(pool: Pool) -> None:
    with ScriptedUpstream() as upstream:
        for _ in range(5):
            assert (await exchange(pool, upstream)).told[-1] == "end"
        assert [call.connection for call in upstream.calls] == [1] * 5


async def test_exchanges_at_the_same_time_have_connections_of_their_own(pool: Pool) -> None:
    with ScriptedUpstream(say("Hi", first=0.05)) as upstream:
        await asyncio.gather(*(exchange(pool, upstream) for _ in range(5)))
        assert upstream.connections == 5
        await asyncio.gather(*(exchange(pool, upstream) for _ in range(5)))
        assert upstream.connections == 5


async def test_an_origin_never_gets_the_connection_of_another(pool: Pool) -> None:
    with ScriptedUpstream() as one, ScriptedUpstream() as two:
        for upstream in (one, two, one, two):
            await exchange(pool, upstream)
        assert (one.connections, two.connections, len(one.calls), len(two.calls)) == (1, 1, 2, 2)


@pytest.mark.parametrize("play", [(Head(200, (("connection", "close"),)), Send(b"x")), (Head(framing="until-close"), Send(b"x"))])
async def test_a_connection_that_the_server_ends_is_not_kept(play: tuple[Head, Send], pool: Pool) -> None:
    with ScriptedUpstream(play) as upstream:
        for _ in range(2):
            assert (await exchange(pool, upstream)).body == b"x"
        assert upstream.connections == 2


async def test_an_idle_connection_that_was_closed_is_not_used(pool: Pool) -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
    with ScriptedUpstream((Send(whole), Close()), (Send(whole), Reset()), (Send(whole), Stall())) as upstream:
        for _ in range(3):
            assert (await exchange(pool, upstream)).body == b"x"
            await upstream.until(lambda: upstream.calls[-1].finished or len(upstream.calls) == 3)
            await asyncio.sleep(0.02)  # the FIN has to come here
        assert upstream.connections == 3


async def test_an_old_connection_is_closed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedUpstream() as upstream:
        await exchange(pool, upstream)
        monkeypatch.setattr("telex.upstream.pool.IDLE_SECONDS", 0.0)
        await exchange(pool, upstream)
        assert upstream.connections == 2
        await upstream.until(lambda: upstream.open_connections == 1)


@pytest.mark.parametrize("play", [(Stall(),), (Head(), Send(b"x"), Stall())], ids=["waiting", "reading"])
async def test_a_cancelled_exchange_never_goes_back(play: tuple[Stall], pool: Pool) -> None:
    with ScriptedUpstream(play, say("Hi")) as upstream:
        connection, recorder = await begin(pool, upstream)
        [call] = await upstream.until(1)
        connection.abort()
        await call.until("left_at")
        assert (await exchange(pool, upstream)).told[-1] == "end"
        assert (upstream.connections, recorder.over.is_set()) == (2, False)


async def test_p2_it_survives_cancellation(pool: Pool) -> None:
    """20 workers give up exchanges on 10 slots, wherever they are; then 10 of 10 are served."""
    slots, loop, dice = asyncio.Semaphore(10), asyncio.get_running_loop(), random.Random(7)
    with ScriptedUpstream(say("Hello", " world", first=0.005, gap=0.005)) as upstream:
        where = endpoint("POST", upstream.url, "/chat/completions", {})
        end = loop.time() + CHURN

        async def work() -> None:
            while loop.time() < end:
                async with slots:
                    try:
                        async with asyncio.timeout(dice.uniform(0, 0.03)):
                            await fetch(pool, where, b'{"stream": true}', PATIENT)
                    except TimeoutError:
                        pass

        await asyncio.gather(*(work() for _ in range(20)))
        answers = await asyncio.gather(*(fetch(pool, where, b"{}", PATIENT) for _ in range(10)))
        assert [isinstance(answer, Answer) and answer.status for answer in answers] == [200] * 10
        assert any(call.left_at for call in upstream.calls)
        pool.close()
        await upstream.until(lambda: upstream.open_connections == 0)


async def test_a_fetch_that_takes_too_long_closes_its_connection(pool: Pool) -> None:
    with ScriptedUpstream((Stall(),)) as upstream:
        failure = await fetch(pool, endpoint("GET", upstream.url, "/slow", {}), b"", 0.1)
        assert isinstance(failure, Failure)
        assert failure.kind == "timeout"
        await upstream.calls[0].until("left_at")


async def test_closing_closes_what_is_in_use(pool: Pool) -> None:
    with ScriptedUpstream(say("Hi"), (Stall(),)) as upstream:
        await exchange(pool, upstream)
        await begin(pool, upstream)
        await upstream.until(2)
        pool.close()
        await upstream.until(lambda: upstream.open_connections == 0)


async def test_row64_without_a_file_to_open_nothing_is_said_of_the_provider(pool: Pool) -> None:
    with ScriptedUpstream() as upstream:
        origin, _ = parse_url(upstream.url)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        plugs = []
        try:
            with suppress(OSError):
                while True:
                    plugs.append(os.dup(0))
            failure = await pool.open(origin, PATIENT)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for plug in plugs:
                os.close(plug)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.consequence.against, failure.http_status) == ("busy", False, 503)
        assert not isinstance(await pool.open(origin, PATIENT), Failure), "and then it goes on"


@pytest.mark.parametrize("name", ["a..b.invalid", f"{'a' * 64}.invalid"])
async def test_a_name_that_cannot_be_resolved(name: str, pool: Pool) -> None:
    failure = await pool.open(parse_url(f"http://{name}/")[0], PATIENT)
    assert isinstance(failure, Failure)
    assert (failure.kind, name in failure.message) == ("unreachable", True)


# ---- TLS


async def test_a_certificate_that_nobody_vouches_for_is_refused(pool: Pool, tmp_path: Path) -> None:
    with ScriptedUpstream(tls=serving(make_certificate(tmp_path, "IP:127.0.0.1"))) as upstream:
        failure = await pool.open(parse_url(upstream.url)[0], PATIENT)
        assert isinstance(failure, Failure)
        assert failure.kind == "tls"
        assert upstream.calls == []


async def test_a_certificate_whose_ca_is_trusted_is_accepted(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedUpstream(tls=serving(certificate)) as upstream:
        for _ in range(2):
            assert (await exchange(pool, upstream)).told[-1] == "end"
        assert upstream.connections == 1


async def test_a_certificate_of_another_name_is_refused(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path, "DNS:elsewhere.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedUpstream(tls=serving(certificate)) as upstream:
        failure = await pool.open(parse_url(upstream.url)[0], PATIENT)
        assert isinstance(failure, Failure)
        assert failure.kind == "tls"


async def test_tls_to_a_server_that_speaks_none(pool: Pool) -> None:
    with ScriptedUpstream() as upstream:
        failure = await pool.open(parse_url(upstream.url.replace("http:", "https:"))[0], PATIENT)
        assert isinstance(failure, Failure)
        assert failure.kind in ("tls", "unreachable")
