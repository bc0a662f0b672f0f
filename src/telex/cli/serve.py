"""`telex serve`: the gateway in a terminal."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console
from rich.markup import escape

from telex.cli import GATEWAY_KEY
from telex.cli.loading import wait_for_local
from telex.cli.race import run_race, show_race
from telex.config import Config
from telex.core.errors import TelexError
from telex.gateway.server import Process, allow_files, listen, url_of
from telex.local.model import LocalModelError
from telex.telemetry.logs import configure_logs

SNIPPET = """\
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key={key})
for chunk in client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Say hello."}}], stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)"""

CURL = """\
curl -N {url}/v1/chat/completions{auth} -H 'content-type: application/json' \\
  -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Say hello."}}]}}'"""


async def serve_gateway(load: Callable[[], Config], prompt: str | None) -> int:
    """Serve until a signal. With a prompt, race it first; behind the race, end at once if nobody watches. `load` reads the configuration,
    now and whenever a SIGHUP comes."""
    console, config = Console(), load()
    allow_files()
    listener = listen(config.server.host, config.server.port)
    url = url_of(listener)
    process = Process(config, listener)
    process.handle_signals(load)
    held = io.BytesIO() if prompt is not None else None  # a log line must not run through the race
    configure_logs(held)
    ready = asyncio.Event()
    serving = asyncio.create_task(process.serve(ready.set))
    await asyncio.wait([serving, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    console.print(f"[bold]Telex[/] listens at [bold]{url}[/]")
    try:
        if held is not None and prompt is not None:
            await unless_stopped(process, race_first(process, url, prompt, console))
            if not sys.stderr.isatty():
                sys.stderr.buffer.write(held.getvalue())
            configure_logs()
        if not process.stopping.is_set() and (prompt is None or console.is_terminal):
            await show_usage(process, url, console)
            await unless_stopped(process, announce_local(process, console))
            await process.stopping.wait()
    except LocalModelError as error:
        raise TelexError(str(error)) from None
    finally:
        if not process.stopping.is_set():
            process.stop()
        await serving
    return 0


async def race_first(process: Process, url: str, prompt: str, console: Console) -> None:
    await wait_for_local(process.engine.local, console)
    show_race(await run_race(url, "local", prompt, console), console)


async def announce_local(process: Process, console: Console) -> None:
    """The gateway answers already; say when the embedded model does, or why it won't."""
    if process.engine.has_local:
        try:
            await wait_for_local(process.engine.local, console)
        except LocalModelError as error:
            console.print(f"[red]local    {escape(str(error))}[/]")
        else:
            console.print("local    is ready")


async def unless_stopped(process: Process, work: Coroutine[Any, Any, None]) -> None:
    """Do some work, and give it up when the process is told to stop."""
    tasks = [asyncio.create_task(work), asyncio.create_task(process.stopping.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    if not tasks[0].cancelled():
        tasks[0].result()


async def show_usage(process: Process, url: str, console: Console) -> None:
    names = [name for name, _ in await process.engine.catalog.names()]
    model = names[0] if names else "MODEL"
    access, key, auth = await explain_access(process)
    console.print(
        f"models   {escape(', '.join(names[:8]) or 'none: set OPENAI_API_KEY or write a telex.toml')}{' …' if len(names) > 8 else ''}"
    )
    console.print(f"access   {access}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"store    {process.store.place}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nfrom a shell\n")
    console.print(CURL.format(url=url, model=model, auth=auth), style="cyan", markup=False, highlight=False, soft_wrap=True)
    console.print("\nfrom Python, with the SDK of OpenAI (pip install openai)\n")
    console.print(SNIPPET.format(url=url, model=model, key=key), style="cyan", markup=False, highlight=False, soft_wrap=True)
    console.print("\nCtrl-C ends it.")


async def explain_access(process: Process) -> tuple[str, str, str]:
    """Who may come in; how a key is said in Python, and in a shell."""
    if process.config.server.access == "open":
        return "open to whoever is on this machine", '"none"', ""
    keys = await asyncio.wrap_future(process.store.keys.list())
    count = sum(key.holds(time.time()) for key in keys)
    with_keys = f"with a key, of which there {'is 1' if count == 1 else f'are {count}'}; `telex keys create` makes one"
    return with_keys, '"tx-..."', f' -H "authorization: Bearer ${GATEWAY_KEY}"'
