"""Where a client's generations run: in this process, or in a gateway, which is one more provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Struct

from telex.client.errors import refuse
from telex.client.request import Options, Prompt, limits_of, make_request
from telex.client.shape import Shape, shape_of
from telex.config import Config, ConfigError, Provider, Target, Timeouts, load_config
from telex.core.messages import Request
from telex.dialects.quirks import Quirks
from telex.generation.catalog import Route
from telex.upstream.address import BadAddress, parse_url

T = TypeVar("T")

GATEWAY = "gateway"
"""The name of the one provider of a client through a gateway."""

ON_DISCONNECT, KEY = "telex-on-disconnect", "idempotency-key"
"""The headers by which a call through a gateway can be come back to."""

TIMEOUTS = "telex-timeouts"
"""The header that tells a gateway the time limits of a call."""

GRACE = 2.0
"""Seconds that a gateway gets to say itself that a limit is over."""


class Place(Struct, frozen=True):
    """`gateway`: whether the generations run in one."""

    config: Config
    gateway: bool = False

    def route(self, model: str) -> Route | None:
        """Through a gateway every model's name passes as it is, and is tried once, since the gateway itself tries again. The route is for
        one call: it has the key by which that resumes where its connection breaks."""
        if not self.gateway:
            return None
        key = uuid4().hex
        headers = {ON_DISCONNECT: "hold", KEY: key}
        return Route(model, (Target(GATEWAY, model),), self.config.timeouts, retries=0, headers=headers, key=key)

    def limit(self, route: Route, limits: dict[str, float]) -> Route:
        """The route with the time limits of one call. A gateway is told them and says itself which one is over."""
        if not limits:
            return route
        if not self.gateway:
            return route.over(limits)
        return msgspec.structs.replace(route, timeouts=around(limits), headers={**route.headers, TIMEOUTS: spell(limits)})


def around(limits: dict[str, float]) -> Timeouts:
    """The client's own limits around those that a gateway keeps: for the way there, and for a gateway that does not say anything."""
    usual = Timeouts()
    total = limits.get("total", usual.total) + GRACE
    return Timeouts(connect=limits.get("connect", usual.connect), first_content=total, content_idle=total, total=total)


def spell(limits: dict[str, float]) -> str:
    """As a header says them, to the millisecond."""
    return ", ".join(f"{name}={max(seconds, 0.001):.3f}" for name, seconds in limits.items())


def find_place(url: str | None, api_key: str | None, config: Config | Path | str | None) -> Place:
    """A gateway at `url`; or this process, by `config`, else by the telex.toml here, else by the environment. Raises `ConfigError`."""
    if url is None:
        if api_key is not None:
            raise ConfigError("An api_key is for a gateway, whose URL comes first; the keys of providers are in the configuration.")
        return Place(config if isinstance(config, Config) else load_config(config_path(config)))
    if config is not None:
        raise ConfigError("A gateway has its own configuration: give a URL or a config.")
    base = url.rstrip("/").removesuffix("/v1") + "/v1"
    try:
        parse_url(base)
    except BadAddress as error:
        raise ConfigError(f"'{url}' is no address of a gateway: {error}.") from None
    provider = Provider("openai-chat", base, api_key, quirks=Quirks(reasoning_field="reasoning_content", cache_marks=("*",)))
    return Place(Config(timeouts=around({}), providers={GATEWAY: provider}), gateway=True)


def config_path(given: Path | str | None) -> Path | None:
    if given is not None:
        return Path(given)
    here = Path("telex.toml")
    return here if here.exists() else None


class Ask(Struct, Generic[T], frozen=True):
    """One call: its request, what its text is read as, its time limits in seconds."""

    request: Request
    shape: Shape[T] | None
    limits: dict[str, float]


def make_ask(prompt: Prompt, model: str, response_format: Any, options: Options, stream: bool) -> Ask[Any]:
    """Raises `BadRequest`."""
    if not model:
        raise refuse("model", "A model must be named.")
    shape = shape_of(response_format)
    return Ask(make_request(prompt, model, shape, options, stream), shape, limits_of(options.get("timeouts")))
