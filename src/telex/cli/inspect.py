"""Looking without generating: which models there are, and what each provider answers."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.table import Table

from telex.cli.loading import wait_for_local
from telex.config import Config
from telex.core.errors import Failure
from telex.generation.backend import Backend
from telex.generation.engine import Engine
from telex.local.model import LocalModelError


async def list_models(config: Config) -> int:
    engine = Engine(config)
    table = Table("model", "provider", box=None, pad_edge=False)
    try:
        for name, owner in sorted(await engine.catalog.names()):
            table.add_row(name, owner)
    finally:
        await engine.stop()
    Console().print(table)
    return 0


async def check_providers(config: Config) -> int:
    """1 if any provider can't be used."""
    engine = Engine(config)
    table = Table("provider", "dialect", "answer", box=None, pad_edge=False)
    failed = False
    console = Console()
    try:
        await engine.start()
        backends = engine.catalog.backends.values()
        answers = await asyncio.gather(*(ask(engine, backend, console) for backend in backends))
        for backend, (good, answer) in zip(backends, answers, strict=True):
            failed = failed or not good
            table.add_row(backend.name, backend.provider.dialect, f"[green]{answer}[/]" if good else f"[red]{answer}[/]")
    finally:
        await engine.stop()
    console.print(f"The configuration is valid: {len(config.providers)} providers, {len(config.models)} models.")
    console.print(table)
    return 1 if failed else 0


async def ask(engine: Engine, backend: Backend, console: Console) -> tuple[bool, str]:
    if backend.provider.embedded:
        try:
            await wait_for_local(engine.local, console)
        except LocalModelError as error:
            return False, str(error)
        return True, "loaded and ready"
    listed = await backend.models(engine.pool)
    return (False, listed.message) if isinstance(listed, Failure) else (True, f"{len(listed)} models")
