"""The upstream as a server: what it answers, what it records, how it comes and goes."""

from __future__ import annotations

import threading
import time

import pytest

from telex.core import sse
from telex.core.events import Done, Event, PartEnd, PartStart, Start
from telex.core.fold import fold
from telex.core.messages import Choice, Finish, Part, Reply, Usage
from telex.dialects import openai_chat
from telex.testing import Call, Head, Play, Refuse, Script, ScriptedUpstream, Send, Stall, Until, Wait, perform, reply, say, status

from .client import PATH, RawClient, play

SIZE = 16 << 20
"""Bytes, more than loopback sockets hold."""


def decoded(body: bytes) -> Reply:
    decoder, frames = openai_chat.Decoder(), sse.Decoder()
    events = [event for frame in frames.feed(body) for event in decoder.feed(frame)]
    return fold([*events, *decoder.end()])


def test_a_script_waits_until_it_may_go_on() -> None:
    gate = threading.Event()
    with ScriptedUpstream((Head(200), Send(b"one"), Until(gate.is_set), Send(b"two"))) as upstream, RawClient(upstream.port) as client:
        client.ask()
        [call] = upstream.wait_for(1)
        call.wait("first_byte")
        assert call.finished is None
        gate.set()
        assert client.answer().body == b"onetwo"


def test_several_requests_use_one_connection() -> None:
    with ScriptedUpstream() as upstream, RawClient(upstream.port) as client:
        for stream in (True, False, True):
            assert client.ask(stream).answer().end == "complete"
        with RawClient(upstream.port) as other:
            other.ask().answer()
            assert [call.connection for call in upstream.calls] == [1, 1, 1, 2]
            assert (upstream.connections, upstream.open_connections) == (2, 2)
        upstream.wait_for(lambda: upstream.open_connections == 1)


def test_answers_in_the_delivery_that_was_asked_for() -> None:
    whole, stream = play(say("Hello", " world"), stream=False), play(say("Hello", " world"))
    assert whole.headers["content-type"] == "application/json"
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert fold(openai_chat.Decoder().whole(whole.body)).text == decoded(stream.body).text == "Hello world"
    assert stream.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("asked", [True, False])
def test_usage_comes_when_it_is_asked_for(asked: bool) -> None:
    stream = play(say("Hello", usage=Usage(input=3, output=9)), stream_options={"include_usage": asked})
    assert decoded(stream.body).usage == (Usage(input=3, output=9) if asked else None)


def test_replies_and_events_of_the_core_are_played() -> None:
    call = Part("tool_call", '{"city":"Oslo"}', "call_1", "weather", "function")
    whole = Reply("id", "any", 1, (Choice(0, (call,), Finish(0, "tool_calls", "tool_calls")),), dialect="openai-chat")
    assert decoded(play(reply(whole)).body) == whole
    events: list[Event] = [Start("id", "any", 1), PartStart(0, 0, "text"), PartEnd(0, 0), Finish(0, "stop", "stop"), Done()]
    assert decoded(play(perform(events)).body).ending == "complete"


def test_each_request_takes_the_next_play_and_the_last_is_for_the_rest() -> None:
    def chosen(call: Call) -> Play:
        return say(str(call.json["nonce"]))

    with ScriptedUpstream(status(429), (Head(204, framing="length"),), chosen) as upstream, RawClient(upstream.port) as client:
        answers = [client.ask(stream=False, nonce=n).answer() for n in range(4)]
    assert [answer.status for answer in answers] == [429, 204, 200, 200]
    assert [b'"content":"%d"' % n in answers[n].body for n in (2, 3)] == [True, True]


def test_framings_end_as_they_say() -> None:
    head = (("x-any", "1"), ("x-any", "2"))
    assert play((Head(201, head, "chunked"), Send(b"a"), Send(b"b")))[0::2] == (201, b"ab")
    by_length = play((Head(201, head, "length"), Send(b"a"), Send(b"b")))
    assert (by_length.headers["content-length"], by_length.end) == ("2", "complete")
    assert play((Head(201, head, "until-close"), Send(b"ab")))[2:] == (b"ab", "eof")
    assert play((Send(b"HTTP/1.1 299 Raw\r\nContent-Length: 1\r\n\r\n!"),))[0::2] == (299, b"!")
    with ScriptedUpstream((Head(103), Head(200, framing="length"), Send(b"a"))) as upstream, RawClient(upstream.port) as client:
        assert client.ask().head()[0] == 103
        assert client.answer()[2:] == (b"a", "complete")


def test_records_what_was_asked_and_when() -> None:
    before = time.monotonic()
    with ScriptedUpstream(say("Hello", " world", first=0.01, gap=0.01)) as upstream, RawClient(upstream.port) as client:
        body = b'{"model":"any"}'
        client.send(f"POST {PATH}?a=b HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nx-twice: 2\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        client.send(b"5\r\n" + body[:5] + b"\r\n")
        upstream.wait_for(lambda: upstream.calls)
        assert upstream.calls[0].complete is None
        client.send(b"a\r\n" + body[5:] + b"\r\n0\r\n\r\n")
        seen = client.answer()
        [call] = upstream.wait_for(1)
        call.wait("finished")
    assert (call.method, call.path, call.body, call.json) == ("POST", f"{PATH}?a=b", body, {"model": "any"})
    assert call.headers["x-twice"] == "1, 2"
    assert call.headers.all("X-Twice") == ["1", "2"]
    assert set(call.headers) == {"host", "x-twice", "transfer-encoding"}
    times = [before, call.accepted, call.complete, call.first_byte, call.last_byte, call.finished, time.monotonic()]
    assert times == sorted(t for t in times if t is not None)
    assert call.bytes_sent > len(seen.body)
    assert call.left_at is None


def test_continues_a_client_that_waits_for_it() -> None:
    with ScriptedUpstream() as upstream, RawClient(upstream.port) as client:
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert client.head()[0] == 100
        client.send(b"{}")
        assert client.answer().status == 200


def test_closes_when_the_client_asked_for_that() -> None:
    with ScriptedUpstream(status(200, "x")) as upstream, RawClient(upstream.port) as client:
        client.send(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert client.answer().body == b"x"
        assert client.rest() == (b"", "eof")


def test_lists_models_without_taking_a_play() -> None:
    with ScriptedUpstream(status(500), models=("one", "two")) as upstream, RawClient(upstream.port) as client:
        client.send(b"GET /v1/models HTTP/1.1\r\nauthorization: Bearer k\r\n\r\n")
        listing = client.answer()
        assert (listing.status, listing.body.count(b'"id"'), upstream.calls) == (200, 2, [])
        assert upstream.model_calls[0].headers["authorization"] == "Bearer k"


def test_what_is_no_http_gets_400() -> None:
    with ScriptedUpstream() as upstream, RawClient(upstream.port) as client:
        client.send(b"\x16\x03\x01 hello\r\n\r\n")
        assert client.answer().status == 400


def test_waiting_has_an_end_that_tells_what_was_seen() -> None:
    with ScriptedUpstream((Stall(),)) as upstream, RawClient(upstream.port) as client:
        client.ask()
        [call] = upstream.wait_for(1)
        with pytest.raises(TimeoutError, match=r"1 of 1 connections are open(.|\n)*POST /v1/chat/completions on connection 1: open"):
            upstream.wait_for(2, timeout=0.01)
        with pytest.raises(TimeoutError):
            call.wait("finished", timeout=0.01)


async def test_coroutines_wait_too() -> None:
    with ScriptedUpstream(say("Hello", first=0.01)) as upstream, RawClient(upstream.port) as client:
        client.ask()
        [call] = await upstream.until(1)
        assert await call.until("finished") == call.finished
        await upstream.until(lambda: call.bytes_sent)
        with pytest.raises(TimeoutError, match=r"not seen within 0\.01 s"):
            await upstream.until(2, timeout=0.01)


def test_a_play_that_cannot_be_is_told_to_who_waits() -> None:
    def broken(call: Call) -> Script:
        raise LookupError("no such scene")

    upstream = ScriptedUpstream(broken)
    with pytest.raises(LookupError, match="no such scene"), upstream, RawClient(upstream.port) as client:  # noqa: PT012
        client.ask()
        upstream.wait_for(lambda: False)
    with pytest.raises(ValueError, match="play them alone"):
        ScriptedUpstream(say("x"), (Refuse(),))
    with pytest.raises(ValueError, match="a script has one head"), ScriptedUpstream((Head(), Head())) as twice, RawClient(twice.port) as c:
        c.ask().rest()


def test_the_port_can_begin_and_cease_to_refuse() -> None:
    with ScriptedUpstream() as upstream, RawClient(upstream.port) as client:
        upstream.wait_for(lambda: upstream.connections == 1)
        upstream.play((Refuse(),))
        with pytest.raises(ConnectionRefusedError):
            RawClient(upstream.port)
        upstream.play(status(503))
        assert client.ask().answer().status == 503  # who was in, stays in
        with RawClient(upstream.port) as other:
            assert other.ask().answer().status == 503


def test_a_busy_port_is_said_at_once() -> None:
    with ScriptedUpstream() as upstream, pytest.raises(OSError, match="in use"), ScriptedUpstream(port=upstream.port):
        pass


def test_leaves_nothing_behind_whatever_is_going_on() -> None:
    scripts: list[Play] = [(Stall(),), (Wait(3600),), say("x", gap=3600), (Head(), Send(b"x" * (8 << 20)))]
    with ScriptedUpstream(*scripts) as upstream:
        clients = [RawClient(upstream.port, rcvbuf=4096).ask() for _ in scripts]
        calls = upstream.wait_for(len(scripts))
    assert not [t for t in threading.enumerate() if t.name.startswith("scripted-upstream")]
    assert [call.left_at for call in calls] == [None] * 4
    assert upstream.open_connections == 0
    for client in clients:
        client.rest()
        client.socket.close()


def test_knows_what_the_client_does_not_take() -> None:
    with ScriptedUpstream((Head(), Send(b"x" * SIZE))) as upstream, RawClient(upstream.port) as client:
        client.ask()
        [call] = upstream.wait_for(1)
        upstream.wait_for(lambda: call.unsent > 0)
        assert call.bytes_sent < SIZE
        assert len(client.answer().body) == SIZE
        call.wait("finished")
