# Every target works in a fresh clone, in a directory of any name. PYTHON may name another interpreter of 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin/python
PIP := $(BIN) -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: run test check bench soak fuzz docs clean

run: .venv/run
	@$(BIN) -m telex serve --race

test: .venv/dev check
	$(BIN) -m pytest -n auto --dist loadfile

check: .venv/dev
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy

bench: .venv/dev
	$(BIN) -m benchmarks

soak: .venv/dev
	TELEX_SOAK=1 $(BIN) -m pytest -m soak -s

fuzz: .venv/dev
	$(PIP) -e '.[local,tokens,dev,fuzz]'
	PYTHONPATH=tests $(BIN) -m fuzz --seconds $(or $(SECONDS),600)

docs: .venv/dev
	$(BIN) -m docs
	PYTHONPATH=tests $(BIN) -m sdk.matrix

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps say what has been installed into the environment, and grow old when what they depend on changes.
.venv/run: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up, once: an environment in .venv with what constraints.txt pins."
	@$(PIP) -e '.[local]'
	@touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[local,tokens,dev]'
	@touch $@ .venv/run

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Telex needs Python 3.11 or newer: install it, or say PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Telex needs Python 3.11 or newer, and $(PYTHON) is older: say PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "This Python can't make environments: install its venv module (Debian: apt-get install python3-venv)."; exit 1; }
	@$(PYTHON) -m venv .venv
