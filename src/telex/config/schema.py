"""What may stand in a telex.toml, and what holds without it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from telex.core.messages import Fields
from telex.dialects.quirks import Quirks
from telex.limits.table import Limits
from telex.routing.balance import Balance, Candidate

Seconds = Annotated[float, Meta(gt=0)]
Tokens = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]

OnDisconnect = Literal["cancel", "hold", "finish"]
"""What becomes of a generation when its last reader has left: it is stopped, now or in a while if nobody comes back, or it goes on."""


SHORTEST = 8
"""Characters that a secret has at least."""


class Secret:
    """Something that no log, error or repr may show."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def redact(self, text: str) -> str:
        """The text without it. What is too short to be one is left, since it may be part of any word."""
        return text.replace(self._value, "…") if len(self._value) >= SHORTEST else text

    def __repr__(self) -> str:
        return "Secret('…')"


class KeySource(Struct, forbid_unknown_fields=True):
    env: str | None = None
    file: str | None = None


class Server(Struct, forbid_unknown_fields=True, frozen=True):
    """`access`: open to whoever reaches it, which is for loopback, or with `keys`. `hosts`: further names under which clients may address
    this server. `drain`: seconds that open answers get at the end. `concurrent`: generations at once; beyond them each key may have
    `queue` requests waiting for a place, for `queue_seconds`. `memory`: bytes that this process may have, before new work is refused;
    without it, what its control group may have."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8484
    access: Literal["open", "keys"] = "open"
    drain: Annotated[float, Meta(ge=0)] = 30.0
    hosts: list[str] = field(default_factory=list)
    body_limit: Annotated[int, Meta(ge=1)] = 64 << 20
    """Bytes that the body of a request may have."""
    concurrent: Count = 4000
    queue: Annotated[int, Meta(ge=0)] = 100
    queue_seconds: Seconds = 10.0
    memory: Count | None = None


class Retention(Struct, forbid_unknown_fields=True, frozen=True):
    """What is kept of generations whose client may come back, and how long, behind their end: `resumable`, of those that somebody waits for
    (hold, finish, or with an Idempotency-Key); `jobs`, of those that nobody does, and of what OpenAI's Responses call stored. `live`: all
    others leave nothing on disk. `max_bytes`: of all together."""

    live: Literal["memory"] = "memory"
    resumable: str = "15m"
    jobs: str = "30d"
    max_bytes: str = "1GB"


class Admin(Struct, forbid_unknown_fields=True, frozen=True):
    """What is everybody's: the page, the metrics. `keys_only`: it wants an admin key where access is open too; with keys it always does."""

    keys_only: bool = False


class Timeouts(Struct, forbid_unknown_fields=True, frozen=True):
    """Seconds. `gate`: then headers go out so that keep-alives can flow. `connect`, `first_byte`, `first_content`: from the start of
    the attempt. `idle`: without any bytes; `content_idle`: bytes, but no content. `total`: everything, with all attempts and pauses.

    For who waits for a whole reply only `connect` and `total` count: most providers send nothing of it, not even its headers, before
    all of it is there, and it is the same however they are asked.
    """

    gate: Seconds = 10.0
    connect: Seconds = 5.0
    first_byte: Seconds = 60.0
    first_content: Seconds = 120.0
    idle: Seconds = 60.0
    content_idle: Seconds = 300.0
    total: Seconds = 600.0


def wrong_limit(name: str, seconds: object) -> str:
    """Why this is no time limit, as a part of a sentence; empty if it is one."""
    names = Timeouts.__struct_fields__
    if name in names and isinstance(seconds, int | float) and 0 < seconds < math.inf:
        return ""
    return f"'{name} = {seconds}' is no time limit in seconds; there are {', '.join(names)}"


class Provider(Struct, forbid_unknown_fields=True):
    """`auth`: how its key is sent, `bearer` or the name of a header, where that is not its dialect's own way. `always`: fields of every
    request; `defaults`: of those that do not say them. `whole`: how `complete` asks it, for a `whole` reply, or as a `stream` that Telex
    folds, or (`auto`) for the latter where a whole one might never arrive. `whole_limit`: the most tokens of output for which it gives
    a whole one, if it refuses more. `context`: the tokens that its models take, prompt and answer together, where Telex does not know
    that or knows better."""

    dialect: str
    base_url: str = ""
    api_key: KeySource | str | None = None
    key_env: str | None = None
    auth: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")] | None = None
    quirks: Quirks = field(default_factory=Quirks)
    defaults: Fields = field(default_factory=dict)
    always: Fields = field(default_factory=dict)
    whole: Literal["auto", "whole", "stream"] = "auto"
    whole_limit: Tokens | None = None
    context: Tokens | None = None
    embedded: bool = False

    def __repr__(self) -> str:
        """Without the key, which may be written out, and the URL, which may hold a password."""
        return f"Provider(dialect={self.dialect!r}, …)"


class Target(Candidate, forbid_unknown_fields=True, frozen=True):
    """`whole`, `context`: as of its provider. `rpm`, `tpm`, `concurrent`: requests and tokens in any minute, and requests at once; at its
    limit it is passed over."""

    whole: Literal["auto", "whole", "stream"] | None = None
    context: Tokens | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    concurrent: Count | None = None

    @property
    def limits(self) -> Limits:
        return Limits(self.rpm, self.tpm, self.concurrent)


class Model(Struct, forbid_unknown_fields=True):
    """`unsupported`: what a target of another dialect can't be told and an answer can do without is dropped and named, or refused.
    `check_context`: a target whose window a prompt certainly exceeds is not asked. `balance`: the order of the targets of a tier: by their
    weights, the soonest to speak first, or the same for prompts that begin alike. `hedge`: seconds without content after which a
    second target is asked beside the first. `hold`: seconds for `on_disconnect`. `rpm`, `tpm`, `concurrent`: requests and tokens in any
    minute, and requests at once, of all who ask for it."""

    targets: Annotated[list[Target], Meta(min_length=1)]
    balance: Balance = "weighted"
    retries: Annotated[int, Meta(ge=0, le=5)] = 1
    hedge: Seconds | None = None
    on_disconnect: OnDisconnect = "cancel"
    hold: Seconds = 20.0
    unsupported: Literal["drop", "refuse"] = "drop"
    check_context: bool = True
    timeouts: dict[str, float] = field(default_factory=dict)
    rpm: Count | None = None
    tpm: Count | None = None
    concurrent: Count | None = None

    @property
    def limits(self) -> Limits:
        return Limits(self.rpm, self.tpm, self.concurrent)


class Config(Struct, forbid_unknown_fields=True):
    """`store`: where what is kept is kept, as a URL."""

    store: str = "sqlite:///telex.db"
    server: Server = field(default_factory=Server)
    retention: Retention = field(default_factory=Retention)
    admin: Admin = field(default_factory=Admin)
    timeouts: Timeouts = field(default_factory=Timeouts)
    providers: dict[str, Provider] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)

    @property
    def wants_keys(self) -> bool:
        """Whether any of it is closed to who comes without a key."""
        return self.server.access == "keys" or self.admin.keys_only

    def model_timeouts(self, model: Model | None) -> Timeouts:
        return msgspec.structs.replace(self.timeouts, **model.timeouts) if model and model.timeouts else self.timeouts
