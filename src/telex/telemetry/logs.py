"""Structured logs: JSON lines on standard error, from an allow-list of fields."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import msgspec
import structlog


def configure_logs(stream: BinaryIO | None = None) -> None:
    """Write one JSON object a line to `stream`, standard error unless said otherwise."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=to_json),
        ],
        logger_factory=structlog.BytesLoggerFactory(stream or sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


def to_json(fields: Any, **_: Any) -> bytes:
    return msgspec.json.encode(fields)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
