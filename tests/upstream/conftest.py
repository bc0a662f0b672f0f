from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telex.upstream.pool import Pool


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without proxies."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def pool(direct: None) -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()
