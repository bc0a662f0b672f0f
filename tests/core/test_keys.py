"""What a key opens."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from telex.core.keys import Key

KEY = Key("key_1", "web", ("chat",), expires_at=100.0)


@pytest.mark.parametrize(
    ("key", "now", "holds"),
    [
        (KEY, 99.9, True),
        (KEY, 100.0, False),
        (replace(KEY, expires_at=None), 1e12, True),
        (replace(KEY, revoked_at=50.0), 99.9, False),
        (replace(KEY, revoked_at=200.0, expires_at=None), 99.9, False),
    ],
)
def test_it_holds_until_it_expires_or_is_revoked(key: Key, now: float, holds: bool) -> None:
    assert key.holds(now) == holds


def test_models_are_those_that_are_named_or_all() -> None:
    assert KEY.may_use("chat")
    assert not KEY.may_use("Chat")
    assert not KEY.may_use("up/chat")
    assert replace(KEY, models=None).may_use("anything")
    assert not replace(KEY, models=()).may_use("chat")
