"""`telex keys`: what is printed, what is kept, and that a gateway that runs on the same store knows it."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from cli.shell import Terminal, config, telex
from gateway.client import request, send
from gateway.house import Child, serve
from gateway.keyed import with_key
from telex.testing import ScriptedUpstream, say

TOKEN = re.compile(r"tx-[A-Za-z0-9_-]{43}\n")
KEYS = '[server]\naccess = "keys"\n'


def create(folder: Path, name: str, *more: str) -> str:
    code, out, _ = telex("keys", "create", "--name", name, *more, cwd=folder)
    assert code == 0
    assert TOKEN.fullmatch(out)
    return out.strip()


def rows(folder: Path) -> list[list[str]]:
    """The lines of the list, in their columns."""
    code, out, err = telex("keys", "list", cwd=folder)
    assert (code, err) == (0, "")
    return [re.split(r"  +", line.strip()) for line in out.splitlines()]


def test_a_key_is_shown_once_and_alone(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text(KEYS)
    code, out, err = telex("keys", "create", "--name", "web", cwd=tmp_path)
    assert (code, bool(TOKEN.fullmatch(out))) == (0, True)
    assert re.fullmatch(r"This is the key 'web' \(key_[0-9a-f]{12}\)\. It is not shown again\.\n", err)
    token = out.strip()
    _, listed, _ = telex("keys", "list", cwd=tmp_path)
    assert f"tx-…{token[-4:]}" in listed
    assert token[3:-4] not in listed
    assert all(token.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_the_list(tmp_path: Path) -> None:
    create(tmp_path, "web", "--models", "chat, local,chat", "--rpm", "600", "--tpm", "200000", "--concurrent", "50", "--expires", "90d")
    create(tmp_path, "ops", "--admin")
    telex("keys", "revoke", "ops", cwd=tmp_path)
    title, web, ops = rows(tmp_path)
    assert title == ["name", "id", "key", "models", "limits", "created", "expires", "revoked"]
    assert (web[0], web[3], web[4], web[7]) == ("web", "chat, local", "600 rpm, 200000 tpm, 50 at once", "—")
    assert (ops[0], ops[3], ops[4], ops[6]) == ("ops (admin)", "all", "—", "—")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in (web[5], web[6], ops[5], ops[7]))


def test_a_narrow_terminal_folds_and_loses_nothing(tmp_path: Path) -> None:
    create(tmp_path, "a-rather-long-name-of-a-key", "--models", "one,two,three")
    with Terminal("keys", "list", cwd=tmp_path, COLUMNS="60") as terminal:
        assert terminal.end() == 0
    assert "…" not in terminal.seen.replace("tx-…", "")


def test_a_name_is_given_once_until_its_key_is_revoked(tmp_path: Path) -> None:
    create(tmp_path, "web")
    code, out, err = telex("keys", "create", "--name", "web", cwd=tmp_path)
    assert (code, out, err) == (1, "", "telex: There is a key 'web' already: choose another name, or revoke that one.\n")
    code, out, err = telex("keys", "revoke", rows(tmp_path)[1][1], cwd=tmp_path)
    assert (code, out) == (0, "")
    assert "is revoked" in err
    create(tmp_path, "web")
    assert [row[0] for row in rows(tmp_path)] == ["name", "web", "web"]


def test_what_is_not_there_can_not_be_revoked(tmp_path: Path) -> None:
    create(tmp_path, "web")
    telex("keys", "revoke", "web", cwd=tmp_path)
    for which in ("web", "nobody", "%"):
        code, _, err = telex("keys", "revoke", which, cwd=tmp_path)
        assert (code, err) == (1, f"telex: There is no valid key '{which}': `telex keys list` shows all.\n")


def test_a_key_is_not_named_by_itself(tmp_path: Path) -> None:
    token = create(tmp_path, "web")
    code, out, err = telex("keys", "revoke", token, cwd=tmp_path)
    assert (code, token in out + err) == (2, False)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--name", ""],
        ["--name", "key_1"],
        ["--name", "tx-1"],
        ["--name", "a\nb"],
        ["--name", "x" * 65],
        ["--name", "a", "--expires", "soon"],
        ["--name", "a", "--expires", "90"],
        ["--name", "a", "--models", " , "],
        ["--name", "a", "--rpm", "0"],
        ["--name", "a", "--tpm", "many"],
        ["--name", "a", "--concurrent", "-1"],
    ],
    ids=repr,
)
def test_a_wrong_call_makes_no_key(wrong: list[str], tmp_path: Path) -> None:
    code, out, err = telex("keys", "create", *wrong, cwd=tmp_path)
    assert (code, bool(out + err), TOKEN.search(out)) == (2, True, None)
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_may_surprise(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text('[models.chat]\ntargets = [{ provider = "local", model = "m" }]\n')
    _, _, err = telex("keys", "create", "--name", "web", "--models", "chat,local,local/x,chatt", cwd=tmp_path)
    assert err.count("note: ") == 2
    assert "note: the configuration names no model 'chatt' (did you mean 'chat'?).\n" in err
    assert 'does not say access = "keys"' in err


def test_the_store_is_where_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "telex.toml").write_text(f'store = "sqlite:///{tmp_path}/data/keys.db"\n')
    create(tmp_path, "web")
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["keys.db"]
    assert not (tmp_path / "telex.db").exists()
    for url, said in (("postgresql://db/telex", "PostgreSQL comes in a later version"), ("mysql://x", "names no file")):
        (tmp_path / "telex.toml").write_text(f'# a line\nstore = "{url}"\n')
        code, _, err = telex("keys", "list", cwd=tmp_path)
        assert code == 2
        assert err.startswith("telex: telex.toml, line 2: store: ")
        assert said in err


def test_keys_that_would_end_with_the_command_are_not_made(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text('store = "memory:"\n')
    code, out, err = telex("keys", "create", "--name", "a", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "Keys need a store in a file" in err


@pytest.mark.parametrize(
    "command", [["keys", "list"], ["keys", "create", "--name", "a"], ["keys", "revoke", "a"], ["serve", "--port", "0"]]
)
def test_row52_a_damaged_store_is_said_in_one_line(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text(KEYS)
    (tmp_path / "telex.db").write_bytes(b"no database " * 1000)
    code, out, err = telex(*command, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == f"telex: The store {tmp_path}/telex.db is no database of SQLite: name another file, or move it away.\n"


# ---- with a gateway


def settings(upstream: ScriptedUpstream, folder: Path) -> str:
    return KEYS + config(folder, upstream).read_text()


async def status(gateway: Child, token: str) -> int:
    path, headers = with_key("/v1/models", token)
    return (await send(gateway.port, request(method="GET", path=path, headers=headers))).status


async def test_a_gateway_that_runs_knows_what_is_made_and_revoked(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        async with serve(tmp_path, settings(upstream, tmp_path)) as gateway:
            assert await status(gateway, "") == 401
            token = await asyncio.to_thread(create, tmp_path, "web")
            assert await status(gateway, token) == 200
            await asyncio.to_thread(telex, "keys", "revoke", "web", cwd=tmp_path)
            end = time.monotonic() + 50
            while await status(gateway, token) != 401:
                assert time.monotonic() < end
                await asyncio.sleep(0.1)


async def test_ask_is_let_in_with_its_key(tmp_path: Path) -> None:
    with ScriptedUpstream(say("Blue.")) as upstream:
        async with serve(tmp_path, settings(upstream, tmp_path)) as gateway:
            token = await asyncio.to_thread(create, tmp_path, "web")
            (elsewhere := tmp_path / "elsewhere").mkdir()
            arguments = ["ask", "Why?", "--url", f"http://127.0.0.1:{gateway.port}"]
            code, out, err = await asyncio.to_thread(telex, *arguments, cwd=elsewhere, TELEX_API_KEY=token)
            assert (code, out, err) == (0, "Blue.\n", "")
            for wrong in ("", f"{token}x"):
                for model in ([], ["--model", "fast"]):
                    code, out, err = await asyncio.to_thread(telex, *arguments, *model, cwd=elsewhere, TELEX_API_KEY=wrong)
                    assert (code, out) == (1, "")
                    assert err == "telex: The gateway wants a key that is valid there. Put a key of the gateway into TELEX_API_KEY.\n"
            assert len(upstream.calls) == 1


async def test_race_and_chat_are_let_in_with_their_key(tmp_path: Path) -> None:
    with ScriptedUpstream(say("Blue."), say("Blue."), say("Blue.")) as upstream:
        async with serve(tmp_path, settings(upstream, tmp_path)) as gateway:
            token = await asyncio.to_thread(create, tmp_path, "web")
            url = f"http://127.0.0.1:{gateway.port}"
            code, out, _ = await asyncio.to_thread(telex, "race", "--url", url, "--model", "fast", cwd=tmp_path, TELEX_API_KEY=token)
            assert (code, "A person would have stared" in out) == (0, True)
            code, _, err = await asyncio.to_thread(telex, "race", "--url", url, "--model", "fast", cwd=tmp_path)
            assert (code, err) == (1, "telex: The streamed answer failed: The gateway wants a key that is valid there.\n")
            with Terminal("chat", "--url", url, cwd=tmp_path, TELEX_API_KEY=token) as terminal:
                await asyncio.to_thread(terminal.wait_for, "fast")
                terminal.press("Why?\r")
                await asyncio.to_thread(terminal.wait_for, "Blue.")
                terminal.press("\x04")
                assert await asyncio.to_thread(terminal.end) == 0


def test_the_race_of_ones_own_needs_no_key(tmp_path: Path) -> None:
    """Its gateway is for it alone, whoever else the configuration is for."""
    with ScriptedUpstream(say("Blue."), say("Blue.")) as upstream:
        (tmp_path / "telex.toml").write_text('[server]\naccess = "keys"\nhost = "0.0.0.0"\n' + config(tmp_path, upstream).read_text())
        code, out, err = telex("race", "--model", "fast", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "A person would have stared" in out
    assert not (tmp_path / "telex.db").exists()


def test_serve_says_who_may_come_in_and_where_the_store_is(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        text = config(tmp_path, upstream).read_text()
        with Terminal("serve", "--port", "0", cwd=tmp_path, COLUMNS="200") as terminal:
            said = terminal.wait_for("Ctrl-C ends it.")
            terminal.interrupt()
            assert terminal.end() == 0
        assert "access   open to whoever is on this machine" in said
        assert f"store    {tmp_path / 'telex.db'}" in said
        (tmp_path / "telex.toml").write_text('[server]\naccess = "keys"\nhost = "0.0.0.0"\n' + text)
        create(tmp_path, "web")
        telex("keys", "revoke", "web", cwd=tmp_path)
        create(tmp_path, "web")
        with Terminal("serve", "--port", "0", cwd=tmp_path, COLUMNS="200") as terminal:
            said = terminal.wait_for("Ctrl-C ends it.")
            terminal.interrupt()
            assert terminal.end() == 0
        assert "access   with a key, of which there is 1; `telex keys create` makes one" in said
        assert f"store    {tmp_path}/telex.db" in said
        assert "authorization: Bearer $TELEX_API_KEY" in said
    database = sqlite3.connect(tmp_path / "telex.db")
    assert database.execute("SELECT count(*) FROM keys").fetchone() == (2,)
    database.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "telex.example"])  # noqa: S104
def test_a_host_for_others_is_refused_where_access_is_open(host: str, tmp_path: Path) -> None:
    code, _, err = telex("serve", "--host", host, "--port", "0", cwd=tmp_path)
    assert code == 2
    assert f"not '{host}'" in err
    assert 'say access = "keys", and make one with `telex keys create`' in err


async def test_any_host_is_served_where_a_key_is_wanted(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ScriptedUpstream() as upstream:
        (tmp_path / "telex.toml").write_text(settings(upstream, tmp_path))
        with Terminal("serve", "--host", "0.0.0.0", "--port", str(port), cwd=tmp_path) as terminal:  # noqa: S104
            await asyncio.to_thread(terminal.wait_for, f"http://0.0.0.0:{port}")
            answer = await send(port, request(method="GET", path="/v1/models", headers={"host": "telex.example"}))
            assert answer.status == 401
            terminal.interrupt()
            assert await asyncio.to_thread(terminal.end) == 0
