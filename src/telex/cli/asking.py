"""What `ask` and `chat` share: whom they ask, which model, and what they say when it goes wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from telex.cli import GATEWAY_KEY, WrongCall
from telex.cli.screen import printable
from telex.client.blocking import Client
from telex.client.errors import GenerationError, Interrupted, error_of, through_gateway
from telex.client.place import GATEWAY, Place, find_place
from telex.client.reply import Reply
from telex.config import Config
from telex.core import json
from telex.core.errors import Failure, Kind, TelexError
from telex.generation.backend import LIST_SECONDS
from telex.generation.catalog import Catalog
from telex.upstream.blocking import Transport, fetch

OWNER = "telex"
"""Who, in a gateway's list, owns what its configuration names and its embedded model."""


class Asker(msgspec.Struct, frozen=True):
    """A client, the model that is asked through it, and the gateway's URL if there is one."""

    client: Client
    model: str
    url: str | None = None

    def waiting_for(self) -> str:
        """What an indicator says, as long as there is no word yet."""
        if (progress := self.client.fetching) is None:
            return self.model
        return f"{self.model}: fetching its weights, once, {progress[0] / (1 << 20):.0f} of {progress[1] / (1 << 20):.0f} MB"


def open_asker(url: str | None, config: Path | None, model: str | None) -> Asker:
    """Raises `ConfigError`, `WrongCall` where no model can be chosen, `GenerationError` where a gateway can't say which it has."""
    key = (os.environ.get(GATEWAY_KEY) or None) if url is not None else None
    place = find_place(url, key, config)
    model = model or choose(owned_names(place, url) if url is not None else own_names(place.config))
    return Asker(Client(url, api_key=key) if url is not None else Client(config=place.config), model, url)


def choose(names: list[str]) -> str:
    """The model of whoever names none: the first that the configuration names, else `local`; never one that nobody chose."""
    if not names:
        raise WrongCall("Which model is to be asked? Name it with --model; `telex models` lists them.")
    return names[0]


def own_names(config: Config) -> list[str]:
    """The models that a configuration itself names, and the embedded one."""
    return [*config.models, *(name for name, provider in config.providers.items() if provider.embedded)]


def owned_names(place: Place, url: str) -> list[str]:
    """The same of a gateway, in its order. Raises `GenerationError`."""
    backend = Catalog(place.config).backends[GATEWAY]
    transport = Transport()
    try:
        answer = fetch(transport, backend.list_endpoint(), LIST_SECONDS)
    finally:
        transport.close()
    listed = backend.take_list(answer, 0.0)
    if isinstance(answer, Failure) or isinstance(listed, Failure):
        failure = answer if isinstance(answer, Failure) else listed
        assert isinstance(failure, Failure)
        raise TelexError(explain(error_of(through_gateway(failure), None), url))
    rows: list[Any] = json.decode(answer.body)["data"]
    return [str(row["id"]) for row in rows if isinstance(row, dict) and row.get("owned_by") == OWNER]


HERE: dict[Kind, str] = {
    "unauthorized": "Check the provider's key, in the environment or in telex.toml.",
    "upstream_denied": "Check the provider's key, in the environment or in telex.toml.",
    "not_found": "`telex models` lists what there is.",
    "context_too_long": "Ask with less, or ask a model that reads more.",
    "busy": "Try again in a moment.",
    "overloaded": "Try again, or ask another model.",
    "timeout": "Try again, or ask another model.",
    "unreachable": "Check the network; `telex check` says what each provider answers.",
    "limited": "Come back later, or raise that limit in telex.toml.",
    "rate_limited": "Come back later, or ask another model.",
    "quota_exhausted": "Look into the account with the provider, or ask another model.",
}
"""What to do, by the kind of failure, where the generations run in this process."""

THERE: dict[Kind, str] = {
    **HERE,
    "unauthorized": f"Put a key of the gateway into {GATEWAY_KEY}.",
    "upstream_denied": "Whoever runs the gateway must check its provider's key.",
    "not_found": "The gateway's /v1/models lists what there is.",
    "unreachable": "Does a gateway run there? `telex serve` starts one.",
}
"""The same where they run in a gateway."""


def explain(error: GenerationError, url: str | None) -> str:
    """What went wrong, and what to do, on one line."""
    failure = error.failure
    said = sentence(failure.message)
    if isinstance(error, Interrupted):
        return f"The answer broke off: {said} What came of it is incomplete."
    if failure.retry_after is not None:
        return f"{said} Come back in {failure.retry_after:.0f} s."
    return f"{said} {(THERE if url else HERE).get(failure.kind, '')}".rstrip()


def sentence(message: str) -> str:
    """A message of whatever origin as one sentence on one line."""
    text = " ".join(printable(message).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def remark(reply: Reply[Any]) -> str | None:
    """What somebody who reads only the text would not know: that something was not told to the model, or that there is no text."""
    if reply.dropped:
        return f"The model was not told, because its provider has no place for it: {', '.join(reply.dropped)}."
    if not reply.text and not reply.refusal:
        return f"The answer has no text ({reply.finish_reason or 'no reason was given'})."
    return None
