"""Waiting for the embedded model with something to look at."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from telex.local.model import LocalModel

GLANCE = 0.1
"""Seconds between two looks at how far the download has come."""


async def wait_for_local(local: LocalModel, console: Console) -> None:
    """Return when the embedded model answers; a bar shows its download, the first time. Raises `LocalModelError`."""
    ready = asyncio.create_task(local.ready())
    columns = (TextColumn("fetching the embedded model, once"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = None
        while not ready.done():
            await asyncio.wait([ready], timeout=GLANCE)
            if (progress := local.progress) is not None:
                task = bar.add_task("", total=progress[1]) if task is None else task
                bar.update(task, completed=progress[0], total=progress[1])
    await ready
