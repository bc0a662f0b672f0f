"""`telex ask`, piped and at a terminal: what comes out, when, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.plays import headed, started
from cli.shell import Piped, Terminal, config, telex
from gateway.house import serve
from telex.testing import FAULTS, Play, Refuse, ScriptedUpstream, Stall, say, status

ANSWER = say("Blue", " is **scattered**", " most.")


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[ScriptedUpstream]:
    """The provider of the configuration in `tmp_path`."""
    with ScriptedUpstream(ANSWER) as upstream:
        config(tmp_path, upstream)
        yield upstream


def asked(upstream: ScriptedUpstream) -> list[tuple[str, str]]:
    """Roles and texts of the last request."""
    return [(message["role"], message["content"]) for message in upstream.calls[-1].json["messages"]]


# ---- through pipes


def test_the_answer_alone_is_on_standard_output(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    code, out, err = telex("ask", "Why?", cwd=tmp_path)
    assert (code, out, err) == (0, "Blue is **scattered** most.\n", "")
    assert asked(upstream) == [("user", "Why?")]
    assert upstream.calls[0].wants_stream


@pytest.mark.parametrize(
    ("arguments", "given", "question"),
    [
        (["Why?"], "", "Why?"),
        ([], "Why?\n", "Why?"),
        (["Say it shorter:"], "  a long\ntext\n", "Say it shorter:\n\n  a long\ntext"),
        (["Why?"], " \n", "Why?"),
        ([], "grün 汉字\n", "grün 汉字"),
    ],
)
def test_what_is_piped_in_is_read(arguments: list[str], given: str, question: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    code, _, _ = telex("ask", *arguments, cwd=tmp_path, given=given)
    assert code == 0
    assert asked(upstream) == [("user", question)]


def test_system_and_no_stream(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    code, out, _ = telex("ask", "Why?", "--system", "Be brief.", "--no-stream", cwd=tmp_path)
    assert (code, out) == (0, "Blue is **scattered** most.\n")
    assert asked(upstream) == [("system", "Be brief."), ("user", "Why?")]
    assert not upstream.calls[0].wants_stream


def test_the_first_word_is_there_before_the_answer_has_ended(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(started("Blue", " is"))
    with Piped("ask", "Why?", cwd=tmp_path) as command:
        assert command.read(7) == "Blue is"
        assert upstream.calls[0].left_at is None
        command.process.send_signal(signal.SIGINT)
        upstream.calls[0].wait("left_at")
        assert command.end() == (130, "")


@pytest.mark.parametrize("how", [[], ["--no-stream"], ["--json"]], ids=["stream", "whole", "json"])
@pytest.mark.parametrize("moment", ["waiting", "answering"])
def test_a_reader_that_leaves_ends_it_quietly_and_stops_the_model(
    how: list[str], moment: str, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    """Also while nothing comes that could not be written."""
    upstream.play((Stall(),) if moment == "waiting" else started("Blue"))
    with Piped("ask", "Why?", *how, cwd=tmp_path) as command:
        (call,) = upstream.wait_for(1)
        command.leave()
        call.wait("left_at")
        assert command.end() == (0, "")


def test_a_full_disk_is_said(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    upstream.play(started("Blue"))
    with Piped("ask", "Why?", cwd=tmp_path, output="/dev/full") as command:
        assert command.end() == (1, "telex: The answer can't be written: No space left on device.\n")
    upstream.calls[0].wait("left_at")


# ---- JSON


def test_json_is_one_object(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    code, out, err = telex("ask", "Why?", "--json", cwd=tmp_path)
    assert (code, err, out.count("\n")) == (0, "", 1)
    said = json.loads(out)
    timing = said.pop("timing")
    assert set(timing) == {"ttft", "itl_p50", "itl_p95", "e2e", "connect"}
    assert 0 < timing["ttft"] <= timing["e2e"]
    assert said.pop("id").startswith("gen_")
    assert said == {
        "text": "Blue is **scattered** most.",
        "model": "scripted",
        "finish_reason": "stop",
        "ending": "complete",
        "usage": {"input": 7, "output": 3, "cached": 0, "cache_write": 0, "reasoning": 0},
        "certainty": "final",
        "dropped": [],
        "error": None,
    }


JSON_ERRORS: list[tuple[Play, dict[str, Any]]] = [
    (status(429, headers=[("retry-after", "7")]), {"text": "", "ending": "rate_limited", "id": None, "usage": None}),
    (FAULTS["row14-eof-without-terminator"](), {"text": "One two", "ending": "truncated", "finish_reason": None}),
]


@pytest.mark.parametrize(("play", "expected"), JSON_ERRORS, ids=["refused", "broken-off"])
def test_json_holds_errors_too(play: Play, expected: dict[str, Any], upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(play)
    code, out, err = telex("ask", "Why?", "--json", cwd=tmp_path)
    assert (code, err) == (1, "")
    said = json.loads(out)
    assert {name: said[name] for name in expected} == expected
    assert set(said["error"]) == {"kind", "message"}
    assert said["error"]["message"]


# ---- how it goes wrong

ERRORS: list[tuple[Play, str, str]] = [
    (
        status(401),
        "",
        "credentials that Telex is configured with. Check the provider's key, in the environment or in telex.toml.",
    ),
    (status(429, headers=[("retry-after", "7")]), "", "Scripted 429. Come back in 7 s."),
    (status(503), "", "Scripted 503. Try again, or ask another model."),
    (status(400, {"error": {"message": "No\x1b[2J\nway", "type": "x", "param": None, "code": None}}), "", "No[2J way."),
    ((Refuse(),), "", "can't be reached"),
    (FAULTS["row15-reset-mid-stream"](after=2), "One\n", "The answer broke off: The connection to"),
    (FAULTS["row14-eof-without-terminator"](), "One two\n", "The answer broke off: "),
]


@pytest.mark.parametrize(("play", "printed", "said"), ERRORS, ids=["401", "429", "503", "odd", "down", "reset", "eof"])
def test_a_failure_is_one_line_with_what_to_do(play: Play, printed: str, said: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(play)
    code, out, err = telex("ask", "Why?", cwd=tmp_path)
    assert (code, out) == (1, printed)
    assert err.startswith("telex: ")
    assert said in err
    assert (err.count("\n"), "\x1b" in err) == (1, False)


WRONG = [
    ([], "", "There is nothing to ask."),
    (["Why?", "--config", "none.toml"], "", "none.toml can't be read"),
    (["Why?", "--url", "http://127.0.0.1:1", "--config", "telex.toml"], "", "give a URL or a config"),
    (["Why?", "--url", "nonsense"], "", "is no address of a gateway"),
    (["Why?", "--modl", "x"], "", "--modl"),
]


@pytest.mark.parametrize(("arguments", "given", "said"), WRONG)
def test_a_wrong_call_exits_with_2(arguments: list[str], given: str, said: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    code, out, err = telex("ask", *arguments, cwd=tmp_path, given=given)
    assert code == 2
    assert said in out + err
    assert not upstream.calls


def test_an_answer_without_text_is_remarked(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(say(reason="length"))
    code, out, err = telex("ask", "Why?", cwd=tmp_path)
    assert (code, out, err) == (0, "", "telex: The answer has no text (length).\n")


# ---- which model, and where


def test_the_first_model_that_the_configuration_names_is_asked(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with (tmp_path / "telex.toml").open("a") as file:
        file.write('[models.another]\ntargets = [{ provider = "here", model = "other" }]\n')
    assert telex("ask", "Why?", cwd=tmp_path)[0] == 0
    assert telex("ask", "Why?", "--model", "another", cwd=tmp_path)[0] == 0
    assert telex("ask", "Why?", "--model", "here/third", cwd=tmp_path)[0] == 0
    assert [call.model for call in upstream.calls] == ["scripted", "other", "third"]


def test_nobody_is_asked_whom_nobody_named(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    (path := tmp_path / "alone.toml").write_text(f'[providers.here]\ndialect = "openai-chat"\nbase_url = "{upstream.url}"\n')
    code, out, err = telex("ask", "Why?", "--config", str(path), cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "Name it with --model" in err
    assert not upstream.calls


def test_a_model_that_is_not_there_is_said(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    code, _, err = telex("ask", "Why?", "--model", "scriptd", cwd=tmp_path)
    assert code == 1
    assert err == "telex: The model 'scriptd' (did you mean 'scripted'?) does not exist here. `telex models` lists what there is.\n"


async def test_through_a_gateway(tmp_path: Path) -> None:
    with ScriptedUpstream(ANSWER, started("Blue")) as upstream:
        path = config(tmp_path, upstream)
        async with serve(tmp_path, path.read_text()) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            (elsewhere := tmp_path / "elsewhere").mkdir()
            code, out, err = await asyncio.to_thread(telex, "ask", "Why?", "--url", url, cwd=elsewhere)
            assert (code, out, err) == (0, "Blue is **scattered** most.\n", "")
            code, _, err = await asyncio.to_thread(telex, "ask", "Why?", "--url", url, "--model", "none", cwd=elsewhere)
            assert code == 1
            assert err == "telex: The model 'none' does not exist here. The gateway's /v1/models lists what there is.\n"
            with Piped("ask", "Why?", "--url", f"{url}/v1/", cwd=elsewhere) as command:
                assert await asyncio.to_thread(command.read, 4) == "Blue"
                command.leave()
                await upstream.calls[1].until("left_at")
                assert await asyncio.to_thread(command.end) == (0, "")


def test_a_gateway_is_given_its_key_and_says_what_was_dropped(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(headed(ANSWER, ("telex-dropped", "seed, temperature"), ("telex-generation", "gen_1")))
    arguments = ["ask", "Why?", "--url", upstream.url, "--model", "any"]
    code, _, err = telex(*arguments, cwd=tmp_path, TELEX_API_KEY="tx-1")
    assert code == 0
    assert upstream.calls[0].headers["authorization"] == "Bearer tx-1"
    assert err == "telex: The model was not told, because its provider has no place for it: seed, temperature.\n"
    code, out, err = telex(*arguments, "--json", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert (json.loads(out)["dropped"], json.loads(out)["id"]) == (["seed", "temperature"], "gen_1")


def test_a_gateway_that_is_not_there(tmp_path: Path) -> None:
    with ScriptedUpstream() as gone:
        url = gone.url
    for model in ([], ["--model", "any"]):
        code, out, err = telex("ask", "Why?", "--url", url, *model, cwd=tmp_path)
        assert (code, out) == (1, "")
        assert err.endswith("Does a gateway run there? `telex serve` starts one.\n")


def test_the_embedded_model_answers_where_there_is_nothing_else(tmp_path: Path) -> None:
    with Piped("ask", "Say hello.", cwd=tmp_path) as command:
        assert command.read(2).isprintable()
        command.leave()
        assert command.end() == (0, "")


# ---- at a terminal


def test_a_terminal_shows_an_indicator_then_markdown_as_it_comes(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(started("**Blue**", " is"))
    with Terminal("ask", "Why?", cwd=tmp_path) as terminal:
        terminal.wait_for("\x1b[1mBlue\x1b[0m is")
        assert 0 <= terminal.seen.index("⠋ fast") < terminal.seen.index("Blue")
        assert upstream.calls[0].left_at is None
        terminal.interrupt()
        upstream.calls[0].wait("left_at")
        assert terminal.end() == 130
        assert terminal.seen.replace("\x1b[?2026l", "").endswith(" is\r\n")  # drawn twice if its pieces came apart


def test_the_indicator_is_there_before_anything_else_is(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play((Stall(),))
    with Terminal("ask", "Why?", cwd=tmp_path) as terminal:
        terminal.wait_for("⠋ fast")
        terminal.wait_for("⠙ fast")  # and it moves
        terminal.interrupt()
        upstream.wait_for(lambda: upstream.calls and upstream.calls[0].left_at)
        assert terminal.end() == 130
        assert terminal.seen.endswith("\r\x1b[K")


def test_a_failure_at_a_terminal_stands_on_its_own_line(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(FAULTS["row15-reset-mid-stream"](after=2))
    with Terminal("ask", "Why?", cwd=tmp_path) as terminal:
        assert terminal.end() == 1
        assert "One\r\ntelex: The answer broke off" in terminal.seen


def test_a_terminal_that_can_do_nothing_gets_plain_text(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.play(say("**Blue**", "\x1b]0;title\x07 is."))
    with Terminal("ask", "Why?", cwd=tmp_path, TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert terminal.seen == "**Blue**]0;title is.\r\n"
