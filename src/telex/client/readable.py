"""The ways of reading an answer as it comes, whatever brings it. Each pulls, and goes on where the last one stopped."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

from telex.client.hearing import Hearing
from telex.client.pacing import paced, paced_async
from telex.client.reply import Reply, ToolCall
from telex.client.sentences import Sentences
from telex.core.errors import TelexError
from telex.core.events import Event

T = TypeVar("T")


class AsyncReadable(ABC, Generic[T]):
    """Awaited. What brings the events says what was heard of them, and hears more."""

    @property
    @abstractmethod
    def _heard(self) -> Hearing[T]:
        """Raises `TelexError` outside the with statement."""

    @abstractmethod
    async def _fill(self) -> bool:
        """Hear what came next. False at the end."""

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text, as they come."""
        async for event in self.events():
            if text := self._heard.text_of(event):
                yield text
        if rest := self._heard.rest():
            yield rest

    async def events(self) -> AsyncIterator[Event]:
        """Everything, in the words of `telex.core.events`."""
        pending = self._heard.pending
        while pending or await self._fill():
            while pending:
                yield pending.popleft()
        self._raise()

    async def sentences(self) -> AsyncIterator[str]:
        """Whole sentences, each as soon as it has ended, with the white space behind it."""
        finder = Sentences()
        try:
            async for text in self:
                for sentence in finder.feed(text):
                    yield sentence
        except TelexError:  # what was said before it broke is not lost
            for sentence in finder.end():
                yield sentence
            raise
        for sentence in finder.end():
            yield sentence

    def smoothed(self, seconds: float = 0.05) -> AsyncIterator[str]:
        """Text for a screen: bursts come as even pieces, none later than `seconds` (0.05 to 0.1) behind its arrival."""
        return paced_async(self._texts(), seconds, asyncio.get_running_loop().time, asyncio.sleep)

    async def _texts(self) -> AsyncIterator[str]:
        """All the text that is there each time."""
        while self._heard.pending or await self._fill():
            if text := self._heard.read_texts():
                yield text
        if rest := self._heard.rest():
            yield rest
        self._raise()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls as far as they have come: `arguments` of each is what is known by now."""
        return self._heard.tool_calls

    async def reply(self) -> Reply[T]:
        """The reply, of which the rest is awaited. One that broke off is partial, and its `ending` says so."""
        while await self._fill():
            pass
        return self._heard.reply()

    def _raise(self) -> None:
        if (error := self._heard.error()) is not None:
            raise error


class Readable(ABC, Generic[T]):
    """The same for a thread that blocks."""

    @property
    @abstractmethod
    def _heard(self) -> Hearing[T]: ...

    @abstractmethod
    def _fill(self) -> bool: ...

    def __iter__(self) -> Iterator[str]:
        """Pieces of text, as they come."""
        for event in self.events():
            if text := self._heard.text_of(event):
                yield text
        if rest := self._heard.rest():
            yield rest

    def events(self) -> Iterator[Event]:
        """Everything, in the words of `telex.core.events`."""
        pending = self._heard.pending
        while pending or self._fill():
            while pending:
                yield pending.popleft()
        self._raise()

    def sentences(self) -> Iterator[str]:
        """Whole sentences, each as soon as it has ended, with the white space behind it."""
        finder = Sentences()
        try:
            for text in self:
                yield from finder.feed(text)
        except TelexError:  # what was said before it broke is not lost
            yield from finder.end()
            raise
        yield from finder.end()

    def smoothed(self, seconds: float = 0.05) -> Iterator[str]:
        """Text for a screen: bursts come as even pieces, none later than `seconds` (0.05 to 0.1) behind its arrival."""
        return paced(self._texts(), seconds, time.monotonic, time.sleep)

    def _texts(self) -> Iterator[str]:
        """All the text that is there each time."""
        while self._heard.pending or self._fill():
            if text := self._heard.read_texts():
                yield text
        if rest := self._heard.rest():
            yield rest
        self._raise()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls as far as they have come: `arguments` of each is what is known by now."""
        return self._heard.tool_calls

    def reply(self) -> Reply[T]:
        """The reply, of which the rest is awaited. One that broke off is partial, and its `ending` says so."""
        while self._fill():
            pass
        return self._heard.reply()

    def _raise(self) -> None:
        if (error := self._heard.error()) is not None:
            raise error
