"""The wire formats, one module each. Adding one is adding a module, and a row here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from telex.core.errors import Failure
from telex.core.events import Event, PartDelta, Start
from telex.core.messages import Fields, Reply, Request
from telex.core.sse import Frame
from telex.dialects import anthropic, gemini, openai_chat, openai_responses
from telex.dialects.counting import Counting
from telex.dialects.marks import Marks
from telex.dialects.operation import Operation
from telex.dialects.quirks import Quirks


class StreamDecoder(Protocol):
    """Frames of one stream, or one whole body, to events. Never raises: what it can't read is a `Failure`.

    `glance`, until it has ended, gives the one event of bytes that are one whole frame and, but for a text, the same as one
    before; else None. `finished`: nothing is missing but the end of the connection, which is this stream's only terminator.
    `repeated`: the frame that was fed last came twice, by its own number, and nobody should hear it again.
    """

    ended: bool
    repeated: bool

    def feed(self, frame: Frame) -> list[Event]: ...
    @property
    def glance(self) -> Callable[[bytes], PartDelta | None]: ...
    @property
    def finished(self) -> bool: ...
    def end(self) -> list[Event]: ...
    def whole(self, body: bytes) -> list[Event]: ...


class StreamEncoder(Protocol):
    """Events to frames as bytes; a pure function of what it is made with and fed. `resume`: what is fed next stands behind `last`, the last
    frame of a provider's own that passed as it was, of a reply that began with `start`."""

    def feed(self, event: Event) -> list[bytes]: ...
    def resume(self, start: Start, last: bytes) -> None: ...


class MakesDecoder(Protocol):
    def __call__(self, quirks: Quirks = ...) -> StreamDecoder: ...


class MakesEncoder(Protocol):
    def __call__(self, include_usage: bool = ..., id: str = ..., created: int = ...) -> StreamEncoder: ...


class Dialect(Protocol):
    """The face of a dialect's module.

    - `FIELDS`: what it calls the words of `Request` that it has; `format.json`, `format.json_schema`, `tools.strict` and
      `parts.cache` (of parts) are words too.
    - `CONTENT`: what may stand in messages to it (see `gaps.content_of`).
    - `ESSENTIAL`: fields that the vocabulary has no word for and that no other dialect's answer may ignore.
    - `PLACE`: where messages are, and in them their parts and their calls. `SYSTEM`: where a leading system message is; empty if
      among the messages.
    - `MODELS`: the path of the list of models behind a base URL. `AUTH`: how a key is sent, `bearer` or the name of a header.
    - `KEEP_ALIVE`: what an idle stream can bear. `TERMINATOR`: what ends a stream whose upstream ended it by closing the connection.
    - `FIRST_NUMBER`: the cursor of who has a stream's first frame and no more: 1 where frames are counted.
    - `REQUEST_ID`: the header in which its SDKs look for the request's id.
    - `REPLY_ID`: how the ids begin by which its replies can be asked for again; empty if they can't.
    - `COUNT`: how it counts the tokens of a prompt.
    - `MARKS`: what of a prompt it can mark for a cache, if anything.
    - `DEFAULTS`: fields that it demands and that a request of another dialect may not say.
    """

    @property
    def NAME(self) -> str: ...
    @property
    def FIELDS(self) -> Mapping[str, str]: ...
    @property
    def CONTENT(self) -> frozenset[str]: ...
    @property
    def ESSENTIAL(self) -> frozenset[str]: ...
    @property
    def PLACE(self) -> tuple[str, str, str]: ...
    @property
    def SYSTEM(self) -> str: ...
    @property
    def MODELS(self) -> str: ...
    @property
    def AUTH(self) -> str: ...
    @property
    def KEEP_ALIVE(self) -> bytes: ...
    @property
    def TERMINATOR(self) -> bytes: ...
    @property
    def FIRST_NUMBER(self) -> int: ...
    @property
    def REQUEST_ID(self) -> str: ...
    @property
    def REPLY_ID(self) -> str: ...
    @property
    def COUNT(self) -> Counting: ...
    @property
    def MARKS(self) -> Marks | None: ...
    @property
    def DEFAULTS(self) -> Fields: ...
    @property
    def Decoder(self) -> MakesDecoder: ...
    @property
    def Encoder(self) -> MakesEncoder: ...

    def find_operation(self, path: str, query: str) -> Operation | None:
        """What a path (percent-decoded) of a Telex asks for in this dialect; None if it is not one of its own."""
        ...

    def generate_path(self, model: str, stream: bool) -> str:
        """The path, with its query, behind a base URL. Raises `ValueError` for a model name that no path can hold."""
        ...

    def request_headers(self, request: Request | None) -> dict[str, str]:
        """Headers that go to a provider with a request, or with a question that is none."""
        ...

    def decode_request(self, body: bytes, operation: Operation = ..., headers: Mapping[str, str] = ...) -> Request | Failure:
        """`headers`: by their lower-case names."""
        ...

    def encode_request(self, request: Request, model: str, stream: bool, quirks: Quirks) -> Fields:
        """The body for a provider; what the dialect has no place for is left out (see `gaps`)."""
        ...

    def encode_reply(self, reply: Reply) -> bytes: ...
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Failure: ...
    def encode_error(self, failure: Failure, id: str = "") -> bytes: ...
    def status_of(self, failure: Failure) -> int: ...
    def encode_model(self, name: str, owner: str, created: int) -> bytes: ...
    def encode_models(self, models: Iterable[tuple[str, str]], created: int) -> bytes: ...
    def decode_models(self, body: bytes) -> list[str]: ...


DIALECTS: dict[str, Dialect] = {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
}
