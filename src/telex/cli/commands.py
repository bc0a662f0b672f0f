"""What can be typed behind `telex`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import uvloop
from cyclopts import App, Parameter
from cyclopts.validators import Number

from telex.config import Config, change_server, load_config

app = App(name="telex", help="Every language model, every dialect, streamed or whole.", version=lambda: version("telex"))

ConfigFile = Annotated[Path | None, Parameter(name="--config", help="A telex.toml; without one, what the environment has keys for.")]
Model = Annotated[str, Parameter(help="The model's name, as `telex models` lists it.")]

Asked = Annotated[str | None, Parameter(help="Another model than the first that telex.toml (or the gateway) names, or else `local`.")]
System = Annotated[str | None, Parameter(help="Instructions that the model is given before everything else.")]
GatewayUrl = Annotated[str | None, Parameter(help="The gateway; else that of TELEX_URL, else the one that telex.toml would start.")]
JobId = Annotated[str, Parameter(help="Its id, as `telex submit` printed it.")]
Gateway = Annotated[str | None, Parameter(help="Ask through the gateway there, with the key in TELEX_API_KEY; else in this process.")]

PROMPT = "Explain to a child in about six sentences why the sky is blue."


def run(work: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def configured(config: Path | None, host: str | None = None, port: int | None = None) -> Config:
    """The configuration in the file, else in ./telex.toml, else without any; host and port of the command line win."""
    path = config or (Path("telex.toml") if Path("telex.toml").exists() else None)
    loaded = load_config(path)
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return change_server(loaded, changes) if changes else loaded


@app.command
def serve(
    *,
    config: ConfigFile = None,
    host: Annotated[str | None, Parameter(help="The address to listen on.")] = None,
    port: Annotated[int | None, Parameter(help="The port to listen on; 0 takes a free one.")] = None,
    race: Annotated[bool, Parameter(help="Run the race once through the gateway; without a terminal, end behind it.")] = False,
) -> int:
    """Run the gateway. SIGTERM lets open answers finish, SIGHUP reads the configuration again."""
    from telex.cli.serve import serve_gateway

    return run(serve_gateway(lambda: configured(config, host, port), PROMPT if race else None))


@app.command
def race(
    prompt: Annotated[str, Parameter(help="What the model is asked, twice.")] = PROMPT,
    *,
    model: Model = "local",
    url: Annotated[str | None, Parameter(help="A gateway that runs already; without it, one is started for the race.")] = None,
    config: ConfigFile = None,
    report: Annotated[Path | None, Parameter(help="Also write the race as a page to this file.")] = None,
) -> int:
    """Ask one prompt twice, streamed and whole, and show what waiting feels like."""
    from telex.cli.race import race_alone, race_at

    if url is not None:
        return run(race_at(url, model, prompt, report))
    return run(race_alone(configured(config), model, prompt, report))


@app.command
def ask(
    prompt: Annotated[str | None, Parameter(help="What is asked; what is piped in goes behind it, or in its place.")] = None,
    *,
    model: Asked = None,
    stream: Annotated[bool, Parameter(help="Print the answer as it comes, or when it is whole.")] = True,
    system: System = None,
    json: Annotated[
        bool,
        Parameter(help="Print one JSON object: text, model, finish_reason, ending, usage, certainty, timing, id, …", negative=()),
    ] = False,
    url: Gateway = None,
    config: ConfigFile = None,
) -> int:
    """Print one answer."""
    from telex.cli.ask import ask_once, question
    from telex.cli.asking import open_asker

    asked = question(prompt)
    return ask_once(open_asker(url, config, model), asked, system, stream, json)


@app.command
def chat(*, model: Asked = None, system: System = None, url: Gateway = None, config: ConfigFile = None) -> int:
    """Have a conversation. Ctrl-C stops an answer, Ctrl-D ends it; nothing of it is kept."""
    from telex.cli.asking import open_asker
    from telex.cli.chat import converse

    return converse(open_asker(url, config, model), system)


@app.command
def submit(
    prompt: Annotated[str | None, Parameter(help="What is asked; what is piped in goes behind it, or in its place.")] = None,
    *,
    model: Asked = None,
    system: System = None,
    url: GatewayUrl = None,
    json: Annotated[bool, Parameter(help="Print the job's record instead, as one JSON object.", negative=())] = False,
) -> int:
    """Ask in the background of a gateway, and print the job's id, alone on standard output. `telex jobs` finds it again."""
    from telex.cli.ask import question
    from telex.cli.jobs import show_job, submit_job

    id = submit_job(url, question(prompt, "submit"), model, system)
    if json:
        return run(show_job(url, id, as_json=True))
    print(id)
    return 0


jobs = App(name="jobs", help="Generations in the background of a gateway, with the key in TELEX_API_KEY.")
app.command(jobs)


@jobs.command(name="list")
def list_jobs(
    *,
    limit: Annotated[int, Parameter(help="How many.", validator=Number(gte=1, lte=100))] = 20,
    before: Annotated[str | None, Parameter(help="Only those that are older than this one.")] = None,
    url: GatewayUrl = None,
    json: Annotated[bool, Parameter(help="Print their records, one JSON object a line.", negative=())] = False,
) -> int:
    """List the jobs that are kept, the newest first."""
    from telex.cli import jobs

    return run(jobs.list_jobs(url, limit, before, json))


@jobs.command
def show(
    id: JobId,
    *,
    url: GatewayUrl = None,
    json: Annotated[bool, Parameter(help="As one JSON object.", negative=())] = False,
) -> int:
    """Show the record of a job: its status, its times, its tokens, and what was tried."""
    from telex.cli.jobs import show_job

    return run(show_job(url, id, json))


@jobs.command
def follow(
    id: JobId,
    *,
    after: Annotated[int, Parameter(help="Only what comes behind so many frames.", validator=Number(gte=0))] = 0,
    url: GatewayUrl = None,
) -> int:
    """Print what a job says, as it comes. Ctrl-C leaves the job as it is."""
    from telex.cli.jobs import follow_job

    return follow_job(url, id, after)


@jobs.command
def wait(
    id: JobId,
    *,
    timeout: Annotated[float | None, Parameter(help="For how many seconds, at most.", validator=Number(gt=0))] = None,
    url: GatewayUrl = None,
) -> int:
    """Print what a job has said, once it has ended. Ctrl-C leaves the job as it is."""
    from telex.cli.jobs import wait_for_job

    return wait_for_job(url, id, timeout)


@jobs.command
def cancel(id: JobId, *, url: GatewayUrl = None) -> int:
    """Stop a job, and print how it ended: cancelled, or as it had already."""
    from telex.cli.jobs import cancel_job

    return run(cancel_job(url, id))


@app.command
def models(*, config: ConfigFile = None) -> int:
    """List the models that can be asked for."""
    from telex.cli.models import list_models

    return run(list_models(configured(config)))


@app.command
def check(
    *,
    config: ConfigFile = None,
    ask: Annotated[bool, Parameter(help="Also ask each target for a few words, which costs a few tokens.", negative=())] = False,
) -> int:
    """Validate the configuration, say what each provider answers, and whether each model's targets are there."""
    from telex.cli.check import check_all

    return run(check_all(configured(config), ask))


keys = App(name="keys", help='Keys of clients, for a gateway with `access = "keys"`; they are in the store that telex.toml names.')
app.command(keys)

Limit = Annotated[int | None, Parameter(validator=Number(gte=1))]


@keys.command
def create(
    *,
    name: Annotated[str, Parameter(help="What people call it. A name is free again when its key is revoked.")],
    models: Annotated[str | None, Parameter(help="The models that it may ask for, with commas between; without it, all.")] = None,
    admin: Annotated[bool, Parameter(help="It may also see and stop what is others'.", negative=())] = False,
    rpm: Annotated[Limit, Parameter(help="Requests a minute.")] = None,
    tpm: Annotated[Limit, Parameter(help="Tokens a minute.")] = None,
    concurrent: Annotated[Limit, Parameter(help="Generations at the same time.")] = None,
    expires: Annotated[str | None, Parameter(help="How long it is valid, as in 90d; without it, until it is revoked.")] = None,
    config: ConfigFile = None,
) -> int:
    """Make a key and print it, alone on standard output; it is not shown again."""
    from telex.cli.keys import create_key

    return create_key(configured(config), name, models, admin, (rpm, tpm, concurrent), expires)


@keys.command(name="list")
def list_(*, config: ConfigFile = None) -> int:
    """List the keys, also those that are no longer valid."""
    from telex.cli.keys import list_keys

    return list_keys(configured(config))


@keys.command
def revoke(which: Annotated[str, Parameter(help="The key's name or id.")], *, config: ConfigFile = None) -> int:
    """Make a key invalid, for gateways that run within seconds."""
    from telex.cli.keys import revoke_key

    return revoke_key(configured(config), which)
