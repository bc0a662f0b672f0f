"""Pages that are written from the code: `python -m docs` writes them, a test holds them against it."""

from __future__ import annotations

from docs import features

PAGES = {"features.md": features.page}
