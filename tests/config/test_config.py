"""telex.toml: what holds, and that the first thing that is wrong is said with its line and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from telex.config import Config, ConfigError, Provider, Secret, default_config, load_config, nearest, parse_config, read_key
from telex.config.schema import KeySource
from telex.dialects.quirks import Quirks

FULL = """\
[server]
host = "::1"
port = 9000
drain = 0
hosts = ["telex.test"]
body_limit = 1000

[retention]
resumable = "1h"

[timeouts]
total = 60

[providers.here]
dialect = "openai-chat"
base_url = "http://127.0.0.1:9009/v1"
api_key = { env = "HERE_KEY" }
quirks = { no_done = true }
always = { top_k = 1 }
whole = "stream"

[providers.ollama]

[models.fast]
targets = [
  { provider = "here", model = "m", tier = 2 },
  { provider = "ollama", model = "n", whole = "whole", weight = 3, deliveries = ["batch"] },
]
balance = "least-latency"
retries = 0
hedge = 1.5
on_disconnect = "hold"
hold = 5
timeouts = { first_content = 5 }
"""


def test_what_is_written_is_read() -> None:
    config = parse_config(FULL, "telex.toml")
    assert (config.server.host, config.server.port, config.server.hosts, config.server.body_limit) == ("::1", 9000, ["telex.test"], 1000)
    here = config.providers["here"]
    assert (here.api_key, here.quirks, here.always, here.whole) == (KeySource("HERE_KEY"), Quirks(no_done=True), {"top_k": 1}, "stream")
    fast = config.models["fast"]
    assert [(target.provider, target.tier, target.whole) for target in fast.targets] == [("here", 2, None), ("ollama", 1, "whole")]
    assert [(target.weight, target.deliveries) for target in fast.targets] == [(1.0, None), (3.0, ("batch",))]
    assert (fast.balance, fast.retries, fast.hedge) == ("least-latency", 0, 1.5)
    assert (fast.on_disconnect, fast.hold) == ("hold", 5.0)
    assert (config.retention.resumable, config.retention.max_bytes) == ("1h", "1GB")
    timeouts = config.model_timeouts(fast)
    assert (timeouts.total, timeouts.first_content, timeouts.idle) == (60.0, 5.0, 60.0)
    assert config.model_timeouts(None) == config.timeouts


def test_a_known_provider_starts_from_its_row() -> None:
    row = parse_config("[providers.ollama]\nbase_url = 'http://10.0.0.1:1/v1'", "t").providers["ollama"]
    assert (row.dialect, row.base_url) == ("openai-chat", "http://10.0.0.1:1/v1")
    assert (row.quirks.calls_by_id, row.quirks.repair) == (True, True)


def test_zero_config() -> None:
    assert list(default_config({}).providers) == ["local"]
    assert set(default_config({"OPENAI_API_KEY": "sk"}).providers) == {"local", "openai"}
    assert list(load_config(None, {"OPENAI_API_KEY": ""}).providers) == ["local"]
    assert load_config(None, {}).server.host == "127.0.0.1"


def test_where_keys_are_wanted_any_host_will_do() -> None:
    config = parse_config("store = 'sqlite:////data/keys.db'\n[server]\naccess = 'keys'\nhost = '0.0.0.0'", "telex.toml")
    assert (config.server.access, config.server.host, config.store) == ("keys", "0.0.0.0", "sqlite:////data/keys.db")  # noqa: S104
    assert config.wants_keys


def test_who_must_come_with_a_key() -> None:
    assert not parse_config("", "telex.toml").wants_keys
    assert parse_config("[admin]\nkeys_only = true", "telex.toml").wants_keys


def test_a_secret_is_taken_out_of_a_text_unless_it_could_be_any_word() -> None:
    assert Secret("sk-123456").redact("Wrong key sk-123456, 'sk-123456'.") == "Wrong key …, '…'."
    assert Secret("k").redact("Wrong key k.") == "Wrong key k."
    assert "sk-123456" not in repr(Secret("sk-123456"))


def target(fields: str) -> str:
    return f"[models.m]\n\ntargets = [{{ {fields} }}]\n"


def provider(fields: str) -> str:
    return f"[providers.p]\ndialect = 'openai-chat'\nbase_url = 'http://x'\n{fields}\n"


WRONG: list[tuple[str, int, str, str]] = [
    ("server = 1", 1, "server", "expected object"),
    ("[servr]", 1, "servr", "not known"),
    ("\n[server]\nprot = 1", 3, "server.prot", "not known (did you mean 'port' or 'host'?)"),
    ("[server]\nport = '80'", 2, "server.port", "expected int"),
    ("[server]\n# port = 1\nport = 65536", 3, "server.port", "65535"),
    ("[server]\nport = -1", 2, "server.port", "0"),
    ("[server]\nhost = 5", 2, "server.host", "expected str"),
    ("[server]\nhost = '0.0.0.0'", 2, "server.host", "loopback"),
    ("store = 'memory:'\n[server]\naccess = 'keys'", 1, "store", "name a file"),
    ("store = 'memory:'\n[admin]\nkeys_only = true", 1, "store", "name a file"),
    ("[server]\nhost = '0.0.0.0'\naccess = 'open'", 2, "server.host", 'say access = "keys"'),
    ("[server]\naccess = 'closed'", 2, "server.access", "'closed' is none of keys, open"),
    ("# a file\nstore = 'telex.db'", 2, "store", "names no file as in 'sqlite:///telex.db'"),
    ("[server]\nport = 1\n[admin]\nkeys_only = 'yes'", 4, "admin.keys_only", "expected bool"),
    ("store = 'postgresql://localhost/telex'\n[server]", 1, "store", "comes in a later version"),
    ("store = 5", 1, "store", "expected str"),
    ("[server]\ndrain = -1", 2, "server.drain", "0"),
    ("[server]\nhosts = 'x'", 2, "server.hosts", "expected array"),
    ("[server]\nbody_limit = 0", 2, "server.body_limit", "1"),
    ("[timeouts]\ntotal = 0", 2, "timeouts.total", "0"),
    ("[timeouts]\ntotal = 'long'", 2, "timeouts.total", "expected float"),
    ("[timeouts]\n\nforever = 1", 3, "timeouts.forever", "not known"),
    ("providers = 1", 1, "providers", "expected a table"),
    ("[providers]\np = 1", 2, "providers.p", "expected object"),
    ("[providers.p]\nbase_url = 'http://x'", 1, "providers.p.dialect", "missing"),
    ("[providers.p]\ndialect = 'klingon'\nbase_url = 'http://x'", 2, "providers.p.dialect", "known: openai-chat"),
    ("[providers.p]\ndialect = 'openai-chat'", 1, "providers.p.base_url", "no base URL"),
    ("[providers.p]\ndialect = 'openai-chat'\nbase_url = 'ftp://x'", 3, "providers.p.base_url", "http"),
    ("[providers.p]\ndialect = 'openai-chat'\nbase_url = 'http://x?a=1'", 3, "providers.p.base_url", "query"),
    (provider("api_keys = 'x'"), 4, "providers.p.api_keys", "not known"),
    (provider("api_key = 5"), 4, "providers.p.api_key", "expected"),
    (provider("api_key = { enf = 'X' }"), 4, "providers.p.api_key.enf", "not known (did you mean 'env'?)"),
    (provider("whole = 'half'"), 4, "providers.p.whole", "'half' is none of auto, stream, whole"),
    (provider("context = 0"), 4, "providers.p.context", "1"),
    (provider("quirks = { no_done = 'yes' }"), 4, "providers.p.quirks.no_done", "expected bool"),
    ("[models]\nm = 1", 2, "models.m", "expected object"),
    ("[models.m]", 1, "models.m.targets", "missing"),
    ("[models.m]\ntargets = []", 2, "models.m.targets", "length"),
    (target("provider = 'local'"), 3, "models.m.targets.model", "missing"),
    (target("provider = 'local', model = 'x', wait = 1"), 3, "models.m.targets.wait", "not known (did you mean 'weight'?)"),
    (
        target("provider = 'local', model = 'x', deliveries = ['steam']"),
        3,
        "models.m.targets.deliveries",
        "background, batch, complete, stream",
    ),
    (
        target("provider = 'local', model = 'x'") + "balance = 'fast'",
        4,
        "models.m.balance",
        "'fast' is none of least-latency, prefix, weighted",
    ),
    (target("provider = 'local', model = 'x', context = 'wide'"), 3, "models.m.targets.context", "expected int"),
    (target("provider = 'local', model = 'x'") + "check_context = 'no'", 4, "models.m.check_context", "expected bool"),
    (target("provider = 'opnai', model = 'x'") + "[providers.openai]", 3, "models.m.targets.provider", "did you mean 'openai'?"),
    (target("provider = 'local', model = 'x'") + "retries = 6", 4, "models.m.retries", "5"),
    (
        target("provider = 'local', model = 'x'") + "on_disconnect = 'stay'",
        4,
        "models.m.on_disconnect",
        "'stay' is none of cancel, finish, hold",
    ),
    (target("provider = 'local', model = 'x'") + "hold = 0", 4, "models.m.hold", "0"),
    ("[retention]\nresumable = '15 minutes'", 2, "retention.resumable", "is not a time as in '15m'"),
    ("[retention]\nmax_bytes = '1 TB'", 2, "retention.max_bytes", "is not a size as in '1GB'"),
    (target("provider = 'local', model = 'x'") + "timeouts = { total = 0 }", 4, "models.m.timeouts", "total = 0"),
    (target("provider = 'local', model = 'x'") + "timeouts = { never = 1 }", 4, "models.m.timeouts", "never = 1"),
]


@pytest.mark.parametrize(("text", "line", "key", "why"), WRONG, ids=[f"{key}-{why}" for _, _, key, why in WRONG])
def test_a_wrong_line_is_refused_with_its_line_and_key(text: str, line: int, key: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "telex.toml")
    said = str(caught.value)
    assert said.startswith(f"telex.toml, line {line}: {key}")
    assert why in said
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("text", ["[server", "a = ", "[server]\nport = 1\nport = 2", "\x00"])
def test_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^telex.toml is not TOML: .+\."):
        parse_config(text, "telex.toml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml can't be read: No such file"):
        load_config(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(tmp_path)
    (latin := tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(latin)


def keyed(fields: str) -> Provider:
    return parse_config(provider(fields), "t").providers["p"]


def test_keys(tmp_path: Path) -> None:
    (file := tmp_path / "key").write_text("sk-file\n")
    environ = {"MY_KEY": "sk-env", "OPENAI_API_KEY": "sk-usual"}
    found: list[tuple[Provider, str | None]] = [
        (keyed("api_key = 'sk-plain'"), "sk-plain"),
        (keyed("api_key = { env = 'MY_KEY' }"), "sk-env"),
        (keyed(f"api_key = {{ file = '{file}' }}"), "sk-file"),
        (keyed("key_env = 'MY_KEY'"), "sk-env"),
        (keyed("key_env = 'NO_KEY'"), None),
        (keyed(""), None),
        (parse_config("[providers.openai]", "t").providers["openai"], "sk-usual"),
    ]
    for row, key in found:
        secret = read_key(row, environ)
        assert (secret and secret.reveal()) == key
    with pytest.raises(ConfigError, match=r"NO_KEY.+not set"):
        read_key(keyed("api_key = { env = 'NO_KEY' }"), environ)
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        read_key(keyed(f"api_key = {{ file = '{tmp_path}/none' }}"), environ)


SHOWN: list[Callable[[object], str]] = [repr, str, lambda value: f"{value}", lambda value: f"{[value]}"]


@pytest.mark.parametrize("show", SHOWN)
def test_secrets_are_never_shown(show: Callable[[object], str]) -> None:
    config: Config = parse_config(provider("api_key = 'sk-secret'"), "t")
    for value in (Secret("sk-secret"), config, config.providers["p"]):
        assert "sk-secret" not in show(value)


def test_a_wrong_line_beside_a_key_does_not_show_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(provider("api_key = 'sk-secret'\nnope = 1"), "t")
    assert "sk-secret" not in str(caught.value)


def test_hints() -> None:
    assert nearest("opnai", ["openai", "ollama"]) == " (did you mean 'openai'?)"
    assert nearest("zzz", ["openai"]) == ""
