"""The fuzzer's seeds, and what it once found, hold what it checks."""

from __future__ import annotations

import pytest

from .seeds import seeds
from .targets import feed, header

AUDIO = b'data: {"choices":[{"delta":{"audio":{"id":"a","data":"AAAA"}}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
BECOMES = (
    b'data: {"type":"response.output_item.added","output_index":0,"item":{"type":"x"}}\n\n'
    b'data: {"type":"response.output_item.done","output_index":0,"item":{"type":"message","role":"assistant","content":[]}}\n\n'
    b'data: {"type":"response.completed","response":{"status":"completed"}}\n\n'
)
FOUND = [
    header("openai-chat", "stream") + AUDIO + STOP + AUDIO + STOP + b"data: [DONE]\n\n",
    header("openai-responses", "stream") + BECOMES,
]
"""What a fuzzer once broke something with."""

INPUTS = [*seeds(), *FOUND]


@pytest.mark.parametrize("number", range(len(INPUTS)))
def test_an_input(number: int) -> None:
    feed(INPUTS[number])
