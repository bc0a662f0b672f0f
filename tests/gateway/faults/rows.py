"""What a client gets of each fault that an upstream answers with, streamed and whole, whatever dialect either side speaks.

The numbers are those of the fault matrix. What follows from a fault is said once; how each dialect says it stands in the tables of words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.client import Answer
from gateway.speech import Told, error_of, told
from sdk.matrix.cells import CALLED, STOPPED
from telex.testing import Call

TYPES = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""What Anthropic calls an error with that status."""

STATUSES = {
    400: {"INVALID_ARGUMENT"},
    403: {"PERMISSION_DENIED"},
    404: {"NOT_FOUND"},
    422: {"INVALID_ARGUMENT"},
    429: {"RESOURCE_EXHAUSTED"},
    502: {"INTERNAL", "UNAVAILABLE"},
    503: {"UNAVAILABLE"},
    504: {"DEADLINE_EXCEEDED"},
}
"""What Google does."""

ENDINGS = {"rate_limit_exceeded": "rate_limited", "stream_truncated": "truncated"}
"""How the log calls an ending that is not just failed, by OpenAI's code."""

OVERLOADED = {"anthropic": 529}
"""The status for a 503 where the dialect has one of its own."""


def check_words(client: str, error: dict[str, Any], status: int, code: str | None) -> None:
    """An error says the same in each dialect, and in its own words: OpenAI has codes, the others types."""
    assert error["message"]
    match client:
        case "anthropic":
            assert error["type"] == TYPES[status]
        case "gemini":
            assert (error["code"], error["status"] in STATUSES[status]) == (status, True)
        case _:
            assert (error["code"], error["param"]) == (code, None)
            assert error["type"]


class Seen(NamedTuple):
    """`client`: its dialect. `line`: what the log says."""

    client: str
    answer: Answer
    calls: list[Call]
    line: dict[str, Any]

    @property
    def told(self) -> Told:
        return told(self.client, self.answer)


class Refused(NamedTuple):
    """Answered with a status and an error; `code` is OpenAI's. `calls`: tries, each of which calls the provider if that can
    be reached. `limit`: the time limit that is short. `after`: what `Retry-After` says."""

    status: int
    code: str | None
    calls: int = 1
    limit: str = ""
    after: str | None = None

    def check(self, seen: Seen) -> None:
        answer = seen.answer
        status = OVERLOADED.get(seen.client, 503) if self.status == 503 else self.status
        assert (answer.status, answer.headers["content-type"], answer.whole) == (status, "application/json", True)
        check_words(seen.client, error_of(seen.client, answer), self.status, self.code)
        assert answer.headers.get("retry-after") == self.after
        assert len(seen.line["attempts"]) == self.calls
        assert seen.line["ending"] == ENDINGS.get(self.code or "", "failed")


class Cut(NamedTuple):
    """A stream that keeps what was said and then tells of the error: no made-up finish, no terminator, no second call."""

    code: str
    text: str = "One two"
    status: int = 502
    limit: str = ""

    def check(self, seen: Seen) -> None:
        answer, heard = seen.answer, seen.told
        assert (answer.status, answer.whole) == (200, True)
        assert (heard.text, heard.done, heard.finishes, heard.broken) == (self.text, False, [], True)
        [error] = heard.errors
        check_words(seen.client, error, self.status, self.code)
        assert len(seen.calls) == 1
        assert seen.line["ending"] == ENDINGS.get(self.code, "failed")


class Complete(NamedTuple):
    """`arguments`: of the call behind the text."""

    text: str = "One two three four five"
    arguments: dict[str, Any] | None = None
    calls: int = 1
    limit: str = ""

    def check(self, seen: Seen) -> None:
        answer, heard = seen.answer, seen.told
        assert (answer.status, answer.whole, heard.text, heard.done, heard.errors) == (200, True, self.text, True, [])
        assert heard.calls == ([] if self.arguments is None else [("weather", self.arguments)])
        assert heard.finishes == [(STOPPED if self.arguments is None else CALLED)[seen.client]]
        assert (len(seen.calls), seen.line["ending"]) == (self.calls, "complete")


Row = Refused | Cut | Complete
BROKEN = Refused(502, "upstream_malformed")
GONE = Refused(502, "stream_truncated")
SHORT = Cut("stream_truncated")
OSLO = Complete("One two", {"city": "Oslo"})

ROWS: dict[str, tuple[Row, Row]] = {
    "row05-headers-never-come": (Refused(504, "first_byte", 2, "first_byte"), Refused(504, "total", limit="total")),
    "row06-429-with-retry-after": (Refused(429, "rate_limit_exceeded", after="90"),) * 2,
    "row07-429-without-retry-after": (Refused(429, "rate_limit_exceeded", 2, after="5"),) * 2,
    "row08-500-before-body": (Refused(502, "upstream_error", 2),) * 2,
    "row08-502-before-body": (Refused(502, "upstream_error", 2),) * 2,
    "row08-503-before-body": (Refused(503, "server_is_overloaded", 2),) * 2,
    "row09-529-overloaded": (Refused(503, "server_is_overloaded", 2),) * 2,
    "row10-400": (Refused(400, None),) * 2,
    "row10-401": (Refused(502, "upstream_denied"),) * 2,
    "row10-403": (Refused(403, "permission_denied"),) * 2,
    "row10-404": (Refused(404, "not_found"),) * 2,
    "row10-422": (Refused(422, None),) * 2,
    "row11-context-too-long": (Refused(400, "context_length_exceeded"),) * 2,
    "row12-error-first": (Refused(502, "upstream_error", 2), Refused(502, "upstream_error")),
    "row13-error-mid-stream": (Cut("upstream_error"), Refused(502, "upstream_error")),
    "row13-error-mid-stream-then-terminator": (Cut("upstream_error"), Refused(502, "upstream_error")),
    "row14-eof-without-terminator": (SHORT, BROKEN),
    "row14-fin-without-terminator": (SHORT, GONE),
    "row15-reset-mid-stream": (SHORT, GONE),
    "row16-eof-inside-event": (SHORT, BROKEN),
    "row16-fin-inside-event": (SHORT, GONE),
    "row17-terminator-but-open": (Complete(),) * 2,
    "row18-data-after-terminator": (Complete(),) * 2,
    "row19-malformed-event": (Cut("upstream_malformed"), BROKEN),
    "row20-invalid-utf8": (Cut("upstream_malformed"), BROKEN),
    "row20-split-code-point": (Complete("Grüße \N{GRINNING FACE}"),) * 2,
    "row21-block-index-out-of-order": (Cut("upstream_malformed"), OSLO),
    "row21-block-index-missing": (Cut("upstream_malformed"), OSLO),
    "row22-duplicated-event": (Complete("One two three three four five"), Complete()),
    "row23-html-200": (Refused(502, "upstream_malformed", 2),) * 2,
    "row24-empty-answer": (Refused(502, "stream_truncated", 2), GONE),
    "row25-stall-mid-stream": (Cut("idle", status=504, limit="idle"), Refused(504, "total", limit="total")),
    "row26-only-keep-alives": (Refused(504, "first_content", 2, "first_content"), Refused(504, "total", limit="total")),
    "row27-slow-first-token": (Complete(),) * 2,
    "row28-giant-event": (Refused(502, "upstream_malformed", 2), BROKEN),
    "row29-gzip-unasked": (Refused(502, "upstream_malformed", 2),) * 2,
    "row30-redirect": (Refused(502, "upstream_redirected"),) * 2,
}
"""By the fault's id. The code of an error for a limit of time is its name in `timeouts`."""

UPSTREAMS: dict[tuple[str, str], tuple[Row, Row]] = {
    ("row18-data-after-terminator", "gemini"): (Complete("One two three four five two"), Complete()),
    ("row21-block-index-out-of-order", "gemini"): (OSLO, OSLO),
    ("row21-block-index-missing", "openai-chat"): (OSLO, OSLO),
    ("row21-block-index-missing", "openai-responses"): (OSLO, OSLO),
    ("row21-block-index-missing", "gemini"): (OSLO, OSLO),
    ("row22-duplicated-event", "openai-responses"): (Complete(), Complete()),
    ("row24-empty-answer", "openai-responses"): (Complete(""), Complete("")),
}
"""Where it depends on the provider's dialect.

Gemini has no terminator, so that nothing is behind it; nor has it indexes of blocks. In Chat Completions many leave out the index of a
call, so that what has none is for the last one; in Responses an item says all of itself again when it is done, so that what had none is
not lost. Its events are numbered, so that none is heard twice. An empty response that says itself that it is complete is.
"""

PORTS: dict[str, tuple[Refused, str]] = {
    "row01-refuses": (Refused(502, "upstream_unreachable", 2), "unreachable"),
    "row02-dns-failure": (Refused(502, "upstream_unreachable", 2), "unreachable"),
    "row03-connect-hangs": (Refused(504, "connect", 2, "connect"), "timeout"),
    "row04-certificate-of-a-stranger": (Refused(502, "upstream_tls_error"), "tls"),
    "row04-no-tls-there": (Refused(502, "upstream_tls_error"), "tls"),
}
"""These are what an address does, so they need one of their own; and what the log calls the failure of each attempt."""


def row_of(id: str, upstream: str, stream: bool) -> Row:
    return UPSTREAMS.get((id, upstream), ROWS[id])[not stream]
