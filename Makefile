# Everything a newcomer or CI needs; `make demo` and `make test` work on a machine with only
# Python 3.11+, venv and make.
# The system's own where it will do: distributions build it with profiles, which makes it faster.
# Another: make setup PYTHON=...
PYTHON ?= $(shell for each in /usr/bin/python3 python3; do "$$each" -c '$(WILL_DO)' 2>/dev/null \
	&& echo "$$each" && exit; done; echo python3)
WILL_DO := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

.PHONY: setup demo test check format bench soak lock picture

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q node  # as pip does with what it installs: commands start sooner
	touch $@

demo: setup
	$(BIN)/kpnode demo

test: setup
	$(BIN)/pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	@$(MAKE) --no-print-directory test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python -m bench
	$(BIN)/python -m bench.isolation
	$(BIN)/python -m bench.year
	$(BIN)/python -m bench.as2

soak: setup
	$(BIN)/pytest -s -o faulthandler_timeout=0 tests/test_kill.py tests/test_chaos.py --kills 100 --rounds 100

# The README's picture of the Peers page, from real nodes.
picture: setup
	$(BIN)/python -m docs.picture

# Renews the lock with the newest releases that fit pyproject.toml; hashes, no index addresses.
lock: setup
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header \
		--no-annotate --python-version 3.11 --universal --extra dev pyproject.toml -o requirements.lock
