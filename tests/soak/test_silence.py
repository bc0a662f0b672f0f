"""P5 in full: answers cut everywhere, as every official SDK reads them in every way it has."""

from __future__ import annotations

from collections import Counter

import pytest

from sdk.cuts.readers import COLOURS, FOLLOWING, READERS, WAITING
from sdk.cuts.scene import UPSTREAMS, cuts, scene, torn
from telex.testing import Close, Reset, Script, Send

from .telling import tell

pytestmark = pytest.mark.soak
ENDS: dict[str, Script] = {"as it should": (), "with a FIN": (Close(),), "with an RST": (Reset(),)}
"""How the provider's connection ends."""


async def test_p5_no_cut_is_silent_to_any_reader() -> None:
    tried, silent = Counter[str](), list[str]()
    async with scene() as stage:
        for reader in READERS:
            for colour in COLOURS:
                for up in UPSTREAMS:
                    good = await stage.whole(reader, colour, up)
                    plays = torn(good, 64) if reader.whole else (play for end in ENDS.values() for play in cuts(good, end))
                    number, unheard = await stage.silent(reader, colour, up, plays)
                    tried["whole replies" if reader.whole else "streams"] += number
                    silent += [f"{reader.id}, {colour}, over {up}: cut {cut}" for cut in unheard]
    streams = f"{tried['streams']} streams cut behind each event and inside it, ended in {len(ENDS)} ways, by {len(FOLLOWING)} readers"
    whole = f"{tried['whole replies']} whole replies torn, by {len(WAITING)} readers"
    tell("P5", f"{streams}; {whole}; each sync and async, over {len(UPSTREAMS)} dialects: {len(silent)} taken for complete; promised 0")
    assert silent == []


async def test_p5_no_byte_is_silent() -> None:
    """By the first reader of each SDK."""
    tried, silent = 0, list[str]()
    first = {reader.dialect: reader for reader in reversed(FOLLOWING)}
    async with scene() as stage:
        for reader in first.values():
            for up in UPSTREAMS:
                number, unheard = await stage.silent(reader, "async", up, bytewise(await stage.whole(reader, "async", up)))
                tried += number
                silent += [f"{reader.id} over {up}: byte {byte}" for byte in unheard]
    tell("P5", f"{tried} streams cut at each byte, by {len(first)} SDKs over {len(UPSTREAMS)} dialects: {len(silent)} taken for complete")
    assert silent == []


def bytewise(script: Script) -> list[Script]:
    """Cut at every byte up to where nothing but line ends is missing."""
    head, *frames = script
    data = b"".join(frame.data for frame in frames if isinstance(frame, Send))
    return [(head, Send(data[:place])) for place in range(len(data.rstrip()))]
