"""`telex` as a shell sees it: what it prints, where, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.shell import config, telex
from telex.cli.commands import configured
from telex.config import ConfigError
from telex.testing import ScriptedUpstream, status


def test_help(tmp_path: Path) -> None:
    code, out, _ = telex("--help", cwd=tmp_path)
    assert code == 0
    assert all(command in out for command in ("serve", "race", "ask", "chat", "submit", "jobs", "models", "check", "--version"))
    for command in ("serve", "race", "ask", "chat", "models", "check"):
        code, out, _ = telex(command, "--help", cwd=tmp_path)
        assert (code, "--config" in out) == (0, True)


def test_version(tmp_path: Path) -> None:
    code, out, _ = telex("--version", cwd=tmp_path)
    assert (code, out.strip()[:1].isdigit()) == (0, True)


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["serve", "--prot", "1"], ["serve", "--port", "many"], ["nonsense"], ["check", "extra"]]
)
def test_a_wrong_call_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    code, out, err = telex(*arguments, cwd=tmp_path)
    assert code == 2
    assert out + err


WRONG = [
    ("[server]\nprot = 1\n", "line 2: server.prot: this key is not known (did you mean 'port' or 'host'?)."),
    ("[server]\nhost = '0.0.0.0'\n", "line 2: server.host: access is open"),
    ("[models.m]\ntargets = [{ provider = 'x', model = 'y' }]\n", "line 2: models.m.targets.provider: there is no provider 'x'"),
    ("[server", "is not TOML"),
]


@pytest.mark.parametrize(("command", "wrong"), [("serve", 0), ("race", 0), ("check", 0), ("models", 1), ("models", 2), ("models", 3)])
def test_a_wrong_configuration_exits_with_2_and_one_line(command: str, wrong: int, tmp_path: Path) -> None:
    text, said = WRONG[wrong]
    (tmp_path / "telex.toml").write_text(text)
    code, out, err = telex(command, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("telex: telex.toml")
    assert said in err
    assert err.count("\n") == 1


def test_a_configuration_that_is_not_there_exits_with_2(tmp_path: Path) -> None:
    code, _, err = telex("models", "--config", "none.toml", cwd=tmp_path)
    assert (code, err) == (2, "telex: none.toml can't be read: No such file or directory.\n")


def test_a_key_that_is_not_set_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text('[providers.openai]\napi_key = { env = "NO_SUCH_KEY" }\n')
    code, _, err = telex("models", cwd=tmp_path)
    assert code == 2
    assert "NO_SUCH_KEY" in err


def test_models_lists_what_can_be_asked_for(tmp_path: Path) -> None:
    code, out, _ = telex("models", cwd=tmp_path)
    assert (code, "local" in out) == (0, True)
    with ScriptedUpstream(models=["alpha", "beta"]) as upstream:
        path = config(tmp_path, upstream, "other.toml")
        code, out, _ = telex("models", "--config", str(path), cwd=tmp_path)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:] if line.strip()] == ["alpha", "beta", "fast"]


def test_race_without_a_terminal_on_the_embedded_model(tmp_path: Path) -> None:
    code, out, _ = telex("race", "Say a word.", cwd=tmp_path)
    assert code == 0
    for row in ("first word on the screen (TTFT)", "between words (ITL), p50", "end to end (E2E)", "tokens", "tokens/s"):
        assert row in out
    assert "A person would have stared at nothing" in out
    assert "\x1b[" not in out


def test_race_reports_a_failure_in_one_line(tmp_path: Path) -> None:
    with ScriptedUpstream(status(400)) as upstream:
        config(tmp_path, upstream)
        code, _, err = telex("race", "--model", "fast", cwd=tmp_path)
    assert code == 1
    assert "Scripted 400." in err


def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        code, _, err = telex("serve", "--port", str(upstream.port), cwd=tmp_path)
    assert code == 1
    assert str(upstream.port) in err
    assert err.startswith("telex: ")


@pytest.mark.parametrize(("host", "port"), [(None, 99999), (None, -1), ("0.0.0.0", None), ("::", None)])  # noqa: S104
def test_host_and_port_of_the_command_line_are_checked_too(host: str | None, port: int | None) -> None:
    with pytest.raises(ConfigError):
        configured(None, host, port)
