"""Headers: what passes to the provider and back is on a list, and nothing that was said becomes one."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.client import Answer
from gateway.speech import CLIENTS
from telex.dialects import DIALECTS as MODULES
from telex.testing import Call, Head, Play, say, status
from telex.testing.script import resolve

from .rooms import KEY, Room

each_client = pytest.mark.parametrize("client", CLIENTS)
each_upstream = pytest.mark.parametrize("up", CLIENTS)
each_delivery = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])

CANARY = "canary"
THEIRS = {
    "cookie": CANARY,
    "proxy-authorization": f"Basic {CANARY}",
    "connection": "x-named, te",
    "x-named": CANARY,
    "te": "trailers",
    "x-forwarded-for": CANARY,
    "x-forwarded-host": CANARY,
    "forwarded": f"for={CANARY}",
    "via": CANARY,
    "referer": f"http://127.0.0.1/{CANARY}",
    "openai-organization": CANARY,
    "openai-project": CANARY,
    "x-stainless-lang": CANARY,
    "x-api-base": f"http://{CANARY}/",
    "traceparent": CANARY,
    "x-anything": CANARY,
    "user-agent": CANARY,
    "accept": CANARY,
    "accept-language": CANARY,
    "accept-encoding": "gzip, br",
    "idempotency-key": CANARY,
    "range": "bytes=0-1",
    "if-none-match": CANARY,
}
NUMBERS = itertools.count()

OURS = {"host", "accept-encoding", "user-agent", "content-type", "content-length"}


@each_delivery
@each_upstream
@each_client
async def test_forwarding_nothing_of_the_client_but_what_is_on_the_list(here: Room, client: str, up: str, stream: bool) -> None:
    key = {"x-goog-api-key": CANARY} if client == "gemini" else {"x-api-key": CANARY} if client == "anthropic" else {}
    fresh = {"idempotency-key": f"{CANARY}-{next(NUMBERS)}"}  # each request is another
    assert (await here.ask(client, up, stream, {**THEIRS, "authorization": f"Bearer {CANARY}", **key, **fresh})).status == 200
    seen = here.upstream.calls[-1].headers
    auth = {"anthropic": {"x-api-key", "anthropic-version"}, "gemini": {"x-goog-api-key"}}.get(up, {"authorization"})
    assert {name for name, _ in seen.pairs} == OURS | auth
    assert (seen["accept-encoding"], seen["user-agent"], seen["host"]) == ("identity", "telex", f"127.0.0.1:{here.upstream.port}")
    assert not [pair for pair in seen.pairs if CANARY in pair[1].replace(KEY, "")]
    assert CANARY not in here.upstream.calls[-1].path.replace(KEY, "")
    assert KEY not in here.upstream.calls[-1].path


MORE = (
    ("set-cookie", f"session={CANARY}"),
    ("server", CANARY),
    ("via", CANARY),
    ("alt-svc", CANARY),
    ("location", f"http://{CANARY}/"),
    ("openai-organization", CANARY),
    ("openai-processing-ms", "9"),
    ("anthropic-organization-id", CANARY),
    ("x-request-id", CANARY),
    ("request-id", CANARY),
    ("telex-generation", CANARY),
    ("telex-dropped", CANARY),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", CANARY),
    ("anthropic-ratelimit-requests-reset", CANARY),
    ("access-control-allow-origin", "*"),
    ("content-disposition", f"attachment; filename={CANARY}"),
    ("www-authenticate", f"Bearer {CANARY}"),
    ("refresh", f"0; url=http://{CANARY}/"),
    ("cache-control", "public"),
    ("x-accel-buffering", "yes"),
)
BACK = {
    "date", "content-type", "content-length", "transfer-encoding", "cache-control", "x-accel-buffering", "telex-generation",
    "server-timing", "x-request-id", "request-id", "retry-after", "x-should-retry",
}  # fmt: skip


def adorned(play: Play) -> Play:
    """The same with many more headers."""

    def adorn(call: Call) -> Any:
        return tuple(replace(step, headers=(*step.headers, *MORE)) if isinstance(step, Head) else step for step in resolve(play, call))

    return adorn


def check_back(answer: Answer) -> None:
    assert set(answer.headers) <= BACK
    assert CANARY not in str(answer.headers)
    assert answer.headers.get("cache-control") in (None, "no-cache, no-transform")
    assert answer.headers.get("x-accel-buffering") in (None, "no")


@each_delivery
@each_upstream
@each_client
@pytest.mark.parametrize("code", [200, 400, 401, 429, 500])
async def test_forwarding_nothing_of_the_provider_but_what_is_on_the_list(
    here: Room, client: str, up: str, stream: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.upstream.play(adorned(say("Hello") if code == 200 else status(code)))
    answer = await here.ask(client, up, stream, {"telex-timeouts": "total=0.2"} if code in (429, 500) else {})
    assert (answer.status == 200) is (code == 200)
    check_back(answer)


# ---- what was said becomes no header


ODD = ["a\r\nx-injected: 1", "a\nb", "a\rb", "a\0b", "a\x7fb", "\x1b[31m", "ü", "\u2028", "😀", " ", "a, b", "a" * 5000]


@each_delivery
@pytest.mark.parametrize("name", ODD, ids=ascii)
async def test_crlf_the_names_of_dropped_fields_are_no_header_of_their_own(here: Room, name: str, stream: bool) -> None:
    answer = await here.ask("openai-chat", "anthropic", stream, fields={name: 1, "seed": 7})
    assert answer.status == 200
    assert "x-injected" not in answer.headers
    dropped = answer.headers["telex-dropped"]
    assert re.fullmatch(r"[ -~]+", dropped)
    assert len(dropped) < 1100
    assert "seed" in dropped


@each_client
@pytest.mark.parametrize("value", ["a\x01b", "ü", "\x7f", "a\tb"], ids=ascii)
async def test_crlf_a_version_that_no_header_can_carry_is_refused(here: Room, client: str, value: str) -> None:
    for name in ("anthropic-version", "anthropic-beta"):
        answer = await here.ask(client, "anthropic", False, {name: value})
        assert answer.status in (200, 400), answer.body
        if answer.status == 200:
            assert here.upstream.calls[-1].headers.get(name, value) in (value, MODULES["anthropic"].request_headers(None).get(name))
