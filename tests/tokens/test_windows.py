"""The table of context windows: what it says, that nobody waits for it, and that none of this asks anybody."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from telex.tokens import windows
from telex.tokens.windows import KEPT, Windows

OPENAI = "https://api.openai.com/v1"


@pytest.fixture(scope="module")
def loaded() -> Windows:
    table = Windows()
    table.load().join()
    return table


@pytest.mark.parametrize(
    ("base_url", "model", "window"),
    [
        (OPENAI, "gpt-4", 8192),
        (OPENAI, "gpt-4o", 128_000),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-flash", 1 << 20),
        (OPENAI, "unheard-of", None),
        ("http://127.0.0.1:8000/v1", "gpt-4", None),
        ("", "smollm2-135m", None),
    ],
)
def test_windows_are_known_of_providers_at_their_own_place(loaded: Windows, base_url: str, model: str, window: int | None) -> None:
    """A model of that name elsewhere may have another."""
    assert [loaded.find(base_url, model) for _ in range(2)] == [window, window]


def test_nobody_waits_for_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    may_load = threading.Event()

    def slow() -> windows.FindsWindow:
        may_load.wait()
        return lambda base_url, model: 5

    monkeypatch.setattr(windows, "load_table", slow)
    table = Windows()
    assert [table.find(OPENAI, "m") for _ in range(3)] == [None, None, None]
    may_load.set()
    table.load().join()
    assert table.find(OPENAI, "m") == 5


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "load_table", lambda: lambda base_url, model: 5)
    table = Windows()
    table.load().join()
    assert {table.find(OPENAI, f"m{number}") for number in range(3 * KEPT)} == {5}
    assert len(table._known) <= KEPT


OFFLINE = """
import socket

def refuse(*arguments, **more):
    raise SystemExit(f"somebody wanted to reach {arguments[1:]}")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = socket.create_connection = refuse

from telex.tokens.encodings import count_texts
from telex.tokens.windows import load_table

assert count_texts(["hello world"], "o200k_base") == [2]
assert count_texts(["hello world"], "cl100k_base") == [2]
assert load_table()("https://api.openai.com/v1", "gpt-4") == 8192
print("offline")
"""


def test_vocabularies_and_windows_come_with_their_packages() -> None:
    """In a process of its own, where nothing of them is loaded yet."""
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("offline\n", 0), done.stderr


def test_importing_telex_loads_none_of_them() -> None:
    names = "{'toktok', 'genai_prices', 'pydantic'}"
    script = f"import sys, telex.gateway.server; print(sorted({names} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
