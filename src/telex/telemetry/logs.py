"""Structured logs: JSON lines on standard error, from an allow-list of fields."""

from __future__ import annotations

import sys
from typing import TextIO

import structlog


def configure_logs(stream: TextIO | None = None) -> None:
    """Write one JSON object a line to `stream`, standard error unless said otherwise."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=True,
    )


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
