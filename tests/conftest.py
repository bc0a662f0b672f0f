"""What all tests share: a fast event loop, a provider, where recordings lie, hypothesis without clocks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from telex.testing import ScriptedUpstream

settings.register_profile("telex", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("telex"), max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "telex"))  # HYPOTHESIS_PROFILE=soak draws many more examples


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    """A provider for all tests of a module."""
    with ScriptedUpstream() as upstream:
        yield upstream


def recordings() -> Path | None:
    """The folder of recorded replies of real providers, which belong to others and are not part of the project."""
    folder = os.environ.get("TELEX_RECORDINGS")
    return Path(folder) if folder else None
