"""A gateway that wants keys, and every way in which a client can send one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from telex.core.keys import Key
from telex.stores.minting import digest, mint_token
from telex.stores.ports import Store

from .house import House, gateway

Form = Callable[[str], tuple[str, dict[str, str]]]
"""A query and headers with the key."""

FORMS: dict[str, Form] = {
    "bearer": lambda key: ("", {"authorization": f"Bearer {key}"}),
    "small bearer": lambda key: ("", {"authorization": f"bearer  {key}"}),
    "x-api-key": lambda key: ("", {"x-api-key": key}),
    "api-key": lambda key: ("", {"api-key": key}),
    "x-goog-api-key": lambda key: ("", {"x-goog-api-key": key}),
    "?key=": lambda key: (f"key={key}", {}),
}


def with_key(path: str, key: str, form: str = "bearer") -> tuple[str, dict[str, str]]:
    """The path and the headers of a request with that key; without any if it is empty."""
    query, headers = FORMS[form](key) if key else ("", {})
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path, headers


@asynccontextmanager
async def keyed(folder: Path, *urls: str, **tables: Any) -> AsyncIterator[House]:
    server = {"access": "keys", **tables.pop("server", {})}
    async with gateway(*urls, server=server, store=f"sqlite:///{folder}/telex.db", **tables) as house:
        yield house


async def make_key(store: Store, name: str, **fields: Any) -> str:
    """The token of a new key, whose id is `key_` and the name."""
    token = mint_token()
    assert await asyncio.wrap_future(store.keys.create(Key(f"key_{name}", name, **fields), digest(token)))
    return token
