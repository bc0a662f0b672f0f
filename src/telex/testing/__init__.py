"""A scripted upstream: a provider on a real socket that says what you wrote, breaks where you want, and watches its client.

Telex's own tests stand on it, and so can rehearsals of any application that speaks to a model:

    from telex.testing import FAULTS, ScriptedUpstream, say, status

    with ScriptedUpstream(status(429), say("Hello", " world", gap=0.02)) as upstream:
        client = OpenAI(base_url=upstream.url, api_key="none")   # http://127.0.0.1:PORT/v1
        ...
        refused, answered = upstream.wait_for(2)                  # two requests came whole
        assert answered.json["model"] == "any" and answered.connection == refused.connection

From a shell, `python -m telex.testing --port 9009 --gap 0.02` answers anything that is pointed at it until Ctrl-C
(`--fault row25-stall-mid-stream` breaks it, `--recording FILE` plays a file).

**What to play.** Each request takes the next of the plays; the last one is for all the rest; `upstream.play(…)` changes them.

- `say("Hello", " world")`, `reply(Reply(…))`, `perform(events)`: answers in the words of `telex.core`, streamed or whole as the request
  asks, with usage if it asks; `first=`, `gap=`, `head=` pace them in seconds. `pour(200 << 20)` is a stream of that many bytes.
- `status(429, headers=[("retry-after", "2")])`: any status, with a body or the error that fits it.
- `ScriptedUpstream(counting=tokens(42))`: what a provider counts when it is asked for nothing else; any other play too.
- `recording("reply.sse", timing=True, speed=2)`: a recorded file, byte for byte. `cut(play, 700, (Reset(),))`: any play, cut anywhere.
- `FAULTS["row15-reset-mid-stream"](after=2)`: the faults that an upstream can cause, by row and name.
- a tuple of steps (`Head Send Wait At Until Stall Pour Beat Close Reset`, or `Refuse` or `Hang` alone): see `telex.testing.script`.
- a function from the `Call` to any of these.

**What it saw.** `upstream.calls` are `Call`s: the request, and when it came, was answered and was left, as `time.monotonic()`. A client
that leaves is stamped (`left_at`) at once, whatever is being played. `upstream.wait_for(2)`, `upstream.wait_for(lambda: …)` and
`call.wait("left_at")` block until it is so; `await upstream.until(…)` and `await call.until("left_at")` are their twins for asyncio.
"""

from telex.testing.answers import perform, pour, render, reply, say, status, tokens
from telex.testing.call import Call, Headers
from telex.testing.faults import FAULTS, Fault
from telex.testing.recordings import Timing, recording, write_timing
from telex.testing.script import (
    At,
    Beat,
    Close,
    Hang,
    Head,
    Play,
    Pour,
    Refuse,
    Reset,
    Script,
    Send,
    Stall,
    Step,
    Until,
    Wait,
    cut,
)
from telex.testing.upstream import ScriptedUpstream

__all__ = [
    "FAULTS",
    "At",
    "Beat",
    "Call",
    "Close",
    "Fault",
    "Hang",
    "Head",
    "Headers",
    "Play",
    "Pour",
    "Refuse",
    "Reset",
    "Script",
    "ScriptedUpstream",
    "Send",
    "Stall",
    "Step",
    "Timing",
    "Until",
    "Wait",
    "cut",
    "perform",
    "pour",
    "recording",
    "render",
    "reply",
    "say",
    "status",
    "tokens",
    "write_timing",
]
