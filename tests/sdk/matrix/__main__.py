"""Writes the page of the matrix into the documentation: `make docs`."""

from __future__ import annotations

from pathlib import Path

from .page import page

PAGE = Path(__file__).parents[3] / "docs" / "sdks.md"

if __name__ == "__main__":
    PAGE.write_text(page())
