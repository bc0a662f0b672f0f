"""What a generation said, once more, as a whole: the body that it was answered with, or what its frames add up to."""

from __future__ import annotations

from msgspec.structs import replace

from telex.core import sse
from telex.core.fold import Folder
from telex.generation.log import Reader
from telex.generation.output import named
from telex.generation.run import Run


def read_whole(run: Run, reader: Reader) -> bytes:
    """The reply of a run that is complete, in its client's dialect. `reader`: of its log, from the beginning. Needs no event loop."""
    if not run.request.stream:
        return reader.take()
    folder, frames, decoder = Folder(), sse.Decoder(), run.dialect.Decoder(run.quirks)
    while data := reader.take():
        for frame in frames.feed(data):
            for event in decoder.feed(frame):
                folder.feed(event)
    for event in decoder.end() if not decoder.ended else ():
        folder.feed(event)
    reply = named(folder.reply(), run.id, run.created)
    return run.dialect.encode_reply(replace(reply, usage=reply.usage or run.meter.usage))
