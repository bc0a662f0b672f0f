"""P5, P16: a break is told at once, whoever speaks to whom; no bytes break what reads them."""

from __future__ import annotations

import random
import time
from itertools import product

import pytest

from fuzz.seeds import seeds
from fuzz.targets import NAMES, PLACES
from gateway.client import send
from gateway.house import gateway
from gateway.speech import asked, told
from telex.core import sse
from telex.core.errors import Failure
from telex.dialects import DIALECTS
from telex.testing import ScriptedUpstream, cut, render, say
from telex.testing.answers import words
from telex.testing.script import resolve, size

from .telling import SEED, spread, tell

pytestmark = pytest.mark.soak
SAID = ("Hello", " there", "!")
CUTS = 40
"""Places at which a stream of each pair of dialects is cut."""


async def test_p5_a_break_is_told_at_once() -> None:
    """That it is told at all, to every reader and at every place, is for `test_silence.py`."""
    whole, delays = say(*SAID), list[float]()
    with ScriptedUpstream(whole) as upstream:
        providers = {name: {"dialect": name, "base_url": upstream.url, "api_key": "k"} for name in NAMES}
        models = {f"once-{name}": {"targets": [{"provider": name, "model": "m"}], "retries": 0} for name in NAMES}
        async with gateway(providers=providers, models=models) as house:
            for client, up in product(NAMES, NAMES):
                upstream.play(whole)
                question = asked(client, f"once-{up}", stream=True)
                assert told(client, await send(house.port, question)).text == "".join(SAID)
                call = upstream.calls[-1]
                length = size(resolve(whole, call)) - len(render(words(call, *SAID), call).flat[-1])
                for n in range(CUTS):
                    upstream.play(cut(whole, length * n // CUTS, ()))
                    answer, now = await send(house.port, question), time.monotonic()
                    delays.append(max(0.0, now - await upstream.calls[-1].until("finished")))
                    assert answer.status >= 500 or told(client, answer).broken
    tell("P5", f"{len(delays)} streams, in every pair of dialects, ended too soon: {spread(delays)} until it was told; promised 1 s")
    assert max(delays) < 10


def test_p16_no_bytes_break_the_decoders() -> None:
    """Mangled streams, bodies and errors of every dialect; `make fuzz` looks where code has not been yet."""
    coin, count = random.Random(SEED), 0
    chosen = [(*divmod(seed[0], len(PLACES)), seed[1:]) for seed in seeds()]
    read = [(DIALECTS[NAMES[name]], PLACES[place], body) for name, place, body in chosen if PLACES[place] in ("stream", "whole", "error")]
    end = time.monotonic() + 60
    while time.monotonic() < end:
        dialect, place, body = coin.choice(read)
        data = bytearray(body)
        for _ in range(coin.randint(0, 12)):
            data[coin.randrange(len(data))] = coin.choice(b'\r\n\0{}[]":,\\ \xff0adet')
        decoder, middle = dialect.Decoder(), coin.randrange(len(data))
        if place == "stream":
            frames = sse.Decoder(limit=1 << 16)
            for frame in [*frames.feed(bytes(data[:middle])), *frames.feed(bytes(data[middle:])), *frames.end()]:
                decoder.feed(frame)
            decoder.end()
        elif place == "whole":
            assert decoder.whole(bytes(data))
        else:
            assert isinstance(dialect.decode_error(500, {}, bytes(data), 0.0), Failure)
        count += 1
    tell("P16", f"{count} mangled streams, bodies and errors in 60 s (seed {SEED}): no exception")


def test_p16_a_line_of_a_megabyte_in_single_bytes() -> None:
    frames, pieces = sse.Decoder(), [bytes([byte]) for byte in b"data: " + b"x" * 1_000_000 + b"\n"]
    began = time.monotonic()
    for piece in pieces:
        assert not frames.feed(piece)
    [frame] = frames.feed(b"\n")
    seconds = time.monotonic() - began
    tell("P16", f"a line of {len(frame.data)} bytes that came byte by byte was read in {seconds:.2f} s; promised 1 s")
    assert seconds < 10
