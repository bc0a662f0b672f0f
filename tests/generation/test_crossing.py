"""Going on in another dialect: what is said again, and what is not. That it all adds up, behind every frame, is for `test_cuts.py`."""

from __future__ import annotations

from collections.abc import Sequence

from telex.core.errors import Failure
from telex.core.events import Done, Event, PartDelta, PartEnd, PartStart, Start
from telex.core.messages import Finish, Usage
from telex.dialects import DIALECTS
from telex.dialects.anthropic import NAME as ANTHROPIC
from telex.dialects.openai_chat import NAME as CHAT
from telex.dialects.quirks import Quirks
from telex.generation.crossing import Crossing
from telex.generation.kept import KeptLog, Room
from telex.generation.reading import Source

from .listening import read_all_of, reading, undisturbed
from .shapes import check_shape

START = Start("x", "m", 1)
BROKEN = Failure("truncated", "It broke.")
CALL: list[Event] = [PartStart(0, 0, "tool_call", "c", "f", "function"), PartDelta(0, 0, '{"a"'), PartDelta(0, 0, ":1}"), PartEnd(0, 0)]


def kept(said: Sequence[Event], dialect: str = CHAT, failure: Failure | None = None) -> KeptLog:
    log, encoder = KeptLog(Room(1 << 30)), DIALECTS[dialect].Encoder(True, "x", 1)
    log.source = Source(dialect)
    log.append([frame for event in said for frame in encoder.feed(event)])
    log.close(failure)
    return log


def rest(log: KeptLog, after: int, of: str = CHAT, dialect: str = ANTHROPIC) -> list[Event]:
    """What who has so many frames in one dialect hears in another."""
    frames = undisturbed(log, Crossing(reading(dialect), reading(of), after))
    check_shape(dialect, frames)
    return read_all_of(dialect, frames)


def texts(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, PartDelta) and event.text]


def count(log: KeptLog, dialect: str = CHAT) -> int:
    return len(undisturbed(log, reading(dialect)))


SPOKEN: list[Event] = [START, PartStart(0, 0, "text"), PartDelta(0, 0, "Hi"), PartDelta(0, 0, " there"), PartEnd(0, 0)]
ENDING: list[Event] = [Finish(0, "stop"), Usage(3, 2), Done()]


def test_text_goes_on_where_it_stopped() -> None:
    log = kept([*SPOKEN, *ENDING])
    assert [texts(rest(log, after)) for after in range(4)] == [["Hi", " there"], ["Hi", " there"], [" there"], []]


def test_a_call_that_was_open_is_said_again_whole() -> None:
    log = kept([START, *CALL, Finish(0, "tool_calls"), Usage(3, 2), Done()])
    for after in range(count(log) - 2):
        events = rest(log, after)
        assert "".join(texts(events)) == '{"a":1}', after
        assert [event.name for event in events if isinstance(event, PartStart)] == ["f"]


def test_a_call_that_was_over_is_not() -> None:
    log = kept([START, *CALL, PartStart(0, 1, "text"), PartDelta(0, 1, "Hi"), *ENDING], ANTHROPIC)
    assert [len(texts(rest(log, after, ANTHROPIC, CHAT))) for after in (4, 5, 6, 7)] == [3, 1, 1, 0]


def test_why_it_stopped_and_what_it_cost_are_said_again_wherever_it_was_cut() -> None:
    log = kept([*SPOKEN, *ENDING])
    for after in range(count(log) + 3):
        events = rest(log, after)
        assert (isinstance(events[-1], Done), [e.input for e in events if isinstance(e, Usage)][-1:]) == (True, [3]), after
        assert [event.reason for event in events if isinstance(event, Finish)] == ["stop"]


def test_who_has_all_of_it_is_told_that_it_ended() -> None:
    log = kept([*SPOKEN, *ENDING])
    beyond = rest(log, 99)
    assert (texts(beyond), beyond[-1]) == ([], Done())
    broken = kept(SPOKEN, failure=BROKEN)
    assert isinstance(rest(broken, 99)[-1], Failure)
    assert sum(isinstance(event, Failure) for event in rest(broken, count(broken))) == 1


def test_what_an_encoder_held_back_until_a_failure_is_not_lost() -> None:
    """In Anthropic's dialect a text that began beside an open call waits for it; when the stream breaks, it is said."""
    beside: list[Event] = [PartStart(0, 1, "text"), PartDelta(0, 1, "Hi")]
    log = kept([START, PartStart(0, 0, "tool_call", "c", "f", "function"), PartDelta(0, 0, '{"a"'), *beside], failure=BROKEN)
    frames = undisturbed(log, reading(ANTHROPIC))
    assert texts(read_all_of(ANTHROPIC, frames)) == ['{"a"', "Hi"]
    for after in range(3):
        events = rest(log, after, ANTHROPIC, CHAT)
        assert texts(events)[-1] == "Hi"
        assert isinstance(events[-1], Failure)


def test_a_thought_whose_encrypted_form_comes_last_is_not_thought_twice() -> None:
    thought: list[Event] = [
        PartStart(0, 0, "reasoning"),
        PartDelta(0, 0, "Hm"),
        PartDelta(0, 0, "."),
        PartDelta(0, 0, data="RU5D"),
        PartEnd(0, 0),
    ]
    log = kept([START, *thought, PartStart(0, 1, "text"), PartDelta(0, 1, "Hi"), PartEnd(0, 1), *ENDING])
    assert [texts(rest(log, after)) for after in range(1, 5)] == [["Hm", ".", "Hi"], [".", "Hi"], ["Hi"], ["Hi"]]


def test_what_its_own_dialect_reads_with_quirks_is_read_with_them() -> None:
    log = KeptLog(Room(1 << 30))
    log.source = Source(CHAT, Quirks(no_done=True))
    log.append([b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'])
    log.close()
    for after in range(4):
        events = rest(log, after)
        assert (texts(events), events[-1]) == (["Hi"] if not after else [], Done())


def test_it_begins_before_anything_came_and_says_its_error_if_nothing_ever_does() -> None:
    log = KeptLog(Room(1 << 30))
    reader = log.join(Crossing(reading(ANTHROPIC), reading(CHAT), 5))
    assert reader.read() == []
    log.close(BROKEN)
    [said] = read_all_of(ANTHROPIC, reader.read())
    assert isinstance(said, Failure)
