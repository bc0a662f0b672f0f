"""Every language model, every dialect, streamed or whole."""

TYPE_CHECKING = False  # typing's own would cost more than all of this
if TYPE_CHECKING:
    from telex.client.awaiting import AsyncClient, AsyncStream
    from telex.client.background import Job, JobStream
    from telex.client.blocking import Client, Stream
    from telex.client.errors import (
        BadRequest,
        Cancelled,
        ContextTooLong,
        GenerationError,
        Interrupted,
        NotFound,
        Overloaded,
        RateLimited,
        Timeout,
        Unauthorized,
        UpstreamError,
    )
    from telex.client.jobs import AsyncJob, AsyncJobStream
    from telex.client.reply import Reply, ToolCall
    from telex.core.errors import TelexError

_HOME = {
    "awaiting": ("AsyncClient", "AsyncStream"),
    "background": ("Job", "JobStream"),
    "blocking": ("Client", "Stream"),
    "errors": (
        "BadRequest", "Cancelled", "ContextTooLong", "GenerationError", "Interrupted", "NotFound", "Overloaded", "RateLimited",
        "TelexError", "Timeout", "Unauthorized", "UpstreamError",
    ),
    "jobs": ("AsyncJob", "AsyncJobStream"),
    "reply": ("Reply", "ToolCall"),
}  # fmt: skip

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "AsyncJobStream",
    "AsyncStream",
    "BadRequest",
    "Cancelled",
    "Client",
    "ContextTooLong",
    "GenerationError",
    "Interrupted",
    "Job",
    "JobStream",
    "NotFound",
    "Overloaded",
    "RateLimited",
    "Reply",
    "Stream",
    "TelexError",
    "Timeout",
    "ToolCall",
    "Unauthorized",
    "UpstreamError",
]


def __getattr__(name: str) -> object:
    """The library's names are imported when they are first asked for, so that a program that needs none pays for none."""
    for module, names in _HOME.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"telex.client.{module}"), name)
    raise AttributeError(f"module 'telex' has no attribute '{name}'")
