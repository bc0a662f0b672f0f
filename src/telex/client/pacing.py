"""Even pieces in time: what `text.spread` plans, played by a clock that is given."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator

from telex.client.text import spread


def paced(texts: Iterable[str], seconds: float, now: Callable[[], float], sleep: Callable[[float], object]) -> Iterator[str]:
    """`texts`: each is all that is there by then. No piece comes later than `seconds` behind its text."""
    for text in texts:
        began = now()
        for offset, piece in spread(text, seconds):
            if (early := began + offset - now()) > 0:
                sleep(early)
            yield piece


async def paced_async(
    texts: AsyncIterable[str], seconds: float, now: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
) -> AsyncIterator[str]:
    """The same, awaited."""
    async for text in texts:
        began = now()
        for offset, piece in spread(text, seconds):
            if (early := began + offset - now()) > 0:
                await sleep(early)
            yield piece
