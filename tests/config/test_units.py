"""Times and sizes as people write them."""

from __future__ import annotations

import pytest

from telex.config.units import bytes_of, seconds_of


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("0.5 s", 0.5), ("2h", 7200), ("30d", 30 * 86400)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("1GB", 10**9), ("64 MiB", 64 << 20), ("1.5KB", 1500), ("0B", 0)])
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "15", "m", "15 minutes", "-1s", "1e3s", "1GB", "٣s"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time as in '15m'; the units are s, m, h, d"):
        seconds_of(text)
