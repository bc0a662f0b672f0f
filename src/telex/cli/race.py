"""`telex race`: one prompt, streamed and whole, side by side, and what the difference means to somebody who waits."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from telex.cli import GATEWAY_KEY
from telex.cli.loading import wait_for_local
from telex.client.errors import through_gateway
from telex.config import Config, Provider, change_server
from telex.core import json, sse
from telex.core.errors import Failure, TelexError
from telex.core.events import PartDelta
from telex.core.messages import Message, Part, Request
from telex.dialects.openai_chat import Decoder, encode_request
from telex.dialects.quirks import NO_QUIRKS
from telex.gateway.server import Process, listen, url_of
from telex.generation.engine import Engine, new_id
from telex.generation.generation import Generation
from telex.local.model import LocalModelError
from telex.telemetry.logs import configure_logs

MAX_TOKENS = 200
FRAMES_PER_SECOND = 12


class Runner:
    """One of the two: the generation, and what of its text has been shown."""

    def __init__(self, title: str, generation: Generation) -> None:
        self.title = title
        self.generation = generation
        self.text = ""
        self._reader = generation.join()
        self._frames = sse.Decoder()
        self._decoder = Decoder()

    async def run(self) -> None:
        """Read to the end as the reader of that delivery does."""
        generation = self.generation
        generation.start()
        while self._take() or not self._reader.over:
            await self._reader.wait()
        if generation.failure is not None:
            raise TelexError(f"The {self.title} answer failed: {through_gateway(generation.failure).message}")

    def _take(self) -> bytes:
        data = self._reader.take()
        if not self.generation.request.stream:
            events = self._decoder.whole(data) if data else []
        else:
            events = [event for frame in self._frames.feed(data) for event in self._decoder.feed(frame)]
        self.text += "".join(event.text for event in events if isinstance(event, PartDelta))
        return data


async def run_race(url: str, model: str, prompt: str, console: Console) -> list[Runner]:
    """Both answers, asked for at the same moment, through the gateway at `url`."""
    gateway = Provider("openai-chat", f"{url.rstrip('/')}/v1", key_env=GATEWAY_KEY)
    engine = Engine(Config(providers={"gateway": gateway}))
    tasks: list[asyncio.Task[None]] = []
    try:
        runners = [Runner(title, await begin(engine, model, prompt, stream)) for title, stream in (("streamed", True), ("whole", False))]
        began = asyncio.get_running_loop().time()
        tasks += (asyncio.create_task(runner.run()) for runner in runners)
        if console.is_terminal:
            await show_live(runners, tasks, began, console)
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine.stop()
    if not console.is_terminal:
        console.print(side_by_side(runners, 0.0, console))
    return runners


async def show_live(runners: list[Runner], tasks: list[asyncio.Task[None]], began: float, console: Console) -> None:
    """Both answers as they grow, until both are here or one has failed."""
    loop = asyncio.get_running_loop()
    with Live(console=console, auto_refresh=False) as live:
        waiting: set[asyncio.Task[None]] = set(tasks)
        while waiting and not any(task.done() and task.exception() for task in tasks):
            live.update(side_by_side(runners, loop.time() - began, console), refresh=True)
            _, waiting = await asyncio.wait(waiting, timeout=1 / FRAMES_PER_SECOND)
        live.update(side_by_side(runners, loop.time() - began, console), refresh=True)


async def begin(engine: Engine, model: str, prompt: str, stream: bool) -> Generation:
    message = Message("user", (Part("text", prompt),))
    request = Request(model=f"gateway/{model}", messages=(message,), max_tokens=MAX_TOKENS, seed=7, stream=stream, include_usage=True)
    body = json.encode(encode_request(request, request.model, stream, NO_QUIRKS))
    generation = await engine.begin(new_id(), msgspec.structs.replace(request, dialect="openai-chat", body=body))
    if isinstance(generation, Failure):
        raise TelexError(generation.message)
    return generation


def side_by_side(runners: list[Runner], elapsed: float, console: Console) -> RenderableType:
    width = max(30, console.width // 2 - 1)
    return Columns([panel(runner, elapsed, width) for runner in runners], expand=True, equal=True)


def panel(runner: Runner, elapsed: float, width: int) -> Panel:
    timing = runner.generation.meter.timing(0.0) if runner.generation.ended else None
    seconds = timing.e2e if timing else elapsed
    body = Text(runner.text) if runner.text else Text("nothing to see yet", style="dim italic")
    return Panel(
        body, title=f"{runner.title}  {seconds:4.1f} s", title_align="left", width=width, border_style="green" if timing else "yellow"
    )


def show_race(runners: list[Runner], console: Console) -> None:
    """The figures of both, and the sentence that matters."""
    table = Table("", *(runner.title for runner in runners), box=None, pad_edge=False)
    timings = [runner.generation.meter.timing(0.0) for runner in runners]
    counts = [runner.generation.meter.tokens(True) for runner in runners]
    streamed, whole = timings
    first_word = streamed.ttft if streamed.ttft is not None else streamed.e2e
    table.add_row("first word on the screen (TTFT)", seconds(first_word), seconds(whole.e2e))
    table.add_row("between words (ITL), p50", seconds(streamed.itl_p50), "—")
    table.add_row("between words (ITL), p95", seconds(streamed.itl_p95), "—")
    table.add_row("end to end (E2E)", *(seconds(timing.e2e) for timing in timings))
    table.add_row("tokens", *(f"{usage.output if usage else '—'} ({certainty})" for usage, certainty in counts))
    table.add_row("tokens/s", *(f"{usage.output / t.e2e:.1f}" if usage else "—" for (usage, _), t in zip(counts, timings, strict=True)))
    console.print(table)
    console.print(
        f"\nA person would have stared at nothing for [bold]{seconds(whole.e2e)}[/]; streamed, the first word was there after "
        f"[bold]{seconds(first_word)}[/], {whole.e2e / first_word:.1f} times as soon.\n"
    )


def seconds(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


async def race_at(url: str, model: str, prompt: str, report: Path | None) -> int:
    """The race through a gateway that runs already."""
    console = Console(record=report is not None)
    console.print(f"[dim]{escape(prompt)}[/]")
    show_race(await run_race(url, model, prompt, console), console)
    if report is not None:
        try:
            console.save_html(str(report))
        except OSError as error:
            raise TelexError(f"The report can't be written to {report}: {error.strerror}.") from None
    return 0


async def race_alone(config: Config, model: str, prompt: str, report: Path | None) -> int:
    """The race through a gateway that lives only for it, and whose log nobody reads."""
    configure_logs(io.BytesIO())
    config = replace(change_server(config, {"host": "127.0.0.1", "port": 0, "access": "open"}), store="memory:")
    listener = listen(config.server.host, config.server.port)
    process = Process(config, listener)
    ready = asyncio.Event()
    serving = asyncio.create_task(process.serve(ready.set))
    try:
        await ready.wait()
        if model == "local":
            await wait_for_local(process.engine.local, Console(stderr=True))
        return await race_at(url_of(listener), model, prompt, report)
    except LocalModelError as error:
        raise TelexError(str(error)) from None
    finally:
        process.stop()
        await serving
