"""`telex submit` and `telex jobs`: generations in the background of a gateway, whoever submitted them."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from telex.cli import GATEWAY_KEY, WrongCall
from telex.cli.asking import explain, open_asker, remark, sentence
from telex.cli.listening import Listener, Say, reading, show, view_for
from telex.cli.screen import Indicator, printable, write
from telex.cli.tables import print_table
from telex.client.blocking import Client
from telex.client.errors import GenerationError, NotFound, Timeout, error_of
from telex.client.place import GATEWAY, config_path, find_place
from telex.client.remote import Remote
from telex.client.reply import Reply
from telex.config import load_config
from telex.core import json
from telex.core.errors import Failure, TelexError
from telex.core.messages import Fields
from telex.generation.catalog import Catalog
from telex.upstream.pool import Pool

GATEWAY_URL = "TELEX_URL"
"""The environment variable with the gateway to ask."""

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where to find on this machine who listens on all addresses."""


def gateway_url(url: str | None) -> str:
    """The gateway of the call, else of the environment, else the one of this machine, as the telex.toml here says. Raises `WrongCall`."""
    if given := url or os.environ.get(GATEWAY_URL):
        return given
    server = load_config(config_path(None)).server
    if not server.port:
        raise WrongCall(f"Which gateway is to be asked? telex.toml leaves its port open: say --url, or put it into {GATEWAY_URL}.")
    host = EVERYWHERE.get(server.host, server.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


def key() -> str | None:
    return os.environ.get(GATEWAY_KEY) or None


# ---- what needs the library's client


def submit_job(url: str | None, prompt: str, model: str | None, system: str | None) -> str:
    """The id of a new job."""
    asker = open_asker(gateway_url(url), None, model)
    with asker.client as llm:
        try:
            return llm.submit(prompt, model=asker.model, system=system).id
        except GenerationError as error:
            raise TelexError(explain(error, asker.url)) from None


def follow_job(url: str | None, id: str, after: int) -> int:
    """Its text, from a cursor on, as it comes."""
    return listen(url, id, lambda llm: reading(llm.job(id).stream(after)))


def wait_for_job(url: str | None, id: str, timeout: float | None) -> int:
    """Its whole text, once it is there."""

    def waiting(llm: Client) -> Callable[[Say], Reply[Any]]:
        def work(say: Say) -> Reply[Any]:
            reply = llm.job(id).reply(timeout)
            say(reply.text or reply.refusal)
            return reply

        return work

    return listen(url, id, waiting)


def listen(url: str | None, id: str, begin: Callable[[Client], Callable[[Say], Reply[Any]]]) -> int:
    """Show what is heard of a job. Whoever is interrupted leaves it as it is."""
    url = gateway_url(url)
    with Client(url, api_key=key()) as llm:
        listener = Listener(begin(llm))
        show(listener, view_for(sys.stdout), Indicator(sys.stderr, lambda: printable(id)))
    if isinstance(listener.error, GenerationError):
        raise TelexError(explain_job(listener.error, url))
    if listener.error is not None:
        raise listener.error
    if listener.reply is not None and (note := remark(listener.reply)):
        print(f"telex: {note}", file=sys.stderr)
    return 0


# ---- what only asks for records


async def list_jobs(url: str | None, limit: int, before: str | None, as_json: bool) -> int:
    async with remote_at(url) as (remote, url):
        page = told(await remote.records(limit, before), url)
    records: list[Any] = page["data"]
    if as_json:
        write(sys.stdout, "".join(json.encode(record).decode() + "\n" for record in records))
    else:
        print_table(("id", "status", "model", "created", "seconds", "tokens"), map(row_of, records))
    if page.get("has_more") and records:
        tell(f"There are older ones: --before {records[-1].get('id')}.")
    return 0


async def show_job(url: str | None, id: str, as_json: bool) -> int:
    async with remote_at(url) as (remote, url):
        record = told(await remote.record(id), url)
    if as_json:
        write(sys.stdout, json.encode(record).decode() + "\n")
    else:
        write(sys.stdout, "".join(f"{name}: {printable(spell(value))}\n" for name, value in record.items()))
    return 0


async def cancel_job(url: str | None, id: str) -> int:
    """How it ended is printed: by this, or before."""
    async with remote_at(url) as (remote, url):
        record = told(await remote.cancel(id), url)
    write(sys.stdout, printable(str(record["status"])) + "\n")
    return 0


@asynccontextmanager
async def remote_at(url: str | None) -> AsyncIterator[tuple[Remote, str]]:
    url = gateway_url(url)
    place, pool = find_place(url, key(), None), Pool()
    try:
        yield Remote(Catalog(place.config).backends[GATEWAY], pool), url
    finally:
        pool.close()


def told(answer: Fields | Failure, url: str) -> Fields:
    if isinstance(answer, Failure):
        raise TelexError(explain_job(error_of(answer, None), url))
    return answer


# ---- words


def explain_job(error: GenerationError, url: str) -> str:
    """What went wrong with a job, and what to do, on one line."""
    if isinstance(error, NotFound):
        return f"{sentence(error.failure.message)} `telex jobs list` shows those that are kept."
    if isinstance(error, Timeout) and error.which == "reply":
        return sentence(error.failure.message)
    return explain(error, url)


def row_of(record: Fields) -> tuple[str, ...]:
    timing, usage = record.get("timing") or {}, record.get("usage") or {}
    cells = (
        record.get("id"),
        record.get("status"),
        record.get("model"),
        date(record.get("created")),
        timing.get("e2e"),
        usage.get("output"),
    )
    return tuple(printable(spell(cell)) for cell in cells)


def spell(value: object) -> str:
    """A value of a record for a person."""
    match value:
        case None | []:
            return "—"
        case str():
            return value
        case dict():
            return ", ".join(f"{name} {spell(inner)}" for name, inner in value.items())
        case list():
            return "; ".join(map(spell, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def date(seconds: object) -> str:
    """In the time of whoever reads."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}" if isinstance(seconds, int) else "—"


def tell(text: str) -> None:
    print(text, file=sys.stderr)
