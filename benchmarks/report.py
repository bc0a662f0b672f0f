"""From rounds to a table: a figure is quoted as its median over the rounds, and beside the yardstick as the median of same-round ratios."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from .loads import MEMORY, START, TESTS
from .measure import Round, Run
from .stacks import YARDSTICK


@dataclass(frozen=True, slots=True)
class Column:
    test: str
    figure: str
    title: str
    decimals: int = 0
    ratio: bool = False  # quoted beside the yardstick too
    added: bool = False  # quoted less that of `direct` too
    over_relay: bool = False  # quoted less that of the stack's relay too


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[Column, ...]
    translation: bool = False  # only of stacks that translate, and those that they are quoted beside


TABLES = (
    Table(
        "CPU of the gateway's processes (µs)",
        (
            Column("paced100", "cpu_us_per_event", "an event, 100 streams", 1, ratio=True),
            Column("paced20", "cpu_us_per_event", "an event, 20 streams", 1, ratio=True),
            Column("sat", "cpu_us_per_event", "an event, saturated", 2, ratio=True),
            Column("json", "cpu_us_per_request", "a whole reply", 1, ratio=True),
            Column("setup", "cpu_us_per_request", "a stream of one event", 1, ratio=True),
        ),
    ),
    Table(
        "Translation: CPU of the gateway's processes (µs), and what of it comes on top of relay",
        (
            Column("paced100", "cpu_us_per_event", "an event, 100 streams", 1, over_relay=True),
            Column("paced20", "cpu_us_per_event", "an event, 20 streams", 1, over_relay=True),
            Column("sat", "cpu_us_per_event", "an event, saturated", 2, over_relay=True),
            Column("json", "cpu_us_per_request", "a whole reply", 1, over_relay=True),
        ),
        translation=True,
    ),
    Table(
        "What one core does",
        (
            Column("sat", "events_per_core_s", "events/s"),
            Column("sat", "core_percent", "core busy %"),
            Column("sat", "events_per_read", "events a read", 1),
            Column("json", "requests_per_s", "whole replies/s"),
            Column("setup", "requests_per_s", "streams/s"),
        ),
    ),
    Table(
        "Time (µs)",
        (
            Column("ttft", "p50_us", "first event p50", added=True),
            Column("ttft", "p99_us", "p99"),
            Column("paced100", "latency_p50_us", "event under way, 100 streams, p50", added=True),
            Column("paced100", "latency_p99_us", "p99"),
            Column("json", "round_trip_p50_us", "whole reply p50"),
            Column("json", "round_trip_p99_us", "p99"),
        ),
    ),
    Table(
        "Start and memory",
        (
            Column(START, "ready_s", "ready s", 2),
            Column(START, "idle_rss_mb", "idle RSS MB", 1),
            Column(START, "idle_pss_mb", "idle PSS MB", 1),
            Column(MEMORY, "base_pss_mb", "PSS after first load MB", 1),
            Column(MEMORY, "kb_per_stream", "KB an open stream", 1),
        ),
    ),
)


def values(rounds: Sequence[Round], stack: str, test: str, figure: str) -> list[float]:
    found = (turn.runs[test].figures.get(figure) for turns in rounds if (turn := turns.get(stack)) and test in turn.runs)
    return [value for value in found if value is not None]


def _paired(rounds: Sequence[Round], stack: str, other: str, test: str, figure: str) -> list[tuple[float, float]]:
    pairs = ((values([turns], stack, test, figure), values([turns], other, test, figure)) for turns in rounds)
    return [(ours[0], theirs[0]) for ours, theirs in pairs if ours and theirs]


def ratios(rounds: Sequence[Round], stack: str, test: str, figure: str) -> list[float]:
    return [ours / theirs for ours, theirs in _paired(rounds, stack, YARDSTICK, test, figure) if theirs]


def added(rounds: Sequence[Round], stack: str, test: str, figure: str) -> list[float]:
    """What comes on top of no gateway at all."""
    return [ours - theirs for ours, theirs in _paired(rounds, stack, "direct", test, figure)]


def over_relay(rounds: Sequence[Round], stack: str, test: str, figure: str) -> list[float]:
    """What comes on top of the same gateway's relay; empty of a stack that does not translate."""
    relays = {turns[stack].relay for turns in rounds if stack in turns} - {""}
    return [ours - theirs for relay in relays for ours, theirs in _paired(rounds, stack, relay, test, figure)]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a stack promises: at most so much of what `find` finds in the rounds."""

    stack: str
    test: str
    figure: str
    at_most: float
    words: str
    find: Callable[[Sequence[Round], str, str, str], list[float]] = values


def _translation_marks(stack: str, words: str) -> tuple[Mark, Mark]:
    paced = f"µs of CPU an event more than relay, {words}, at 100 streams x 50 events/s"
    saturated = f"µs of CPU an event more than relay, {words}, saturated"
    return (
        Mark(stack, "paced100", "cpu_us_per_event", 20.0, paced, over_relay),
        Mark(stack, "sat", "cpu_us_per_event", 3.0, saturated, over_relay),
    )


MARKS = (
    Mark("telex", "paced100", "cpu_us_per_event", 2.2, f"CPU an event at 100 streams x 50 events/s, times {YARDSTICK}'s", ratios),
    *_translation_marks("telex-to-anthropic", "from Anthropic to a Chat client"),
    *_translation_marks("telex-from-anthropic", "from Chat to an Anthropic client"),
    Mark("telex", START, "idle_rss_mb", 60.0, "MB resident when idle"),
    Mark("telex", START, "ready_s", 1.0, "seconds from the command to the first answer"),
)


def summary(rounds: Sequence[Round]) -> dict[str, dict[str, dict[str, float | list[float]]]]:
    """stack → "test.figure" → median, every round's value, and the same of the ratios and of what came on top of relay."""
    result: dict[str, dict[str, dict[str, float | list[float]]]] = {}
    for stack in rounds[0]:
        figures = sorted({(test, name) for turns in rounds for test, run in turns[stack].runs.items() for name in run.figures})
        rows = result[stack] = {}
        for test, figure in figures:
            of_rounds, beside = values(rounds, stack, test, figure), ratios(rounds, stack, test, figure)
            row = rows[f"{test}.{figure}"] = {"median": statistics.median(of_rounds), "rounds": of_rounds}
            if beside:
                row |= {f"median_ratio_to_{YARDSTICK}": statistics.median(beside), f"ratios_to_{YARDSTICK}": beside}
            if more := over_relay(rounds, stack, test, figure):
                row |= {"median_over_relay": statistics.median(more), "over_relay": more}
    return result


def as_json(about: Mapping[str, object], rounds: Sequence[Round]) -> dict[str, object]:
    return {**about, "summary": summary(rounds), "rounds": [{name: asdict(turn) for name, turn in turns.items()} for turns in rounds]}


# ---- Text ----


def as_text(about: Mapping[str, object], rounds: Sequence[Round], max_foreign: float, extra: Sequence[str] = ()) -> str:
    stacks = list(rounds[0])
    parts = [_heading(about, len(rounds))]
    parts += [text for table in TABLES if (text := _table(table, rounds, stacks, max_foreign))]
    parts += [text for text in (_noise(rounds, stacks, max_foreign),) if text]
    promises = [*extra, *(line for mark in MARKS if (line := _mark(mark, rounds)))]
    if promises:
        parts.append("Promises\n\n" + "\n".join(f"- {line}" for line in promises))
    if problems := _problems(rounds):
        parts.append("Problems\n\n" + "\n".join(f"- {line}" for line in problems))
    return "\n\n".join(parts) + "\n"


def _heading(about: Mapping[str, object], count: int) -> str:
    lines = [f"{name}: {_listed(value) if isinstance(value, Mapping) else value}  " for name, value in about.items()]
    medians = f"medians of {count} round{'s' if count > 1 else ''}"
    on_top = f"(N×) is the median of the same-round ratios to {YARDSTICK}; (+N) is what came on top of direct, or of relay"
    return "\n".join([*lines, f"{medians}; {on_top}"])


def _listed(items: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in items.items())


def _cell(column: Column, rounds: Sequence[Round], stack: str, max_foreign: float) -> str:
    of_rounds = values(rounds, stack, column.test, column.figure)
    if not of_rounds:
        return "-"
    text = f"{statistics.median(of_rounds):,.{column.decimals}f}"
    if column.ratio and (beside := ratios(rounds, stack, column.test, column.figure)):
        text += f" ({statistics.median(beside):.2f}×)"
    if column.added and stack != "direct" and (more := added(rounds, stack, column.test, column.figure)):
        text += f" ({statistics.median(more):+,.0f})"
    if column.over_relay and (more := over_relay(rounds, stack, column.test, column.figure)):
        text += f" ({statistics.median(more):+,.{column.decimals}f})"
    noisy = any(turns[stack].runs[column.test].noise.percent >= max_foreign for turns in rounds if column.test in turns[stack].runs)
    return f"~{text}" if noisy else text


def _table(table: Table, rounds: Sequence[Round], stacks: Sequence[str], max_foreign: float) -> str:
    if table.translation:
        relays = {stack: rounds[0][stack].relay for stack in stacks}
        stacks = [stack for stack in stacks if relays[stack] or stack in relays.values()]
    columns = [column for column in table.columns if any(values(rounds, stack, column.test, column.figure) for stack in stacks)]
    if not columns:
        return ""
    rows = [["stack", *(column.title for column in columns)]]
    rows += [[stack, *(_cell(column, rounds, stack, max_foreign) for column in columns)] for stack in stacks]
    rows = [row for row in rows if set(row[1:]) != {"-"}]
    return f"{table.title}\n\n{_grid(rows)}"


def _grid(rows: Sequence[Sequence[str]]) -> str:
    """A markdown table that is also straight as plain text."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    first, *others = [
        [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))] for row in rows
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (first, rule, *others))


def _noise(rounds: Sequence[Round], stacks: Sequence[str], max_foreign: float) -> str:
    tests = [test for test in TESTS if any(test in turns[stack].runs for turns in rounds for stack in stacks)]
    rows = [["stack", *tests]]
    for stack in stacks:
        cells = []
        for test in tests:
            runs = [turns[stack].runs[test] for turns in rounds if test in turns[stack].runs]
            cells.append(_worst(runs) if runs else "-")
        rows.append([stack, *cells])
    words = f"Noise: % of one core that others used, the worst of the kept runs (~ above: {max_foreign:.0f} or more in some round)"
    return f"{words}\n\n{_grid([row for row in rows if set(row[1:]) != {'-'}])}" if tests else ""


def _worst(runs: Sequence[Run]) -> str:
    noise = max((run.noise for run in runs), key=lambda noise: noise.percent)
    again = sum(len(run.discarded) for run in runs)
    return ", ".join(
        [
            f"{noise.percent:.0f}",
            *([f"{noise.stolen:.0f} by the host"] if noise.stolen >= 1 else []),
            *([f"{again} repeated"] if again else []),
        ]
    )


def judge(words: str, value: float, at_most: float, spread: Sequence[float] = ()) -> str:
    between = f", {min(spread):.3g} to {max(spread):.3g} over the rounds" if len(spread) > 1 else ""
    return f"{'kept' if value <= at_most else 'NOT KEPT'}: {value:.3g} {words} (at most {at_most:g}{between})"


def _mark(mark: Mark, rounds: Sequence[Round]) -> str:
    found = mark.find(rounds, mark.stack, mark.test, mark.figure)
    return judge(f"{mark.words}", statistics.median(found), mark.at_most, found) if found else ""


def _problems(rounds: Sequence[Round]) -> list[str]:
    lines = []
    for number, turns in enumerate(rounds, 1):
        for stack, turn in turns.items():
            if turn.problem:
                lines.append(f"round {number}, {stack}: {turn.problem}")
            failed = [(test, run) for test, run in turn.runs.items() if run.failures]
            lines += [f"round {number}, {stack}, {test}: {run.failures} failed, such as: {run.sample}" for test, run in failed]
    return lines


def clean(rounds: Sequence[Round]) -> bool:
    return not _problems(rounds)
