"""`telex check` as a shell sees it: what each provider answers, whether each target is there, and the exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telex.testing import FAULTS, Play, ScriptedUpstream, say, status

from .shell import Terminal, config, telex


def configure(folder: Path, providers: dict[str, tuple[str, str]], models: str = "") -> None:
    """`providers`: dialect and URL by name."""
    rows = [f'[providers.{name}]\ndialect = "{dialect}"\nbase_url = "{url}"\n' for name, (dialect, url) in providers.items()]
    (folder / "telex.toml").write_text("".join(rows) + models)


def lines(out: str) -> list[list[str]]:
    """The words of each line that has any."""
    return [line.split() for line in out.splitlines() if line.strip()]


def test_what_is_there_is_said_in_plain_lines(tmp_path: Path) -> None:
    with ScriptedUpstream(models=["scripted", "beta"]) as upstream:
        config(tmp_path, upstream)
        code, out, err = telex("check", cwd=tmp_path)
    assert (code, err, "\x1b" in out) == (0, "", False)
    first, head, here, heads, fast = lines(out)
    assert " ".join(first) == "The configuration is valid: 1 provider, 1 model."
    assert head == ["provider", "dialect", "seconds", "answer"]
    assert (here[:2], float(here[2]) < 5, here[3:]) == (["here", "openai-chat"], True, ["2", "models"])
    assert heads == ["model", "target", "in", "the", "list"]
    assert fast == ["fast", "here/scripted", "listed"]


def test_a_provider_that_is_not_there_is_said_with_why(tmp_path: Path) -> None:
    with ScriptedUpstream() as gone:
        config(tmp_path, gone)
    code, out, _ = telex("check", cwd=tmp_path)
    assert code == 1
    assert f"http://127.0.0.1:{gone.port} can't be reached: Connection refused." in out
    assert "not known: its provider gives no list" in out


def test_a_target_that_is_misspelt_is_said_with_what_may_have_been_meant(tmp_path: Path) -> None:
    models = '[models.chat]\ntargets = [{ provider = "up", model = "gpt-5-mni" }, { provider = "up", model = "gpt-5-mini" }]\n'
    with ScriptedUpstream(models=["gpt-5-mini", "[odd]"]) as upstream:
        configure(tmp_path, {"up": ("openai-chat", upstream.url)}, models)
        code, out, _ = telex("check", cwd=tmp_path)
    assert code == 1
    assert lines(out)[-2:] == [
        ["chat", "up/gpt-5-mni", "not", "listed", "(did", "you", "mean", "'gpt-5-mini'?)"],
        ["chat", "up/gpt-5-mini", "listed"],
    ]


ANSWERS: list[tuple[Play, str, str]] = [
    (status(401), "sk-secret", "refused the credentials that Telex is configured with. It answered with HTTP status 401."),
    (status(401), "", "It was sent no key: set OPENAI_API_KEY, or say api_key in the configuration."),
    (status(403), "k", "Scripted 403."),
    (status(404), "", "Scripted 404. It answered with HTTP status 404."),
    (status(500), "", "Scripted 500."),
    (FAULTS["row23-html-200"](), "", "The list of models of 'openai' can't be read"),
]  # fmt: skip


@pytest.mark.parametrize(("play", "key", "said"), ANSWERS)
def test_what_it_answers_instead_of_a_list(play: Play, key: str, said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("telex.testing.upstream.model_list", lambda *names: play)
    with ScriptedUpstream() as upstream:
        (tmp_path / "telex.toml").write_text(f'[providers.openai]\nbase_url = "{upstream.url}"\n')
        code, out, _ = telex("check", cwd=tmp_path, OPENAI_API_KEY=key)
    assert code == 1
    assert said in out
    assert "sk-secret" not in out


def test_a_provider_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("telex.testing.upstream.model_list", lambda *names: FAULTS["row05-headers-never-come"]())
    with ScriptedUpstream() as mute:
        configure(tmp_path, {"mute": ("anthropic", mute.url)})
        code, out, _ = telex("check", cwd=tmp_path)
    assert code == 1
    assert f"http://127.0.0.1:{mute.port} did not answer within 5 s." in out


def test_each_target_is_asked_if_that_is_wished(tmp_path: Path) -> None:
    """What answers is there, listed or not; what does not answer well says how it ended."""
    targets = '[models.{name}]\ntargets = [{{ provider = "{up}", model = "{model}", deliveries = ["batch"] }}]\nretries = 5\n'
    models = "".join(
        targets.format(name=name, up=up, model=model) for name, up, model in [("good", "good", "alias"), ("cut", "bad", "scripted")]
    )
    with ScriptedUpstream(say("OK")) as good, ScriptedUpstream(FAULTS["row14-eof-without-terminator"]()) as bad:
        configure(tmp_path, {"good": ("gemini", good.url), "bad": ("openai-chat", bad.url)}, models)
        code, out, _ = telex("check", "--ask", cwd=tmp_path)
        assert code == 1
        heads, answered, cut = lines(out)[-3:]
        assert heads == ["model", "target", "in", "the", "list", "TTFT", "E2E", "ending"]
        assert (answered[:2], answered[-1]) == (["good", "good/alias"], "complete")
        assert float(answered[-3]) <= float(answered[-2])
        assert "truncated: The provider's stream ended without" in " ".join(cut)
        assert (len(good.calls), len(bad.calls)) == (1, 1)
        configure(tmp_path, {"good": ("gemini", good.url)}, models.partition("[models.cut]")[0])
        assert telex("check", "--ask", cwd=tmp_path)[0] == 0
        assert telex("check", cwd=tmp_path)[0] == 1


def test_the_embedded_model_is_asked_too(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text('[models.small]\ntargets = [{ provider = "local", model = "smollm2-135m" }]\n')
    code, out, _ = telex("check", "--ask", cwd=tmp_path)
    assert code == 0
    assert "loaded and ready" in out
    last = lines(out)[-1]
    assert (last[:3], last[-1]) == (["small", "local/smollm2-135m", "listed"], "complete")


def test_without_models_there_is_nobody_to_ask(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        configure(tmp_path, {"up": ("openai-chat", upstream.url)})
        code, out, _ = telex("check", "--ask", cwd=tmp_path)
    assert (code, upstream.calls, "nobody to ask" in out, "1 provider, 0 models" in out) == (0, [], True, True)


def test_a_key_that_is_not_set_is_no_valid_configuration(tmp_path: Path) -> None:
    (tmp_path / "telex.toml").write_text('[providers.openai]\napi_key = { env = "NO_SUCH_KEY" }\n')
    code, out, err = telex("check", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "NO_SUCH_KEY" in err


def test_somebody_who_watches_sees_colours(tmp_path: Path) -> None:
    with ScriptedUpstream(models=["scripted"]) as upstream:
        config(tmp_path, upstream)
        with Terminal("check", cwd=tmp_path) as terminal:
            assert terminal.end() == 0
    assert "\x1b[32mlisted" in terminal.seen
