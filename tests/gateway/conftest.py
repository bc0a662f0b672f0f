"""What a generation leaves in the log, for tests to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """The log's entries, one a generation."""
    with capture_logs() as entries:
        yield entries  # type: ignore[misc]
