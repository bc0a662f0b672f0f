"""`telex submit` and `telex jobs`, from shells that know nothing of each other: a gateway keeps the jobs."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.shell import Piped, config, telex
from client.keeping import ID, TEXTS, Keeping, problem
from gateway.house import Child, serve
from telex.testing import FAULTS, Call, Close, Play, Script, ScriptedUpstream, Send, Stall, Until, say
from telex.testing.script import resolve

TEXT = "".join(TEXTS)


async def shell(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(lambda: telex(*arguments, cwd=folder))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[tuple[Child, ScriptedUpstream]]:
    """A process of its own, and its provider. A telex.toml says where it is; the shells stand in the folder of that."""
    with ScriptedUpstream(say(*TEXTS)) as upstream:
        (house := tmp_path / "house").mkdir()
        text = config(tmp_path, upstream).read_text()
        async with serve(house, text) as child:
            (tmp_path / "telex.toml").write_text(f"[server]\nport = {child.port}\n{text}")
            yield child, upstream


async def test_a_job_from_its_submission_to_its_end(gateway: tuple[Child, ScriptedUpstream], tmp_path: Path) -> None:
    _, upstream = gateway
    code, out, err = await shell(tmp_path, "submit", "Why?", "--system", "Be brief.")
    assert (code, err) == (0, "")
    id = out.strip()
    assert out == f"{id}\n"
    assert id.startswith("gen_")
    assert await shell(tmp_path, "jobs", "wait", id) == (0, TEXT + "\n", "")
    assert await shell(tmp_path, "jobs", "follow", id) == (0, TEXT + "\n", "")
    assert await shell(tmp_path, "jobs", "cancel", id) == (0, "complete\n", "")
    code, out, err = await shell(tmp_path, "jobs", "show", id, "--json")
    record = json.loads(out)
    assert (code, err, record["id"], record["status"], record["delivery"]) == (0, "", id, "complete", "background")
    code, out, err = await shell(tmp_path, "jobs", "list")
    head, row = out.splitlines()
    assert (code, err, head.split()) == (0, "", ["id", "status", "model", "created", "seconds", "tokens"])
    assert row.split()[:3] == [id, "complete", "fast"]
    [call] = upstream.calls
    assert [message["content"] for message in call.json["messages"]] == ["Be brief.", "Why?"]


async def test_following_shows_what_comes_when_it_comes(gateway: tuple[Child, ScriptedUpstream], tmp_path: Path) -> None:
    gate = threading.Event()

    def story(call: Call) -> Script:
        head, *steps = resolve(say(*TEXTS), call)
        cut = next(number for number, step in enumerate(steps) if isinstance(step, Send) and b" a" in step.data)
        return (head, *steps[:cut], Until(gate.is_set), *steps[cut:])

    _, upstream = gateway
    upstream.play(story)
    _, out, _ = await shell(tmp_path, "submit", "Tell a story.")
    id = out.strip()

    def watch() -> None:
        with Piped("jobs", "follow", id, cwd=tmp_path) as first, Piped("jobs", "follow", id, cwd=tmp_path) as second:
            assert first.read(9) == second.read(9) == "Once upon"
            first.process.send_signal(signal.SIGINT)
            assert first.end() == (130, "")
            assert upstream.calls[0].left_at is None
            gate.set()
            assert second.read(len(TEXT) - 9 + 1) == TEXT[9:] + "\n"
            assert second.end() == (0, "")

    await asyncio.to_thread(watch)


async def test_waiting_has_an_end_and_cancelling_another(gateway: tuple[Child, ScriptedUpstream], tmp_path: Path) -> None:
    _, upstream = gateway
    upstream.play((Stall(),))
    _, out, _ = await shell(tmp_path, "submit", "Why?")
    id = out.strip()
    waited = await shell(tmp_path, "jobs", "wait", id, "--timeout", "0.1")
    assert waited == (1, "", f"telex: The job {id} has not ended within 0.1 s. It goes on.\n")
    assert await shell(tmp_path, "jobs", "cancel", id) == (0, "cancelled\n", "")
    await upstream.calls[0].until("left_at")
    assert await shell(tmp_path, "jobs", "wait", id) == (1, "", "telex: The generation was cancelled.\n")


async def test_what_broke_off_is_told(gateway: tuple[Child, ScriptedUpstream], tmp_path: Path) -> None:
    _, upstream = gateway
    upstream.play(FAULTS["row15-reset-mid-stream"]())
    _, out, _ = await shell(tmp_path, "submit", "Why?")
    code, said, err = await shell(tmp_path, "jobs", "follow", out.strip())
    assert (code, bool(said)) == (1, True)
    assert err.startswith("telex: The answer broke off: ")
    assert err.count("\n") == 1


# ---- against one that is played


def keeping(play: Play, folder: Path, *arguments: str, key: str = "") -> tuple[tuple[int, str, str], ScriptedUpstream]:
    """What a command makes of a gateway that plays this."""
    with ScriptedUpstream(play) as upstream:
        return telex(*arguments, "--url", f"http://127.0.0.1:{upstream.port}", cwd=folder, TELEX_API_KEY=key), upstream


def test_the_key_is_that_of_the_environment(tmp_path: Path) -> None:
    for arguments in (["submit", "?", "--model", "m"], ["jobs", "list"], ["jobs", "wait", ID], ["jobs", "cancel", ID]):
        (code, _, _), upstream = keeping(Keeping(), tmp_path, *arguments, key="tx-secret")
        assert code == 0
        assert {call.headers["authorization"] for call in upstream.calls} == {"Bearer tx-secret"}


def test_the_gateway_of_the_environment(tmp_path: Path) -> None:
    with ScriptedUpstream(Keeping()) as upstream:
        assert telex("jobs", "wait", ID, cwd=tmp_path, TELEX_URL=upstream.url) == (0, TEXT + "\n", "")


def test_submitting_prints_the_record_if_it_is_asked_for(tmp_path: Path) -> None:
    (code, out, err), upstream = keeping(Keeping(status="queued"), tmp_path, "submit", "Why?", "--model", "m", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == Keeping(status="queued").record
    assert upstream.calls[0].json["model"] == "m"


def test_the_prompt_may_be_piped_in_and_must_be_there(tmp_path: Path) -> None:
    with ScriptedUpstream(Keeping()) as upstream:
        url = f"http://127.0.0.1:{upstream.port}"
        assert telex("submit", "--model", "m", "--url", url, cwd=tmp_path, given="Why?\n") == (0, f"{ID}\n", "")
        assert upstream.calls[0].json["messages"][-1]["content"] == "Why?"
        code, out, err = telex("submit", "--model", "m", "--url", url, cwd=tmp_path)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_cursor(tmp_path: Path) -> None:
    """The first frame has no text, each of the following a piece."""
    (code, out, _), _ = keeping(Keeping(), tmp_path, "jobs", "follow", ID, "--after", "3")
    assert (code, out) == (0, "".join(TEXTS[2:]) + "\n")


def test_a_gateway_that_breaks_off_is_asked_again(tmp_path: Path) -> None:
    play = Keeping(disturb=lambda script, number: script if number else (*script[:3], Close()))
    assert keeping(play, tmp_path, "jobs", "follow", ID)[0] == (0, TEXT + "\n", "")


def test_the_list_as_json_and_its_next_page(tmp_path: Path) -> None:
    (code, out, err), upstream = keeping(Keeping(), tmp_path, "jobs", "list", "--json", "--limit", "3", "--before", "gen_9")
    assert (code, err, json.loads(out)) == (0, "", Keeping().record)
    assert upstream.calls[0].path == "/v1/generations?limit=3&delivery=background&before=gen_9"


def test_a_record_for_a_person(tmp_path: Path) -> None:
    failure = {"kind": "rate_limited", "message": "Slower\x1b[2J.", "retry_after": 3.0}
    (code, out, err), _ = keeping(Keeping(status="rate_limited", failure=failure), tmp_path, "jobs", "show", ID)
    assert (code, err) == (0, "")
    assert {"status: rate_limited", "owner: —", "failure: kind rate_limited, message Slower[2J., retry_after 3"} <= set(out.splitlines())


WRONG = [
    (problem(404, "There is no generation 'x' here."), "There is no generation 'x' here. `telex jobs list` shows those that are kept."),
    (problem(410, "It was here."), "It was here. `telex jobs list` shows those that are kept."),
    (problem(401, "Who are you?"), "The gateway wants a key that is valid there. Put a key of the gateway into TELEX_API_KEY."),
]


@pytest.mark.parametrize(("answer", "said"), WRONG, ids=[404, 410, 401])
@pytest.mark.parametrize("command", ["show", "follow", "wait", "cancel"])
def test_what_is_wrong_is_one_sentence_and_what_to_do(command: str, answer: Script, said: str, tmp_path: Path) -> None:
    assert keeping(answer, tmp_path, "jobs", command, "x")[0] == (1, "", f"telex: {said}\n")


@pytest.mark.parametrize("arguments", [["submit", "?"], ["submit", "?", "--model", "m"], ["jobs", "list"], ["jobs", "wait", ID]])
def test_nobody_answers(arguments: list[str], tmp_path: Path) -> None:
    """Where telex.toml says that the gateway is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "telex.toml").write_text(f"[server]\nport = {port}\n")
    code, out, err = telex(*arguments, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == (
        f"telex: http://127.0.0.1:{port} can't be reached: Connection refused. Does a gateway run there? `telex serve` starts one.\n"
    )


CALLS = [
    ["jobs", "show"],
    ["jobs", "list", "--limit", "0"],
    ["jobs", "follow", ID, "--after", "-1"],
    ["jobs", "list", "--url", "ftp://nowhere"],
    ["jobs", "nonsense"],
]


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_a_wrong_call_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    assert telex(*arguments, cwd=tmp_path)[0] == 2


def test_a_port_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text("[server]\nport = 0\n")
    code, _, err = telex("jobs", "list", cwd=tmp_path)
    assert (code, "--url" in err, "TELEX_URL" in err) == (2, True, True)
