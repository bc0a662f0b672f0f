"""Every way in which the official SDKs read a stream, each to its end: what returns believes that it has heard all."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import anthropic
import openai
from google import genai
from google.genai import types

from sdk.matrix.clients import CLIENTS
from sdk.matrix.speakers import Ask

Colour = Literal["sync", "async"]
COLOURS: tuple[Colour, ...] = ("sync", "async")


def itself(opened: Any) -> Any:
    return opened


class Reader(NamedTuple):
    """`open`: asks, with the SDK's client and the arguments of a call, and gives a stream, a manager of one or an awaitable of either.
    `end`: what is made of the stream; what can be iterated then is, to its end. `whole`: it asks for no stream."""

    dialect: str
    name: str
    open: Callable[[Any, dict[str, Any]], Any]
    end: Callable[[Any], Any] = itself
    whole: bool = False

    @property
    def id(self) -> str:
        return f"{self.dialect}-{self.name}"

    def read(self, sdk: Any, arguments: dict[str, Any]) -> None:
        opened = self.open(sdk, arguments)
        with opened if hasattr(opened, "__enter__") else nullcontext(opened) as stream:
            ended = self.end(stream)
            if hasattr(ended, "__next__"):
                for _ in ended:
                    pass

    async def read_async(self, sdk: Any, arguments: dict[str, Any]) -> None:
        opened = await settle(self.open(sdk, arguments))
        async with opened if hasattr(opened, "__aenter__") else nullcontext(opened) as stream:
            ended = await settle(self.end(stream))
            if hasattr(ended, "__anext__"):
                async for _ in ended:
                    pass


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def chat(sdk: Any, arguments: dict[str, Any]) -> Any:
    """A turn of a chat that keeps its history itself."""
    return sdk.chats.create(model=arguments["model"], config=arguments["config"]).send_message_stream(arguments["contents"][-1].parts)


READERS = [
    Reader("openai-chat", "create", lambda sdk, a: sdk.chat.completions.create(stream=True, **a)),
    Reader("openai-chat", "raw", lambda sdk, a: sdk.chat.completions.with_raw_response.create(stream=True, **a), lambda r: r.parse()),
    Reader("openai-chat", "streaming", lambda sdk, a: sdk.chat.completions.with_streaming_response.create(stream=True, **a),
           lambda r: r.parse()),
    Reader("openai-chat", "stream", lambda sdk, a: sdk.chat.completions.stream(**a)),
    Reader("openai-chat", "stream.until_done", lambda sdk, a: sdk.chat.completions.stream(**a), lambda s: s.until_done()),
    Reader("openai-chat", "stream.final", lambda sdk, a: sdk.chat.completions.stream(**a), lambda s: s.get_final_completion()),
    Reader("openai-chat", "whole", lambda sdk, a: sdk.chat.completions.create(**a), whole=True),
    Reader("openai-chat", "parse", lambda sdk, a: sdk.chat.completions.parse(**a), whole=True),
    Reader("openai-responses", "create", lambda sdk, a: sdk.responses.create(stream=True, **a)),
    Reader("openai-responses", "raw", lambda sdk, a: sdk.responses.with_raw_response.create(stream=True, **a), lambda r: r.parse()),
    Reader("openai-responses", "streaming", lambda sdk, a: sdk.responses.with_streaming_response.create(stream=True, **a),
           lambda r: r.parse()),
    Reader("openai-responses", "stream", lambda sdk, a: sdk.responses.stream(**a)),
    Reader("openai-responses", "stream.until_done", lambda sdk, a: sdk.responses.stream(**a), lambda s: s.until_done()),
    Reader("openai-responses", "stream.final", lambda sdk, a: sdk.responses.stream(**a), lambda s: s.get_final_response()),
    Reader("openai-responses", "whole", lambda sdk, a: sdk.responses.create(**a), whole=True),
    Reader("openai-responses", "parse", lambda sdk, a: sdk.responses.parse(**a), whole=True),
    Reader("anthropic", "create", lambda sdk, a: sdk.messages.create(stream=True, **a)),
    Reader("anthropic", "raw", lambda sdk, a: sdk.messages.with_raw_response.create(stream=True, **a), lambda r: r.parse()),
    Reader("anthropic", "streaming", lambda sdk, a: sdk.messages.with_streaming_response.create(stream=True, **a), lambda r: r.parse()),
    Reader("anthropic", "stream", lambda sdk, a: sdk.messages.stream(**a)),
    Reader("anthropic", "stream.text", lambda sdk, a: sdk.messages.stream(**a), lambda s: s.text_stream),
    Reader("anthropic", "stream.until_done", lambda sdk, a: sdk.messages.stream(**a), lambda s: s.until_done()),
    Reader("anthropic", "stream.final", lambda sdk, a: sdk.messages.stream(**a), lambda s: s.get_final_message()),
    Reader("anthropic", "stream.final_text", lambda sdk, a: sdk.messages.stream(**a), lambda s: s.get_final_text()),
    Reader("anthropic", "beta.create", lambda sdk, a: sdk.beta.messages.create(stream=True, **a)),
    Reader("anthropic", "beta.stream.final", lambda sdk, a: sdk.beta.messages.stream(**a), lambda s: s.get_final_message()),
    Reader("anthropic", "whole", lambda sdk, a: sdk.messages.create(**a), whole=True),
    Reader("anthropic", "parse", lambda sdk, a: sdk.messages.parse(**a), whole=True),
    Reader("gemini", "generate_content_stream", lambda sdk, a: sdk.models.generate_content_stream(**a)),
    Reader("gemini", "chat", chat),
    Reader("gemini", "whole", lambda sdk, a: sdk.models.generate_content(**a), whole=True),
]  # fmt: skip
FOLLOWING = [reader for reader in READERS if not reader.whole]
WAITING = [reader for reader in READERS if reader.whole]


class Sdks:
    """A client of every official SDK, in both colours, of one gateway."""

    def __init__(self, url: str) -> None:
        none: dict[str, Any] = {"api_key": "none", "max_retries": 0}
        google = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))
        chats = openai.OpenAI(base_url=f"{url}/v1", **none), openai.AsyncOpenAI(base_url=f"{url}/v1", **none)
        messages = anthropic.Anthropic(base_url=url, **none), anthropic.AsyncAnthropic(base_url=url, **none)
        self._all: dict[str, tuple[Any, Any]] = {
            "openai-chat": chats,
            "openai-responses": chats,
            "anthropic": messages,
            "gemini": (google, google.aio),
        }
        self._speakers = {name: speaker(url) for name, speaker in CLIENTS.items()}

    async def close(self) -> None:
        for sync, awaiting in self._all.values():
            sync.close()
            await (awaiting.aclose() if hasattr(awaiting, "aclose") else awaiting.close())
        for speaker in self._speakers.values():
            await speaker.close()

    async def read(self, reader: Reader, colour: Colour, model: str) -> Exception | None:
        """What the SDK raised, in one of its own classes; None if it believes that this was all."""
        speaker, (sync, awaiting) = self._speakers[reader.dialect], self._all[reader.dialect]
        arguments = speaker.arguments(model, Ask())
        try:
            if colour == "sync":
                await asyncio.to_thread(reader.read, sync, arguments)
            else:
                await reader.read_async(awaiting, arguments)
        except speaker.errors as error:
            return error
        return None
