"""The page that says what the matrix found: its rows and columns are those that the tests run."""

from __future__ import annotations

from .cells import CELLS
from .clients import CLIENTS

HEAD = """\
# The official SDKs, each against providers of every dialect

Written by `make docs` from the table that `tests/sdk/matrix` runs, over real sockets: the official Python SDK as the client (sync and
async; a whole reply, a stream read event by event, and the SDK's own streaming helper), a gateway, and a scripted provider that speaks
the dialect of the column. ✓: the client heard what the provider said (text, calls with their arguments, reasoning, usage, the reason
to stop, or the error, raised by the SDK), and the provider was told what the client asked.
"""
TURN = "tool result turn, what was signed comes back"
SEVERAL = "several choices"
REFUSED_CHOICES = {
    **{("openai-chat", up): "400, `n`" for up in ("openai-responses", "anthropic")},
    **{("gemini", up): "400, `candidateCount`" for up in ("openai-responses", "anthropic")},
}
"""Clients that can ask for several choices, and providers that can't give them."""


def page() -> str:
    pairs = [(client, up) for client in CLIENTS for up in CLIENTS]
    rows = ["| | " + " | ".join(f"{client} → {up}" for client, up in pairs) + " |", "|---" * (len(pairs) + 1) + "|"]
    rows += [f"| {name} |" + " ✓ |" * len(pairs) for name in (*(cell.name for cell in CELLS), TURN)]
    rows.append(f"| {SEVERAL} | " + " | ".join(several(client, up) for client, up in pairs) + " |")
    return "\n".join([HEAD, *rows, ""])


def several(client: str, up: str) -> str:
    if client in ("anthropic", "openai-responses"):
        return "can't be asked"
    return REFUSED_CHOICES.get((client, up), "✓")
