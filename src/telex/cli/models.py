"""`telex models`: which there are."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from telex.config import Config
from telex.generation.engine import Engine


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
