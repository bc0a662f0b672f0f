"""Lists for people and for pipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

WIDE = 1000
"""Columns of what is no terminal: a line there is never broken."""


def print_table(titles: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """A narrow terminal folds what is too long, and nothing of it is lost."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    Console(width=None if console.is_terminal else WIDE).print(table, markup=False)
