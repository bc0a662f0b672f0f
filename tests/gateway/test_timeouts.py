"""The clocks: each says which it is and how long it was, in every dialect; a request may bring shorter ones."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from client.colours import COLOURS, PATIENT, QUESTION, Colour, asked, configured, read, speaker, speaking
from telex import GenerationError, Timeout
from telex.core.messages import Usage
from telex.routing.health import FAILURES
from telex.testing import FAULTS, Beat, Call, Hang, Head, Play, ScriptedUpstream, Send, render, say
from telex.testing.answers import SSE, words

from .client import Answer, request, send
from .complaints import Complaint, told, told_in
from .house import House, gateway, in_each_dialect
from .speech import CLIENTS, asks

SOON = 0.3
"""Seconds of the time limits that a test waits for."""

LIMITS = ("first_byte", "first_content", "idle", "content_idle", "total")
each_client = pytest.mark.parametrize("client", CLIENTS)


def silent_behind_content(call: Call) -> Any:
    """One word, and then signs of life only."""
    said = [frame for frames in render(words(call, "One"), call).frames[:3] for frame in frames]
    return Head(200, SSE), Send(b"".join(said)), Beat(call.dialect.KEEP_ALIVE, 0.02)


FAULTY: dict[str, Play] = {
    "first_byte": FAULTS["row05-headers-never-come"](),
    "first_content": FAULTS["row26-only-keep-alives"](),
    "idle": FAULTS["row25-stall-mid-stream"](after=5),
    "content_idle": silent_behind_content,
    "total": FAULTS["row05-headers-never-come"](),
}
"""What each limit is there for."""


@pytest.fixture(scope="module")
async def house(upstream: ScriptedUpstream) -> AsyncIterator[House]:
    """A provider in each dialect, and for each limit a model that is tried once, one of whose limits is short."""
    rows = in_each_dialect(upstream.url)
    models = {
        f"{name}-{dialect}": {"targets": [{"provider": dialect, "model": "m"}], "timeouts": {name: SOON}, "retries": 0}
        for name in LIMITS
        for dialect in CLIENTS
    }
    async with gateway(providers=rows, models=models) as house:
        yield house


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test gets a connection that another has spoilt, nor waits for what no test is about."""
    monkeypatch.setattr("telex.upstream.pool.IDLE_SECONDS", 0.0)
    monkeypatch.setattr("telex.routing.policy.BACKOFF", 0.01)


async def ask(house: House, client: str, model: str, stream: bool = False, limits: str | None = None) -> Answer:
    path, body, headers = asks(client, model, stream)
    brought = {} if limits is None else {"telex-timeouts": limits}
    return await send(house.port, request(json.dumps(body).encode(), path=path, headers={**headers, **brought}))


def names(said: Complaint, which: str, seconds: float = SOON) -> bool:
    return said.code == which and f"{seconds:g} s (timeouts.{which})" in said.message


# ---- each says which, and how long


@pytest.mark.parametrize("which", LIMITS)
@each_client
async def test_a_stream_says_which_clock_ended_it(house: House, upstream: ScriptedUpstream, client: str, which: str) -> None:
    upstream.play(FAULTY[which])
    answer = await ask(house, client, f"{which}-{client}", stream=True)
    if which in ("idle", "content_idle"):
        assert answer.status == 200
        assert names(told_in(client, answer), which)
    else:
        assert answer.status == 504
        assert names(told(client, answer.json), which)


@each_client
async def test_a_whole_reply_says_that_its_time_is_over(house: House, upstream: ScriptedUpstream, client: str) -> None:
    upstream.play(FAULTY["total"])
    answer = await ask(house, client, f"total-{client}")
    assert answer.status == 504
    assert names(told(client, answer.json), "total")


@pytest.mark.parametrize("which", ["first_byte", "first_content", "idle", "content_idle"])
async def test_a_whole_reply_has_no_other_clock(house: House, upstream: ScriptedUpstream, which: str) -> None:
    upstream.play(say("Late", head=2 * SOON))
    assert (await ask(house, "openai-chat", f"{which}-openai-chat")).text == "Late"


@pytest.mark.parametrize("which", LIMITS)
@pytest.mark.parametrize("colour", COLOURS)
async def test_so_does_the_library_with_either_driver(colour: Colour, which: str, upstream: ScriptedUpstream) -> None:
    upstream.play(FAULTY[which])
    limited = {"m": {"targets": [{"provider": "up", "model": "m"}], "timeouts": {which: SOON}, "retries": 0}}
    async with speaking(colour, "here", configured(upstream.url, models=limited)) as client:
        stream = client.stream(QUESTION, model="m")
        with pytest.raises(GenerationError, match=rf"{SOON:g} s \(timeouts\.{which}\)") as caught:
            async with stream:
                await read(stream)
    assert caught.value.failure.code == which


# ---- the total is over everything


async def test_the_total_is_over_all_attempts(upstream: ScriptedUpstream, logged: list[dict[str, Any]]) -> None:
    """Each is given up for its own reason, the last one because the time is over."""
    model = {"targets": [{"provider": "up", "model": "m"}] * 2, "timeouts": {"first_content": 0.2, "total": 0.5}}
    upstream.play(FAULTY["first_content"])
    async with gateway(upstream.url, models={"m": model}) as own:
        answer = await ask(own, "openai-chat", "m", stream=True)
    assert (answer.status, answer.error["code"]) == (504, "total")
    [line] = logged
    assert len(line["attempts"]) in (2, 3)
    assert 0.5 <= line["e2e"] < 5


@pytest.mark.parametrize("stream", [True, False])
async def test_a_pause_that_would_outlast_the_total_is_not_made(house: House, upstream: ScriptedUpstream, stream: bool) -> None:
    upstream.play(FAULTS["row06-429-with-retry-after"](retry_after=4), say("Good"))
    began = time.monotonic()
    answer = await ask(house, "openai-chat", "openai-chat/m", stream, "total=2")
    assert (answer.status, answer.headers["retry-after"], time.monotonic() - began < 2) == (429, "4", True)


@pytest.mark.parametrize("colour", COLOURS)
async def test_connecting_is_inside_the_total(colour: Colour) -> None:
    limits = {"connect": PATIENT, "total": SOON}
    async with asked(colour, "here", (Hang(),)) as (client, _):
        with pytest.raises(Timeout, match=rf"{SOON:g} s \(timeouts\.total\)") as caught:
            await client.generate(QUESTION, model="up/m", timeouts=limits)
    assert caught.value.which == "total"


@pytest.mark.parametrize("colour", COLOURS)
async def test_connecting_has_its_own_clock(colour: Colour) -> None:
    async with asked(colour, "here", (Hang(),)) as (client, _):
        with pytest.raises(Timeout, match=rf"{SOON:g} s \(timeouts\.connect\)") as caught:
            await client.generate(QUESTION, model="up/m", timeouts={"connect": SOON})
    assert caught.value.which == "connect"


@pytest.mark.parametrize("colour", COLOURS)
async def test_waiting_for_the_embedded_model_is_inside_the_total(colour: Colour) -> None:
    async with speaking(colour, "here", {"providers": {"local": {"dialect": "openai-chat", "embedded": True}}}) as client:
        with pytest.raises(Timeout, match=r"'local' was not ready within 0\.001 s \(timeouts\.total\)") as caught:
            await client.generate(QUESTION, model="local", timeouts=0.001)
    assert caught.value.which == "total"


# ---- what a request brings with it


@each_client
async def test_a_request_may_bring_shorter_limits(house: House, upstream: ScriptedUpstream, client: str) -> None:
    upstream.play(FAULTY["first_content"])
    answer = await ask(house, client, f"{client}/m", stream=True, limits=f"first_content={SOON}, total=20")
    assert names(told(client, answer.json), "first_content")
    upstream.play(FAULTY["total"])
    answer = await ask(house, client, f"{client}/m", limits=f"total = {SOON}")
    assert names(told(client, answer.json), "total")


async def test_but_no_longer_ones(house: House, upstream: ScriptedUpstream) -> None:
    """What the operator configured holds, and is what the error says."""
    upstream.play(FAULTY["total"])
    answer = await ask(house, "openai-chat", "total-openai-chat", limits="total=100000")
    assert names(told("openai-chat", answer.json), "total")


async def test_what_was_too_slow_for_one_caller_is_not_out_for_the_others() -> None:
    targets = [{"provider": "up", "model": "m"}, {"provider": "up1", "model": "m", "tier": 2}]
    with ScriptedUpstream(FAULTY["first_content"]) as slow, ScriptedUpstream(say("Second")) as second:
        async with gateway(slow.url, second.url, models={"m": {"targets": targets, "retries": 0}}) as house:
            for _ in range(FAILURES + 1):
                answer = await ask(house, "openai-chat", "m", stream=True, limits="first_content=0.02")
                assert answer.text == "Second"
            slow.play(say("First"))
            assert (await ask(house, "openai-chat", "m")).text == "First"
            assert len(slow.calls) == FAILURES + 2


WRONG = [
    ("first_contents=2", "first_contents"),
    ("total=", "total="),
    ("total", "total"),
    ("total=0", "total = 0"),
    ("total=-1", "total=-1"),
    ("total=2s", "total=2s"),
    ("total=nan", "total=nan"),
    ("total=inf", "total=inf"),
    ("total=1e3", "total=1e3"),
    ("idle=2, total=x", "total=x"),
    ("total=2, total=3", "total=3"),
    ("total=2,", "''"),
    ("TOTAL=2", "TOTAL"),
    ("=2", "' = 2"),
]


@pytest.mark.parametrize(("text", "named"), WRONG)
@each_client
async def test_a_wrong_one_is_refused_by_name(house: House, upstream: ScriptedUpstream, client: str, text: str, named: str) -> None:
    before = len(upstream.calls)
    answer = await ask(house, client, f"{client}/m", limits=text)
    said = told(client, answer.json)
    assert (answer.status, said.code) == (400, "invalid_value")
    assert "Telex-Timeouts" in said.message
    assert named in said.message
    assert len(upstream.calls) == before


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_gateway_is_told_the_limits_of_a_call_and_says_which_is_over(
    colour: Colour, upstream: ScriptedUpstream, logged: list[dict[str, Any]]
) -> None:
    upstream.play(FAULTY["total"])
    async with speaking(colour, "gateway", configured(upstream.url)) as client:
        with pytest.raises(Timeout, match=rf"{SOON:g} s \(timeouts\.total\)") as caught:
            await client.generate(QUESTION, model="up/m", timeouts={"total": SOON})
    assert caught.value.which == "total"
    [line] = logged
    assert (line["ending"], line["failure"]) == ("failed", "timeout")


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_gateways_second_attempt_is_inside_the_clients_patience(colour: Colour, upstream: ScriptedUpstream) -> None:
    """The limit is of an attempt there, and of nothing here."""
    upstream.play(FAULTY["first_content"], say("Good"))
    async with (
        speaking(colour, "gateway", configured(upstream.url)) as client,
        client.stream(QUESTION, model="up/m", timeouts={"first_content": SOON}) as stream,
    ):
        assert "".join(await read(stream)) == "Good"


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_gateway_that_says_nothing_is_given_up(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telex.client.place.GRACE", 0.2)
    async with asked(colour, "gateway", say("Hi", usage=Usage(1, 1))) as (client, _):
        assert (await client.generate(QUESTION, model="up/m", timeouts=PATIENT)).text == "Hi"
    with ScriptedUpstream(FAULTY["total"]) as mute:
        client = speaker(colour, mute.url)
        try:
            with pytest.raises(Timeout) as caught:
                await client.generate(QUESTION, model="m", timeouts=SOON)
        finally:
            await client.close()
        assert caught.value.which == "total"
        assert mute.calls[0].headers["telex-timeouts"] == f"total={SOON:.3f}"
