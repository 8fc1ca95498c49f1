# Needs python3 (3.11 or newer), g++, make and perl. Everything else is installed into .venv from pyproject.toml.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
WORKERS ?= 2
BIN := .venv/bin
BASE := .venv/installed-base
ALL := .venv/installed-all
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint types docs measurements results setup clean

demo: $(BASE)  ## one image through the quantized network on the simulated accelerator, checked against the integer model
	@$(BIN)/triovit compare

test: setup  ## the whole suite: units, cocotb benches, whole networks on the RTL
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

lint: setup types  ## style of all Python files, and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .

types: setup  ## types of everything but the hardware (Pyright's rules, by basedpyright, whose wheel needs no network)
	@$(BIN)/basedpyright

docs: setup  ## tables of the pages that come from the code, written again
	@$(BIN)/python -m docs.tables

measurements: setup  ## synthesizes what the estimate of resources is fitted to, some twenty minutes, and writes its tables
	@$(BIN)/python -m triovit.flow.measurements
	@$(BIN)/python -m docs.tables

results: setup  ## synthesizes, times and places what docs/results/hardware.md tells, some twenty minutes, and writes its tables
	@$(BIN)/python -m docs.hardware
	@$(BIN)/python -m docs.tables

setup: $(ALL) build/typing/triovit  ## everything: the extras as well, what quantizes and what tests

build/typing/triovit:  # the tree under the name that it is imported by, for the type checker
	@mkdir -p $(@D)
	@ln -sfn ../.. $@

$(BASE): pyproject.toml
	@echo "setting up .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -e .
	@touch $@

$(ALL): pyproject.toml
	@echo "setting up .venv with all extras (once; torch is large)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -e '.[test]'
	@touch $(BASE) $@

clean:  ## remove what can be rebuilt (not .venv)
	@rm -rf build .pytest_cache .ruff_cache .hypothesis
