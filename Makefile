# Two commands on a fresh machine: `make demo` and `make test`. Both install first where needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Further arguments for pip, for instance an index with CPU-only torch wheels: make install PIP_ARGS="--extra-index-url URL"
PIP_ARGS ?=

.PHONY: help install demo test kill-test lint types check wheel clean

help:
	@echo "make demo     train the shipped tiny model and measure what it learned (under 5 minutes)"
	@echo "make test     run the tests"
	@echo "make kill-test  kill a training run at 20 random moments, resume it, and compare it with one left alone"
	@echo "make check    lint, types and the wheel in an empty environment"
	@echo "make install  make $(VENV) with the tested versions"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed (trl and transformers ask for it); $$($(PYTHON) --version) is $(PYTHON)."; \
	    echo "Name another one: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/reasoning-grpo demo

test: install
	$(BIN)/python -m pytest

kill-test: install
	$(BIN)/python tests/kill_test.py --kills 20

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

wheel: install
	PIP_ARGS="$(PIP_ARGS)" $(BIN)/python .ci/check_wheel.py

check: lint types wheel

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
