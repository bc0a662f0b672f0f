"""One exchange on one connection: HTTP as it should be, and as it is."""

from __future__ import annotations

import asyncio

import pytest

from telex.testing import Close, Head, Play, Reset, ScriptedUpstream, Send, Stall, pour, status
from telex.upstream.connection import HEAD_LIMIT
from telex.upstream.pool import Pool

from .asking import PATIENT, Recorder, begin, exchange

OK = Head(200, (("content-type", "text/plain"),))


def raw(data: bytes) -> Play:
    return Send(data), Close()


async def of(pool: Pool, play: Play) -> Recorder:
    with ScriptedUpstream(play) as upstream:
        return await exchange(pool, upstream)


@pytest.mark.parametrize("framing", ["chunked", "length", "until-close"])
async def test_every_framing_of_a_body(framing: str, pool: Pool) -> None:
    seen = await of(pool, (Head(200, framing=framing), Send(b"one "), Send(b"two")))  # type: ignore[arg-type]
    assert (seen.status, seen.body, seen.told) == (200, b"one two", ["head", "data", "end"])


async def test_an_answer_without_a_body(pool: Pool) -> None:
    seen = await of(pool, status(204, b""))
    assert (seen.status, seen.body, seen.told) == (204, b"", ["head", "end"])


async def test_headers_are_lower_case(pool: Pool) -> None:
    seen = await of(pool, (Head(200, (("X-Odd", "  a  b "),), "length"), Send(b"x")))
    assert seen.headers["x-odd"] == "a  b"


async def test_an_answer_that_comes_byte_by_byte(pool: Pool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 3\r\n\r\nabc"
    seen = await of(pool, tuple(Send(answer[i : i + 1]) for i in range(len(answer))))
    assert (seen.headers["x-a"], seen.body, seen.told[-1]) == ("b", b"abc", "end")


async def test_interim_answers_are_passed_over(pool: Pool) -> None:
    with ScriptedUpstream((Head(103, (("link", "x"),)), Head(100), OK, Send(b"real"))) as upstream:
        for _ in range(2):
            seen = await exchange(pool, upstream)
            assert (seen.status, seen.body, "link" in seen.headers, seen.told) == (200, b"real", False, ["head", "data", "end"])
        assert upstream.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * (HEAD_LIMIT * 2),
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * HEAD_LIMIT,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * HEAD_LIMIT,
    ],
    ids=["long", "many", "interim"],
)
async def test_a_head_without_end_is_cut_off(head: bytes, pool: Pool) -> None:
    with ScriptedUpstream((Send(head), Stall())) as upstream:
        seen = await exchange(pool, upstream)
        assert seen.failure
        assert seen.failure.kind == "malformed"
        await upstream.calls[0].until("left_at")


@pytest.mark.parametrize(
    "answer",
    [
        b"Hello?\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"\x16\x03\x01\x00\xa5",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nx",
    ],
    ids=repr,
)
async def test_what_is_not_http_is_an_error(answer: bytes, pool: Pool) -> None:
    seen = await of(pool, (Send(answer), Stall()))
    assert seen.failure
    assert seen.failure.kind == "malformed"
    assert seen.told.count("failure") == 1
    assert "end" not in seen.told


@pytest.mark.parametrize(
    "play", [(Close(),), (Reset(),), raw(b"HTTP/1.1 200 OK\r\nx: "), (Head(100), Close())], ids=["fin", "rst", "half", "100"]
)
async def test_an_end_before_the_head(play: Play, pool: Pool) -> None:
    seen = await of(pool, play)
    assert seen.failure
    assert (seen.failure.kind, seen.told) == ("unreachable", ["failure"])


@pytest.mark.parametrize(
    "play", [(OK, Send(b"x"), Close()), (OK, Send(b"x"), Reset()), (Head(framing="length", length=9), Send(b"x"), Close())]
)
async def test_an_end_inside_the_body(play: Play, pool: Pool) -> None:
    seen = await of(pool, play)
    assert seen.failure
    assert (seen.failure.kind, seen.body, seen.told) == ("truncated", b"x", ["head", "data", "failure"])


async def test_a_reset_is_no_end_of_a_body_that_the_end_of_the_connection_ends(pool: Pool) -> None:
    seen = await of(pool, (Head(framing="until-close"), Send(b"x"), Reset()))
    assert seen.failure
    assert seen.failure.kind == "truncated"


@pytest.mark.parametrize("more", [b"{}", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny"], ids=["junk", "answer"])
async def test_data_behind_the_end_is_ignored_and_costs_the_connection(more: bytes, pool: Pool) -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
    with ScriptedUpstream((Send(whole + more), Stall()), (Send(whole), Stall())) as upstream:
        first = await exchange(pool, upstream)
        assert (first.body, first.told) == (b"x", ["head", "data", "end"])
        await upstream.calls[0].until("left_at")
        assert (await exchange(pool, upstream)).body == b"x"
        assert upstream.connections == 2


async def test_data_out_of_turn_costs_the_connection(pool: Pool) -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
    with ScriptedUpstream((Send(whole), Send(b"late"), Stall()), (Send(whole), Stall())) as upstream:
        assert (await exchange(pool, upstream)).body == b"x"
        await upstream.calls[0].until("left_at")
        assert (await exchange(pool, upstream)).body == b"x"
        assert upstream.connections == 2


@pytest.mark.parametrize("where", ["head", "data"])
async def test_a_receiver_may_have_enough_at_any_time(where: str, pool: Pool) -> None:
    with ScriptedUpstream(pour(1 << 40)) as upstream:
        connection, recorder = await begin(pool, upstream, b'{"stream": true}')
        enough = connection.abort
        if where == "head":
            recorder.on_head = lambda status, headers: enough()  # type: ignore[method-assign]
        else:
            recorder.on_data = lambda data: enough()  # type: ignore[method-assign]
        await (await upstream.until(1))[0].until("left_at")
        assert (recorder.over.is_set(), connection.closed) == (False, True)


async def test_pausing_stops_the_upstream_and_resuming_starts_it_again(pool: Pool) -> None:
    size = 32 << 20
    with ScriptedUpstream(pour(size)) as upstream:
        connection, recorder = await begin(pool, upstream, b'{"stream": true}')
        async with asyncio.timeout(PATIENT):
            await recorder.some.wait()
        connection.pause()
        connection.pause()
        [call] = await upstream.until(1)
        await upstream.until(lambda: call.unsent > 0)
        taken = len(recorder.body)
        await asyncio.sleep(0.1)
        assert len(recorder.body) == taken < size
        connection.resume()
        await recorder.end()
        assert recorder.told[-1] == "end"
        assert len(recorder.body) > 0.99 * size


async def test_a_paused_connection_can_be_aborted_and_comes_back_to_nobody(pool: Pool) -> None:
    with ScriptedUpstream(pour(32 << 20)) as upstream:
        connection, recorder = await begin(pool, upstream, b'{"stream": true}')
        async with asyncio.timeout(PATIENT):
            await recorder.some.wait()
        connection.pause()
        connection.abort()
        connection.resume()
        await upstream.calls[0].until("left_at")
        assert not recorder.over.is_set()
