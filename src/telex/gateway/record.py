"""The one line that a generation leaves in the log: fields from this list, never what was said."""

from __future__ import annotations

from telex.generation.generation import Generation
from telex.telemetry.logs import log


def log_generation(generation: Generation) -> None:
    """Times in seconds; `tokens` says how sure the token counts are."""
    timing = generation.meter.timing(0.0)
    failure = generation.failure
    usage, certainty = generation.meter.tokens(failure is None)
    log.info(
        "generation",
        id=generation.id,
        model=generation.route.model,
        dialect=generation.request.dialect,
        delivery=generation.delivery,
        ending=generation.ending,
        failure=failure.kind if failure else None,
        ttft=rounded(timing.ttft),
        itl_p50=rounded(timing.itl_p50),
        itl_p95=rounded(timing.itl_p95),
        e2e=rounded(timing.e2e),
        input_tokens=usage.input if usage else None,
        output_tokens=usage.output if usage else None,
        tokens=certainty,
        dropped=list(generation.dropped),
        attempts=[{"target": t.target, "failure": t.failure, "seconds": t.seconds, "why": t.why} for t in generation.tried],
        exc_info=generation.bug,
    )


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
