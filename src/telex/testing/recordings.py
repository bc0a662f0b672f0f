"""Recordings: what a real provider once sent, played again byte for byte, in its own time or in another.

Files are known by how their names end:

- `.sse`, `.ndjson`: the raw bytes of a stream;
- `.chunks.txt`: one payload a line; each becomes `data: …` and a blank line, with a terminator behind the last;
- `.json`: a whole reply.

Two files may lie beside one: `<file>.meta.json`, an object with the answer's `status` and `headers`; and `<file>.timing`, which
tells when its bytes came: a line for each piece, the seconds since the request was complete, a space, the number of bytes. `#` starts
a comment.

    0.412 153
    0.455 160
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from telex.core import sse
from telex.testing.answers import JSON, SSE, paced
from telex.testing.script import ABRUPT, At, Framing, Head, Script, Send, Step, cut_script

Timing = Sequence[tuple[float, int]]
"""Pieces of a recording: seconds since the request was complete, and how many bytes came then."""

DONE = sse.encode(sse.DONE)
FRAME = re.compile(rb".+?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
LINE = re.compile(rb".+?(?:\n|\Z)", re.DOTALL)
NDJSON = (("content-type", "application/x-ndjson"),)
HOP_BY_HOP = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})


def recording(
    path: str | Path,
    *,
    first: float = 0,
    gap: float = 0,
    timing: Timing | bool = False,
    speed: float = 1,
    cut: int | None = None,
    then: Script = ABRUPT,
    terminator: bytes = DONE,
    framing: Framing | None = None,
    status: int | None = None,
) -> Script:
    """Play a recorded file.

    Either frame by frame, with `first` seconds before the first and `gap` seconds between; or with its original timing, given or
    (`True`) read from the `.timing` file, `speed` times as fast. After `cut` bytes, if given, `then` is played instead of the
    rest: an abrupt end unless told otherwise. `terminator` ends a `.chunks.txt` (`b""`: nothing). `framing` and `status` replace
    the recorded or usual.
    """
    path = Path(path)
    pieces, headers, usual = load(path, terminator)
    known, extra = read_meta(path)
    head = Head(status or known or 200, extra or headers, framing or usual)
    if timing is False:
        body = paced(pieces, first, gap)
    else:
        body = timed(b"".join(pieces), read_timing(timing_file(path)) if timing is True else timing, speed)
    script: Script = (head, *body)
    return script if cut is None else cut_script(script, cut, then)


def load(path: Path, terminator: bytes = DONE) -> tuple[list[bytes], tuple[tuple[str, str], ...], Framing]:
    """A file's pieces as they are played, with the headers and the framing that are usual for its kind."""
    data = path.read_bytes()
    if path.name.endswith(".sse"):
        return FRAME.findall(data), SSE, "chunked"
    if path.name.endswith(".chunks.txt"):
        frames = [sse.encode(line) for line in data.splitlines() if line.strip()]
        return [*frames, terminator] if terminator else frames, SSE, "chunked"
    if path.name.endswith(".ndjson"):
        return LINE.findall(data), NDJSON, "chunked"
    if path.name.endswith(".json"):
        return [data], JSON, "length"
    raise ValueError(f"{path.name} is no recording: names end in .sse, .chunks.txt, .ndjson or .json")


def timed(data: bytes, timing: Timing, speed: float = 1) -> Script:
    """`data` in the pieces and at the times of `timing`; what it does not cover comes with the last piece."""
    steps, start = list[Step](), 0
    for number, (seconds, count) in enumerate(timing, 1):
        end = start + count if number < len(timing) else len(data)
        steps += [At(seconds / speed), Send(data[start:end])]
        start = end
    return tuple(steps) if steps else (Send(data),)


def timing_file(path: Path) -> Path:
    return path.with_name(path.name + ".timing")


def read_timing(path: Path) -> Timing:
    timing = list[tuple[float, int]]()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if fields := line.partition("#")[0].split():
            try:
                seconds, count = fields
                timing.append((float(seconds), int(count)))
            except ValueError:
                raise ValueError(f"{path.name}, line {number}: expected seconds and a number of bytes, not {line!r}") from None
    return timing


def write_timing(path: Path, timing: Iterable[tuple[float, int]]) -> None:
    """The `.timing` file of the recording at `path`."""
    timing_file(path).write_text("".join(f"{seconds:.6f} {count}\n" for seconds, count in timing))


def read_meta(path: Path) -> tuple[int | None, tuple[tuple[str, str], ...]]:
    """The status and headers that lie beside a recording; those that belong to its connection are left out."""
    file = path.with_name(path.name + ".meta.json")
    if not file.exists():
        return None, ()
    meta: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    headers = [(name.lower(), value) for name, value in meta.get("headers", {}).items() if name.lower() not in HOP_BY_HOP]
    pairs = [(name, str(v)) for name, value in headers for v in (value if isinstance(value, list) else [value])]
    return meta.get("status"), tuple(pairs)
