"""How many tokens models take, as far as `genai-prices` knows: a table that comes with the package and asks nobody.

Loading it takes up to 0.6 s and 30 MB, so it is done at the first need, in a thread, and nobody waits: until then no window is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

FindsWindow = Callable[[str, str], int | None]

SMALL = 32 << 10
"""Bytes of a body that fits every model of today: for those no table is loaded."""

KEPT = 1000
"""Answers that are remembered: names of models come from clients."""


class Windows:
    """Belongs to one thread, as its event loop does."""

    def __init__(self) -> None:
        self._look_up: FindsWindow | None = None
        self._loading: threading.Thread | None = None
        self._known: dict[tuple[str, str], int | None] = {}

    def find(self, base_url: str, model: str) -> int | None:
        """The window of a provider's model, in tokens of prompt and answer together; None if it is not known, or not yet."""
        key = base_url, model
        if key in self._known:
            return self._known[key]
        if self._look_up is None:
            self.load()
            return None
        if len(self._known) >= KEPT:
            self._known.clear()
        window = self._known[key] = self._look_up(base_url, model)
        return window

    def load(self) -> threading.Thread:
        """Begin to load the table, once; the thread that does."""
        if self._loading is None:
            self._loading = threading.Thread(target=self._load, name="context-windows", daemon=True)
            self._loading.start()
        return self._loading

    def _load(self) -> None:
        self._look_up = load_table()


def load_table() -> FindsWindow:
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return lambda base_url, model: None
    snapshot = get_snapshot()

    def look_up(base_url: str, model: str) -> int | None:
        try:
            return snapshot.find_provider_model(model, None, None, base_url)[1].context_window
        except LookupError:
            return None

    return look_up
