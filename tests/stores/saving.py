"""What the tests of generations and responses save."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

from telex.stores.ports import Generations, Saved, SavedResponse, Store, Write

T = TypeVar("T")

PATIENT = 30.0


def now(future: Future[T]) -> T:
    return future.result(PATIENT)


def create(
    store: Store, id: str, owner: str = "", created: float = 1.0, key: str = "", background: bool = False, request: bytes = b""
) -> bool:
    return now(store.generations.create(Saved(id, owner, created, b"{}", key=key, background=background, request=request)))


def end(store: Store, id: str, ended: float = 2.0, expires: float = 100.0, release: bool = False, record: bytes = b"{}") -> bool:
    return now(store.generations.end(id, record, ended, expires, release))


def writing(generations: Generations, id: str, place: int, frames: list[bytes], reading: bytes = b"") -> Future[list[bool]]:
    return generations.write([Write(id, place, frames, reading)])


def write(store: Store, id: str, place: int, *frames: bytes) -> bool:
    [there] = now(writing(store.generations, id, place, list(frames)))
    return there


def find(store: Store, id: str) -> Saved | None:
    return now(store.generations.find(id))


def read(store: Store, id: str, after: int = 0, limit: int = 1 << 30) -> list[bytes]:
    return now(store.generations.read(id, after, limit))


def response(
    id: str, owner: str = "", items: tuple[str, ...] = (), created: float = 1.0, expires: float = 100.0, body: bytes = b""
) -> SavedResponse:
    return SavedResponse(owner, id, f"gen_{id}", body, b"", True, items, created, expires)
