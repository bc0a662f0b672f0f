"""`telex check`: whether what is configured is there, and what each provider answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sized

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from telex.cli.asking import sentence
from telex.cli.loading import wait_for_local
from telex.config import Config, Target, nearest
from telex.core.errors import Failure
from telex.core.messages import Message, Part, Request
from telex.generation.backend import EMBEDDED, Backend
from telex.generation.catalog import Route
from telex.generation.engine import Engine, new_id
from telex.local.model import LocalModelError

PROMPT, TOKENS = "Say OK.", 16
"""What `--ask` asks, and how many tokens the answer may have: the least that every provider accepts as a limit."""

SECONDS = 60.0
"""Seconds that one such answer may take."""

WIDE = 10_000
"""Columns where nobody watches: lines are not folded for programs."""


class Verdict(Struct, frozen=True):
    """`said`: in plain words. `listed`: the models of a provider that could be asked. `seconds`: how long it took; `ttft`: to the first
    word of an answer."""

    good: bool
    said: str
    seconds: float | None = None
    listed: list[str] | None = None
    ttft: float | None = None


async def check_all(config: Config, asking: bool) -> int:
    """1 if a provider can't be used or a target is not there. `asking`: each target is asked for a few words, which tells for certain."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    engine = Engine(config)
    console.print(f"The configuration is valid: {counted(config.providers, 'provider')}, {counted(config.models, 'model')}.\n")
    try:
        await engine.start()
        backends = engine.catalog.backends
        answers = await asyncio.gather(*(look(engine, backend, console) for backend in backends.values()))
        providers = dict(zip(backends, answers, strict=True))
        console.print(provider_table(backends, providers))
        targets = [(name, target) for name, model in config.models.items() for target in model.targets]
        found = [find(target, providers[target.provider]) for _, target in targets]
        answered = await asyncio.gather(*(ask(engine, name, target) for name, target in targets)) if asking else None
    finally:
        await engine.stop()
    if targets:
        console.print("\n", target_table(targets, found, answered), sep="")
    elif asking:
        console.print("\nThe configuration names no models, so there was nobody to ask.")
    good = all(verdict.good for verdict in (*providers.values(), *(found if answered is None else answered)))
    return 0 if good else 1


async def look(engine: Engine, backend: Backend, console: Console) -> Verdict:
    """What a provider answers when it is asked for its models; of the embedded model, whether it runs."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    if backend.provider.embedded:
        try:
            await wait_for_local(engine.local, console)
        except LocalModelError as error:
            return Verdict(False, sentence(str(error)), loop.time() - began)
        return Verdict(True, "loaded and ready", loop.time() - began, [EMBEDDED])
    listed = await backend.models(engine.pool)
    if isinstance(listed, Failure):
        return Verdict(False, explain(listed, backend), loop.time() - began)
    return Verdict(True, counted(listed, "model"), loop.time() - began, listed)


def explain(failure: Failure, backend: Backend) -> str:
    """Why a provider can't be used, and what to do where that is known."""
    said = sentence(failure.message)
    if failure.status and f"status {failure.status}" not in said:
        said = f"{said} It answered with HTTP status {failure.status}."
    if failure.kind in ("upstream_denied", "permission_denied") and not backend.has_key:
        variable = backend.provider.key_env
        said = f"{said} It was sent no key: {f'set {variable}, or ' if variable else ''}say api_key in the configuration."
    return said


def find(target: Target, provider: Verdict) -> Verdict:
    """Whether a target is in its provider's list."""
    if provider.listed is None:
        return Verdict(False, "not known: its provider gives no list")
    if target.model in provider.listed:
        return Verdict(True, "listed")
    return Verdict(False, f"not listed{nearest(target.model, provider.listed)}")


async def ask(engine: Engine, name: str, target: Target) -> Verdict:
    """How one small generation of a model ends, of which one target is asked, once, whatever deliveries it is for."""
    route = engine.catalog.known(name)
    assert route is not None
    route = replace(route, targets=(replace(target, deliveries=None),), retries=0, hedge=None).within({"total": SECONDS})
    generation = engine.run(new_id(), question(route), route)
    generation.start()
    await generation.finished()
    timing, failure = generation.meter.timing(generation.now), generation.failure
    said = f"{generation.ending}: {explain(failure, engine.catalog.backends[target.provider])}" if failure else generation.ending
    return Verdict(failure is None, said, timing.e2e, None, timing.ttft)


def question(route: Route) -> Request:
    message = Message("user", (Part("text", PROMPT),))
    return Request(model=route.model, messages=(message,), max_tokens=TOKENS, stream=True, include_usage=True)


def provider_table(backends: Mapping[str, Backend], verdicts: Mapping[str, Verdict]) -> Table:
    table = make_table("provider", "dialect", "seconds", "answer")
    for name, verdict in verdicts.items():
        table.add_row(Text(name), backends[name].provider.dialect, spell(verdict.seconds), coloured(verdict))
    return table


def target_table(targets: list[tuple[str, Target]], found: list[Verdict], answered: list[Verdict] | None) -> Table:
    table = make_table("model", "target", "in the list", *(("TTFT", "E2E", "ending") if answered is not None else ()))
    for number, (name, target) in enumerate(targets):
        row = [Text(name), Text(f"{target.provider}/{target.model}"), coloured(found[number])]
        if answered is not None:
            verdict = answered[number]
            row += [Text(spell(verdict.ttft)), Text(spell(verdict.seconds)), coloured(verdict)]
        table.add_row(*row)
    return table


def make_table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def coloured(verdict: Verdict) -> Text:
    return Text(verdict.said, style="green" if verdict.good else "red")


def counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def spell(seconds: float | None) -> str:
    return "—" if seconds is None else f"{seconds:.3f}"
