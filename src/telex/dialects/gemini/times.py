"""Times in RFC 3339, as Google writes them, and seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds(time: object) -> int:
    """Whole seconds since 1970; 0 if it is no time."""
    try:
        value = datetime.fromisoformat(time) if isinstance(time, str) else None
        return max(0, int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())) if value else 0
    except (ValueError, OverflowError):
        return 0


def timestamp(created: int) -> str:
    """Empty for what no calendar holds."""
    try:
        return datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""


def is_whole_second(time: object) -> bool:
    """Whether its seconds say all of a time."""
    return bool(created := seconds(time)) and timestamp(created) == time
