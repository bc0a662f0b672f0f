"""`python -m telex.testing`: a provider to point anything at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from telex.testing import FAULTS, ScriptedUpstream, recording, say
from telex.testing.script import Play

TEXT = (
    "This answer was written long before you asked. It comes word by word, at a pace that was set by hand, from a provider "
    "that knows nothing and costs nothing: good company for rehearsing what your application does while it waits."
)
WORDS = tuple(word if number == 0 else f" {word}" for number, word in enumerate(TEXT.split()))

app = App(name="telex.testing", help="A scripted provider on this machine, for rehearsals.", version_flags=[])


@app.default
def rehearse(
    *,
    port: int = 9009,
    host: str = "127.0.0.1",
    first: float = 0.2,
    gap: float = 0.02,
    fault: Annotated[str, Parameter(help=f"One of: {', '.join(FAULTS)}.")] = "",
    record: Annotated[
        Path | None, Parameter(name="--recording", help="A recorded reply to play (.sse, .chunks.txt, .ndjson, .json).")
    ] = None,
) -> None:
    """Answer every request until Ctrl-C; `first` seconds before the first word, `gap` seconds between words."""
    with ScriptedUpstream(chosen(fault, record, first, gap), host=host, port=port) as upstream:
        print(f"The scripted upstream answers at {upstream.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\n{len(upstream.calls)} calls.")


def chosen(fault: str, record: Path | None, first: float, gap: float) -> Play:
    if record is not None:
        return recording(record, first=first, gap=gap)
    if not fault:
        return say(*WORDS, first=first, gap=gap)
    if fault not in FAULTS:
        raise SystemExit(f"There is no fault {fault!r}; there are:\n  " + "\n  ".join(FAULTS))
    return FAULTS[fault]()


if __name__ == "__main__":
    app()
