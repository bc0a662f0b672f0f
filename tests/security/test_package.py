"""supply-chain: what is installed is what is here, and nothing of it runs by itself.

hatchling copies the package's folder as it stands, as long as nothing tells it to do more.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BY_ITSELF = {".pth", ".so", ".pyd", ".egg-link"}


def tracked(*folders: str) -> set[Path]:
    """What git knows or would: it is what hatchling takes."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {ROOT / name for name in listed.split("\0") if name}


def test_supply_chain_the_wheel_is_the_source_tree() -> None:
    assert PROJECT["build-system"] == {"requires": ["hatchling>=1.27"], "build-backend": "hatchling.build"}
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["src/telex"]}
    assert set(PROJECT["tool"]["hatch"]["build"]) == {"targets"}  # no hooks, nothing forced in, nothing beside the package
    assert set(PROJECT["tool"]["hatch"]) == {"build"}
    assert not (ROOT / "hatch_build.py").exists()
    assert not (ROOT / "hatch.toml").exists()
    there = {path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in there if ".egg-info" not in str(path)} == tracked("src")


def test_supply_chain_nothing_runs_by_itself() -> None:
    files = tracked()
    assert not [path for path in files if path.suffix in BY_ITSELF or path.name in ("sitecustomize.py", "usercustomize.py", "conftest.pth")]
    assert not [path for path in files if path.is_symlink()]
    assert list(PROJECT["project"]["scripts"].items()) == [("telex", "telex.cli:main")]
    assert "entry-points" not in PROJECT["project"]


def test_supply_chain_everything_that_is_installed_is_pinned() -> None:
    """No version of what runs comes from the day on which it was installed, and none from another place than the registry."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all("==" in line and "://" not in line for line in lines)
    pinned = {line.partition("==")[0].strip() for line in lines}
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    assert all("://" not in each for each in wanted)
    assert {each.split(">")[0].split("[")[0].strip() for each in wanted} <= pinned
