"""`telex keys`: clients' keys in the store, whether a gateway runs on it or not."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from telex.cli import WrongCall
from telex.cli.tables import print_table
from telex.config import Config, nearest
from telex.config.units import seconds_of
from telex.core.errors import TelexError
from telex.core.keys import Key
from telex.stores.location import MEMORY
from telex.stores.minting import PREFIX, digest, mint_id, mint_token
from telex.stores.opening import open_store
from telex.stores.ports import Store, StoreError

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that the store gets for one answer."""

TAIL = 4
"""Characters of a token that are kept, by which people tell keys apart."""

NAME = re.compile(r"[\w][\w .@:/+-]{0,63}")
"""Letters, digits and a few signs, at most 64."""

Limits = tuple[int | None, int | None, int | None]


def create_key(config: Config, name: str, models: str | None, admin: bool, limits: Limits, expires: str | None) -> int:
    """`limits`: requests and tokens a minute, generations at the same time. Prints the token alone on standard output, so that a script
    can take it, and what is to be known of it on standard error."""
    now, token = time.time(), mint_token()
    names = read_models(models)
    key = Key(mint_id(), read_name(name), names, admin, *limits, token[-TAIL:], now, now + read_time(expires) if expires else None)
    with opened(config) as store:
        if not wait(store.keys.create(key, digest(token))):
            raise TelexError(f"There is a key '{name}' already: choose another name, or revoke that one.")
    for missing in (model for model in names or () if not is_known(config, model)):
        tell(f"note: the configuration names no model '{missing}'{nearest(missing, config.models)}.")
    print(token)
    tell(f"This is the key '{name}' ({key.id}). It is not shown again.")
    if config.server.access == "open":
        tell('note: the gateway asks for no key as long as the configuration does not say access = "keys" in its [server].')
    return 0


def list_keys(config: Config) -> int:
    with opened(config) as store:
        keys = wait(store.keys.list())
    rows = []
    for key in keys:
        models = "all" if key.models is None else ", ".join(key.models)
        times = (key.created_at, key.expires_at, key.revoked_at)
        rows.append((f"{key.name} (admin)" if key.admin else key.name, key.id, f"tx-…{key.tail}", models, spell(key), *map(date, times)))
    print_table(("name", "id", "key", "models", "limits", "created", "expires", "revoked"), rows)
    return 0


def spell(key: Key) -> str:
    limits = ((key.rpm, "rpm"), (key.tpm, "tpm"), (key.concurrent, "at once"))
    return ", ".join(f"{limit} {unit}" for limit, unit in limits if limit is not None) or "—"


def revoke_key(config: Config, which: str) -> int:
    if which.startswith(PREFIX):
        raise WrongCall("Say which key by its name or id, as `telex keys list` shows them, not by the key itself.")
    with opened(config) as store:
        key = wait(store.keys.revoke(which, time.time()))
    if key is None:
        raise TelexError(f"There is no valid key '{which}': `telex keys list` shows all.")
    tell(f"The key '{key.name}' ({key.id}) is revoked; a gateway that runs knows it within seconds.")
    return 0


@contextmanager
def opened(config: Config) -> Iterator[Store]:
    if config.store == MEMORY:
        raise TelexError(f"Keys need a store in a file: 'store = \"{MEMORY}\"' of the configuration is one that ends with its process.")
    store = open_store(config.store)
    try:
        yield store
    finally:
        store.close()


def wait(future: Future[T]) -> T:
    try:
        return future.result(PATIENCE)
    except TimeoutError:
        raise StoreError(f"The store did not answer within {PATIENCE:g} s.") from None


def read_name(name: str) -> str:
    if NAME.fullmatch(name) is None or name.startswith(("key_", PREFIX)):
        raise WrongCall("A name has letters, digits and . _ - @ : / + or spaces, at most 64, and begins neither with key_ nor with tx-.")
    return name


def read_models(models: str | None) -> tuple[str, ...] | None:
    if models is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise WrongCall("--models names no model; without it, the key may use all.")
    return names


def read_time(expires: str) -> float:
    try:
        return seconds_of(expires)
    except ValueError as error:
        raise WrongCall(f"--expires: {error}.") from None


def is_known(config: Config, model: str) -> bool:
    """Whether it is as the configuration names it; what only a provider lists can't be known without asking."""
    provider = config.providers.get(model.partition("/")[0])
    return model in config.models or (provider is not None and ("/" in model or provider.embedded))


def date(seconds: float | None) -> str:
    return "—" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)
