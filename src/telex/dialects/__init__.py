"""The wire formats, one module each. Adding one is adding a module, and a row here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from telex.core.errors import Failure
from telex.core.events import Event, PartDelta
from telex.core.messages import Fields, Reply, Request
from telex.core.sse import Frame
from telex.dialects import openai_chat
from telex.dialects.quirks import Quirks


class StreamDecoder(Protocol):
    """Frames of one stream, or one whole body, to events. Never raises: what it can't read is a `Failure`.

    `glance`, until it has ended, gives the one event of bytes that are one whole frame and, but for a text, the same as one
    before; else None.
    """

    ended: bool

    def feed(self, frame: Frame) -> list[Event]: ...
    @property
    def glance(self) -> Callable[[bytes], PartDelta | None]: ...
    def end(self) -> list[Event]: ...
    def whole(self, body: bytes) -> list[Event]: ...


class StreamEncoder(Protocol):
    """Events to frames as bytes; a pure function of what it is made with and fed."""

    def feed(self, event: Event) -> list[bytes]: ...


class MakesDecoder(Protocol):
    def __call__(self, quirks: Quirks = ...) -> StreamDecoder: ...


class MakesEncoder(Protocol):
    def __call__(self, include_usage: bool = ..., id: str = ..., created: int = ...) -> StreamEncoder: ...


class Dialect(Protocol):
    """The face of a dialect's module."""

    @property
    def GENERATE(self) -> str: ...
    @property
    def MODELS(self) -> str: ...
    @property
    def KEEP_ALIVE(self) -> bytes: ...
    @property
    def Decoder(self) -> MakesDecoder: ...
    @property
    def Encoder(self) -> MakesEncoder: ...

    def auth_headers(self, key: str) -> dict[str, str]: ...
    def decode_request(self, body: bytes) -> Request | Failure: ...
    def encode_request(self, request: Request, model: str, stream: bool, always: Fields) -> bytes: ...
    def encode_reply(self, reply: Reply) -> bytes: ...
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Failure: ...
    def encode_error(self, failure: Failure) -> bytes: ...
    def encode_model(self, name: str, owner: str, created: int) -> bytes: ...
    def encode_models(self, models: Iterable[tuple[str, str]], created: int) -> bytes: ...
    def decode_models(self, body: bytes) -> list[str]: ...


DIALECTS: dict[str, Dialect] = {"openai-chat": openai_chat}
