"""Writes the pages that are made from the code, beside this file."""

from __future__ import annotations

from pathlib import Path

from docs import PAGES

for name, page in PAGES.items():
    Path(__file__).with_name(name).write_text(page())
