"""`telex chat`, at a terminal and through pipes: what is shown, what is remembered, how it is stopped, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.plays import started
from cli.shell import Piped, Terminal, config, telex
from telex.testing import FAULTS, Call, ScriptedUpstream, Stall, say, status

CTRL_D, UP = "\x04", "\x1b[A"

WORD = "\x1b[K\r\x1b[K"
"""The indicator is wiped away, and the first word comes."""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[ScriptedUpstream]:
    """The provider of the configuration in `tmp_path`."""
    with ScriptedUpstream(say("Blue.")) as upstream:
        config(tmp_path, upstream)
        yield upstream


@pytest.fixture
def terminal(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Terminal]:
    with Terminal("chat", cwd=tmp_path, HOME=str(tmp_path), INPUTRC="/dev/null") as terminal:
        terminal.wait_for("> ")
        yield terminal


def said(call: Call) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in call.json["messages"]]


# ---- at a terminal


def test_an_indicator_until_the_first_word_and_words_as_they_come(upstream: ScriptedUpstream, terminal: Terminal) -> None:
    assert "fast answers." in terminal.seen
    upstream.play((Stall(),))
    terminal.press("Why?\n")
    terminal.wait_for("⠙ fast")
    terminal.interrupt()
    terminal.wait_for("> ")
    upstream.play(started("**Blue**", " is"))
    terminal.press("Why, then?\n")
    assert "⠋ fast" in terminal.wait_for("\x1b[1mBlue\x1b[0m is")
    assert upstream.calls[1].left_at is None


def test_ctrl_c_stops_the_model_keeps_the_turn_and_goes_on(upstream: ScriptedUpstream, terminal: Terminal) -> None:
    upstream.play(started("Blue", " is"), say("Red."))
    terminal.press("Why?\n")
    terminal.wait_for("Blue is")
    terminal.interrupt()
    upstream.calls[0].wait("left_at")
    terminal.wait_for("\r\ntelex: Stopped.")
    terminal.wait_for("> ")
    terminal.press("And?\n")
    terminal.wait_for("Red.")
    assert said(upstream.calls[1]) == [("user", "Why?"), ("assistant", "Blue is"), ("user", "And?")]
    terminal.wait_for("> ")
    terminal.press(CTRL_D)
    assert terminal.end() == 0


def test_a_question_that_nothing_answered_is_no_turn_and_can_be_asked_again(upstream: ScriptedUpstream, terminal: Terminal) -> None:
    upstream.play((Stall(),), say("Blue."), say("Red."))
    terminal.press("Why?\n")
    upstream.wait_for(1)
    terminal.interrupt()
    upstream.calls[0].wait("left_at")
    terminal.wait_for("> ")
    terminal.press("/retry\n")
    terminal.wait_for("Blue.")
    terminal.wait_for("> ")
    terminal.press("/retry\n")
    terminal.wait_for("Red.")
    assert [said(call) for call in upstream.calls] == [[("user", "Why?")]] * 3


@pytest.mark.parametrize("keys", ["", "half a line"])
def test_ctrl_c_twice_ends_it(keys: str, terminal: Terminal) -> None:
    if keys:
        terminal.press(keys)
        terminal.wait_for(keys)
    terminal.interrupt()
    terminal.wait_for("Ctrl-C again ends it.")
    terminal.wait_for("> ")
    terminal.interrupt()
    assert terminal.end() == 0


def test_a_line_between_two_ctrl_c_makes_them_two_first_ones(upstream: ScriptedUpstream, terminal: Terminal) -> None:
    terminal.interrupt()
    terminal.wait_for("Ctrl-C again ends it.")
    terminal.wait_for("> ")
    terminal.press("Why?\n")
    terminal.wait_for("Blue.")
    terminal.wait_for("> ")
    terminal.interrupt()
    terminal.wait_for("Ctrl-C again ends it.")
    terminal.wait_for("> ")
    terminal.press(CTRL_D)
    assert terminal.end() == 0


def test_lines_are_edited_and_remembered_and_nothing_is_written_down(
    upstream: ScriptedUpstream, terminal: Terminal, tmp_path: Path
) -> None:
    terminal.press("Whx\x7fy?\n")
    terminal.wait_for("Blue.")
    terminal.wait_for("> ")
    terminal.press(f"{UP}\n")
    upstream.wait_for(2)
    assert [role_text[1] for role_text in said(upstream.calls[1])] == ["Why?", "Blue.", "Why?"]
    terminal.wait_for("> ")
    terminal.press("/quit\n")
    assert terminal.end() == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["telex.toml"]


def test_what_is_typed_meanwhile_is_not_shown_but_not_lost(upstream: ScriptedUpstream, terminal: Terminal) -> None:
    upstream.play(started("Blue"), say("Red."))
    terminal.press("Why?\n")
    terminal.wait_for("Blue")
    terminal.press(f"Anf\x7fd?\n{CTRL_D}")
    terminal.interrupt()
    assert "And?" not in terminal.wait_for("Stopped.")
    terminal.wait_for("Red.")
    assert terminal.end() == 0
    assert said(upstream.calls[1])[-1] == ("user", "And?")


def test_an_error_is_one_sentence_and_the_chat_goes_on(upstream: ScriptedUpstream, terminal: Terminal) -> None:
    upstream.play(status(503), FAULTS["row14-eof-without-terminator"](), say("Blue."))
    for answer in ("telex: Scripted 503. Try again, or ask another model.", "One two\r\ntelex: The answer broke off: ", "Blue."):
        terminal.press("Why?\n")
        terminal.wait_for(answer)
        terminal.wait_for("> ")
    assert said(upstream.calls[-1]) == [("user", "Why?"), ("assistant", "One two"), ("user", "Why?")]


def test_the_embedded_model_is_stopped_too(tmp_path: Path) -> None:
    with Terminal("chat", cwd=tmp_path) as terminal:
        terminal.wait_for("local answers.")
        terminal.wait_for("> ")
        terminal.press("Count from one to a hundred.\n")
        terminal.wait_for("⠋ local")
        terminal.wait_for(WORD)
        terminal.interrupt()
        terminal.wait_for("telex: Stopped.")
        terminal.wait_for("> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0


# ---- through pipes


def test_lines_are_answered_in_turn(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(say("**Blue**", "."), say("Red."))
    code, out, err = telex("chat", "--system", "Be brief.", cwd=tmp_path, given="Why?\n\nAnd?")
    assert (code, out, err) == (0, "**Blue**.\nRed.\n", "")
    system = ("system", "Be brief.")
    assert said(upstream.calls[1]) == [system, ("user", "Why?"), ("assistant", "**Blue**."), ("user", "And?")]


def test_the_status_of_a_script_says_whether_an_answer_failed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(status(503), say("Blue."))
    code, out, err = telex("chat", cwd=tmp_path, given="Why?\nWhy?\n")
    assert (code, out, err) == (1, "Blue.\n", "telex: Scripted 503. Try again, or ask another model.\n")


def test_the_commands(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    given = "/help\n/retry\n/etc/hosts?\n/model here/other\n/system Be brief.\n/retry\n/system\n/nonsense\n/retry\n/quit\nnever\n"
    code, out, err = telex("chat", cwd=tmp_path, given=given)
    assert (code, out) == (0, "Blue.\n" * 3)
    question, system = ("user", "/etc/hosts?"), ("system", "Be brief.")
    assert [(call.model, said(call)) for call in upstream.calls] == [
        ("scripted", [question]),
        ("other", [system, question]),
        ("other", [question]),
    ]
    for line in ("/model M", "Nothing has been asked yet.", "here/other answers.", "There is no /nonsense; /help says what there is."):
        assert line in err


def test_a_reader_that_leaves_ends_it_quietly(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(started("Blue"))
    with Piped("chat", cwd=tmp_path, given="Why?\n") as command:
        assert command.read(4) == "Blue"
        command.leave()
        upstream.calls[0].wait("left_at")
        assert command.end() == (0, "")
