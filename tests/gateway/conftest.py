"""What tests of the gateway share: a provider, and what a generation leaves in the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from telex.testing import ScriptedUpstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    """A provider for all tests of a module."""
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """The log's entries, one a generation."""
    with capture_logs() as entries:
        yield entries  # type: ignore[misc]
