"""What is known of a generation beside what was said: its record for who asks, and the one line that it leaves in the log."""

from __future__ import annotations

from msgspec.structs import asdict

from telex.core.messages import Fields
from telex.generation.generation import Generation
from telex.telemetry.logs import log


def record_of(generation: Generation) -> Fields:
    """As far as it has come. Times are in seconds, `created` in those since 1970; `certainty` says how sure the usage is; `owner` is the
    id of the key whose it is."""
    meter, failure = generation.meter, generation.failure
    timing = {"queue": generation.queued, **asdict(meter.timing(generation.now))}
    usage, certainty = meter.tokens(generation.ended and failure is None)
    return {
        "id": generation.id,
        "owner": generation.owner or None,
        "status": generation.ending if generation.ended else "running" if generation.begun else "queued",
        "model": generation.route.model,
        "dialect": generation.request.dialect,
        "delivery": generation.delivery,
        "on_disconnect": generation.on_disconnect,
        "created": generation.created,
        "timing": {name: None if seconds is None else round(seconds, 4) for name, seconds in timing.items()},
        "usage": {name: tokens for name, tokens in asdict(usage).items() if name != "extra"} if usage else None,
        "certainty": certainty,
        "attempts": [asdict(tried) for tried in generation.tried],
        "failure": {name: getattr(failure, name) for name in ("kind", "message", "retry_after")} if failure else None,
        "dropped": list(generation.dropped),
    }


def log_record(record: Fields, bug: Exception | None) -> None:
    """Fields from this list, never what was said: what a provider's failure says may hold it too."""
    timing, usage, failure = record["timing"], record["usage"] or {}, record["failure"] or {}
    log.info(
        "generation",
        id=record["id"],
        owner=record["owner"],
        model=record["model"],
        dialect=record["dialect"],
        delivery=record["delivery"],
        ending=record["status"],
        failure=failure.get("kind"),
        queue=timing["queue"],
        ttft=timing["ttft"],
        itl_p50=timing["itl_p50"],
        itl_p95=timing["itl_p95"],
        e2e=timing["e2e"],
        input_tokens=usage.get("input"),
        output_tokens=usage.get("output"),
        tokens=record["certainty"],
        dropped=record["dropped"],
        attempts=record["attempts"],
        exc_info=bug,
    )
