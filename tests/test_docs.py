"""The pages that are written from the code say what the code does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from docs import PAGES

FOLDER = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("name", "page"), list(PAGES.items()), ids=list(PAGES))
def test_a_page_is_what_the_code_says(name: str, page: Callable[[], str]) -> None:
    assert (FOLDER / name).read_text() == page(), "it is written anew by `python -m docs`"
