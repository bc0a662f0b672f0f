"""The house, held against the code: imports only go down, the two lowest floors are pure, lazy imports are named here."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import telex

FLOORS = {
    "core": 0,
    "dialects": 1, "routing": 1, "metering": 1, "limits": 1,
    "upstream": 2, "local": 2, "config": 2, "telemetry": 2, "stores": 2, "prices": 2, "tokens": 2,
    "generation": 3,
    "jobs": 4, "client": 4,
    "gateway": 5,
    "cli": 6, "bench": 6, "testing": 6,
}  # fmt: skip
IMPURE = {"anyio", "asyncio", "httpx2", "os", "pathlib", "random", "secrets", "socket", "ssl", "threading", "time", "uvloop"}
LAZY = {
    "": {"importlib"},  # the names of the library
    "client": {"telex.upstream.transports"},  # httpx2, for those who bring a transport
    "cli": {"cyclopts", "readline", "telex.cli"},  # `import telex.cli` costs nothing, each command loads only what it needs, and
    # readline, once imported, may write to what is no terminal
    "tokens": {"genai_prices", "toktok"},  # heavy, and an extra
    "local": {"xllamacpp"},  # heavy, native, and an extra
}
"""What a package may import inside functions: each entry with its submodules."""

HOUSE = Path(telex.__file__).parent
MODULES = sorted(HOUSE.rglob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))


def package_of(path: Path) -> str:
    """`core` for core/sse.py; `` for what stands at the top of the house."""
    parts = path.relative_to(HOUSE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is named in an import, wherever that stands; relative ones as they are written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "telex":
                yield from (f"telex.{alias.name}" for alias in node.names)
            else:
                yield "." * node.level + (node.module or "")


def lazy_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports(node)


def below(name: str, tops: set[str]) -> bool:
    return any(name == top or name.startswith(top + ".") for top in tops)


BORROWS = {"openai_responses": {"telex.dialects.openai_chat"}}  # errors, lists, tokens, data URLs: OpenAI's own two have them alike
DIALECTS = sorted(path for path in (HOUSE / "dialects").iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("folder", DIALECTS, ids=lambda path: path.name)
def test_a_dialect_knows_no_other(folder: Path) -> None:
    others = {f"telex.dialects.{path.name}" for path in DIALECTS if path != folder} - BORROWS.get(folder.name, set())
    for path in folder.rglob("*.py"):
        named = [name for name in imports(ast.parse(path.read_text())) if below(name, others)]
        assert not named, f"{path.name} names {named}"


@each_module
def test_imports_only_go_down(path: Path) -> None:
    here = package_of(path)
    if not here:  # __init__ and __main__, which are the roof
        return
    for name in imports(ast.parse(path.read_text())):
        assert not name.startswith("."), f"imports are absolute, so that floors can be read: {name}"
        if not below(name, {"telex"}) or name == "telex":
            continue
        there = name.split(".")[1]
        up = FLOORS[there] > FLOORS[here]
        sideways = there != here and FLOORS[there] == FLOORS[here] == 1
        assert not up, f"{here} (floor {FLOORS[here]}) imports {name} (floor {FLOORS[there]})"
        assert not sideways, f"{here} imports its neighbour {name}"


def test_importing_the_package_itself_imports_nothing() -> None:
    """The names of the library come when they are asked for."""
    count = "import sys; before = set(sys.modules); import telex; print(*set(sys.modules) - before)"
    environ = {**os.environ, "PYTHONPATH": str(HOUSE.parent)}
    told = subprocess.run([sys.executable, "-S", "-c", count], env=environ, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["telex"]
    for name in telex.__all__:
        assert getattr(telex, name).__name__ == name
    with pytest.raises(AttributeError, match="Clients"):
        _ = telex.Clients


@each_module
def test_the_lower_floors_do_no_io(path: Path) -> None:
    if FLOORS.get(package_of(path), 9) > 1:
        return
    tree = ast.parse(path.read_text())
    assert not [name for name in imports(tree) if name.partition(".")[0] in IMPURE]
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input", "exec", "eval", "__import__"}


@each_module
def test_imports_inside_functions_are_named_here(path: Path) -> None:
    allowed = LAZY.get(package_of(path), set())
    assert not [name for name in lazy_imports(ast.parse(path.read_text())) if not below(name, allowed)]


def test_the_table_names_only_what_is_used() -> None:
    for package, tops in LAZY.items():
        used = [name for path in MODULES if package_of(path) == package for name in lazy_imports(ast.parse(path.read_text()))]
        assert all(any(below(name, {top}) for name in used) for top in tops), (package, used)
