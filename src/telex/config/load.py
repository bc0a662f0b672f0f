"""telex.toml read and checked: the first thing that is wrong is said with its line and key."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from telex.config.document import ConfigError, Document, nearest
from telex.config.schema import Config, Model, Provider, Secret, Server, wrong_limit
from telex.config.units import bytes_of, seconds_of
from telex.core.messages import Fields
from telex.dialects import DIALECTS
from telex.stores.location import parse_store
from telex.upstream.address import BadAddress, parse_url

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def load_config(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a file, or the one that holds without any. Raises `ConfigError`."""
    if path is None:
        return check(Document("", ""), default_config(environ))
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from None
    return parse_config(text, str(path))


def parse_config(text: str, name: str) -> Config:
    document = Document(text, name)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not TOML: {error}.") from None
    rows = known_rows()
    providers = document.table(tree, "providers")
    models = document.table(tree, "models")
    if "local" not in providers and any(names_local(model) for model in models.values()):
        providers["local"] = {}
    config = document.convert(tree, Config, [])
    for key, row in providers.items():
        row = {**rows.get(key, {}), **row} if isinstance(row, dict) else row
        config.providers[key] = document.convert(row, Provider, ["providers", key])
    config.models = {key: document.convert(row, Model, ["models", key]) for key, row in models.items()}
    return check(document, config)


def names_local(model: object) -> bool:
    """Whether a model's table has the embedded model among its targets, which then needs no table of its own."""
    targets = model.get("targets") if isinstance(model, dict) else None
    return isinstance(targets, list) and any(isinstance(t, dict) and t.get("provider") == "local" for t in targets)


def change_server(config: Config, changes: Fields) -> Config:
    """The configuration with other values in its `server` table, as a command line gives them. Raises `ConfigError`."""
    document = Document("", "")
    config.server = document.convert({**msgspec.structs.asdict(config.server), **changes}, Server, ["server"])
    return check(document, config)


def default_config(environ: Mapping[str, str]) -> Config:
    """Every provider whose key is in the environment and whose place is known, and the embedded model."""
    rows = {k: v for k, v in known_rows().items() if v.get("embedded") or ("base_url" in v and environ.get(v.get("key_env", "")))}
    return msgspec.convert({"providers": rows}, Config)


def known_rows() -> dict[str, Fields]:
    return tomllib.loads(files("telex").joinpath("providers.toml").read_text())


def check(document: Document, config: Config) -> Config:
    """What types alone can't say."""
    if config.server.access == "open" and config.server.host not in LOOPBACK:
        host = f"access is open, so the host must be a loopback address and not '{config.server.host}'"
        raise document.error(["server", "host"], f'{host}; for others say access = "keys", and make one with `telex keys create`')
    written: list[tuple[list[str], Callable[[str], object], str]] = [
        (["store"], parse_store, config.store),
        (["retention", "resumable"], seconds_of, config.retention.resumable),
        (["retention", "jobs"], seconds_of, config.retention.jobs),
        (["retention", "max_bytes"], bytes_of, config.retention.max_bytes),
    ]
    for path, read, text in written:
        try:
            read(text)
        except ValueError as error:
            raise document.error(path, str(error)) from None
    if config.wants_keys and parse_store(config.store) is None:
        raise document.error(["store"], "keys are in the store, and 'memory:' has none when a process begins: name a file")
    for name, provider in config.providers.items():
        if provider.dialect not in DIALECTS:
            raise document.error(
                ["providers", name, "dialect"], f"'{provider.dialect}' is no dialect of this version; known: {', '.join(DIALECTS)}"
            )
        if not provider.embedded:
            try:
                parse_url(provider.base_url)
            except BadAddress as error:
                raise document.error(["providers", name, "base_url"], f"this is no base URL: {error}") from None
    for name, model in config.models.items():
        for target in model.targets:
            if target.provider not in config.providers:
                hint = nearest(target.provider, config.providers)
                raise document.error(["models", name, "targets", "provider"], f"there is no provider '{target.provider}'{hint}")
        for key, value in model.timeouts.items():
            if wrong := wrong_limit(key, value):
                raise document.error(["models", name, "timeouts"], wrong)
    return config


def read_key(provider: Provider, environ: Mapping[str, str] = os.environ) -> Secret | None:
    """The provider's API key. Raises `ConfigError` if where it should be there is none."""
    source = provider.api_key
    if isinstance(source, str):
        return Secret(source)
    if source is None:
        value = environ.get(provider.key_env or "")
        return Secret(value) if value else None
    if source.env is not None:
        if not (value := environ.get(source.env)):
            raise ConfigError(f"The environment variable {source.env}, which should hold an API key, is not set.")
        return Secret(value)
    try:
        return Secret(Path(source.file or "").read_text().strip())
    except OSError as error:
        raise ConfigError(f"The file {source.file}, which should hold an API key, can't be read: {error.strerror}.") from None
