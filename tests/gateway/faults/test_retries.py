"""Before the first content a fault is tried again or elsewhere, and leaves no trace; behind it never."""

from __future__ import annotations

import pytest

from gateway.client import ask
from gateway.house import gateway
from gateway.speech import CLIENTS
from telex.testing import FAULTS, Call, Close, Head, Play, ScriptedUpstream, Send, render, say, status
from telex.testing.answers import SSE, words
from telex.testing.faults import TEXT

from .conftest import Rig, each_client, each_delivery, each_upstream
from .rows import ROWS, Complete, Cut, Refused
from .test_rows import play

TWICE = [id for id, (streamed, _) in ROWS.items() if isinstance(streamed, Refused) and streamed.calls == 2]
CUTS = ["row13-error-mid-stream", "row14-fin-without-terminator", "row15-reset-mid-stream", "row16-fin-inside-event"]
TARGETS = [{"provider": name, "model": "m", "tier": tier} for tier, name in enumerate(("up", "up1"))]


@each_client
@pytest.mark.parametrize("id", TWICE)
async def test_what_is_tried_twice_can_succeed_the_second_time(id: str, client: str, rig: Rig) -> None:
    up = CLIENTS[(CLIENTS.index(client) + TWICE.index(id)) % 4]
    if (id, up) == ("row24-empty-answer", "openai-responses"):
        up = client if client != up else "gemini"  # that one is an answer
    seen = await rig.run(client, up, True, play(id), say("Good"), limit=ROWS[id][0].limit)
    Complete("Good", calls=2).check(seen)


@each_delivery
async def test_the_next_target_is_tried_when_the_first_is_out(stream: bool) -> None:
    with ScriptedUpstream(status(503)) as out, ScriptedUpstream(say("Good")) as good:
        async with gateway(out.url, good.url, models={"both": {"targets": TARGETS}}) as house:
            answer = await ask(house.port, stream, model="both")
        assert (answer.status, answer.text, len(out.calls), len(good.calls)) == (200, "Good", 2, 1)


@each_delivery
@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
async def test_row10_does_not_try_the_next_target(code: int, stream: bool) -> None:
    with ScriptedUpstream(status(code)) as out, ScriptedUpstream(say("Good")) as good:
        async with gateway(out.url, good.url, models={"both": {"targets": TARGETS}}) as house:
            await ask(house.port, stream, model="both")
        assert (len(out.calls), len(good.calls)) == (1, 0)


@each_upstream
@each_client
async def test_nothing_of_a_failed_attempt_reaches_the_client(client: str, up: str, rig: Rig) -> None:
    """All that comes before the first content: ids, roles, blocks that begin."""

    def begins(call: Call) -> Play:
        good = render(words(call, "never")[:2], call)
        return Head(200, SSE), *(Send(frame.replace(b"scripted-1", b"forgotten")) for frame in good.flat), Close()

    seen = await rig.run(client, up, True, begins, say("Good"))
    Complete("Good", calls=2).check(seen)
    assert b"forgotten" not in seen.answer.body


FRAMES_BEFORE = {"openai-chat": 1, "openai-responses": 4, "anthropic": 2, "gemini": 0}
"""Those that come in front of the first word."""


@each_upstream
@each_client
@pytest.mark.parametrize("id", CUTS)
async def test_rows_13_to_16_keep_what_was_said_wherever_they_cut(id: str, client: str, up: str, rig: Rig) -> None:
    """Behind any word; in front of the first, another answer comes."""
    for pieces in range(len(TEXT) + 1):
        seen = await rig.run(client, up, True, FAULTS[id](after=FRAMES_BEFORE[up] + pieces), say("Good"))
        if not pieces:
            Complete("Good", calls=2).check(seen)
        else:
            code = "upstream_error" if id.startswith("row13") else "stream_truncated"
            Cut(code, "".join(TEXT[:pieces])).check(seen)
